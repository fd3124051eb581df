"""Versions, names and namespaces, each on files that hold one mistake."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.manifest import objects, versions
from tests.checks.judging import deploy, get_skip_reason, outcomes, places, read_lines, recipes, run_check
from tests.checks.manifests import FRONTEND, claim, config_map, dump_objects, engine, graph, job, mount_config
from tests.controlplane.server import ControlPlane

OLDER = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: g}
spec:
  pvcs: [{name: model-cache}]
  services:
    W: {componentType: worker, sharedMemory: {size: 1Gi}, resources: {limits: {gpu: "1"}}}
"""


# manifest.api-version


def test_what_is_deprecated_is_told_with_what_it_becomes(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=OLDER)
    (finding,) = run_check(versions.api_version, given)
    assert finding.evidence["changes"] == {
        "spec.services": "components, a list whose items have a name",
        "spec.pvcs": "volumes with a persistentVolumeClaim in podTemplate.spec",
        "service.componentType": "type",
        "service.resources": "resources of the container main, gpu as nvidia.com/gpu, custom ones beside it",
        "service.sharedMemory": "sharedMemorySize",
    }
    assert places(versions.api_version, given) == [("warn", "deploy.yaml:2")]


@pytest.mark.parametrize(
    ("version", "kind", "fix"),
    [
        ("dynamo.nvidia.com/v1alpha1", "DynamoGraphDeployment", "nvidia.com/v1beta1"),
        ("nvidia.com/v1", "DynamoGraphDeployment", "nvidia.com/v1beta1"),
        ("nvidia.com/v1beta1", "DynamoModel", "nvidia.com/v1alpha1"),
        ("v1", "Job", "batch/v1"),
        ("batch/v1beta1", "CronJob", "batch/v1"),
        ("extensions/v1beta1", "Deployment", "apps/v1"),
        ("apps/v1", "Service", "v1"),
        # there are these, or there may be
        ("v1", "ConfigMap", None),
        ("nvidia.com/v1beta1", "DynamoGraphDeployment", None),
        ("nvidia.com/v1alpha1", "DynamoModel", None),
        ("serving.knative.dev/v1", "Service", None),
        ("batch.volcano.sh/v1alpha1", "Job", None),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", None),
        ("resource.nvidia.com/v1beta1", "ComputeDomain", None),
        ("example.com/v1", "Widget", None),
    ],
)
def test_versions(tmp_path: Path, version: str, kind: str, fix: str | None) -> None:
    given = deploy(tmp_path, {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}})
    found = [(str(finding.outcome), finding.fix) for finding in run_check(versions.api_version, given)]
    assert found == ([("fail", f"set apiVersion: {fix}")] if fix else [])


# manifest.names

TWO_NODES: dict[str, Any] = {"multinode": {"nodeCount": 2}}


@pytest.mark.parametrize(
    ("name", "component", "more", "fix"),
    [
        ("llama-3-70b-disagg", "VllmDecodeWorker", {}, None),
        ("g" * 44, "w", TWO_NODES, None),
        ("g" * 40, "w" * 20, {}, None),
        (
            "trtllm-disagg",
            "TRTLLMDecodeWorker",
            TWO_NODES,
            "give the component a name of at most 16 characters",
        ),
        ("longer-than-eight", "w" * 40, {}, "give the component a name of at most 37 characters"),
        ("g" * 60, "worker", {}, "set metadata.name: NAME   # a shorter one"),
        ("llama-3.1", "worker", {}, "set metadata.name: llama-3-1"),
    ],
)
def test_names(tmp_path: Path, name: str, component: str, more: dict[str, Any], fix: str | None) -> None:
    given = deploy(tmp_path, graph(engine(name=component, **more), name=name, front=False))
    found = [(str(finding.outcome), finding.fix) for finding in run_check(objects.names, given)]
    assert found == ([("warn", fix)] if fix else [])


# manifest.namespaces


def at(namespace: str, made: dict[str, Any]) -> dict[str, Any]:
    return made | {"metadata": {**made["metadata"], "namespace": namespace}}


CLAIM, JOB, GRAPH = claim(), job("hf download m", name="model-download"), graph(FRONTEND)
CONFIG = config_map("engine", a="b")
MOUNTS = graph(engine(**mount_config("engine")))
VOLUMES = [
    {"name": "e", "configMap": {"name": "engine"}},
    {"name": "c", "persistentVolumeClaim": {"claimName": "model-cache"}},
]
MOUNTS_BOTH = graph(engine(pod={"volumes": VOLUMES}))
MONITOR = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor", "metadata": {"name": "m"}}
GATEWAY = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "g"}}
GRANT = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "r"}}
RULE = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "n"}}
STORAGE = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "a"}}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"model_cache__claim": [CLAIM], "vllm__agg__deploy": [GRAPH]}, []),
        ({"model_cache__claim": [at("llm", CLAIM)], "vllm__agg__deploy": [at("llm", GRAPH)]}, []),
        ({"vllm__agg__deploy": [at("a", GRAPH)], "vllm__disagg__deploy": [at("b", GRAPH)]}, []),
        # pods do not find a claim
        ({"model_cache__claim": [CLAIM], "vllm__agg__deploy": [at("llm", GRAPH)]}, ["warn"]),
        ({"model_cache__claim": [at("store", CLAIM)], "vllm__agg__deploy": [at("llm", GRAPH)]}, ["warn"]),
        # or a ConfigMap
        ({"vllm__agg__deploy": [MOUNTS, at("llm", CONFIG)]}, ["warn"]),
        ({"vllm__agg__deploy": [at("llm", MOUNTS), at("llm", CONFIG)]}, []),
        ({"vllm__agg__deploy": [MOUNTS, CONFIG]}, []),
        ({"vllm__agg__deploy": [MOUNTS, CONFIG, at("monitoring", config_map("dashboard"))]}, []),
        ({"vllm__agg__deploy": [MOUNTS, at("monitoring", MONITOR)]}, []),
        ({"deploy": [at("${NS}", CONFIG), at("$NS", JOB), GRAPH]}, []),  # what it is filled with is unknown
        ({"deploy": [at("infra", GATEWAY), at("a", JOB), at("a", CONFIG)]}, []),  # routes attach from there
        ({"deploy": [at("kube-system", GRANT), at("a", JOB), at("a", CONFIG)]}, []),  # it is read there
        ({"rules": [at("a", RULE), at("b", RULE), at("c", RULE)]}, []),  # each is for its namespace
        ({"rules": [at("a", RULE)], "deploy": [at("b", CONFIG), at("b", JOB)]}, []),
        # one cause is one finding
        ({"deploy": [at("a", CLAIM), at("a", CONFIG), at("a", JOB), MOUNTS_BOTH]}, ["warn"]),
        ({"deploy": [at("a", CLAIM), *(at("b", obj) for obj in (CONFIG, JOB, GRAPH))]}, ["warn"]),
        # programs of their own are where they belong
        ({"deploy": [at("a", JOB), at("b", config_map("dashboards")), at("b", job("x", name="other"))]}, []),
        ({"deploy": [at("a", job("x", name="j", pod={"volumes": VOLUMES})), at("b", CONFIG)]}, ["warn"]),
        # what stands in no namespace does not count
        ({"storage": [STORAGE], "deploy": [at("llm", GRAPH)]}, []),
    ],
)
def test_namespaces(tmp_path: Path, files: dict[str, list[dict[str, Any]]], expected: list[str]) -> None:
    given = recipes(tmp_path, **{name: dump_objects(*made) for name, made in files.items()})
    assert outcomes(objects.namespaces, given) == expected


def test_the_finding_is_at_the_config_map(tmp_path: Path) -> None:
    given = deploy(tmp_path / "vllm", MOUNTS, at("llm", CONFIG))
    assert read_lines(objects.namespaces, given) == ["namespace: llm"]


def test_many_namespaces_are_told_once(tmp_path: Path) -> None:
    made = [at(name, claim(name)) for name in ("a", "b", "c", "d", "d")]
    (finding,) = run_check(objects.namespaces, deploy(tmp_path, *made))
    assert "in namespaces a, b, c, " in finding.message


def test_a_recipe_without_namespaces(tmp_path: Path) -> None:
    assert "no namespaced object" in get_skip_reason(objects.namespaces, deploy(tmp_path, STORAGE))


# manifest.duplicates

TEXT = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: model-cache}\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cache": f"{TEXT}---\n{TEXT}"}, [("fail", "cache.yaml:7")]),
        ({"model_cache__a": TEXT, "model_cache__b": TEXT}, [("warn", "b.yaml:3")]),
    ],
)
def test_duplicates(tmp_path: Path, files: dict[str, str], expected: list[tuple[str, str]]) -> None:
    assert places(objects.duplicates, recipes(tmp_path, **files)) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("kubectl apply -f model-cache/ -n dyn", ["fail"]),
        ("kubectl apply -n dyn -f ./model-cache", ["fail"]),
        ("kubectl apply -f model-cache/model-download.yaml", []),
    ],
)
def test_alternatives_that_a_readme_applies_together(
    tmp_path: Path, command: str, expected: list[str]
) -> None:
    (tmp_path / "README.md").write_text(f"```bash\n{command}\n```\n")
    text = dump_objects(JOB)
    given = recipes(tmp_path, model_cache__model_download=text, model_cache__model_download_fp4=text)
    assert outcomes(objects.duplicates, given) == expected


@pytest.mark.parametrize(
    "files",
    [
        {"vllm__agg__deploy": [GRAPH], "vllm__disagg__deploy": [GRAPH]},
        {"vllm__deploy_aks": [GRAPH], "vllm__deploy_gke": [GRAPH]},
        {"vllm__a": [GRAPH, CLAIM], "vllm__b": [GRAPH, CLAIM]},
        {"model_cache__model_download": [JOB], "model_cache__model_download_fp4": [JOB]},
        {"a": [CLAIM], "b": [at("other", CLAIM)]},
        {"a": [CLAIM], "b": [config_map("model-cache")]},
        {"a": [claim(name="${CLAIM}")], "b": [claim(name="${CLAIM}")]},
    ],
)
def test_what_is_applied_one_at_a_time_may_share_names(
    tmp_path: Path, files: dict[str, list[dict[str, Any]]]
) -> None:
    given = recipes(tmp_path, **{name: dump_objects(*made) for name, made in files.items()})
    assert outcomes(objects.duplicates, given) == []


NODE_PORTS = """
apiVersion: v1
kind: Service
metadata: {name: a}
spec:
  type: NodePort
  ports:
  - {name: tcp, port: 80, nodePort: 30080}
  - {name: udp, port: 80, protocol: UDP, nodePort: 30080}
---
apiVersion: v1
kind: Service
metadata: {name: b}
spec:
  type: NodePort
  ports:
  - {name: udp, port: 80, protocol: UDP, nodePort: NUMBER}
"""


@pytest.mark.parametrize(("number", "expected"), [(30080, ["fail"]), (30081, [])])
def test_a_node_port_is_one_services_alone(
    cluster: ControlPlane, tmp_path: Path, number: int, expected: list[str]
) -> None:
    text = NODE_PORTS.replace("NUMBER", str(number))
    assert outcomes(objects.duplicates, recipes(tmp_path, deploy=text)) == expected
    namespace = cluster.namespace()
    applied = cluster.kubectl("apply", "-n", namespace, "-f", str(tmp_path / "deploy.yaml"))
    assert (applied.returncode != 0) == bool(expected), applied.stderr
