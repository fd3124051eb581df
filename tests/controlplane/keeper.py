"""Kills what its parent started as soon as the parent is gone, however it went.

Run as a process of its own: `python keeper.py FOLDER`, with a pipe from the parent as stdin. The
parent writes `+PID` for each process group it starts and `-PID` for each it has stopped itself. The
end of the pipe is the end of the parent: a return, an exception, SIGKILL. No system lacks this way,
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
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while Path(sys.argv[1]).exists() and time.monotonic() < deadline:
        shutil.rmtree(sys.argv[1], ignore_errors=True)  # the dying may still write into it
        time.sleep(0.01)


if __name__ == "__main__":
    main()
