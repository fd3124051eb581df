"""Numbers of flags as the parsers of engines read them, such as `16k`."""

import re

# As vLLM reads them (human_readable_int in its arg_utils): fractions only of powers of ten.
_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_WITH_UNIT = re.compile(r"(\d+|\d+\.\d+(?=[kmgt]))([kmgtKMGT])")
# As SGLang reads them (human_readable_int in its srt/utils/common.py).
_MULTIPLES = {
    f"{prefix}{i}": (1024 if i else 1000) ** n for n, prefix in enumerate("kMGT", 1) for i in ("", "i")
}
_MULTIPLES["Ki"] = _MULTIPLES.pop("ki")
_MULTIPLE = re.compile(r"(\d+|\d+\.\d+(?!.*i))([kMGT]|[KMGT]i)")
_KINDS = {"vllm": "units", "sglang": "multiples"}


def parse_number(value: str, kind: str) -> float:
    """The number that a value stands for.

    :param kind: float, units (as vLLM reads it), multiples (as SGLang does), or any other for a whole number.
    :raises ValueError: it is not a number.
    """
    if kind == "float":
        return float(value)
    if kind == "units" and value.strip().lower() == "auto":
        return -1
    expression, factors = (_MULTIPLE, _MULTIPLES) if kind == "multiples" else (_WITH_UNIT, _UNITS)
    match = expression.fullmatch(value.strip()) if kind in ("units", "multiples") else None
    return float(match[1]) * factors[match[2]] if match else int(value)


def parse_length(value: object, engine: str) -> int | None:
    """A number of tokens as an engine reads it; None if it is none or not positive."""
    if isinstance(value, bool) or len(str(value)) > 20:
        return None
    try:
        length = int(parse_number(str(value), _KINDS.get(engine, "int")))
    except (ValueError, OverflowError):
        return None
    return length if length > 0 else None
