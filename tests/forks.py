"""A process that has imported dynocheck, and forks for each command line that it is given.

    python -m tests.forks

A fork is a process of its own, with the arguments, folder, environment and streams that it is told. What it
spares is the half second in which Python imports. That each verb imports what it needs is what tests see that
start a Python: those of Ctrl-C, of plug-ins' environments, of the wheel.
"""

import atexit
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import dynocheck.__main__

ROOT = Path(__file__).parent.parent
LIMIT_S = 240  # a busy machine takes over 60 for the corpus on a cluster; pytest ends a test at 300
# Read when Python starts, which a fork does not do again.
_OF_PYTHON = ("LANG", "LC_", "PYTHON")


def _find_network() -> int | None:
    """The network namespace of this thread, where there are such."""
    try:
        return Path("/proc/thread-self/ns/net").stat().st_ino
    except OSError:
        return None


_HOME = _find_network()


def can_run(env: Mapping[str, str]) -> bool:
    """Whether a fork is in this thread's network, and heeds these variables like a process that starts."""
    return _find_network() == _HOME and not any(
        name.startswith(_OF_PYTHON) and name != "PYTHONPATH" for name in env
    )


def run(arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `python -m dynocheck` in a fork and wait for its end.

    :raises subprocess.TimeoutExpired: it did not end within LIMIT_S.
    """
    forks = _start()
    assert forks.stdin
    assert forks.stdout
    with tempfile.TemporaryDirectory() as scratch:
        streams = [f"{scratch}/{name}" for name in ("out", "err")]
        told = {"arguments": arguments, "folder": str(folder), "env": dict(env), "streams": streams}
        forks.stdin.write(json.dumps(told).encode() + b"\n")
        forks.stdin.flush()
        code = int(forks.stdout.readline())
        out, err = (Path(stream).read_text() for stream in streams)
    if code == -signal.SIGALRM:
        raise subprocess.TimeoutExpired(["dynocheck", *arguments], LIMIT_S, out, err)
    return subprocess.CompletedProcess(["dynocheck", *arguments], code, out, err)


@cache
def _start() -> subprocess.Popen[bytes]:
    forks = subprocess.Popen(
        [sys.executable, "-m", "tests.forks"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C in the terminal is not for it
    )

    atexit.register(forks.communicate)  # the end of what is told to it is its end
    return forks


def _serve() -> None:
    for module in pkgutil.walk_packages(dynocheck.__path__, "dynocheck."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for line in sys.stdin.buffer:
        told = json.loads(line)
        child = os.fork()
        if not child:
            _become(told)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(told: dict[str, Any]) -> NoReturn:
    """Be a Python that runs `python -m dynocheck`."""
    signal.alarm(LIMIT_S)
    for stream, path in enumerate((os.devnull, *told["streams"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), stream)
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["env"])
    sys.path[:2] = [told["folder"], *told["env"]["PYTHONPATH"].split(os.pathsep)]
    sys.argv = [dynocheck.__main__.__file__, *told["arguments"]]
    sys.modules["__main__"] = dynocheck.__main__
    sys.exit(dynocheck.__main__.main())


if __name__ == "__main__":
    _serve()
