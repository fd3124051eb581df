"""A little work on each GPU, on request."""

import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from dynocheck.core.cancellation import Interruption
from dynocheck.core.declarations import probe
from dynocheck.facts import ExercisedGpu, ExerciseRequest, NodeExercise
from dynocheck.probes.node._process import run_bounded

_MODULE = "dynocheck.probes.node._exercise"
_BEGUN = 0.75  # of the time, after which no further GPU is begun
_MARGIN_S = 5.0


@probe(limit=lambda request, interruption: request.limit_s + _MARGIN_S)
def node_exercise(request: ExerciseRequest, interruption: Interruption) -> NodeExercise:
    command = [sys.executable, "-m", _MODULE, str(request.limit_s * _BEGUN)]
    output, ended = run_bounded(command, request.limit_s, interruption)
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
