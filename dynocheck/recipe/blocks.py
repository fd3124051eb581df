"""Which lines of a YAML file belong together, told by how they are indented."""

from collections.abc import Iterator, Sequence


def is_block_changed(lines: Sequence[str], line: int, changed: set[int]) -> bool:
    """Whether something changed at a line or in the block of YAML that begins there.

    A block is what is indented deeper. The first line of a document stands for all of it.

    :param lines: of the file; `line` and `changed` count from 1.
    """
    return any(number in changed for number in range(line, _find_block_end(lines, line) + 1))


def _find_block_end(lines: Sequence[str], line: int) -> int:
    """The last line of the block that begins at this one."""
    if line > len(lines):
        return line
    whole = all(not _has_content(above) for above in _walk_back(lines, line))
    depth = -1 if whole else _measure_indent(lines[line - 1])
    last = line
    for number in range(line + 1, len(lines) + 1):
        text = lines[number - 1]
        if text.startswith("---") or (_has_content(text) and _measure_indent(text) <= depth):
            break
        last = number
    return last


def _walk_back(lines: Sequence[str], line: int) -> Iterator[str]:
    for above in reversed(lines[: line - 1]):
        if above.startswith("---"):
            return
        yield above


def _has_content(text: str) -> bool:
    return bool(text.strip()) and not text.lstrip().startswith("#")


def _measure_indent(text: str) -> int:
    return len(text) - len(text.lstrip())
