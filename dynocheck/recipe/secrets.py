"""Removes secrets in plain text from manifests before they become facts."""

import base64
import re
from typing import Any

import msgspec

from dynocheck.facts import Value
from dynocheck.secrets import HIDDEN, hide_assigned, is_placeholder, is_secret_flag, is_secret_name

_ENCODED = base64.b64encode(HIDDEN.encode()).decode()  # `data` of a Secret has to be base64
_CONTENTS = {"data": _ENCODED, "stringData": HIDDEN}
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"  # contains the whole object again
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


def withhold(document: Value) -> Value:
    """The document without the contents of Secrets, the values of variables with a name like that of a secret
    (in `env`, a key, a flag, or a line of a script), and anything that looks like a token.
    """
    return _strip_secrets(document, in_data=False)


def _strip_secrets(value: Value, *, in_data: bool) -> Value:
    """A value without secrets.

    :param in_data: whether its keys are those of a ConfigMap's `data`, which may be names of variables.
    """
    if isinstance(value.data, str):
        shown = hide_assigned(value.data)
        return value if shown == value.data else _replace_data(value, shown)
    if isinstance(value.data, list):
        elements = _hide_arguments(value.data)
        is_same = all(new is old for new, old in zip(elements, value.data, strict=True))
        return value if is_same else _replace_data(value, elements)
    if not isinstance(value.data, dict):
        return value
    kind, name = value.data.get("kind"), value.data.get("name")
    of_secret = kind is not None and kind.data == "Secret"
    entries = {}
    for key, entry in value.data.items():
        named = name.text if key == "value" and name is not None else key
        is_name = key == "value" or in_data or _VARIABLE.fullmatch(key)
        if of_secret and key in _CONTENTS:
            entries[key] = _replace_data(
                entry, {k: _blank_out(v, _CONTENTS[key]) for k, v in entry.mapping.items()}
            )
        elif key == _APPLIED or (named and is_name and is_secret_name(named)):
            entries[key] = _blank_out(entry, HIDDEN)
        else:
            entries[key] = _strip_secrets(entry, in_data=key in _CONTENTS)
    is_same = all(entries[key] is entry for key, entry in value.data.items())
    return value if is_same else _replace_data(value, entries)


def _hide_arguments(elements: list[Value]) -> list[Value]:
    """The elements of a list, without the values of flags such as `--api-key`."""
    shown = [_strip_secrets(element, in_data=False) for element in elements]
    for i, flag in enumerate(elements[:-1]):
        following = elements[i + 1].text or ""
        if is_secret_flag(flag.text or "") and not following.startswith("-"):
            shown[i + 1] = _blank_out(elements[i + 1], HIDDEN)
    return shown


def _blank_out(value: Value, text: str) -> Value:
    """An empty value of the same type; placeholders are kept, also those in base64 where the text is."""
    if isinstance(value.data, str):
        plain = _decode(value.data) if text == _ENCODED else value.data
        return value if is_placeholder(value.data) or is_placeholder(plain) else _replace_data(value, text)
    return value if value.data is None else _replace_data(value, type(value.data)())


def _decode(text: str) -> str:
    """The text in base64; the same text if it is none."""
    try:
        return base64.b64decode(text, validate=True).decode().strip()
    except ValueError:
        return text


def _replace_data(value: Value, data: Any) -> Value:
    return msgspec.structs.replace(value, data=data)
