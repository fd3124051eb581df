"""XID errors, and what NVIDIA's catalog says to do about them."""

from functools import cache

import msgspec

from dynocheck.data import read_table


class Xid(msgspec.Struct, frozen=True):
    """An XID error: what it is, and the step to take: watch, pod, reset_later, reset or reboot."""

    code: int
    meaning: str
    step: str
    source: str


@cache
def find_xid(code: int) -> Xid | None:
    """The row of a code; None when its step is not known."""
    table: dict[str, str | dict[str, str]] = msgspec.json.decode(read_table("xids.json"))
    source = str(table["source"])
    for step, rows in table.items():
        if isinstance(rows, dict) and str(code) in rows:
            return Xid(code, rows[str(code)], step, source)
    return None
