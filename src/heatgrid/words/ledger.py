"""The two ledgers: what became of every row of the run, and of every point of a measure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Points:
    """Rows of a measure's kinds = used + outside + invalid (null, NaN, infinite) + withheld + excess (of sessions in
    which more wait for what follows them than may)."""

    rows: int = 0
    used: int = 0
    outside: int = 0
    invalid: int = 0
    withheld: int = 0
    excess: int = 0

    def balanced(self) -> bool:
        return self.rows == self.used + self.outside + self.invalid + self.withheld + self.excess

    def add(self, other: Points) -> None:
        self.rows += other.rows
        self.used += other.used
        self.outside += other.outside
        self.invalid += other.invalid
        self.withheld += other.withheld
        self.excess += other.excess

    def as_dict(self) -> dict[str, int]:
        """Its counts; excess only where there is some, as few measures can have any."""
        return {name: count for name, count in vars(self).items() if name != "excess" or count}

    def line(self) -> str:
        parts = [f"{self.used:,} used"]
        for name in ("outside", "invalid", "withheld", "excess"):
            count = getattr(self, name)
            if count:
                parts.append(f"{count:,} {name}")
        return f"{self.rows:,} rows = " + " + ".join(parts)


@dataclass
class Ledger:
    """Rows read = accepted + filtered + rejected (by reason); one ``Points`` for each measure."""

    read: int = 0
    accepted: int = 0
    filtered: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    measures: dict[str, Points] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    """Of the filtered rows those that no predicate left out: by what they are."""

    def leave_out(self, what: str, count: int) -> None:
        if count:
            self.filtered += count
            self.left_out[what] = self.left_out.get(what, 0) + count

    def reject(self, reason: str, count: int) -> None:
        if count:
            self.rejected[reason] = self.rejected.get(reason, 0) + count

    @property
    def rejected_total(self) -> int:
        return sum(self.rejected.values())

    def balanced(self) -> bool:
        rows = self.read == self.accepted + self.filtered + self.rejected_total
        return rows and all(points.balanced() for points in self.measures.values())

    def check(self) -> None:
        """A ledger that does not add up is a bug, never a matter of the input."""
        if not self.balanced():
            raise AssertionError(f"the ledger does not add up: {self.as_dict()}")

    def add(self, other: Ledger) -> None:
        self.read += other.read
        self.accepted += other.accepted
        self.filtered += other.filtered
        for what, count in other.left_out.items():
            self.left_out[what] = self.left_out.get(what, 0) + count
        for reason, count in other.rejected.items():
            self.reject(reason, count)
        for name, points in other.measures.items():
            self.measures.setdefault(name, Points()).add(points)

    def run_line(self) -> str:
        parts = [f"{self.accepted:,} accepted"]
        plain = self.filtered - sum(self.left_out.values())
        if plain:
            parts.append(f"{plain:,} filtered")
        parts += [f"{count:,} filtered ({what})" for what, count in sorted(self.left_out.items())]
        parts += [f"{count:,} rejected ({reason})" for reason, count in sorted(self.rejected.items())]
        return f"{self.read:,} rows read = " + " + ".join(parts)

    def lines(self) -> list[str]:
        return [self.run_line(), *(f"{name}: {p.line()}" for name, p in sorted(self.measures.items()))]

    def as_dict(self) -> dict[str, object]:
        return {
            "read": self.read,
            "accepted": self.accepted,
            "filtered": self.filtered,
            **({"left_out": dict(sorted(self.left_out.items()))} if self.left_out else {}),
            "rejected": dict(sorted(self.rejected.items())),
            "measures": {name: p.as_dict() for name, p in sorted(self.measures.items())},
        }

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> Ledger:
        measures = data["measures"]
        rejected = data["rejected"]
        left_out = data.get("left_out", {})
        assert isinstance(left_out, dict)
        assert isinstance(measures, dict)
        assert isinstance(rejected, dict)
        return cls(
            read=int(str(data["read"])),
            accepted=int(str(data["accepted"])),
            filtered=int(str(data["filtered"])),
            rejected={str(k): int(v) for k, v in rejected.items()},
            measures={str(k): Points(**v) for k, v in measures.items()},
            left_out={str(k): int(v) for k, v in left_out.items()},
        )
