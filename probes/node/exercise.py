"""A little work on each GPU, on request."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from dynocheck.core.cancellation import Interruption
from dynocheck.core.declarations import probe
from dynocheck.facts import ExercisedGpu, ExerciseRequest, NodeExercise

_MODULE = "dynocheck.probes.node._exercise"
_BEGUN = 0.75  # of the time, after which no further GPU is begun
_MARGIN_S = 5.0


@probe(limit=lambda request, interruption: request.limit_s + _MARGIN_S)
def node_exercise(request: ExerciseRequest, interruption: Interruption) -> NodeExercise:
    command = [sys.executable, "-m", _MODULE, str(request.limit_s * _BEGUN)]
    cut = False
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,  # noqa: S603
        interruption.on_interrupt(process.kill),
    ):
        try:
            output, _ = process.communicate(timeout=request.limit_s)
        except subprocess.TimeoutExpired:
            cut = True
            process.kill()
            output, _ = process.communicate()
    code = process.returncode
    ended = "it was not done in time" if cut else f"its process ended with code {code}" if code else None
    first, *gpus = [*_read_lines(output)] or [{}]
    return NodeExercise(
        library=first.get("library", ""),
        absent=first.get("absent"),
        gpus=tuple(msgspec.convert(gpu, ExercisedGpu) for gpu in gpus),
        unfinished=ended,
    )


def _read_lines(output: bytes) -> Iterator[dict[str, Any]]:
    for line in output.splitlines():
        try:
            yield msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError:
            continue  # what a library says on standard output
