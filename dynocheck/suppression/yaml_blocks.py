"""Blocks of YAML, recognised by indentation."""

from collections.abc import Iterator, Sequence


def is_block_changed(lines: Sequence[str], line: int, changed: set[int]) -> bool:
    """Whether a line, or the block of deeper indented lines below it, changed.

    The block of a document's first line is the whole document.

    :param lines: the lines of the file.
    :param line: counts from 1, as `changed` does.
    """
    return any(number in changed for number in range(line, _find_block_end(lines, line) + 1))


def _find_block_end(lines: Sequence[str], line: int) -> int:
    """The last line of the block that begins at this line."""
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
