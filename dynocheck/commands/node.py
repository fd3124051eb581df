"""`dynocheck node`: checks the machine or pod that it runs in, or all GPU nodes of a cluster."""

import os
import socket
from dataclasses import fields
from pathlib import Path
from typing import Any

from dynocheck.commands._node_cluster import ClusterOptions, run_on_nodes
from dynocheck.commands._run import Run, RunContext
from dynocheck.core.errors import UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.data.images import engine_images
from dynocheck.facts import ExerciseRequest, NodeExercise, NodeFact, NodeRequest, NodeRoot

_EXERCISE_S = 60.0
_NOT_ASKED = NodeExercise(absent="without --exercise the GPUs do no work")
_FLAGS = {"node_selectors": "--node-selector", "tolerations": "--tolerate", "wait_s": "--wait"}


def run(
    options: CommonOptions,
    cluster_options: ClusterOptions,
    *,
    gpus: int | None = None,
    release: str | None = None,
    exercise: bool = False,
) -> int:
    """Check the machine, or the nodes of a cluster.

    :param gpus: how many GPUs it must have.
    :param release: the release of Dynamo that is to run on it.
    :param exercise: let the GPUs do a little work.
    :return: the exit code.
    :raises UsageError: an option cannot be used.
    """
    known = sorted({row.release for row in engine_images()})
    if release is not None and release not in known:
        raise UsageError(f"--release {release}: known are {', '.join(known)}")
    if exercise and (cluster_options.cluster or options.snapshot):
        raise UsageError("--exercise: not with --cluster or --snapshot")
    request = NodeRequest(gpus, release)
    if cluster_options.cluster:
        return run_on_nodes(options, cluster_options, request)
    if given := _list_given(cluster_options):
        raise UsageError(f"{', '.join(given)}: only with --cluster")
    asked: dict[type, Any] = {ExerciseRequest: ExerciseRequest(_EXERCISE_S)} if exercise else {}
    live = options.snapshot is None
    context = RunContext(
        sources={**({NodeRoot: this_machine()} if live else {}), **asked},
        facts={NodeRequest: request, **({} if asked else {NodeExercise: _NOT_ASKED})},
        describe_target=lambda _: {"node": socket.gethostname()} if live else {},
    )
    return Run.begin("node", options, NodeFact).judge(context=context)


def _list_given(options: ClusterOptions) -> list[str]:
    """The options of a look at all nodes that are not as by default."""
    given = [field for field in fields(options) if getattr(options, field.name) != field.default]
    return [_FLAGS.get(field.name, f"--{field.name.replace('_', '-')}") for field in given]


def this_machine() -> NodeRoot:
    """The machine, container or pod that this process runs in."""
    return NodeRoot(Path("/"), dict(os.environ))
