"""`dynocheck node`: checks the machine or pod that it runs in, or all GPU nodes of a cluster."""

import os
import re
import socket
from dataclasses import fields
from pathlib import Path
from typing import Any

from dynocheck.commands._node_cluster import ClusterOptions, run_on_nodes
from dynocheck.commands._run import Run, RunContext
from dynocheck.core.errors import UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.data.images import engine_images
from dynocheck.facts import (
    ExerciseRequest,
    Fact,
    NodeExercise,
    NodeFact,
    NodeRequest,
    NodeRoot,
    NodeTransfer,
    TransferRequest,
)

_WORK_S = 60.0
_PORT, _LAST_PORT = 12345, 65535  # the first is nixlbench's
_NOT_ASKED: dict[type, Fact] = {
    ExerciseRequest: NodeExercise(absent="without --exercise the GPUs do no work"),
    TransferRequest: NodeTransfer(absent="without --transfer no transfer is measured"),
}
_FLAGS = {"node_selectors": "--node-selector", "tolerations": "--tolerate", "wait_s": "--wait"}


def run(
    options: CommonOptions,
    cluster_options: ClusterOptions,
    *,
    gpus: int | None = None,
    release: str | None = None,
    exercise: bool = False,
    transfer: str | None = None,
) -> int:
    """Check the machine, or the nodes of a cluster.

    :param gpus: how many GPUs it must have.
    :param release: the release of Dynamo that is to run on it.
    :param exercise: let the GPUs do a little work.
    :param transfer: measure transfers, with the machine at this address unless empty.
    :return: the exit code.
    :raises UsageError: an option cannot be used.
    """
    known = sorted({row.release for row in engine_images()})
    if release is not None and release not in known:
        raise UsageError(f"--release {release}: known are {', '.join(known)}")
    asked = _list_asked(exercise=exercise, transfer=transfer)
    if len(asked) > 1:
        raise UsageError("--exercise and --transfer: one after the other, they would slow each other")
    if asked and (cluster_options.cluster or options.snapshot):
        raise UsageError(f"{'--exercise' if exercise else '--transfer'}: not with --cluster or --snapshot")
    request = NodeRequest(gpus, release)
    if cluster_options.cluster:
        return run_on_nodes(options, cluster_options, request)
    if given := _list_given(cluster_options):
        raise UsageError(f"{', '.join(given)}: only with --cluster")
    left_out = [fact for asking, fact in _NOT_ASKED.items() if asking not in asked]
    live = options.snapshot is None
    context = RunContext(
        sources={**({NodeRoot: this_machine()} if live else {}), **asked},
        facts={NodeRequest: request, **{type(fact): fact for fact in left_out}},
        describe_target=lambda _: {"node": socket.gethostname()} if live else {},
    )
    return Run.begin("node", options, NodeFact).judge(context=context)


def _list_asked(*, exercise: bool, transfer: str | None) -> dict[type, Any]:
    """What the user lets the machine do, beyond being looked at."""
    asked: dict[type, Any] = {ExerciseRequest: ExerciseRequest(_WORK_S)} if exercise else {}
    if transfer is not None:
        asked[TransferRequest] = _parse_transfer(transfer)
    return asked


def _parse_transfer(text: str) -> TransferRequest:
    """The request of HOST[:PORT], in brackets an IPv6 address with a port.

    :raises UsageError: it is of another form.
    """
    host, _, port = text.rpartition(":") if re.fullmatch(r"(\[.*\]|[^:]*):\d{1,5}", text) else (text, "", "")
    if text.startswith("-") or (text and not host) or int(port or _PORT) > _LAST_PORT:
        raise UsageError(f"--transfer {text}: not of the form HOST[:PORT]")
    return TransferRequest(_WORK_S, host.strip("[]") or None, int(port or _PORT))


def _list_given(options: ClusterOptions) -> list[str]:
    """The options of a look at all nodes that are not as by default."""
    given = [field for field in fields(options) if getattr(options, field.name) != field.default]
    return [_FLAGS.get(field.name, f"--{field.name.replace('_', '-')}") for field in given]


def this_machine() -> NodeRoot:
    """The machine, container or pod that this process runs in."""
    return NodeRoot(Path("/"), dict(os.environ))
