"""Facts about inference engines that are installed on this machine."""

from typing import NamedTuple

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.recipe.recipes import RecipeFact


class EngineParsers(NamedTuple):
    """The engines whose own argument parsers are to be used: the input of the probe of rulings."""

    engines: tuple[str, ...]


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine's own parser reports on the arguments of a launch; `error` is None if it has none."""

    file: str
    line: int
    column: int
    engine: str
    version: str
    error: str | None


class Rulings(RecipeFact, FactList[Ruling], frozen=True):
    """The results for launches whose image has the installed version; `reason` is why there are none."""

    reason: str = ""
