"""How an input is read: which column is which and why, the time, the frame, the kinds; kept in the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from heatgrid.words.events import CANONICAL


@dataclass(frozen=True)
class Reading:
    """What was inferred, for people and for summary.json."""

    columns: Mapping[str, str]
    why: Mapping[str, str]
    passed: Mapping[str, list[str]]
    """Canonical name -> columns that could be it too, and gave way."""
    time_unit: str
    tz: str
    frame: str | None = None
    """``page`` or ``viewport``; None where there are no points."""
    frame_why: str = ""
    assumed: bool = False
    """The frame follows from nothing: pictures say so."""
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Words that were taken for a kind for want of a better one."""
    refined: str | None = None
    """What a second column says of the kind."""

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        columns = {
            name: {"column": self.columns[name], "why": self.why.get(name, "as asked")}
            | ({"not": list(self.passed[name])} if name in self.passed else {})
            for name in CANONICAL
            if name in self.columns
        }
        told: dict[str, object] = {"columns": columns, "time_unit": self.time_unit, "tz": self.tz}
        if self.frame is not None:
            told |= {"frame": self.frame, "frame_why": self.frame_why, "frame_assumed": self.assumed}
        if self.kinds:
            told["kinds"] = {kind: list(words) for kind, words in self.kinds.items()}
        return told | ({"kind_refined": self.refined} if self.refined else {})

    def notes(self) -> list[str]:
        """The lines that say what no column's name says."""
        out = [f"{kind} is {', '.join(words)}: no row is a {kind}" for kind, words in self.kinds.items()]
        if self.refined:
            out.append(f"kind is that of {self.refined}")
        if self.frame == "page" and self.assumed:
            out.append(f"x and y are taken as px of the page: {self.frame_why} (--frame page, viewport or element)")
        elif self.frame == "viewport":
            added = ", scroll_y is added" if "scroll_y" in self.columns else "; no scroll_y, so maps are of the window"
            out.append(f"x and y are px of the window: {self.frame_why}{added}")
        elif self.frame == "element":
            out.append(f"x and y are shares of the box of their element: {self.frame_why}")
        return out
