"""Makes dynocheck/data/trtllm_flags.json: the flags of trtllm-serve's commands, release by release.

    python -m tools.write_trtllm_flags PAGES

PyPI has no wheels of TensorRT-LLM. Its documentation is built from each release's own options: PAGES is a
checkout of the branch gh-pages of https://github.com/NVIDIA/TensorRT-LLM, or a folder with its pages
RELEASE/commands/trtllm-serve.html (since 1.0 RELEASE/commands/trtllm-serve/trtllm-serve.html), of which those
of RELEASES are read.
"""

import json
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tools.write_flags import compact

TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "trtllm_flags.json"
RELEASES = (
    "0.19.0",
    "0.20.0",
    "0.21.0",
    "1.0.0",
    "1.1.0",
    "1.2.0",
    "1.2.1",
    "1.3.0rc11",
    "1.3.0rc29",
)
_PROGRAM = "trtllm-serve"
_DEFAULT = "serve"  # the command of arguments that begin with none
_ALIASES = {"tensorrt": "trt"}  # that --backend takes besides, as no page shows
_GROWING = ("--reasoning_parser", "--tool_parser")  # whose choices are a registry
_Attributes = list[tuple[str, str | None]]


def main(pages: str) -> None:
    """Writes the table."""
    tables: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for release in RELEASES:
        (page,) = (Path(pages) / release / "commands").rglob(f"{_PROGRAM}.html")
        for command, flags in read_commands(page.read_text()).items():
            program = _PROGRAM if command == _DEFAULT else f"{_PROGRAM} {command}"
            tables.setdefault(program, {})[release] = flags
    rows = {
        program: {
            "releases": list(releases),
            "flags": sorted(compact(releases), key=lambda flag: flag["names"]),
            "mappings": [],
            "variables": [],
        }
        for program, releases in tables.items()
    }
    TARGET.write_text(json.dumps(rows, indent=0, sort_keys=True) + "\n")


def read_commands(page: str) -> dict[str, list[dict[str, Any]]]:
    """The flags of each command on a page."""
    reader = _Reader()
    reader.feed(page)
    found: dict[str, list[dict[str, Any]]] = {}
    for command, option in reader.options:
        found.setdefault(command, []).append(dict(_describe(option)))
    return found


class _Option:
    """What a page shows of an option: its names, whether a value follows, and its choices."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.valued = False
        self.choices = ""


def _describe(option: _Option) -> Iterator[tuple[str, Any]]:
    yield "names", sorted(option.names)
    choices = option.choices.split(" | ") if option.choices else []
    if not option.valued:
        yield "kind", "switch"
    if choices:
        yield "choices", choices + [alias for name, alias in _ALIASES.items() if name in choices]
    if not set(_GROWING).isdisjoint(option.names):
        yield "growing", True


class _Reader(HTMLParser):
    """The options of a page that Sphinx made, each with its command."""

    def __init__(self) -> None:
        super().__init__()
        self.options: list[tuple[str, _Option]] = []
        self._command = ""
        self._place = ""  # what the text at hand is: a heading, a name, a value, the choices
        self._awaits_choices = False

    def handle_starttag(self, tag: str, attrs: _Attributes) -> None:
        given = dict(attrs)
        classes = (given.get("class") or "").split()
        if tag == "h4":
            self._place, self._command = "command", ""
        elif tag == "dt" and "sig-object" in classes and (given.get("id") or "").startswith("cmdoption"):
            self.options.append((self._command, _Option()))
        elif tag == "span" and "descname" in classes:
            self._place = "name"
        elif tag == "span" and "descclassname" in classes:
            self._place = "value"
        elif tag == "p" and self._awaits_choices:
            self._place, self._awaits_choices = "choices", False
        elif tag in ("a", "dd"):
            self._place = ""
        elif tag == "dt" and "field-odd" in classes:
            self._place = "field"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("dt", "h4", "p"):
            self._place = ""

    def handle_data(self, data: str) -> None:
        text = data.strip()
        option = self.options[-1][1] if self.options else _Option()
        if self._place == "command":
            self._command += text
        elif self._place == "name" and text.startswith("-"):
            option.names.append(text)
        elif self._place == "name" and text:
            self.options.pop()  # an argument
            self._place = ""
        elif self._place == "value":
            option.valued = option.valued or text.startswith("<")
        elif self._place == "field" and text == "Options":
            self._awaits_choices = True
        elif self._place == "choices":
            option.choices += text


if __name__ == "__main__":
    main(sys.argv[1])
