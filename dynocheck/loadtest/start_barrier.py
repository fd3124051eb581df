"""Where the workers of a load test meet that run in pods of their own, to begin at the same time.

The worker of index 0 listens, and every worker, itself too, connects to it, says its index, says `ready`
after each warm-up and waits for the word. No clock is read on two machines: the workers begin as far apart
as one word takes over the network.
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

PATIENCE_S = 600.0  # for the last of them to come: a pod may wait for its image
_AHEAD_S = 0.05
_AGAIN_S = 0.5
_GOODBYE_S = 3600.0  # the first stays until the last has ended; the Job's deadline is shorter
_START = "start"
_PLACE = re.compile(r"(\d{1,4})/(\d{1,4})@([\w.-]{1,250}):(\d{1,5})", re.ASCII)


@dataclass(frozen=True)
class WorkerRank:
    """Which worker this is, of how many, and at which host and port they meet."""

    index: int
    of: int
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}@{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """:raises UsageError: it is not of the form 0/4@host:7201."""
        found = _PLACE.fullmatch(text)
        if found is None or int(found[1]) >= int(found[2]) or not 0 < int(found[4]) < 1 << 16:
            raise UsageError(f"--worker {text}: not of the form 0/4@host:7201")
        return cls(int(found[1]), int(found[2]), found[3], int(found[4]))


class Barrier:
    """A worker's side of it, while a `with` block lasts.

    :param patience_s: seconds that the last worker may take to come.
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
        """Tell the first worker that this one is there.

        :raises Unavailable: it cannot be reached.
        """
        try:
            async with asyncio.timeout(self.patience_s):
                self._streams = await self._connect()
        except TimeoutError:
            raise Unavailable(f"the first worker cannot be reached at {self.place.host}") from None
        self._streams[1].write(f"{self.place.index}\n".encode())

    async def wait(self) -> float:
        """Wait for the common start, and give it in seconds of `perf_counter`.

        :raises Unavailable: there will be none.
        """
        assert self._streams is not None, "come first"
        reader, writer = self._streams
        writer.write(b"ready\n")
        try:
            said = (await reader.readline()).decode(errors="replace").strip()
        except ConnectionError:
            said = ""
        if said != _START:
            raise Unavailable(said or "the first worker has gone")
        return perf_counter() + _AHEAD_S

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = "127.0.0.1" if self.place.index == 0 else self.place.host
        while True:
            with suppress(OSError):  # its name is not known before its pod runs
                return await asyncio.open_connection(host, self.place.port)
            await asyncio.sleep(_AGAIN_S)


class _BarrierHost:
    """Gives the start whenever all are ready that have not left."""

    def __init__(self, of: int, patience_s: float) -> None:
        self.of, self.patience_s = of, patience_s
        self.came: set[int] = set()
        self.left: set[int] = set()
        self.ready: dict[int, asyncio.StreamWriter] = {}
        self.refusal: str | None = None
        self.over = asyncio.Event()

    async def open(self, port: int) -> None:
        self._server = await asyncio.start_server(self._serve_worker, port=port)
        self._late = asyncio.get_running_loop().call_later(self.patience_s, self._refuse)

    async def close(self) -> None:
        """Stay until everyone who came has left."""
        if self.came - self.left:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), _GOODBYE_S)
        self._late.cancel()
        self._server.close()

    async def _serve_worker(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        index: int | None = None
        with suppress(ConnectionError, ValueError):  # whoever else finds the port may say anything
            if (told := int(await reader.readline())) in set(range(self.of)) - self.came:
                index = told
                self.came.add(index)
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
        if self.came == self.left:
            self.over.set()

    def _refuse(self) -> None:
        if len(self.came) < self.of:
            self.refusal = f"{len(self.came)} of {self.of} workers came within {self.patience_s:g} s"
            self._release()
