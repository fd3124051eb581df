"""Keeps secrets that a manifest spells out from ever becoming facts."""

import base64

import msgspec

from dynocheck.facts.recipe import Value
from dynocheck.secrets import HIDDEN, names_secret

_ENCODED = base64.b64encode(HIDDEN.encode()).decode()  # so that a Secret keeps the shape of one


def withhold(document: Value) -> Value:
    """The same document without the contents of Secrets and of variables that are named like one."""
    kind = document.get("kind")
    if kind is not None and kind.text == "Secret":
        return _emptied(document)
    return _without(document, in_data=False)


def _emptied(secret: Value) -> Value:
    data = dict(secret.mapping)
    for section, hidden in (("data", _ENCODED), ("stringData", HIDDEN)):
        if section in data:
            entries = {key: _replaced(value, hidden) for key, value in data[section].mapping.items()}
            data[section] = msgspec.structs.replace(data[section], data=entries)
    return msgspec.structs.replace(secret, data=data)


def _replaced(value: Value, text: str) -> Value:
    return msgspec.structs.replace(value, data=text) if isinstance(value.data, str) else value


def _without(value: Value, *, in_data: bool) -> Value:
    """A value without secrets; the keys of a ConfigMap's `data` are names of variables too."""
    if isinstance(value.data, list):
        return msgspec.structs.replace(value, data=[_without(e, in_data=False) for e in value.data])
    if not isinstance(value.data, dict):
        return value
    name = value.data.get("name")
    entries = {}
    for key, entry in value.data.items():
        named = name.text if key == "value" and name is not None else key if in_data else None
        if named is not None and names_secret(named):
            entries[key] = _replaced(entry, HIDDEN)
        else:
            entries[key] = _without(entry, in_data=key == "data")
    return msgspec.structs.replace(value, data=entries)
