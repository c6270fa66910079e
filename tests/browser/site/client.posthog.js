// posthog-js with what its cloud turns on; no remote settings, so that it asks nobody.
posthog.init("phc_test", {
  api_host: location.origin + "/collect/posthog", ui_host: location.origin, advanced_disable_flags: true,
  disable_session_recording: true, disable_surveys: true, disable_compression: true, autocapture: true,
  capture_pageview: "history_change", capture_pageleave: true, enable_heatmaps: true, capture_heatmaps: { flush_interval_milliseconds: 300 },
  capture_dead_clicks: true, rageclick: true, opt_out_useragent_filter: true, request_queue_config: { flush_interval_ms: 250 },
});
