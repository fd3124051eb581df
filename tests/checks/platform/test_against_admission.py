"""What is said of a namespace's rules, held against the API server that enforces them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dynocheck import Skip
from dynocheck.checks.platform import limit_ranges, pod_security
from dynocheck.core.outcomes import Outcome
from dynocheck.facts import CustomResourceDefinitions, Namespace
from tests.checks.judging import recipes, run_check
from tests.controlplane.server import ControlPlane
from tests.probes.looking import PROBES, ask, reach

ENFORCE = "pod-security.kubernetes.io/enforce"
GOOD: dict[str, Any] = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(security: dict[str, Any] | None = None, resources: dict[str, Any] | None = None, **spec: Any) -> Any:
    container: dict[str, Any] = {"name": "main", "image": "registry.example/a:1"}
    container |= {"securityContext": security} if security is not None else {}
    container |= {"resources": resources} if resources is not None else {}
    container |= spec.pop("container", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [container], **spec},
    }


PODS = [
    pod(),
    pod(GOOD),
    pod({**GOOD, "runAsUser": 0}),
    pod({**GOOD, "runAsUser": 1000}),
    pod({**GOOD, "seccompProfile": {"type": "Unconfined"}}),
    pod({"capabilities": {"add": ["IPC_LOCK"]}}),
    pod({"capabilities": {"add": ["NET_BIND_SERVICE", "CHOWN"]}}),
    pod({**GOOD, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}),
    pod({"privileged": True}),
    pod({"runAsUser": 0, "capabilities": {"add": ["SYS_PTRACE", "IPC_LOCK"]}}),
    pod(GOOD, hostIPC=True),
    pod(GOOD, hostNetwork=True),
    pod(GOOD, volumes=[{"name": "v", "hostPath": {"path": "/mnt"}}]),
    pod(GOOD, volumes=[{"name": "v", "emptyDir": {"medium": "Memory"}}]),
    pod(GOOD, volumes=[{"name": "v", "nfs": {"server": "s", "path": "/"}}]),
    pod(GOOD, container={"ports": [{"containerPort": 80, "hostPort": 80}]}),
    pod({}, securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}),
    pod(
        {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    ),
    pod({**GOOD, "runAsNonRoot": False}, securityContext={"runAsNonRoot": True}),
    pod(GOOD, securityContext={"runAsNonRoot": False}),
    pod(GOOD, securityContext={"seccompProfile": {"type": "Unconfined"}}),
    pod(GOOD, hostPID=True),
    pod(GOOD, initContainers=[{"name": "i", "image": "x"}]),
    pod({**GOOD, "allowPrivilegeEscalation": True}),
]


def admitted(cluster: ControlPlane, namespace: str, body: Any) -> bool:
    """Whether the server would create it; 422 is how it refuses what its own defaults made invalid."""
    answer = cluster.http.post(f"/api/v1/namespaces/{namespace}/pods", json=body, params={"dryRun": "All"})
    assert answer.status_code in (201, 403, 422), answer.text
    return answer.is_success


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_pod_security(cluster: ControlPlane, tmp_path: Path, level: str) -> None:
    name = cluster.namespace()
    labels = {ENFORCE: level}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    for number, body in enumerate(PODS):
        mine = recipes(tmp_path / str(number), pod=yaml.safe_dump(body))
        said = run_check(
            pod_security.pod_security, Namespace(name, labels=labels), CustomResourceDefinitions(), mine
        )
        assert (not said) == admitted(cluster, name, body), (level, body["spec"], said)


QUOTAS = [
    {"limits.memory": "1Ti"},
    {"requests.cpu": "100", "limits.cpu": "100"},
    {"requests.nvidia.com/gpu": "8"},
]
RANGES: list[dict[str, Any]] = [
    {"max": {"memory": "4Gi"}},
    {"min": {"memory": "1Gi"}},
    {"default": {"memory": "512Mi", "cpu": "1"}},
    {"default": {"memory": "4Gi", "cpu": "4"}, "defaultRequest": {"memory": "1Gi", "cpu": "1"}},
    {"maxLimitRequestRatio": {"cpu": "2"}},
    {"min": {"cpu": "250m"}, "max": {"cpu": "1"}, "default": {"cpu": "500m"}},
    {"type": "Pod", "max": {"memory": "4Gi"}},
    {"type": "Pod", "min": {"cpu": "1"}, "maxLimitRequestRatio": {"memory": "2"}},
]
RESOURCES: list[dict[str, Any]] = [
    {},
    {"limits": {"memory": "2Gi"}},
    {"limits": {"memory": "8Gi", "cpu": "2"}},
    {"requests": {"memory": "512Mi"}},
    {"requests": {"memory": "2Gi", "cpu": "500m"}},
    {"requests": {"cpu": "1"}, "limits": {"cpu": "1", "memory": "1Gi"}},
    {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
]


@pytest.mark.parametrize("spec", [("quota", q) for q in QUOTAS] + [("range", r) for r in RANGES], ids=str)
def test_quotas_and_limit_ranges(cluster: ControlPlane, tmp_path: Path, spec: tuple[str, Any]) -> None:
    kind, entry = spec
    name = cluster.namespace()
    meta = {"name": "x", "namespace": name}
    if kind == "quota":
        zero = dict.fromkeys(entry, "0")
        thing = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": entry}}
        cluster.apply({**thing, "status": {"hard": entry, "used": zero}})
    else:
        limit = {"limits": [{"type": "Container", **entry}]}
        cluster.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": limit})
    seen = reach(cluster, namespace=name)
    allowed = ask(PROBES["namespace_limits"], seen)
    for number, resources in enumerate(RESOURCES):
        body = pod(resources=resources)
        mine = recipes(tmp_path / str(number), pod=yaml.safe_dump(body))
        said = judge_all(allowed, mine)
        assert (not said) == admitted(cluster, name, body), (spec, resources, said)


def judge_all(allowed: Any, mine: Any) -> list[Any]:
    said = []
    for check in (limit_ranges.quota, limit_ranges.limit_range):
        try:
            said += [f for f in run_check(check, allowed, mine) if f.outcome is Outcome.FAIL]
        except Skip:
            continue
    return said
