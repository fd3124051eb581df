"""Reads a README: its commands, the files in them, its links and tables.

Commands are read as they would be pasted: a leading `$ ` is removed, a word with `<...>` or a variable that
the README does not set is unknown, and lines that are not valid shell syntax are skipped.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from dynocheck.facts import Mention, Page, ReadmeRow, Word
from dynocheck.recipe.references import UNKNOWN
from dynocheck.recipe.shell import Process, Variables, find_pasted
from dynocheck.secrets import hide

if TYPE_CHECKING:
    from markdown_it.token import Token

_SHELLS = ("sh", "bash", "shell", "console", "zsh", "shell-session")
_HINT = re.compile(r"<[A-Za-z][^<>\n]*>|\.\.\.|…")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:|//")
_REMOTE = re.compile(rf"{_SCHEME.pattern}|[\w-]+(?:\.[\w-]+)+/[^?]*(?:\?ref=|//)")  # also as kustomize has it
_HTML_ANCHOR = re.compile(r"""<a\s+(?:name|id)=["']([^"']+)["']""")
_ANCESTORS = 6  # levels: commands may be run from the recipe, the folder of recipes or the repository
MAX_CHARACTERS = 64 * 1024  # parsing Markdown can take time quadratic in its length
_FILE_FLAGS = ("-f", "--filename", "-k", "--kustomize")
_FILE_VERBS = ("apply", "create", "delete", "replace", "diff")


def is_page(name: str) -> bool:
    """Whether a file with this name is a README."""
    return name.lower().startswith("readme") and name.lower().endswith(".md")


def parse_page(text: str, path: Path, root: Path, shown: str) -> Page:
    """Parse a README.

    :param text: its Markdown; nothing is read from one longer than MAX_CHARACTERS.
    :param path: its path, for relative links.
    :param root: the recipe's folder.
    :param shown: its path in messages.
    """
    from markdown_it import MarkdownIt  # slow to import, and not needed without a README

    if len(text) > MAX_CHARACTERS:
        return Page(path=shown)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    blocks: list[list[Process]] = []
    variables = Variables({}, is_open=True)
    for token in tokens:
        if token.type == "fence" and token.map and token.info.split(" ")[0].lower() in _SHELLS:
            blocks.append(list(_read_commands(token.content, token.map[0] + 2, variables)))
    processes = list(chain.from_iterable(blocks))
    made = {posixpath.normpath(name) for process in processes for name in _list_made(process) if name}
    return Page(
        path=shown,
        commands=tuple(map(_to_words, processes)),
        made=tuple(sorted(made)),
        files=tuple(
            mention
            for block in blocks
            for mention in _find_files(map(_to_words, block), path.parent, root)
            if posixpath.normpath(mention.text) not in made
        ),
        links=tuple(_find_links(tokens, text, path, root)),
        rows=tuple(_read_rows(tokens, path.parent, root)),
    )


def is_request_script(name: str, text: str) -> bool:
    """Whether a file is a shell script that asks a server for a model."""
    return name.endswith((".sh", ".bash")) and "curl" in text and '"model' in text.replace("\\", "")


def parse_script(text: str, shown: str) -> Page:
    """The commands of a shell script."""
    processes = _read_commands(text[:MAX_CHARACTERS], 1, Variables({}, is_open=True))
    return Page(path=shown, commands=tuple(map(_to_words, processes)))


def _read_commands(text: str, first: int, variables: Variables) -> Iterator[Process]:
    """The commands of a shell block, their lines counted from 1 in the README.

    :param first: the number of its first line in the README.
    :param variables: the variables that the README has set so far; assignments are added.
    """
    lines = text.splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = list(_drop_output(lines))
    for process in find_pasted(hide(_HINT.sub(UNKNOWN, "\n".join(lines))), variables):
        words = [word._replace(line=first + word.line) for word in process.words]
        while words and words[0].text in ("sudo", "time"):
            del words[0]
        if words:
            yield process._replace(words=tuple(words))


def _drop_output(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a terminal without prompts; empty ones in place of what programs printed."""
    continues = False
    for line in lines:
        typed = continues or line.startswith("$ ")
        yield line.removeprefix("$ ") if typed else ""
        continues = typed and line.endswith("\\")


def _to_words(process: Process) -> tuple[Word, ...]:
    return tuple(Word(word.text, word.line, 1) for word in process.words)


def _list_made(process: Process) -> Iterator[str | None]:
    """The files that a command of the page makes."""
    yield from process.writes
    texts = [word.text for word in process.words]
    yield from (after for flag, after in pairwise(texts) if flag in ("-o", "-O", "--output"))
    if texts[0] in ("tee", "touch", "cp", "mv"):
        yield from texts[1 if texts[0] in ("tee", "touch") else -1 :]


def _find_files(commands: Iterable[tuple[Word, ...]], folder: Path, root: Path) -> Iterator[Mention]:
    """The files passed to kubectl; each is looked for from every folder that the commands may be run from.
    An absolute path is on the reader's machine.
    """
    here = folder.resolve()
    bases = [here, *here.parents[:_ANCESTORS]]
    moved: list[str | None] = []
    for command in commands:
        texts = [word.text for word in command]
        if texts[0] in ("cd", "pushd"):
            moved.append(texts[1] if len(texts) > 1 else None)
        if texts[0] != "kubectl" or not any(verb in texts[1:4] for verb in _FILE_VERBS) or None in moved:
            continue
        within = Path(*(step for step in moved if step is not None))
        for name, word in _find_file_arguments(command):
            if not (name == "-" or name.startswith("/") or "*" in name or _REMOTE.match(name)):
                exists = any(_exists(base / way / name) for base in bases for way in (Path(), within))
                exists = exists or _exists_in_copy(name, root)
                yield Mention(name, exists, word.line, word.column)


def _exists_in_copy(name: str, root: Path) -> bool:
    """Whether a path such as `recipes/MODEL/deploy.yaml` exists in a folder MODEL that lies elsewhere."""
    parts = Path(name).parts
    own = root.resolve().name
    return own in parts and _exists(root.joinpath(*parts[parts.index(own) + 1 :]))


def _find_file_arguments(command: tuple[Word, ...]) -> Iterator[tuple[str, Word]]:
    """The values of `-f`, `--filename`, `-k` and `--kustomize`."""
    for flag, word in zip(command, (*command[1:], None), strict=True):
        name, equals, value = (flag.text or "").partition("=")
        if name in _FILE_FLAGS and equals:
            yield from ((part, flag) for part in value.split(","))
        elif flag.text in _FILE_FLAGS and word is not None and word.text:
            yield from ((part, word) for part in word.text.split(","))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _find_links(tokens: Sequence["Token"], text: str, path: Path, root: Path) -> Iterator[Mention]:
    anchors = {path.resolve(): _collect_anchors(tokens, text)}
    for token in tokens:
        line = token.map[0] + 1 if token.map else 1
        for child in token.children or ():
            line += child.type in ("softbreak", "hardbreak")
            target = str(child.attrGet("href" if child.type == "link_open" else "src") or "")
            if target and not _SCHEME.match(target) and not target.startswith("/"):
                yield Mention(target, _resolves(target, path, root, anchors), line, 1)


def _resolves(target: str, path: Path, root: Path, anchors: dict[Path, set[str]]) -> bool | None:
    name, _, anchor = unquote(target).partition("#")
    try:
        meant = (path.parent / name.partition("?")[0]).resolve() if name else path.resolve()
        if not meant.is_relative_to(root.resolve()):
            return None
        if not meant.exists():
            return False
    except (OSError, ValueError):
        return None
    return anchor.lower() in anchors[meant] if anchor and meant in anchors else True


def _collect_anchors(tokens: Sequence["Token"], text: str) -> set[str]:
    """The anchors of a README: its headings as GitHub converts them, and anchors in HTML."""
    counts: dict[str, int] = {}
    slugs: set[str] = {anchor.lower() for anchor in _HTML_ANCHOR.findall(text)}
    for opened, inline in pairwise(tokens):
        if opened.type == "heading_open":
            words = "".join(c.content for c in inline.children or () if c.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            times = counts.setdefault(slug, 0)
            counts[slug] += 1
            slugs.add(f"{slug}-{times}" if times else slug)
    return slugs


def _read_rows(tokens: Sequence["Token"], folder: Path, root: Path) -> Iterator[ReadmeRow]:
    headers: list[str] = []
    cells: list[Token] = []
    for token in tokens:
        if token.type == "table_open":
            headers = []
        elif token.type == "tr_open":
            cells = []
        elif token.type == "inline":
            cells.append(token)
        elif token.type == "tr_close" and not headers:
            headers = [_read_cell(cell) for cell in cells]
        elif token.type == "tr_close" and cells:
            line = cells[0].map[0] + 1 if cells[0].map else 1
            named = dict(zip(headers, map(_read_cell, cells), strict=False))
            yield ReadmeRow(named, tuple(_find_folders(cells, folder, root)), line)


def _read_cell(cell: "Token") -> str:
    return "".join(c.content for c in cell.children or () if c.type in ("text", "code_inline")).strip()


def _find_folders(cells: Sequence["Token"], folder: Path, root: Path) -> Iterator[str]:
    """The folders of the recipe that a row names: in a link, as code, or by a manifest in them."""
    whole = root.resolve()
    for cell in cells:
        for child in cell.children or ():
            name = str(child.attrGet("href") or (child.content if child.type == "code_inline" else ""))
            if not name or _SCHEME.match(name):
                continue
            try:
                meant = (folder / unquote(name)).resolve()
                meant = meant.parent if meant.suffix in (".yaml", ".yml") and meant.is_file() else meant
                if meant.is_dir() and meant.is_relative_to(whole) and meant != whole:
                    yield meant.relative_to(whole).as_posix()
            except (OSError, ValueError):
                continue
