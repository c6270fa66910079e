"""What a demo dump contains, by class: the tests count it again from the file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

DIRTY = (
    "null time", "time 1970", "time 9999", "null session", "null point", "nan x", "inf y", "negative x", "x -0.5",
    "huge y",
)  # fmt: skip


@dataclass(frozen=True)
class Counts:
    """Rows of the dump by class; a row is at most one of late, dirty and duplicate.

    ties : rows with the time of the row before them in the same session and tab.
    returning : sessions that come back after a pause of 1 to 20 hours. midnight : sessions on two UTC days.
    late : rows 1 to 30 s behind the latest time before them in the file.
    dirty : rows by what is wrong; times of 1970 and 9999 count neither for late, returning nor midnight.
    duplicates : rows that repeat the row before them. bots : sessions with more than 1,000 events in a minute.
    """

    rows: int = 0
    sessions: int = 0
    ties: int = 0
    returning: int = 0
    midnight: int = 0
    two_tab: int = 0
    resizes: int = 0
    late: int = 0
    duplicates: int = 0
    bots: int = 0
    dirty: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        return asdict(self)
