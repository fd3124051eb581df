"""An incremental parser for server-sent events, by the rules of the WHATWG HTML standard.

Lines end in LF, CR or CRLF; a byte order mark may come first; comments, ids and retry times are ignored;
several data lines form one event. Two deviations for errors are understood too: Dynamo's frontend writes
`event: error` with the message in a comment and no data, and llama.cpp wrote a field named `error` until late
2025.
"""

from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"
_FIRST = 200


class Event(NamedTuple):
    """One event; `kind` is `message` unless the server sets another."""

    kind: str
    data: bytes


class EventTooLarge(Exception):
    """A line, or the data of one event, exceeds the limit."""


class EventStreamParser:
    """Parses an event stream that is fed in pieces of any size.

    :param limit: maximum bytes of a line, and of the data of an event.
    """

    def __init__(self, limit: int) -> None:
        self.stray = b""  # the start of the first line that is not part of an event stream
        self._limit = limit
        self._pending: list[bytes] = []  # pieces of an incomplete line
        self._waiting = 0
        self._after_cr = False
        self._first = True
        self._clear()

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete.

        :raises EventTooLarge: a line or event exceeds the limit.
        """
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
            self._after_cr = False
        if not data:
            return []
        self._after_cr = data.endswith(b"\r")
        if b"\n" not in data and b"\r" not in data:
            self._keep(data)
            return []
        lines = self._take_pending(data).splitlines(keepends=True)
        if not lines[-1].endswith((b"\n", b"\r")):
            self._keep(lines.pop())
        return [event for line in lines if (event := self._read_line(line.rstrip(b"\r\n"))) is not None]

    @property
    def pending(self) -> bytes:
        """The start of the last, incomplete line."""
        return b"".join(self._pending)[:_FIRST]

    def _keep(self, data: bytes) -> None:
        self._waiting += len(data)
        if self._waiting > self._limit:
            raise EventTooLarge
        self._pending.append(data)

    def _take_pending(self, data: bytes) -> bytes:
        whole = b"".join((*self._pending, data)) if self._pending else data
        self._pending, self._waiting = [], 0
        if self._first:
            self._first = False
            whole = whole.removeprefix(_BOM)
        return whole

    def _read_line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        if len(line) > self._limit:
            raise EventTooLarge
        name, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        match name:
            case b"data":
                self._add_line(self._data, value)
            case b"event":
                self._kind = value
            case b"error":
                self._kind = name
                self._add_line(self._data, value)
            case b"":
                self._add_line(self._comments, value)
            case b"id" | b"retry":
                pass
            case _:
                self.stray = self.stray or line[:_FIRST]
        return None

    def _add_line(self, lines: list[bytes], value: bytes) -> None:
        self._size += len(value)
        if self._size > self._limit:
            raise EventTooLarge
        lines.append(value)

    def _dispatch(self) -> Event | None:
        kind, data, comments = self._kind, self._data, self._comments
        self._clear()
        if data:
            return Event(kind.decode(errors="replace") or "message", b"\n".join(data))
        return Event("error", b"\n".join(comments)) if kind == b"error" else None

    def _clear(self) -> None:
        self._kind = b""
        self._data: list[bytes] = []
        self._comments: list[bytes] = []
        self._size = 0
