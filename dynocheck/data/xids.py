"""XID errors, and what NVIDIA's catalog says to do about them."""

import re
from functools import cache

import msgspec

from dynocheck.data import read_table

_REGISTER = re.compile(r"\((0x[0-9a-fA-F]{1,8})$")
_BY_SOFTWARE = (0x26, 0x28)  # reasons of a link that is down, for which the catalog says to do nothing


class Xid(msgspec.Struct, frozen=True):
    """An XID error: what it is, and the step to take: watch, pod, reset_later, reset or reboot."""

    code: int
    meaning: str
    step: str
    source: str


@cache
def _read_table() -> dict[str, str | dict[str, str]]:
    return msgspec.json.decode(read_table("xids.json"), type=dict[str, str | dict[str, str]])


def find_xid(code: int) -> Xid | None:
    """The row of a code; None when its step is not known."""
    source = str(_read_table()["source"])
    for step, rows in _read_table().items():
        if isinstance(rows, dict) and str(code) in rows:
            return Xid(code, rows[str(code)], step, source)
    return None


def decode_nvlink_xid(code: int, detail: str) -> Xid | None:
    """The row of an XID of NVLink 5 by what follows the code: what is fatal needs a reset, the rest does not.

    None where the line tells too little.

    :param detail: such as "NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x004505c6".
    """
    register, source = _REGISTER.search(detail), str(_read_table()["source"])
    if register is None:
        return None
    meaning = f"NVLink error, {detail.partition('(')[0].strip()}"
    words = detail.lower().replace("non-fatal", "nonfatal").split()
    if "nonfatal" in words:
        # RLW_RXPIPE has a bit for a reset, whose place differs between drivers
        return None if detail.startswith("RLW_RXPIPE") else Xid(code, meaning, "watch", source)
    if "fatal" not in words:
        return None
    reason = int(register[1], 16) >> 20 & 0x3F
    harmless = detail.startswith("NETIR_LINK") and reason in _BY_SOFTWARE
    return Xid(code, meaning, "watch" if harmless else "reset", source)
