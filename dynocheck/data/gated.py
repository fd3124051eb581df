"""Which models the Hugging Face Hub gives only to those who accepted their license."""

from fnmatch import fnmatchcase
from functools import cache

import msgspec

from dynocheck.data import read_table


class GatedModels(msgspec.Struct, frozen=True):
    """Models of this pattern are gated by their owner, as their page says."""

    pattern: str
    owner: str
    source: str


def gated_models(model: str) -> GatedModels | None:
    """The row of a model by its hub id, in any case as the hub takes it, or None when the table does not have
    it: it may be gated or not.
    """
    name = model.lower()
    return next((row for row in _rows() if fnmatchcase(name, row.pattern.lower())), None)


@cache
def _rows() -> tuple[GatedModels, ...]:
    return msgspec.json.decode(read_table("gated.json"), type=tuple[GatedModels, ...])
