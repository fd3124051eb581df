"""Types YAML scalars as their reader does: kubectl for manifests, Python for the files of engines."""

import base64
import binascii
import math
import re
from decimal import Decimal

import yaml

YamlScalar = bool | int | float | str | None

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_FLOAT_WORDS = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER = re.compile(r"0b[-+][01]+|[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LOOSE_UNDERSCORE = re.compile(r"(?<![0-9])_|_(?![0-9])")
_MAX_DIGITS = 1000
_INT64 = range(-(2**63), 2**63)
_TAG = "tag:yaml.org,2002:"


class ScalarError(ValueError):
    """A scalar that its reader rejects; the message is the reason."""


def parse_as_kubectl(text: str) -> YamlScalar:
    """A plain scalar as kubectl types it: with go-yaml, then as JSON with 64-bit numbers."""
    if len(text) <= 5 and text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    digits = text.replace("_", "")
    if text[0] == "." and _LOOSE_UNDERSCORE.search(text):
        return text
    if len(digits) < _MAX_DIGITS:
        if _INTEGER.fullmatch(digits) and (integer := _parse_integer(digits)) in range(-(2**63), 2**64):
            return integer if integer in _INT64 else float(integer)
        if _FLOAT.fullmatch(digits) and math.isfinite(number := float(digits)):
            return _normalize_number(number)
    if _FLOAT_WORDS.fullmatch(text):
        raise ScalarError(f"{text} cannot be represented in JSON: kubectl rejects it")
    return text


def _parse_integer(digits: str) -> int:
    if digits[2:3] in ("-", "+"):
        return int(digits[2:], 2)
    unsigned = digits.lstrip("+-")
    if len(unsigned) > 1 and unsigned[0] == "0" and unsigned[1].isdigit():
        digits = digits.replace("0", "0o", 1)
    return int(digits, 0)


def _normalize_number(number: float) -> int | float:
    """1.0 as the integer 1, as after a round trip through JSON."""
    whole = number.is_integer() and abs(number) < 2**63
    return int(Decimal(repr(number))) if whole else number


def parse_tagged(tag: str, text: str) -> YamlScalar:
    """A scalar under an explicit tag, as kubectl types it.

    :raises ScalarError: the text does not have the type of the tag.
    """
    name = tag.removeprefix(_TAG)
    if name == "binary":
        try:
            return base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True).decode(errors="replace")
        except binascii.Error:
            raise ScalarError("!!binary is not base64: kubectl rejects it") from None
    if tag == name or name not in ("bool", "int", "float", "null"):
        return text
    value = parse_as_kubectl(text)
    fits = {
        "bool": isinstance(value, bool),
        "int": bool(_INTEGER.fullmatch(text.replace("_", ""))),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
        "null": value is None,
    }
    if not fits[name]:
        raise ScalarError(f"!!{name} on a value of another type: kubectl rejects it")
    return value


def parse_as_python(text: str, tag: str | None = None) -> YamlScalar:
    """A scalar as Python's yaml.safe_load types it, except that dates stay strings."""
    loader = yaml.SafeLoader("")
    resolved = tag or loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    try:
        value = loader.construct_object(yaml.ScalarNode(resolved, text))
    except (ValueError, KeyError, OverflowError, yaml.YAMLError):
        return text
    return value if isinstance(value, bool | int | float | str | None) else text


def format_key(value: YamlScalar, source: str) -> str:
    """The name of a mapping's key in JSON.

    :param source: its text in the YAML file.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return source if isinstance(value, str) else str(value)
