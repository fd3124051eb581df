"""Programs that run for a limited time."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from dynocheck.core.cancellation import Interruption


def run_bounded(
    command: Sequence[str],
    limit_s: float,
    interruption: Interruption,
    environment: Mapping[str, str] | None = None,
    *,
    errors: bool = False,
) -> tuple[bytes, str | None]:
    """Run a program, and kill it when its time is over or on Ctrl-C.

    :param environment: instead of this process's.
    :param errors: read its standard error too.
    :return: what it wrote, and how it failed.
    """
    cut, kept = False, subprocess.STDOUT if errors else subprocess.DEVNULL
    with (
        subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=kept,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        ) as process,
        interruption.on_interrupt(lambda: _kill(process)),
    ):
        try:
            output, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            cut = True
            _kill(process)
            output, _ = process.communicate()
    code = process.returncode
    return (
        output,
        "it was not done in time" if cut else f"its process ended with code {code}" if code else None,
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a program with what it started, whose open pipes would be waited for."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
