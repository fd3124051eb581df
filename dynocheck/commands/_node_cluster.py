"""`dynocheck node --cluster`: writes a DaemonSet that looks at each GPU node, or applies it and judges."""

import base64
import re
import secrets
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import yaml
from msgspec import structs

from dynocheck.commands._each_node import KINDS, SEEN, judge_on_nodes, read_reports
from dynocheck.commands._run import Run, run_probes
from dynocheck.core import snapshot
from dynocheck.core.cancellation import INTERRUPTED
from dynocheck.core.errors import UsageError
from dynocheck.core.files import check_writable
from dynocheck.core.knowledge import Knowledge, MissingFact
from dynocheck.core.options import CommonOptions
from dynocheck.core.planning import plan
from dynocheck.facts import (
    NodeFact,
    NodeReport,
    NodeReports,
    NodeRequest,
    NodeRoot,
    Unavailable,
)
from dynocheck.kube import Cluster, find_connection
from dynocheck.kube.manifests import NO_IMAGE, UNPRIVILEGED, KubeObject

NAME = "dynocheck-node"
_GPU_NODES = "nvidia.com/gpu.present=true"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_ENFORCE = "pod-security.kubernetes.io/enforce"
_MARK = "dynocheck-node-facts"
_ANSWER = re.compile(rf"^{_MARK} ([\w+/=]+)\n", re.ASCII | re.MULTILINE)
_MAX_FACTS = 1 << 26  # bytes of a node's decompressed facts
_REQUEST_S = 20.0
_LIBRARY_NOT_FOUND = 12  # nvmlReturn_t
_CUT_SHORT = "interrupted: nodes that had not answered by then are unknown"


@dataclass(frozen=True)
class ClusterOptions:
    """The options of a look at all GPU nodes; `wait_s` is in seconds."""

    cluster: bool = False
    apply: bool = False
    record: str | None = None
    image: str | None = None
    pull_secret: str | None = None
    node_selectors: tuple[str, ...] = ()
    tolerations: tuple[str, ...] = ()
    runtime_class: str | None = None
    kernel_log: bool = False
    wait_s: float = 120.0


def run_on_nodes(options: CommonOptions, cluster_options: ClusterOptions, request: NodeRequest) -> int:
    """Write the objects, or apply them and judge what the pods saw.

    :return: the exit code.
    :raises UsageError: an option cannot be used, or not with another.
    """
    if options.snapshot:
        return _judge_again(options, cluster_options, request)
    if cluster_options.image is None:
        raise UsageError(NO_IMAGE)
    if cluster_options.pull_secret and options.namespace is None:
        raise UsageError("--pull-secret: name with -n the namespace that has the Secret")
    if cluster_options.record and not cluster_options.apply:
        raise UsageError("--record: only with --apply")
    check_writable("--record", cluster_options.record)
    objects = make_objects(cluster_options, options.namespace)
    if not cluster_options.apply:
        click.echo(yaml.safe_dump_all(objects, sort_keys=False), nl=False)
        return 0
    run = Run.begin("node", options, KINDS)
    connection = find_connection(options.kubeconfig, options.context, options.namespace)
    known, target = Knowledge({NodeRequest: request}), {"cluster": connection.server}
    cluster = Cluster(connection, timeout_s=_REQUEST_S)
    try:
        reports, known.interrupted = _look(cluster, objects, cluster_options.wait_s)
    except Unavailable as error:
        known.missing[NodeReports] = MissingFact(str(error))
        return run.judge_facts(known, target)
    known.facts[NodeReports] = reports
    target["nodes"] = f"{len(reports.seen)} of {len(reports)} looked at"
    if cluster_options.record:
        _record(cluster_options.record, reports, target)
    code = replace(run, checks=judge_on_nodes(run.checks, reports)).judge_facts(known, target)
    if known.interrupted:
        click.echo(_CUT_SHORT, err=True)
        return INTERRUPTED
    return code


def _judge_again(options: CommonOptions, cluster_options: ClusterOptions, request: NodeRequest) -> int:
    """Judge what the nodes said when it was recorded."""
    if cluster_options.apply or cluster_options.image:
        raise UsageError("--snapshot: not with --apply and --image")
    run = Run.begin("node", options, KINDS)
    reports, target = read_reports(str(options.snapshot))
    known = Knowledge({NodeRequest: request, NodeReports: reports})
    judging = replace(run, checks=judge_on_nodes(run.checks, reports))
    return judging.judge_facts(known, {**target, "snapshot": options.snapshot})


def _record(file: str, reports: NodeReports, target: Mapping[str, Any]) -> None:
    """Write what the nodes said.

    :raises UsageError: the file cannot be written.
    """
    try:
        Path(file).write_bytes(snapshot.encode(Knowledge({NodeReports: reports}), target))
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None


def write_facts(options: CommonOptions, root: NodeRoot) -> int:
    """Write what this pod sees to its log, and wait to be deleted: a DaemonSet would start it again."""
    run = Run.begin("node", options, NodeFact)
    planned = plan(run.checks, run.config.registry.probes, {NodeRoot}, {NodeRequest})
    known = run_probes(planned, {NodeRoot: root}, options.timeout_s)
    packed = base64.b64encode(zlib.compress(snapshot.encode(known, {}))).decode()
    click.echo(f"{_MARK} {packed}")
    while True:
        time.sleep(3600)


def make_objects(options: ClusterOptions, namespace: str | None) -> tuple[KubeObject, ...]:
    """The DaemonSet, a ServiceAccount without rights, and a Namespace unless one is named."""
    name = f"{NAME}-{secrets.token_hex(3)}"
    place = namespace or name
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _make_metadata(name, place),
        "automountServiceAccountToken": False,
    }
    pod = {"metadata": {"labels": _make_labels(name)}, "spec": _make_pod(options, name)}
    daemonset = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": _make_metadata(name, place),
        "spec": {"selector": {"matchLabels": _make_labels(name)}, "template": pod},
    }
    if namespace:
        return account, daemonset
    home: KubeObject = {"apiVersion": "v1", "kind": "Namespace", "metadata": _make_metadata(name)}
    home["metadata"]["labels"][_ENFORCE] = "privileged" if options.kernel_log else "restricted"
    return home, account, daemonset


def _make_pod(options: ClusterOptions, account: str) -> KubeObject:
    """A pod that sees the GPUs of its machine by the NVIDIA runtime, without being given any of them."""
    container: KubeObject = {
        "name": "look",
        "image": options.image,
        "command": ["dynocheck", "node", "--agent"],
        "env": [
            {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
            {"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "utility"},
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": UNPRIVILEGED,
    }
    rights: KubeObject = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if options.kernel_log:  # /dev/kmsg is there for privileged containers only
        container["securityContext"] = {"privileged": True, "readOnlyRootFilesystem": True}
        rights = {"runAsUser": 0}
    selectors = options.node_selectors or (_GPU_NODES,)
    pod: KubeObject = {
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        "nodeSelector": dict(_parse_label(text) for text in selectors),
        "tolerations": [_parse_toleration(text) for text in ("nvidia.com/gpu", *options.tolerations)],
        "terminationGracePeriodSeconds": 1,
        "securityContext": rights,
        "containers": [container],
    }
    optional = {
        "runtimeClassName": options.runtime_class,
        "imagePullSecrets": [{"name": options.pull_secret}] if options.pull_secret else None,
    }
    return {**pod, **{key: value for key, value in optional.items() if value}}


def _make_metadata(name: str, namespace: str | None = None) -> KubeObject:
    placed = {"namespace": namespace} if namespace else {}
    return {"name": name, **placed, "labels": _make_labels(name)}


def _make_labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": NAME, "app.kubernetes.io/instance": name}


def _parse_label(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise UsageError(f"--node-selector {text}: not of the form KEY=VALUE")
    return key, value


def _parse_toleration(text: str) -> dict[str, str]:
    """The toleration of KEY[=VALUE][:EFFECT]."""
    taint, _, effect = text.partition(":")
    key, separator, value = taint.partition("=")
    if not key or (effect and effect not in _EFFECTS):
        raise UsageError(f"--tolerate {text}: not of the form KEY[=VALUE][:{'|'.join(_EFFECTS)}]")
    matched = {"operator": "Equal", "value": value} if separator else {"operator": "Exists"}
    return {"key": key, **matched, **({"effect": effect} if effect else {})}


def _look(cluster: Cluster, objects: Sequence[KubeObject], wait_s: float) -> tuple[NodeReports, bool]:
    """Apply the objects, wait for what the pods see, and delete the objects.

    :return: what they saw, and whether Ctrl-C cut it short.
    :raises Unavailable: the cluster does not answer, or refuses one of them.
    """
    from dynocheck.kube.daemonsets import DaemonSetRunner, Silence  # the official client takes long to import

    runner = DaemonSetRunner(cluster, objects, lambda line: click.echo(line, err=True))
    runner.remove_leftovers()
    with runner.create():
        answers = runner.collect(_find_answer, wait_s)
    reports = (
        NodeReport(name=name, unseen=answer.reason, fix=answer.fix)
        if isinstance(answer, Silence)
        else _read_answer(name, answer)
        for name, answer in sorted(answers.items())
    )
    return NodeReports(tuple(reports)), runner.interrupted


def _find_answer(log: str) -> str | None:
    found = _ANSWER.search(log)
    return found[1] if found else None


def _read_answer(name: str, packed: str) -> NodeReport:
    """What a pod saw of its node."""
    decompressor = zlib.decompressobj()
    try:
        content = decompressor.decompress(base64.b64decode(packed, validate=True), _MAX_FACTS)
        known = snapshot.decode(content, name, SEEN.values())
    except (ValueError, zlib.error, UsageError) as error:
        return NodeReport(name=name, unseen=f"its answer cannot be read: {error}")
    facts: dict[str, Any] = {name: known.facts[kind] for name, kind in SEEN.items() if kind in known.facts}
    report = NodeReport(name=name, **facts)
    missing = next((known.missing[kind].reason for kind in SEEN.values() if kind in known.missing), None)
    if missing is None and not report.gpus.devices and report.gpus.absent_code in (None, _LIBRARY_NOT_FOUND):
        missing = f"its pod is given no GPU: {report.gpus.absent or 'NVML sees none'}"
    fix = "add --runtime-class NAME of the NVIDIA runtime (kubectl get runtimeclass)" if missing else None
    gpus = structs.replace(report.gpus, given_all=True)  # by NVIDIA_VISIBLE_DEVICES
    return structs.replace(report, gpus=gpus, unseen=missing, fix=fix)
