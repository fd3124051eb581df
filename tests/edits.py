"""Applies the fixes of findings to the text of a manifest, as a person at the finding's place would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_EDIT = re.compile(
    r"(?P<verb>set|add|remove) (?P<flag>--?[\w-]+)(?: (?P<word>'.*'|\S+))?"
    r"|set (?P<name>[A-Za-z_]\w*)=(?P<setting>.*)|unset (?P<unset>\w+)"
    r"|(?P<put>set|add) (?P<at>[\w-][^\s:]*): (?P<value>\S.*)"
    r"|remove (?P<gone>[\w-]\S*)"
    r"|replace (?P<old>.+) with (?P<new>.+)"
)
_NEXT = re.compile(r"; (?=(?:set|add|remove|replace) )")
_BLANK = re.compile(r"\b[A-Z][A-Z_]{2,}\b(?!\w)")  # for the reader to fill in
_STEP = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
_PROGRAM = re.compile(r"\b(?:dynamo|vllm|sglang|tensorrt_llm)(?:\.\w+)+")


class Unplaced(Exception):
    """An edit whose place is not there."""


class Place(NamedTuple):
    """A file's text, and the line and column of a finding in it, from 1."""

    text: str
    line: int
    column: int

    @property
    def start(self) -> int:
        lines = self.text.splitlines(keepends=True)
        return sum(map(len, lines[: self.line - 1])) + self.column - 1


def parse(fix: str) -> list[re.Match[str]] | None:
    """The edits of a fix; None of one that is advice."""
    edits = [_EDIT.fullmatch(edit) for edit in _NEXT.split(fix.partition("   # ")[0])]
    found = [edit for edit in edits if edit is not None]
    return found if len(found) == len(edits) else None


def has_blank(edits: list[re.Match[str]]) -> bool:
    """Whether something is left to the reader to fill in."""
    groups = ("word", "value", "new", "setting")
    return any(
        word and _BLANK.fullmatch(word.strip("\"'")) for edit in edits for word in map(edit.group, groups)
    )


def apply(edits: list[re.Match[str]], text: str, line: int, column: int) -> str:
    """The text of a file after the edits of a fix."""
    for edit in edits:
        place = Place(text, line, column)
        if edit["verb"]:
            text = _edit_words(place, edit["verb"], edit["flag"], edit["word"])
        elif edit["name"] or edit["unset"]:
            text = _edit_variable(place, edit["name"] or edit["unset"], edit["setting"])
        elif edit["old"]:
            text = _replace(place, edit["old"], edit["new"])
        else:
            text = _edit_tree(place, edit["put"] or "remove", edit["at"] or edit["gone"], edit["value"] or "")
    return text


def _replace(place: Place, old: str, new: str) -> str:
    at = place.text.find(old, place.text.rfind("\n", 0, place.start) + 1)
    if at < 0:
        raise Unplaced(old)
    return place.text[:at] + new + place.text[at + len(old) :]


def _edit_variable(place: Place, name: str, setting: str | None) -> str:
    """Text with a variable set or removed: in env, in a script, or in the data of a ConfigMap."""
    line = place.text.rfind("\n", 0, place.start) + 1
    forms = (
        rf"(?P<all>- name: [\"']?{name}[\"']?\s*\n\s*value: )(?P<value>.*)",
        rf"(?P<all>\{{ *name: {name}, *value: )(?P<value>[^,}}]*)\}}",
        rf"(?P<all>{name}=)(?P<value>'[^'\n]*'|\"[^\"\n]*\"|\S*)",
        rf"(?P<all>{name}: )(?P<value>.*)",
    )
    found = [match for form in forms if (match := re.compile(form).search(place.text, line))]
    if not found:
        raise Unplaced(name)
    first = min(found, key=lambda match: match.start())
    if setting is None:
        start = place.text.rfind("\n", 0, first.start()) + 1
        return place.text[:start] + place.text[place.text.index("\n", first.end()) + 1 :]
    plain = setting[1:-1] if setting[:1] == "'" else setting
    value = setting if first["all"].endswith("=") else '"' + plain.replace('"', '\\"') + '"'
    return place.text[: first.start("value")] + value + place.text[first.end("value") :]


def _edit_tree(place: Place, verb: str, at: str, value: str) -> str:
    steps = [key or plain for key, plain in _STEP.findall(at)]
    chain = _find_chain(place)
    block = chain[-1]
    if isinstance(block, ScalarNode) and block.style == "|" and place.start > block.start_mark.index:
        return _edit_block(place, block, verb, at, value)
    holder: Node = _find_base(chain, steps[0])
    parents: list[tuple[Node, str]] = []
    for i, step in enumerate(steps):
        found = _get(holder, step)
        if found is None:
            if verb == "remove":
                raise Unplaced(at)
            return _insert(place.text, holder, steps[i:], f"[{value}]" if verb == "add" else value)
        parents.append((holder, step))
        holder = found
    if verb == "add":
        return _insert(place.text, holder, [], value)
    if verb == "set":
        return _splice(place.text, holder, value)
    while len(parents) > 1 and len(parents[-1][0].value) == 1:
        parents.pop()
    return _delete(place.text, *parents[-1])


def _edit_block(place: Place, block: Node, verb: str, at: str, value: str) -> str:
    """The text with an edit in the YAML that a literal block holds."""
    start, end = place.text.index("\n", block.start_mark.index) + 1, block.end_mark.index
    lines = place.text[start:end].splitlines(keepends=True)
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    inner = "".join(line[indent:] or "\n" for line in lines)
    within = Place(inner, place.line - place.text.count("\n", 0, start), max(place.column - indent, 1))
    edited = _edit_tree(within, verb, at, value).splitlines(keepends=True)
    return place.text[:start] + "".join(" " * indent + line for line in edited) + place.text[end:]


def _find_chain(place: Place) -> list[Node]:
    """The parts around a place, from its document down to the innermost."""
    for document in yaml.compose_all(place.text, Loader=yaml.SafeLoader):
        if document.start_mark.index <= max(place.start, 0) < document.end_mark.index or (
            document.start_mark.line + 1 >= place.line
        ):
            return list(_descend(document, place.start))
    raise Unplaced(f"line {place.line}")


def _descend(node: Node, start: int) -> Iterator[Node]:
    yield node
    for key, child in _list_children(node):
        if (key or child).start_mark.index <= start < max(child.end_mark.index, child.start_mark.index + 1):
            yield from _descend(child, start)
            return


def _list_children(node: Node) -> list[tuple[Node | None, Node]]:
    if isinstance(node, MappingNode):
        return list(node.value)
    return [(None, child) for child in node.value] if isinstance(node, SequenceNode) else []


def _find_base(chain: list[Node], first: str) -> Node:
    for i, node in reversed(list(enumerate(chain))):
        if isinstance(node, MappingNode) and (
            _get(node, first) is not None or i == 0 or _is_component(chain[: i + 1])
        ):
            return node
    raise Unplaced(first)


def _is_component(chain: list[Node]) -> bool:
    return len(chain) == 4 and any(
        chain[2] is _get(chain[1], key)
        for key in ("components", "services")
        if chain[1] is _get(chain[0], "spec")
    )


def _get(node: Node, step: str) -> Node | None:
    for key, child in _list_children(node):
        if key.value == step if key is not None else _is_named(child, step):
            return child
    return None


def _is_named(node: Node, name: str) -> bool:
    own = _get(node, "name") if isinstance(node, MappingNode) else None
    return (own or node).value == name


def _insert(text: str, holder: Node, steps: list[str], value: str) -> str:
    """Text with a new entry, at the beginning of a mapping or list."""
    for step in reversed(steps[1:]):
        value = f"{{{_quote(step)}: {value}}}"
    is_list = isinstance(holder, SequenceNode)
    if is_list and steps:
        value = value if value.startswith("{") else f"{{{value}}}"
        value = f"{{name: {steps[0]}, {value[1:]}"
    entry = value if is_list else f"{_quote(steps[0])}: {value}"
    if isinstance(holder, ScalarNode):
        if holder.value not in ("", "null", "~"):
            raise Unplaced(f"{steps}")
        return _splice(text, holder, f" {{{entry}}}")
    at = holder.start_mark.index
    if holder.flow_style:
        return f"{text[: at + 1]}{entry}{', ' if holder.value else ''}{text[at + 1 :]}"
    return f"{text[:at]}{'- ' if is_list else ''}{entry}\n{' ' * holder.start_mark.column}{text[at:]}"


def _quote(key: str) -> str:
    return f'"{key}"' if re.search(r"[/.]", key) else key


def _splice(text: str, node: Node, value: str) -> str:
    start, end = node.start_mark.index, node.end_mark.index
    gone = text[start:end]
    tail = gone[len(gone.rstrip()) :] if not isinstance(node, ScalarNode) or node.style in ("|", ">") else ""
    return text[:start] + value + tail + text[end:]


def _delete(text: str, holder: Node, step: str) -> str:
    """Text without an entry, with its line if nothing else is on it."""
    children = _list_children(holder)
    i = next(
        i for i, (key, child) in enumerate(children) if (key.value == step if key else _is_named(child, step))
    )
    start = (children[i][0] or children[i][1]).start_mark.index
    if len(children) == 1:
        return _splice(text, holder, "[]" if isinstance(holder, SequenceNode) else "{}")
    if i + 1 < len(children):
        return text[:start] + text[(children[i + 1][0] or children[i + 1][1]).start_mark.index :]
    before = children[i - 1][1].end_mark.index
    gone = (
        text[before : children[i][1].end_mark.index]
        if holder.flow_style
        else text[start : children[i][1].end_mark.index]
    )
    if holder.flow_style:
        return text[:before] + text[before + len(gone) :]
    line = text.rfind("\n", 0, start) + 1
    return text[:line] + text[children[i][1].end_mark.index :].lstrip(" ")


def _edit_words(place: Place, verb: str, flag: str, word: str | None) -> str:
    """Text with an argument set, added or removed, in a script or in a list of words."""
    text, start = place.text, place.start
    if verb == "add":
        chain = _find_chain(place)
        scope = next(
            (
                n
                for n in reversed(chain)
                if isinstance(n, MappingNode) and (_get(n, "args") or _get(n, "command"))
            ),
            chain[-1],
        )
        found = _PROGRAM.match(text, start) or _PROGRAM.search(
            text, scope.start_mark.index, scope.end_mark.index
        )
        if found is None:
            raise Unplaced(flag)
        words = [flag, *([word] if word else [])]
        return text[: found.end()] + _spell(text, found.start(), found.end(), words) + text[found.end() :]
    own = re.compile(rf"(?<![\w-]){re.escape(flag)}(?![\w-])")
    line = text.rfind("\n", 0, start) + 1
    found = own.search(text, line)
    if found is None:
        raise Unplaced(flag)
    value = re.compile(r"=\S+|[\"']?(?:,?\s*\n?\s*(?:- )?)(?:'[^'\n]*'|\"[^\"\n]*\"|[^\s,\]\\]+)").match(
        text, found.end()
    )
    if value is None:
        raise Unplaced(flag)
    if verb == "remove":
        is_item = text[: found.start()].rstrip("\"'").endswith("- ")
        first = text.rfind("\n", 0, found.start()) + 1 if is_item else found.start()
        return text[:first] + text[value.end() + is_item :]
    old = value.group()
    given = word or ""
    if "\n" in old or "," in old:
        given = given[1:-1] if given[:1] == "'" else given
        given = "'" + given.replace("'", "''") + "'"
    new = (
        re.sub(r"(=|'[^'\n]*'|\"[^\"\n]*\"|[^\s,\]\\-][^\s,\]\\]*)$", lambda _: given, old)
        if old[0] != "="
        else f"={given}"
    )
    return text[: found.end()] + new + text[value.end() :]


def _spell(text: str, start: int, end: int, words: list[str]) -> str:
    """Words as the text around them has it: items of a list, each on a line or not, or words of a script."""
    line = text[text.rfind("\n", 0, start) + 1 : start]
    if re.fullmatch(r"\s*- [\"']?", line):
        indent = line.partition("-")[0]
        quote = line[-1] if line[-1] in "\"'" else ""
        spelled = "".join(f"\n{indent}- {_quote_word(word)}" for word in words)
        return quote + spelled if not quote else quote + spelled[:-1] + spelled[-1]
    if text[end : end + 1] in "\"'" and text[start - 1] == text[end]:
        return text[end] + "".join(f", {_quote_word(word)}" for word in words)[:-1]
    return "".join(f" {word}" for word in words)


def _quote_word(word: str) -> str:
    plain = word[1:-1] if word[:1] == "'" else word
    return "'" + plain.replace("'", "''") + "'"
