"""Streams of events, in every shape that the standard allows and cut at every byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynocheck.serving.sse import Event, EventStreamParser, EventTooLarge


def parsed(stream: bytes, *cuts: int) -> list[Event]:
    parser, found, start = EventStreamParser(1000), [], 0
    for cut in (*sorted(cuts), len(stream)):
        found += parser.feed(stream[start:cut])
        start = cut
    return found


def data(*texts: str) -> list[Event]:
    return [Event("message", text.encode()) for text in texts]


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b"data: a\n\ndata: b\n\n", data("a", "b")),
        (b"data: a\r\rdata: b\r\r", data("a", "b")),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", data("a", "b")),
        (b"data: a\r\n\ndata: b\n\r\n", data("a", "b")),
        (b"\xef\xbb\xbfdata: a\n\n", data("a")),
        (b"data:a\ndata:  b\ndata\n\n", data("a\n b\n")),
        (b": a comment\nid: 7\nretry: 10\ndata: a\n\n", data("a")),
        (b"event: ping\ndata: a\n\n", [Event("ping", b"a")]),
        (b"event: ping\n\ndata: a\n\n", data("a")),
        (b"data: a", []),
        (b"data: a\n", []),
        (b"\n\n\n", []),
        (b"data: \xff\n\n", [Event("message", b"\xff")]),
        ("data: é\n\n".encode(), data("é")),
        (b"event: error\n: it broke\n\n", [Event("error", b"it broke")]),  # Dynamo's frontend
        (b'error: {"code": 400}\n\n', [Event("error", b'{"code": 400}')]),  # llama.cpp
    ],
)
def test_events(stream: bytes, found: list[Event]) -> None:
    assert parsed(stream) == found
    for cut in range(len(stream)):
        assert parsed(stream, cut) == found, cut
    assert parsed(stream, *range(len(stream))) == found


LINES = st.sampled_from(
    [b"data: x", b"data", b"", b"", b": c", b"id: 1", b"event: e", b"data: \xc3\xa9", b"z"]
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])


@given(st.lists(st.tuples(LINES, ENDS)), st.lists(st.integers(0, 200)))
def test_how_a_stream_is_cut_changes_nothing(lines: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    stream = b"".join(line + end for line, end in lines)
    assert parsed(stream, *(cut for cut in cuts if cut <= len(stream))) == parsed(stream)


def test_what_passes_the_limit_is_refused_before_it_is_kept() -> None:
    endless, many = EventStreamParser(1000), EventStreamParser(1000)
    for _ in range(10):
        endless.feed(b"x" * 100)
        many.feed(b"data: " + b"x" * 100 + b"\n")
    for parser in (endless, many):
        with pytest.raises(EventTooLarge):
            parser.feed(b"data: x\n")


def test_what_means_nothing_is_kept_for_the_message() -> None:
    parser = EventStreamParser(1000)
    assert parser.feed(b'data: a\n{"error": "oh"}\n<p>\n\n') == data("a")
    assert parser.stray == b'{"error": "oh"}'
