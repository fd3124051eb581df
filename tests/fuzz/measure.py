"""Judges paths one after the other, each in a child of its own, and prints what each took.

    python -m tests.fuzz.measure PATH...

The children are forks of a process that has judged a recipe, with all that it imports, so a thousand paths
take seconds.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.command import ROOT

_SOUND = ROOT / "recipes" / "deepseek-r1" / "vllm" / "disagg" / "deploy.yaml"
_MOST = 2 * 1024**3


class PathResult(NamedTuple):
    """How judging one path ended: bytes at the peak, seconds of the process' own time."""

    code: int
    out: str
    err: str
    memory: int
    seconds: float


def measure_paths(paths: Iterable[Path]) -> list[PathResult]:
    """Judge these paths.

    :raises subprocess.CalledProcessError: the measuring itself failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.measure", *paths],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    return [PathResult(*json.loads(line)) for line in done.stdout.splitlines()]


def _judge(path: str, out: Path, err: Path) -> PathResult:
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_AS, (_MOST, _MOST))  # one that eats memory eats not all of it
        for stream, file in ((1, out), (2, err)):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        os._exit(_run(path))
    _, status, used = os.wait4(child, 0)
    code, seconds = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
    said, complained = (file.read_text(errors="replace") for file in (out, err))
    return PathResult(code, said, complained, used.ru_maxrss * 1024, seconds)


def _run(path: str) -> int:
    from dynocheck.cli import main

    try:
        return main(["recipe", "-otable", "--timeout", "60", "--", path])
    finally:
        sys.stdout.flush()


if __name__ == "__main__":
    from dynocheck.cli import main

    with tempfile.TemporaryDirectory() as folder:
        main(["recipe", f"-otable={folder}/report", str(_SOUND)])
        for each in sys.argv[1:]:
            print(json.dumps(_judge(each, Path(folder, "out"), Path(folder, "err"))), flush=True)
