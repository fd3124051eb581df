"""Kills what its parent started as soon as the parent is gone, however it went.

Run as a process of its own: `python keeper.py FOLDER`, with a pipe from the parent as stdin. The
parent writes `+PID` for each process group it starts and `-PID` for each it has stopped itself, and the
path of each control group that it made, which is removed with those inside when its processes are gone.
The end of the pipe is the end of the parent: a return, an exception, SIGKILL. No system lacks this way,
and none of it depends on the parent still being able to run a line of code.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    """Wait for the end of stdin, then kill every group told and remove the folder."""
    groups: set[int] = set()
    control_groups: list[Path] = []
    for line in sys.stdin:
        if line[0] == "/":
            control_groups.append(Path(line.rstrip("\n")))
        else:
            (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while any(map(Path.exists, (Path(sys.argv[1]), *control_groups))) and time.monotonic() < deadline:
        shutil.rmtree(sys.argv[1], ignore_errors=True)  # the dying may still write into it
        for control_group in control_groups:
            _remove(control_group)
        time.sleep(0.01)


def _remove(control_group: Path) -> None:
    """Remove it and those inside; what they show as files is no content. One with processes stays."""
    for folder, _, _ in os.walk(control_group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


if __name__ == "__main__":
    main()
