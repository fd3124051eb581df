"""Damages the text of real recipes in every way that editors, tools and accidents do. All is seeded."""

from collections.abc import Callable
from random import Random
from typing import Any

import yaml

Damager = Callable[[bytes, Random], bytes]

# What YAML, shells, terminals and markup take for something of theirs.
SNIPPETS = (
    *("\t", "\0", "\x1b[2J", "\x85", "\u2028", "\ufeff", "\u202e", "\ud83d\ude00", "\r", "\r\n"),
    *("---\n", "...\n", "--- x\n", "%YAML 1.2\n---\n", "%TAG ! !x\n---\n", "# dynocheck: ignore[*] x\n"),
    *("&a ", "*a", "<<: *a\n", "<<: [*a, *a]\n", "<<: 1\n", "? "),
    *("? [a, b]\n: c\n", "!!python/object:os.system "),
    *("!!binary ", "!!int ", "!own ", "!", "|", ">", "|+9\n", "- ", ": ", "{", "}", "[", "]", ",", "'"),
    *('"', "\\"),
    *("$", "${", "$(", "`", "$((", "${x:-", "<<EOF\n", "<<-'E'\n", ";;", "&&", "||", "|&", "( ", ")"),
    *("{ ", "}", "((", "))"),
    *("[[", "]]", "if ", "then ", "fi\n", "case x in ", "esac", "for x in ", "do ", "done"),
    *("function f ", "f() ", "#", "~"),
    *("$(A)", "$$(A)", "$(", "--", "-", "=", "--model", "-m dynamo.vllm ", "--tensor-parallel-size="),
    *("[red]", "[/]", "]]>"),
    *("0x", "9" * 400, "-1", "1e999", ".inf", "2026-01-01", "null", "~", "yes", "1_000", "0o17", "1:20"),
    *("{}", "[]"),
)

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 8, 2**31, 2**63, 2**64, 10**400, 1.5, -0.0, 1e308),
    *(float("inf"), float("nan")),
    *("", " ", "8", "-1", "9" * 5000, "1e3", "null", "80GB", "16Gi", "text", "a/b", "/", "..", "../../x"),
    *("~", "$(X)"),
    *("http://[", "http://x:99999", "nvidia.com/v1beta1", "nvidia.com/", "/v1", "List", "ConfigMap"),
    *("\x1b[31m", "\0", "\udcff"),
    *("<model>", "${MODEL}", "x" * 300, "é" * 300, "[red]x[/red]", "a: [", "{", '{"a": ', "&a [*a]"),
    *("a\n: b", "- - -"),
    *([], [None], [[]], [{}], [1, "a"], {}, {"": ""}, {"name": None}, {"name": {}}),
    *({"name": ["a"]}, {"a": {"b": {"c": {}}}}),
    *("2026-01-01", b"\xff\x00", [{"name": "a"}, {"name": "a"}]),
    *({"limits": []}, {"limits": {"nvidia.com/gpu": {}}}),
)


def damage_text(text: bytes, random: Random) -> bytes:
    """The file with one to three things done to it."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        text = random.choices(*_DAMAGERS)[0](text, random)
    return text


def _span(text: bytes, random: Random, most: int) -> tuple[int, int]:
    start = random.randrange(len(text) + 1)
    return start, min(len(text), start + random.randint(1, most))


def _flip(text: bytes, random: Random) -> bytes:
    changed = bytearray(text or b" ")
    for _ in range(random.choice((1, 2, 8))):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def _insert(text: bytes, random: Random) -> bytes:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.randbytes(random.choice((1, 2, 20))) + text[at:]


def _cut(text: bytes, random: Random) -> bytes:
    start, end = _span(text, random, random.choice((1, 10, 500)))
    return text[:start] + text[end:]


def _truncate(text: bytes, random: Random) -> bytes:
    return text[: random.randrange(len(text) + 1)]


def _repeat(text: bytes, random: Random) -> bytes:
    start, end = _span(text, random, 300)
    return text[:end] + text[start:end] * random.choice((1, 3, 50)) + text[end:]


def _snippet(text: bytes, random: Random) -> bytes:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(SNIPPETS).encode(errors="surrogatepass") + text[at:]


def _replace(text: bytes, random: Random) -> bytes:
    """A word, with something else in its place."""
    words = text.split(b" ")
    words[random.randrange(len(words))] = random.choice(SNIPPETS).encode(errors="surrogatepass")
    return b" ".join(words)


def _lines(text: bytes, random: Random) -> bytes:
    """A line dropped, doubled, moved, indented otherwise or turned into a comment."""
    lines = text.split(b"\n")
    at = random.randrange(len(lines))
    line = lines[at]
    others = (b"  " + line, line[1:], line[2:], b"\t" + line, b"#" + line, b"- " + line)
    lines[at : at + 1] = random.choice(([], [line, line], *([other] for other in others)))
    if random.random() < 0.3 and lines:
        lines.insert(random.randrange(len(lines)), lines.pop(random.randrange(len(lines))))
    return b"\n".join(lines)


def _encoding(text: bytes, random: Random) -> bytes:
    decoded = text.decode(errors="replace")
    encoding = random.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig", "utf-7", "cp500"))
    return decoded.encode(encoding, errors="replace")


def _structure(text: bytes, random: Random) -> bytes:
    """The objects of the file with keys renamed, dropped, doubled or moved, and values of other types."""
    try:
        documents = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
        for _ in range(random.choice((1, 1, 2, 5))):
            _change(documents, random)
        dumped: bytes = yaml.dump_all(
            documents, Dumper=yaml.CSafeDumper, encoding="utf-8", allow_unicode=True, sort_keys=False
        )
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, UnicodeError):
        return _snippet(text, random)  # damaged before, or what YAML does not write
    return dumped


def _change(documents: list[Any], random: Random) -> None:
    slots = _slots(documents)
    if not slots:
        return
    holder, key = random.choice(slots)
    value = holder[key]
    match random.randrange(8):
        case 0:
            del holder[key]
        case 1 | 2:
            holder[key] = random.choice(VALUES)
        case 3:
            source, there = random.choice(slots)
            if there in source if isinstance(source, dict) else there < len(source):
                holder[key] = source[there]  # an alias in the file, a loop where it lies within
        case 4:
            holder[key] = random.choice(([value], {"name": value}, [value, value], str(value), [[value]]))
        case 5 if isinstance(holder, dict):
            other = random.choice((str(key) + "s", str(key).upper(), "name", "args", 1, True, 2.5))
            holder[other] = holder.pop(key)
        case 6 if isinstance(value, str):
            holder[key] = _snippet(value.encode(errors="replace"), random).decode(errors="replace")
        case _ if isinstance(holder, list):
            holder.append(value)


def _slots(documents: list[Any]) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    pending: list[Any] = [documents]
    seen: set[int] = set()
    while pending:
        holder = pending.pop()
        if id(holder) in seen or not isinstance(holder, (dict, list)):
            continue
        seen.add(id(holder))
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        found.extend((holder, key) for key in keys)
        pending.extend(holder[key] for key in keys)
    return found


_DAMAGERS: tuple[list[Damager], list[int]] = (
    [_structure, _snippet, _replace, _lines, _flip, _insert, _cut, _truncate, _repeat, _encoding],
    [12, 6, 4, 4, 3, 1, 2, 1, 2, 1],
)
