// The Snowplow tracker with pings every second, and its plugins for links and buttons.
snowplowBrowserTracking.newTracker("sp", location.origin, {
  appId: "shop", postPath: "/collect/snowplow", contexts: { webPage: true, session: true }, bufferSize: 1, eventMethod: "post",
  plugins: [snowplowLinkClickTracking.LinkClickTrackingPlugin(), snowplowButtonClickTracking.ButtonClickTrackingPlugin()],
});
snowplowBrowserTracking.enableActivityTracking({ minimumVisitLength: 1, heartbeatDelay: 1 });
snowplowBrowserTracking.trackPageView();
snowplowButtonClickTracking.enableButtonClickTracking();
addEventListener("DOMContentLoaded", () => snowplowLinkClickTracking.enableLinkClickTracking());
window.routed = () => snowplowBrowserTracking.trackPageView();
