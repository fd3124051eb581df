"""What GPUs did when they were given a little work."""

from collections.abc import Iterator, Sequence
from statistics import median

from dynocheck import Finding, Skip, Subject, check, fail, judged, unjudged, unknown, warn
from dynocheck.checks.node._ladder import REBOOT
from dynocheck.core.outcomes import Result
from dynocheck.data.gpu_speeds import find_speeds
from dynocheck.facts import ExercisedGpu, NodeExercise

_ODD = 0.85  # of the median of the machine's GPUs of one kind
_MEASURES = {
    "device_gb_s": "GB/s in its memory",
    "host_gb_s": "GB/s from the host",
    "peer_gb_s": "GB/s to its neighbour",
    "tflops": "TFLOPS in half precision",
}


@check("node.exercise", title="GPUs compute and copy at their speed")
def exercise(seen: NodeExercise) -> Iterator[Result]:
    """What counters and modes do not show, work does: a GPU that computes wrong, fails or is slower than its
    neighbours. With --exercise each GPU that has 4 GiB free copies and multiplies matrices for a moment,
    through torch or cupy. Nothing is set on it, and all is freed.

    Fix: drain the node and reboot it; when the GPU stays slow or wrong, have it replaced
    """
    if seen.absent:
        raise Skip(seen.absent)
    if seen.unfinished:
        yield unknown(f"the work on GPUs ended early: {seen.unfinished}", fix=REBOOT)
    for gpu in seen.gpus:
        subject = Subject("GPU", str(gpu.index))
        if gpu.fault:
            yield fail(f"GPU {gpu.index}: {gpu.fault}", fix=REBOOT, subject=subject)
        elif gpu.busy:
            yield unknown(f"GPU {gpu.index} is in use: less than 4 GiB are free", subject=subject)
        else:
            yield from _judge(gpu, [other for other in seen.gpus if other.name == gpu.name])
    yield judged(sum(gpu.tflops is not None for gpu in seen.gpus), "GPUs")


def _judge(gpu: ExercisedGpu, alike: Sequence[ExercisedGpu]) -> Iterator[Finding | Result]:
    """Against the floors of its kind, and against its neighbours."""
    subject, speeds = Subject("GPU", str(gpu.index)), find_speeds(gpu.name)
    if speeds is None:
        yield unjudged(gpu.name, why="no table of its speeds", subject=subject)
    for field, what in _MEASURES.items():
        value = getattr(gpu, field)
        if value is None:
            continue
        floor = getattr(speeds, field, None) if speeds else None
        others = [other for each in alike if (other := getattr(each, field)) is not None]
        if floor is not None and value < floor:
            source = {"floor": floor, "source": speeds.source} if speeds else {}
            message = f"GPU {gpu.index}: {value:g} {what}; {gpu.name} has at least {floor:g}"
            yield warn(message, fix=REBOOT, subject=subject, evidence=source)
        elif len(others) > 2 and value < _ODD * median(others):
            message = f"GPU {gpu.index}: {value:g} {what}; its neighbours have {median(others):g}"
            yield warn(message, fix=REBOOT, subject=subject)
