"""Floor 4: everything that can be read, as chunks of canonical columns."""

from __future__ import annotations

from heatgrid.sources.events import Events, open_events

__all__ = ["Events", "open_events"]
