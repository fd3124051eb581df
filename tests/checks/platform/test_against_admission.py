"""What is said of a namespace's rules, held against the API server that enforces them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dynocheck.checks.platform import limit_ranges, pod_security
from dynocheck.facts import CustomResourceDefinitions, Namespace
from tests.checks.judging import outcomes, recipes, run_check
from tests.clusters.objects import make_namespace, make_object
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
    container |= {} if security is None else {"securityContext": security}
    container |= {} if resources is None else {"resources": resources}
    container |= spec.pop("container", {})
    return make_object("Pod", "p", spec={"containers": [container], **spec})


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
    namespace = Namespace(name, labels={ENFORCE: level})
    cluster.apply(make_namespace(name, **namespace.labels))
    for number, body in enumerate(PODS):
        mine = recipes(tmp_path / str(number), pod=yaml.safe_dump(body))
        said = run_check(pod_security.pod_security, namespace, CustomResourceDefinitions(), mine)
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
    if kind == "quota":
        status = {"hard": entry, "used": dict.fromkeys(entry, "0")}
        cluster.apply(make_object("ResourceQuota", "x", name, spec={"hard": entry}, status=status))
    else:
        cluster.apply(make_object("LimitRange", "x", name, spec={"limits": [{"type": "Container", **entry}]}))
    allowed = ask(PROBES["namespace_limits"], reach(cluster, namespace=name))
    for number, resources in enumerate(RESOURCES):
        body = pod(resources=resources)
        mine = recipes(tmp_path / str(number), pod=yaml.safe_dump(body))
        said = outcomes(limit_ranges.quota, allowed, mine) + outcomes(limit_ranges.limit_range, allowed, mine)
        assert ("fail" not in said) == admitted(cluster, name, body), (spec, resources, said)
