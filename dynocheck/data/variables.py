"""The environment variables that engines, their libraries and Dynamo read."""

from functools import cache

import msgspec

from dynocheck.core.spelling import find_slip
from dynocheck.data import read_table
from dynocheck.data.flags import list_variables

_OTHERS = ("HCCL_", "LLM_")  # of Huawei's twin of NCCL, and of programs that call any model: LLM_API_KEY


class _Library(msgspec.Struct, frozen=True):
    """What a library reads, as far as it is documented."""

    source: str
    names: frozenset[str]


@cache
def find_misspelt_variable(name: str) -> str | None:
    """The variable that a name must be a misspelling of; None if it is right, or somebody's own."""
    return None if name.startswith(_OTHERS) else find_slip(name, _names())


def is_known_variable(name: str) -> bool:
    return name in _names()


@cache
def _names() -> frozenset[str]:
    rows = msgspec.json.decode(read_table("variables.json"), type=list[_Library])
    return frozenset().union(list_variables(), *(row.names for row in rows))
