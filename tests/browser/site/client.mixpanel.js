// mixpanel-browser with all of its autocapture.
mixpanel.init("test", {
  api_host: location.origin + "/collect/mixpanel", api_payload_format: "json", batch_flush_interval_ms: 250,
  persistence: "localStorage", ignore_dnt: true, track_pageview: false,
  autocapture: {
    pageview: "full-url", click: true, dead_click: true, input: true, rage_click: true, scroll: true, submit: true,
    page_leave: true, capture_text_content: true,
  },
});
