"""Applies the fixes of findings to the text of a manifest, as a person at the finding's place would."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from dynocheck.core.fixes import BLANKS

_EDIT = re.compile(
    r"(?P<verb>set|add|remove) (?P<flag>--?[\w-]+)(?: (?P<word>'.*'|\S+))?"
    r"|set (?P<name>[A-Za-z_]\w*)=(?P<setting>.*)|unset (?P<unset>\w+)"
    r"|(?P<put>set|add) (?P<at>[\w-][^\s:]*): (?P<value>\S.*)"
    r"|remove (?P<gone>[\w-]\S*)"
    r"|replace (?P<old>.+) with (?P<new>.+)"
)
_NEXT = re.compile(r"; (?=(?:set|unset|add|remove|replace) )")
_BLANK = re.compile(rf"(?<![\w-])({'|'.join(BLANKS)})(?![\w-])")
_STEP = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
_BEHIND = re.compile(r"(?P<lead>=|[\"']?,?\s*\n?\s*(?:- )?)(?P<value>'[^'\n]*'|\"[^\"\n]*\"|[^\s,\]\\]+)")
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
    line = place.text.rfind("\n", 0, place.text.rfind("\n", 0, place.start)) + 1
    forms = (
        rf"(?P<all>- name: [\"']?{name}[\"']?\s*\n\s*value: )(?P<value>.*)",
        rf"(?P<all>\{{ *name: {name}, *value: )(?P<value>[^,}}]*)\}}",
        rf"(?P<all>{name}=)(?P<value>'[^'\n]*'|\"[^\"\n]*\"|\S*)",
        rf"(?P<all>{name}: )(?P<value>.*)",
    )
    matches = (match for form in forms for match in re.compile(form).finditer(place.text, line))
    found = [match for match in matches if not _is_comment(place.text, match.start())]
    if not found:
        raise Unplaced(name)
    first = min(found, key=lambda match: match.start())
    if setting is None:
        start = place.text.rfind("\n", 0, first.start()) + 1
        return place.text[:start] + place.text[place.text.index("\n", first.end()) + 1 :]
    plain = setting[1:-1] if setting[:1] == "'" else setting
    value = setting if first["all"].endswith("=") else '"' + plain.replace('"', '\\"') + '"'
    return place.text[: first.start("value")] + value + place.text[first.end("value") :]


def _is_comment(text: str, at: int) -> bool:
    return text[text.rfind("\n", 0, at) + 1 : at].lstrip().startswith("#")


def _edit_tree(place: Place, verb: str, at: str, value: str) -> str:
    steps = [key or plain for key, plain in _STEP.findall(at)]
    chain = _find_chain(place)
    block = chain[-1]
    is_inside = isinstance(block, ScalarNode) and block.style == "|" and place.start > block.start_mark.index
    if is_inside and (edited := _edit_block(place, block, verb, at, value)):
        return edited
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
        return _splice(place.text, holder, value, parents[-1][0])
    while len(parents) > 1 and len(parents[-1][0].value) == 1:
        parents.pop()
    return _delete(place.text, *parents[-1])


def _edit_block(place: Place, block: Node, verb: str, at: str, value: str) -> str:
    """The text with an edit in the YAML that a literal block holds; empty if its place is not in there."""
    start, end = place.text.index("\n", block.start_mark.index) + 1, block.end_mark.index
    lines = place.text[start:end].splitlines(keepends=True)
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    inner = "".join(line[indent:] or "\n" for line in lines)
    within = Place(inner, place.line - place.text.count("\n", 0, start), max(place.column - indent, 1))
    first = next(key or plain for key, plain in _STEP.findall(at))
    try:
        if _get(_find_base(_find_chain(within), first), first) is None:
            return ""
    except (Unplaced, yaml.YAMLError):
        return ""
    edited = _edit_tree(within, verb, at, value).splitlines(keepends=True)
    return place.text[:start] + "".join(" " * indent + line for line in edited) + place.text[end:]


def _find_chain(place: Place) -> list[Any]:
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


def _list_children(node: Node) -> list[tuple[Any, Any]]:
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


def _get(node: Node, step: str) -> Any:
    for key, child in _list_children(node):
        if key.value == step if key is not None else _is_named(child, step):
            return child
    return None


def _is_named(node: Node, name: str) -> bool:
    own = _get(node, "name") if isinstance(node, MappingNode) else None
    return bool((own or node).value == name)


def _insert(text: str, holder: Any, steps: list[str], value: str) -> str:
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


def _splice(text: str, node: Node, value: str, holder: Node | None = None) -> str:
    start, end = node.start_mark.index, node.end_mark.index
    key = next((k for k, child in _list_children(holder) if child is node), None) if holder else None
    if key is not None and isinstance(node, CollectionNode) and not node.flow_style:
        start, value = key.end_mark.index + 1, f" {value}"
    gone = text[start:end]
    tail = gone[len(gone.rstrip()) :] if not isinstance(node, ScalarNode) or node.style in ("|", ">") else ""
    return text[:start] + value + tail + text[end:]


def _delete(text: str, holder: Any, step: str) -> str:
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
    if verb == "add":
        return _add_words(place, [flag, *([word] if word else [])])
    text, line = place.text, place.text.rfind("\n", 0, place.start) + 1
    found = re.compile(rf"(?<![\w-]){re.escape(flag)}(?![\w-])").search(text, line)
    if found is None:
        raise Unplaced(flag)
    behind = _BEHIND.match(text, found.end())
    if verb == "set" and behind is None:
        raise Unplaced(flag)
    if verb == "set" and behind is not None:
        plain = behind["lead"] == "=" or ("\n" not in behind["lead"] and "," not in behind["lead"])
        value = (word or "") if plain else _quote_word(word or "")
        return text[: behind.start("value")] + value + text[behind.end() :]
    end = found.end() if behind is None or behind["value"].lstrip("\"'").startswith("-") else behind.end()
    is_item = text[: found.start()].rstrip("\"'").endswith("- ")
    first = text.rfind("\n", 0, found.start()) + 1 if is_item else found.start()
    return text[:first] + text[end + is_item :]


def _add_words(place: Place, words: list[str]) -> str:
    """Text with words behind the name of a program, as it has its words: items of a list, or a script."""
    text, chain = place.text, _find_chain(place)
    scope = next((n for n in reversed(chain) if _get(n, "args") or _get(n, "command")), chain[-1])
    found = _PROGRAM.match(text, place.start) or _PROGRAM.search(
        text, scope.start_mark.index, scope.end_mark.index
    )
    if found is None:
        raise Unplaced(" ".join(words))
    line = text.count("\n", 0, found.start())
    column = found.start() - text.rfind("\n", 0, found.start())
    *_, listed, scalar = _find_chain(Place(text, line + 1, column))
    end = scalar.end_mark.index
    if scalar.value != found.group():
        spoken = "".join(f" {word}" for word in words)
        spoken = spoken.replace('"', '\\"') if scalar.style == '"' else spoken
        spoken = spoken.replace("'", "''") if scalar.style == "'" else spoken
        return text[: found.end()] + spoken + text[found.end() :]
    if listed.flow_style:
        return text[:end] + "".join(f", {_quote_word(word)}" for word in words) + text[end:]
    indent = " " * listed.start_mark.column
    return text[:end] + "".join(f"\n{indent}- {_quote_word(word)}" for word in words) + text[end:]


def _quote_word(word: str) -> str:
    plain = word[1:-1] if word[:1] == "'" else word
    return "'" + plain.replace("'", "''") + "'"
