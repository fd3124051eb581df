"""What the configuration of a model of Triton may say."""

from functools import cache

import msgspec

from dynocheck.data import read_table


class TritonFields(msgspec.Struct, frozen=True):
    """The fields of each message of a config.pbtxt with their types, and the values of each enum.

    A type follows `repeated`, or `map` and the type of the key.
    """

    source: str
    messages: dict[str, dict[str, str]]
    enums: dict[str, list[str]]


@cache
def read_triton_fields() -> TritonFields:
    return msgspec.json.decode(read_table("triton_fields.json"), type=TritonFields)
