"""Facts about engines that are installed here."""

from typing import NamedTuple

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.recipe.recipes import RecipeFact


class EngineParsers(NamedTuple):
    """The engines whose own parsers the user wants to be asked: what the probe of rulings looks at."""

    engines: tuple[str, ...]


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What the parser of an engine says to the arguments of a launch, which stands at this place.

    `error` is None where it takes them.
    """

    file: str
    line: int
    column: int
    engine: str
    version: str
    error: str | None


class Rulings(RecipeFact, FactList[Ruling], frozen=True):
    """Those on the launches whose image carries the version that is installed; `reason` is why there are
    none at all.
    """

    reason: str = ""
