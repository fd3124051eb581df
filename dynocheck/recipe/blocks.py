"""Which lines of a YAML file belong together, told by how they are indented."""

from collections.abc import Iterator, Sequence


def touched(lines: Sequence[str], line: int, changed: set[int]) -> bool:
    """Whether something changed at a line or in the block of YAML that begins there.

    A block is what is indented deeper. The first line of a document stands for all of it.

    :param lines: of the file; `line` and `changed` count from 1.
    """
    return any(number in changed for number in range(line, _end(lines, line) + 1))


def _end(lines: Sequence[str], line: int) -> int:
    """The last line of the block that begins at this one."""
    if line > len(lines):
        return line
    whole = all(not _says(above) for above in _back_to_separator(lines, line))
    depth = -1 if whole else _depth(lines[line - 1])
    last = line
    for number in range(line + 1, len(lines) + 1):
        text = lines[number - 1]
        if text.startswith("---") or (_says(text) and _depth(text) <= depth):
            break
        last = number
    return last


def _back_to_separator(lines: Sequence[str], line: int) -> Iterator[str]:
    for above in reversed(lines[: line - 1]):
        if above.startswith("---"):
            return
        yield above


def _says(text: str) -> bool:
    return bool(text.strip()) and not text.lstrip().startswith("#")


def _depth(text: str) -> int:
    return len(text) - len(text.lstrip())
