"""A barrier over TCP that lets load test workers in different pods start at the same time.

Worker 0 listens. Every worker, including worker 0, connects to it, sends its index, sends `ready` after each
warm-up and waits for `start`. No clocks are compared: the workers start within the network latency of one
message.
"""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Self

from dynocheck.core.errors import UsageError
from dynocheck.facts import Unavailable

PATIENCE_S = 600.0  # for the last worker to connect: its pod may have to pull the image
_AHEAD_S = 0.05
_AGAIN_S = 0.5
_GOODBYE_S = 3600.0  # worker 0 stays until all others have ended; the Job's deadline is shorter
_START = "start"
_RANK = re.compile(r"(\d{1,4})/(\d{1,4})@([\w.-]{1,250}):(\d{1,5})", re.ASCII)


@dataclass(frozen=True)
class WorkerRank:
    """A worker's index, the number of workers, and the host and port of worker 0."""

    index: int
    of: int
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}@{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """:raises UsageError: it is not of the form 0/4@host:7201."""
        match = _RANK.fullmatch(text)
        if match is None or int(match[1]) >= int(match[2]) or not 0 < int(match[4]) < 1 << 16:
            raise UsageError(f"--worker {text}: not of the form 0/4@host:7201")
        return cls(int(match[1]), int(match[2]), match[3], int(match[4]))


class Barrier:
    """A worker's side of the barrier, for the duration of an `async with` block.

    :param patience_s: seconds to wait for the last worker to connect.
    """

    def __init__(self, place: WorkerRank, patience_s: float = PATIENCE_S) -> None:
        self.place, self.patience_s = place, patience_s
        self._host: _BarrierHost | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        if self.place.index == 0:
            self._host = _BarrierHost(self.place.of, self.patience_s)
            await self._host.open(self.place.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._streams is not None:
            self._streams[1].close()
        if self._host is not None:
            await self._host.close()

    async def join(self) -> None:
        """Connect to worker 0.

        :raises Unavailable: it cannot be reached.
        """
        try:
            async with asyncio.timeout(self.patience_s):
                self._streams = await self._connect()
        except TimeoutError:
            raise Unavailable(f"cannot reach worker 0 at {self.place.host}") from None
        self._streams[1].write(f"{self.place.index}\n".encode())

    async def wait(self) -> float:
        """Wait until all workers are ready; return the common start in seconds of `perf_counter`.

        :raises Unavailable: worker 0 is gone, or some workers did not connect in time.
        """
        assert self._streams is not None, "join first"
        reader, writer = self._streams
        writer.write(b"ready\n")
        try:
            message = (await reader.readline()).decode(errors="replace").strip()
        except ConnectionError:
            message = ""
        if message != _START:
            raise Unavailable(message or "worker 0 is gone")
        return perf_counter() + _AHEAD_S

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = "127.0.0.1" if self.place.index == 0 else self.place.host
        while True:
            with suppress(OSError):  # the name is unknown until the pod runs
                return await asyncio.open_connection(host, self.place.port)
            await asyncio.sleep(_AGAIN_S)


class _BarrierHost:
    """Sends `start` whenever all workers that have not left are ready."""

    def __init__(self, of: int, patience_s: float) -> None:
        self.of, self.patience_s = of, patience_s
        self.joined: set[int] = set()
        self.left: set[int] = set()
        self.ready: dict[int, asyncio.StreamWriter] = {}
        self.refusal: str | None = None
        self.over = asyncio.Event()

    async def open(self, port: int) -> None:
        self._server = await asyncio.start_server(self._serve_worker, port=port)
        self._late = asyncio.get_running_loop().call_later(self.patience_s, self._refuse)

    async def close(self) -> None:
        """Wait until all workers that joined have left."""
        if self.joined - self.left:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), _GOODBYE_S)
        self._late.cancel()
        self._server.close()

    async def _serve_worker(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        index: int | None = None
        with suppress(ConnectionError, ValueError):  # other clients may connect and send anything
            if (sent := int(await reader.readline())) in set(range(self.of)) - self.joined:
                index = sent
                self.joined.add(index)
                while await reader.readline():
                    self.ready[index] = writer
                    self._release()
        writer.close()
        if index is not None:
            self.left.add(index)
            self.ready.pop(index, None)
            self._release()

    def _release(self) -> None:
        if self.refusal or len(self.ready) + len(self.left) == self.of:
            for writer in self.ready.values():
                writer.write(f"{self.refusal or _START}\n".encode())
            self.ready.clear()
        if self.joined == self.left:
            self.over.set()

    def _refuse(self) -> None:
        if len(self.joined) < self.of:
            self.refusal = f"{len(self.joined)} of {self.of} workers connected within {self.patience_s:g} s"
            self._release()
