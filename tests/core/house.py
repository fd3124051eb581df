"""A house with a door, a hall and a garden, each a fact of a probe that takes the fact before it."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

from dynocheck import Finding, check, fail, probe
from dynocheck.core.declarations import Probe
from dynocheck.core.knowledge import Knowledge
from dynocheck.core.outcomes import Verdict
from dynocheck.core.planning import plan
from dynocheck.core.probing import gather
from dynocheck.facts import Access, Fact, IgnoreUses, Recipes


class House:
    """A source. `calls` are the probes that ran; `released` lets a blocked probe go on."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.released = threading.Event()


class Door(Fact, frozen=True):
    opened: bool


class Hall(Fact, frozen=True):
    lamps: int


class Garden(Fact, frozen=True):
    trees: int


@probe(access=[Access("get", "doors")])
def door(house: House) -> Door:
    house.calls.append("door")
    return Door(True)


@probe(access=[Access("list", "lamps")])
def hall(house: House, door: Door) -> Hall:
    house.calls.append("hall")
    return Hall(2 if door.opened else 0)


@probe()
def garden(house: House, hall: Hall, door: Door) -> Garden:
    house.calls.append("garden")
    return Garden(hall.lamps)


@check("house.trees", title="There are trees")
def trees(garden: Garden) -> Iterator[Finding]:
    if not garden.trees:
        yield fail("no trees")


@check("house.lamps", title="There are lamps")
def lamps(hall: Hall) -> None:
    pass


def gather_facts(*probes: Probe, house: House | None = None, timeout_s: float = 5, **more: Any) -> Knowledge:
    planned = plan([trees, lamps], probes, {House})
    return gather(planned.probes, {House: house or House()}, timeout_s=timeout_s, **more)


class NoSuppressions:
    """Nothing is suppressed."""

    def read_comments(self, recipes: Recipes | None) -> Self:
        return self

    def suppress(self, check: str, findings: Sequence[Finding]) -> list[None]:
        return [None] * len(findings)

    def list_uses(self, verdicts: Iterable[Verdict]) -> IgnoreUses:
        return IgnoreUses()

    def accept_unjudged(self, verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
        return tuple(verdicts)

    def record_baseline(self, verdicts: Iterable[Verdict]) -> None:
        return None

    def list_suppressors(self, rejudge: object) -> tuple[()]:
        return ()
