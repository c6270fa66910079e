"""What trackers and warehouses call the canonical columns: the one published list (docs/columns.md shows it).

Names are compared without case, ``_``, ``-``, ``.``, blanks and a leading ``$``: ``$Session_ID`` is ``sessionId``. A
field of a struct goes by its own name, and by that with the name of the struct before it (``user.id`` is ``user_id``);
it is looked at only where no column of the top level answers. Tiers stand from the strongest to the weakest: two
columns of one tier are an error that names both, a weaker tier gives way, and is named.
"""

from __future__ import annotations

import re

COLUMNS: dict[str, tuple[str, ...]] = {
    "time": (
        "timestamp ts event_time event_timestamp event_ts event_datetime datetime timestamp_ms ts_ms time_ms "
        "occurred_at happened_at clicked_at client_time client_timestamp unix_time epoch epoch_ms",
        "derived_tstamp created_at date at original_timestamp logged_at",
        "dvce_created_tstamp server_time server_timestamp received_at collector_tstamp sent_at inserted_at event_date",
        "etl_tstamp",
    ),
    "seq": ("sequence seq_no sequence_number",),
    "session": (
        "session_id sid domain_sessionid session_key session_uuid visit_id ga_session_id amplitude_session_id",
        "visit",
    ),
    "user": (
        "user_id uid distinct_id domain_userid visitor_id",
        "user_pseudo_id anonymous_id device_id client_id visitor customer_id person_id member_id",
    ),
    "account": ("account_id account_name company company_id organization_id organisation_id org_id tenant tenant_id",),
    "tab": ("tab_id window_id",),
    "view": ("view_id pageview_id",),
    "page": (
        "page_url current_url url page_location location_href request_url",
        "page_path page_urlpath pathname path request_path request_uri uri href route screen_name page_name",
        "page_title",
    ),
    "kind": ("event_type type event_kind action_type interaction_type", "event event_name action interaction"),
    "x": (
        "page_x document_x",
        "client_x viewport_x",
        "pointer_x mouse_x cursor_x pos_x coord_x point_x click_x x_pos x_coord px",
    ),
    "y": (
        "page_y document_y",
        "client_y viewport_y",
        "pointer_y mouse_y cursor_y pos_y coord_y point_y click_y y_pos y_coord py",
    ),
    "fixed": ("target_fixed pointer_target_fixed is_fixed",),
    "pointer": ("pointer_type",),
    "viewport_w": ("viewport_width inner_width br_viewwidth window_width view_width", "vw win_w"),
    "viewport_h": ("viewport_height inner_height br_viewheight window_height view_height", "vh win_h"),
    "page_w": ("page_width doc_width document_width scroll_width",),
    "page_h": ("page_height doc_height document_height scroll_height",),
    "scroll_x": ("scroll_left page_x_offset scroll_offset_x window_scroll_x",),
    "scroll_y": ("scroll_top page_y_offset scroll_offset_y window_scroll_y",),
    "feature": (
        "feature_name feature_id element_name",
        "data_testid test_id data_attribute element_id el_id target_id",
        "element_text el_text target_text",
        "tag_name el_tag_name element_tag target_tag",
    ),
    "value": ("revenue amount weight",),
    "count": ("n_events event_count",),
    "event_id": ("insert_id message_id event_uuid",),
    "release": ("app_version release_version",),
}
"""Canonical name -> tiers of synonyms."""

UNREAD = frozenset(("account", "value", "page_w", "scroll_x", "release"))
"""No measure reads these: where two columns could be one of them it is left out and said, and no run stops for it."""

FRAMES: dict[str, frozenset[str]] = {
    "page": frozenset(("pagex", "pagey", "documentx", "documenty")),
    "viewport": frozenset(("clientx", "clienty", "viewportx", "viewporty")),
}
"""Names that say what x and y are measured from."""

CLICKS_WITHOUT_CLICK = frozenset(
    ("mousedown", "mouse_down", "mouse-down", "pointerdown", "pointer_down", "pointer-down", "down")
)
"""Words that are clicks only where a source has no click; the ups that follow them never are."""

DOM_WORDS = frozenset(
    (
        "mouseup", "mouse_up", "pointerup", "pointer_up", "up", "dblclick", "contextmenu", "mouseover", "mouseout",
        "mouseenter", "mouseleave", "touchstart", "touchmove", "touchend", "keyup", "submit", "select", "load",
    )
)  # fmt: skip
"""Words of browsers that are no kind of ours and stay under their own names, but show what a column holds."""

CAPTURED = frozenset(("$autocapture",))
"""Kinds that leave it to another column, CAPTURED_AS, what was done."""
CAPTURED_AS = "eventtype"
RELEASED = "pressed"
"""A column of this name is false where a button was let go: such a row is no click."""
RELEASE = "mouseup"

_PLAIN = re.compile(r"[\s_\-.]+")


def plain(name: str) -> str:
    """``$Session_ID`` and ``sessionId`` are the same word."""
    return _PLAIN.sub("", name).lstrip("$").lower()


TIERS = {
    plain(word): (canonical, tier)
    for canonical, tiers in COLUMNS.items()
    for tier, words in enumerate(tiers)
    for word in words.split()
}
"""Plain word -> (canonical name, tier)."""
