"""Run under the Python that has vLLM: what its own parser takes, and which keys its classes refuse.

It reads `{class: {key: class of its value or ""}}` from standard input. It writes to standard output `flags`:
for each its names, how many values it takes, its choices, and which of some texts it reads as a value;
`fields`: the fields that each class is made with; and `refused`: the keys that each class refuses, among them
one that nobody has, and `a.b` for a key in the value of `a`.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from dynocheck.engines.parser_subprocess import create_vllm_parser

TEXTS = ("x1", "1", "1.5", "32k")
STRANGER = "no_such_key"


def flag(action: argparse.Action) -> dict[str, Any]:
    return {
        "names": list(action.option_strings),
        "negatable": isinstance(action, argparse.BooleanOptionalAction),
        "nargs": action.nargs,
        "choices": None if action.choices is None else [str(each) for each in action.choices],
        "reads": [text for text in TEXTS if reads(action, text)],
    }


def reads(action: argparse.Action, text: str) -> bool:
    try:
        action.type(text) if callable(action.type) else text
    except (argparse.ArgumentTypeError, TypeError, ValueError):
        return False
    return True


def config_class(name: str) -> type:
    modules = [module for path, module in list(sys.modules.items()) if path.startswith("vllm.config")]
    found: type = next(getattr(module, name) for module in modules if hasattr(module, name))
    return found


def refused(found: type, keys: dict[str, str]) -> Iterator[str]:
    from pydantic import TypeAdapter, ValidationError

    asked = [(key, {key: object()}) for key in (*keys, STRANGER)]
    asked += [(f"{key}.{STRANGER}", {key: {STRANGER: 1}}) for key, below in keys.items() if below]
    for path, value in asked:
        try:
            TypeAdapter(found).validate_python(value)
        except (AttributeError, TypeError):
            continue  # its validators cannot do with such a value: the key was taken
        except ValidationError as error:
            unexpected = (each["loc"] for each in error.errors() if "unexpected" in each["type"])
            yield from (path for place in unexpected if ".".join(map(str, place)) == path)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    table: dict[str, dict[str, str]] = json.load(sys.stdin)
    classes = {}
    flags = [flag(action) for action in create_vllm_parser()._actions]
    for name in table:
        classes[name] = config_class(name)
    fields = {
        name: [each.name for each in dataclasses.fields(found) if each.init]
        for name, found in classes.items()
    }
    told = {name: list(refused(found, table[name])) for name, found in classes.items()}
    with answers:
        json.dump({"flags": flags, "fields": fields, "refused": told}, answers)


if __name__ == "__main__":
    main()
