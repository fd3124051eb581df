"""Judges the MPI ranks with which Triton starts TensorRT-LLM's engines."""

from collections.abc import Iterator, Sequence

from dynocheck import Finding, Location, fail, warn
from dynocheck.core.fixes import replace_words
from dynocheck.facts import Component, Container, Graph, Word

_PROGRAM = "tritonserver"
_LAUNCHER = "launch_triton_server.py"
_RUNNERS = ("mpirun", "mpiexec", "srun")
_RANKS = ("-n", "-np", "--np", "--n", "--ntasks")
_SPAWNS = "TRTLLM_ORCHESTRATOR"  # Triton then starts the ranks itself


def check_ranks(graph: Graph, component: Component) -> Iterator[Finding]:
    """Compares the ranks of each command that starts Triton with the GPUs of a replica.

    An engine of TensorRT-LLM runs on as many MPI ranks as it was built for: alone, tritonserver is one. See
    https://github.com/triton-inference-server/tensorrtllm_backend.
    """
    gpus = (component.gpus or 0) * component.nodes
    for container in component.containers:
        for words in container.commands if gpus else ():
            found = _find_ranks(words)
            if found is None or (found[0] == 1 and not _builds_on_ranks(container)):
                continue
            ranks, place = found
            if ranks > gpus:
                yield fail(
                    f"{component.name}: {ranks} MPI ranks need {ranks} GPUs, a replica is given {gpus}",
                    fix=replace_words(str(ranks), str(gpus)),
                    location=Location(graph.file, place.line, place.column),
                )
            elif ranks < gpus:
                started = f"{ranks} MPI rank{'s' if ranks > 1 else ''}"
                yield warn(
                    f"{component.name}: {started} for {gpus} GPUs: an engine built for more does not load",
                    fix=f"start it with mpirun -n {gpus}, or {_LAUNCHER} --world_size {gpus}",
                    location=Location(graph.file, place.line, place.column),
                )


def _builds_on_ranks(container: Container) -> bool:
    """Whether an image is for TensorRT-LLM, and its engines have ranks that somebody else must start."""
    return "trtllm" in (container.image or "") and container.find_variable(_SPAWNS) is None


def _find_ranks(words: Sequence[Word]) -> tuple[int, Word] | None:
    """The number of ranks of Triton that a command starts, and their place; None if none or unknown."""
    texts = [word.text or "" for word in words]
    names = [text.rpartition("/")[2] for text in texts]
    if _LAUNCHER in names:
        return _read_number(words, ("--world_size", "--world-size"), words[names.index(_LAUNCHER)])
    if _PROGRAM not in names:
        return None
    at = names.index(_PROGRAM)
    if not set(_RUNNERS) & {*names[:at]}:
        return 1, words[at]
    return _read_number(words[:at], _RANKS, None)


def _read_number(words: Sequence[Word], flags: Sequence[str], alone: Word | None) -> tuple[int, Word] | None:
    """The number behind one of these flags.

    :param alone: the place of 1, for a command without the flag; None if that says nothing.
    """
    for word, following in zip(words, [*words[1:], None], strict=True):
        name, equals, inline = (word.text or "").partition("=")
        value = inline if equals else (following.text or "" if following is not None else "")
        if name in flags:
            return (int(value), word) if value.isdecimal() and len(value) < 10 else None
    return (1, alone) if alone is not None else None
