"""Starts servers in a folder of their own, and leaves neither behind."""

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.controlplane import keeper

DEADLINE = 30.0
ATTEMPTS = 3


class StartError(Exception):
    """A server did not come up; the message ends with the tail of its log."""


class Processes:
    """A few servers and the temporary folder they write into.

    `close` stops and removes all of it, and so does any end of this Python process.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dynocheck-servers-"))
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        # In a session of its own, so that Ctrl-C in the terminal does not end it before its work.
        self._keeper = subprocess.Popen(
            [sys.executable, "-IS", keeper.__file__, str(self.folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def serve(
        self,
        name: str,
        command: Callable[[int], Sequence[str]],
        ready: Callable[[int], bool],
        *,
        pick: Callable[[], int] | None = None,
    ) -> int:
        """Start the server that `command` gives for a port, wait until `ready`, return that port.

        Another port is tried when somebody took the first one in between. Raises StartError when
        the server ends or is not ready within DEADLINE seconds.
        """
        for remaining in reversed(range(ATTEMPTS)):
            port = (pick or free_port)()
            try:
                self._start(name, command(port), partial(ready, port))
                return port
            except StartError as error:
                if "already in use" not in str(error) or not remaining:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def stop(self, name: str) -> None:
        """Kill a server that may be running. It holds nothing that would be worth a goodbye."""
        if process := self._running.pop(name, None):
            process.kill()
            self._tell(f"-{process.pid}")
            process.wait()

    def freeze(self, name: str) -> None:
        """Let a server keep its connections and do nothing any more."""
        self._running[name].send_signal(signal.SIGSTOP)

    def log(self, name: str) -> Path:
        """Give the file that holds everything a server said."""
        return self.folder / f"{name}.log"

    def adopt(self, control_group: Path) -> None:
        """Have a control group, and those inside, removed at the end."""
        self._tell(str(control_group))

    def close(self) -> None:
        """Stop every server and remove the folder; does nothing the second time."""
        # The keeper does it here too: there is one way to end, and each run of the tests tries it.
        assert self._keeper.stdin
        self._keeper.stdin.close()
        self._keeper.wait()
        for process in self._running.values():
            process.kill()
            process.wait()
        self._running.clear()

    def _start(self, name: str, command: Sequence[str], ready: Callable[[], bool]) -> None:
        with self.log(name).open("wb") as log:
            streams: Any = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            process = subprocess.Popen(command, cwd=self.folder, start_new_session=True, **streams)
        self._running[name] = process
        self._tell(f"+{process.pid}")
        try:
            self.until(name, ready)
        except StartError:
            self.stop(name)
            raise

    def until(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until `ready`. Raises StartError when the server ends, or DEADLINE seconds have passed."""
        deadline = time.monotonic() + DEADLINE
        while not ready():
            code = self._running[name].poll()
            if code is not None or time.monotonic() > deadline:
                what = f"not ready in {DEADLINE:.0f} s" if code is None else f"ended with {code}"
                lines = self.log(name).read_text(errors="replace").splitlines()
                raise StartError("\n".join([f"{name}: {what}", *lines[-20:]]))
            time.sleep(0.03)

    def _tell(self, line: str) -> None:
        assert self._keeper.stdin
        self._keeper.stdin.write(f"{line}\n".encode())
        self._keeper.stdin.flush()


def free_port(wanted: int = 0) -> int:
    """Give a loopback port that nobody listens on now. Raises OSError when the one wanted is taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", wanted))
        port: int = probe.getsockname()[1]
        return port
