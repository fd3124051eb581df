"""The facts of a run: those that were gathered, and why the others are missing."""

from dataclasses import dataclass, field

from dynocheck.core.declarations import Declaration
from dynocheck.facts import Fact


@dataclass(frozen=True)
class MissingFact:
    """Why a fact is missing. `crashed`: the probe failed by a fault of its own."""

    reason: str
    fix: str | None = None
    crashed: bool = False


@dataclass
class Knowledge:
    """The facts of a run, and the missing ones. `interrupted`: the user pressed Ctrl-C while probes ran;
    `halted`: while checks judged.
    """

    facts: dict[type[Fact], Fact] = field(default_factory=dict)
    missing: dict[type[Fact], MissingFact] = field(default_factory=dict)
    interrupted: bool = False
    halted: bool = False

    def __contains__(self, fact: type[Fact]) -> bool:
        return fact in self.facts or fact in self.missing

    def list_missing(self, reader: Declaration) -> list[MissingFact]:
        """Why a check, table or chart cannot be called; empty when it can."""
        return [self.missing[need.fact] for need in reader.needs if need.fact in self.missing]

    def get_arguments(self, reader: Declaration) -> dict[str, Fact | None]:
        """The facts that a check, table or chart takes, by parameter."""
        return {need.parameter: self.facts.get(need.fact) for need in reader.needs}
