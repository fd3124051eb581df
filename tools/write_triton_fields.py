"""Makes dynocheck/data/triton_fields.json: what the config.pbtxt of a model of Triton may say.

    python -m tools.write_triton_fields CHECKOUT

A checkout of https://github.com/triton-inference-server/common, whose protobuf/model_config.proto declares
the messages. Each field has its type, with `repeated` before it, or `map` and the type of its key.
"""

import json
import re
import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "triton_fields.json"
_FILE = "protobuf/model_config.proto"
_COMMENT = re.compile(r"//[^\n]*")
_TOKEN = re.compile(
    r"(?P<kind>message|enum|oneof)\s+(?P<opened>\w+)\s*\{"
    r"|map\s*<\s*(?P<key>\w+)\s*,\s*(?P<value>\w+)\s*>\s*(?P<mapped>\w+)\s*="
    r"|(?P<repeated>repeated\s+)?(?P<type>\w+)\s+(?P<field>\w+)\s*=\s*\d+"
    r"|(?P<choice>\b[A-Z_0-9]+)\s*=\s*\d+"
    r"|(?P<closed>\})"
)


def read_proto(text: str) -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
    """The fields of each message, and the values of each enum; both by their dotted names."""
    messages: dict[str, dict[str, str]] = {}
    enums: dict[str, list[str]] = {}
    open_blocks: list[tuple[str, str]] = []
    for found in _TOKEN.finditer(_COMMENT.sub("", text)):
        inside = ".".join(name for kind, name in open_blocks if kind == "message")
        if found["opened"]:
            name = f"{inside}.{found['opened']}".lstrip(".")
            open_blocks.append((found["kind"], found["opened"]))
            if found["kind"] == "message":
                messages[name] = {}
            elif found["kind"] == "enum":
                enums[name] = []
        elif found["closed"]:
            open_blocks.pop()
        elif found["mapped"]:
            messages[inside][found["mapped"]] = f"map {found['key']} {found['value']}"
        elif found["choice"]:
            enums[f"{inside}.{open_blocks[-1][1]}".lstrip(".")].append(found["choice"])
        elif inside:
            messages[inside][found["field"]] = ("repeated " if found["repeated"] else "") + found["type"]
    return messages, enums


def resolve_types(messages: dict[str, dict[str, str]], enums: dict[str, list[str]]) -> None:
    """Replaces the name of each type by its dotted name, from the innermost message outwards."""
    for message, fields in messages.items():
        scopes = [message.rsplit(".", depth)[0] for depth in range(message.count(".") + 1)]
        for field, declared in fields.items():
            *before, name = declared.split()
            dotted = [f"{scope}.{name}" for scope in scopes]
            full = next((each for each in dotted if each in messages or each in enums), name)
            fields[field] = " ".join([*before, full])


def main(checkout: str) -> None:
    messages, enums = read_proto((Path(checkout) / _FILE).read_text())
    resolve_types(messages, enums)
    source = f"https://github.com/triton-inference-server/common/blob/main/{_FILE}"
    table = {"source": source, "messages": messages, "enums": enums}
    TARGET.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
