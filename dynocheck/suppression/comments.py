"""Parses ignore comments.

`# dynocheck: ignore[id, glob] reason` in YAML, `<!-- dynocheck: ignore[id] reason -->` in Markdown. The text
of a YAML string or a Markdown code block is not a comment.
"""

import re
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import yaml

from dynocheck.facts import IgnoreComment, UnreadPart
from dynocheck.secrets import hide

MAX_IDS = 1000  # in the comments of one file

_CALL = "dynocheck:"
_IN_YAML = re.compile(r"(?:^|(?<=\s))#\s*dynocheck:")
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # as libyaml counts lines
_IN_MARKDOWN = re.compile(r"<!--\s*dynocheck:(.*?)-->")
_WORDS = re.compile(r"\s*(ignore|ignore-file)\[([^\]]*)\]\s*(.*)")


class _Span(NamedTuple):
    """The text of a scalar from `start` to before `end`, as lines and columns from 0."""

    start: tuple[int, int]
    end: tuple[int, int]
    block: bool


def limit_comments(comments: Iterable[IgnoreComment], unread: list[UnreadPart]) -> Iterator[IgnoreComment]:
    """The first comments of a file, which together name no more than MAX_IDS checks.

    :param unread: the first comment left out is appended.
    """
    ids = 0
    for comment in comments:
        ids += max(1, len(comment.patterns))
        if ids > MAX_IDS:
            reason = f"comments for dynocheck: those of this file name more than {MAX_IDS} checks"
            unread.append(UnreadPart(reason, comment.file, comment.line, comment.column))
            return
        yield comment


def find_in_yaml(file: str, text: str) -> Iterator[IgnoreComment]:
    """The comments of a YAML file, up to its first syntax error."""
    if _CALL not in text:
        return
    lines = _LINE_BREAK.split(text)
    below = _find_next_lines(lines, "#")
    called = [number for number, line in enumerate(lines) if _CALL in line]
    spans, end = _scan_scalars(text, max(called[-1], below[called[-1]]))
    starts = [span.start for span in spans]
    blocks = {span.start[0]: span.end[0] for span in spans if span.block}
    for number in called:
        line = lines[number]
        for match in _IN_YAML.finditer(line):
            place = (number, match.start())
            before = bisect(starts, place)
            if place < end and not (before and _is_inside(place, spans[before - 1])):
                about = number if line[: match.start()].strip() else below[number]
                yield _parse_comment(
                    file, place, line[match.end() :], (about, blocks.get(about, about + 1) - 1)
                )
                break


def find_in_markdown(file: str, text: str) -> Iterator[IgnoreComment]:
    """The comments of a Markdown file; a comment is on one line."""
    if _CALL not in text:
        return
    from markdown_it import MarkdownIt

    lines = re.split("\r\n|[\r\n]", text)
    below = _find_next_lines(lines, "<!--")
    for token in MarkdownIt().parse(text):
        parts = token.children or [token]
        html = "".join(part.content for part in parts if part.type in ("html_block", "html_inline"))
        if html and token.map is not None:
            for number in range(token.map[0], min(token.map[1], len(lines))):
                yield from _find_in_html(file, lines[number], number, below[number], html)


def _find_in_html(file: str, line: str, number: int, below: int, html: str) -> Iterator[IgnoreComment]:
    for match in _IN_MARKDOWN.finditer(line):
        if match[0] in html:
            about = below if line.strip() == match[0] else number
            yield _parse_comment(file, (number, match.start()), match[1], (about, about))


def _parse_comment(file: str, place: tuple[int, int], text: str, lines: tuple[int, int]) -> IgnoreComment:
    words = _WORDS.fullmatch(text.rstrip())
    verb, ids, reason = words.groups() if words else ("", "", "")
    patterns = tuple(pattern for part in ids.split(",") if (pattern := part.strip()))
    first, last = (1, None) if verb == "ignore-file" else (lines[0] + 1, lines[1] + 1)
    return IgnoreComment(file, place[0] + 1, place[1] + 1, patterns, hide(reason.strip()), first, last)


def _scan_scalars(text: str, last: int) -> tuple[list[_Span], tuple[int, int]]:
    """Every scalar that begins no later than on the line `last`, and the place of the first syntax error."""
    spans = []
    reached = (0, 0)
    try:
        for token in yaml.scan(text, Loader=yaml.CSafeLoader):
            start, reached = _to_place(token.start_mark), _to_place(token.end_mark)
            if start[0] > last:
                break
            if isinstance(token, yaml.ScalarToken):
                spans.append(_Span(start, reached, token.style in ("|", ">")))
    except yaml.YAMLError:
        return spans, reached
    return spans, (len(text), 0)


def _to_place(mark: yaml.Mark) -> tuple[int, int]:
    return mark.line, mark.column


def _is_inside(place: tuple[int, int], span: _Span) -> bool:
    """Whether a place is in the text of a scalar; the line of a block's `|` is not."""
    return span.start <= place < span.end and not (span.block and place[0] == span.start[0])


def _find_next_lines(lines: Sequence[str], comment: str) -> list[int]:
    """For each line, the next one that is neither empty nor a comment; itself when there is none."""
    below: list[int] = []
    following = None
    for number in reversed(range(len(lines))):
        below.append(number if following is None else following)
        line = lines[number].strip()
        if line and not line.startswith(comment):
            following = number
    return below[::-1]
