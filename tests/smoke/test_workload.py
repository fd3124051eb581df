"""`dynocheck smoke KIND/NAME`: the way to a server without Dynamo, on a real API server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clusters.objects import make_object
from tests.command import CommandResult, dynocheck
from tests.controlplane.server import ControlPlane
from tests.smoke import dialects
from tests.smoke.asking import bad
from tests.smoke.lying import ProxiedCall, serve_lies
from tests.smoke.test_deployment import own_address

POD = {"containers": [{"name": "vllm", "image": "vllm/vllm-openai:v0.11.0"}]}
READY = ("--select", "endpoint.ready", "--select", "endpoint.discovered")
LEADER = {"leaderworkerset.sigs.k8s.io/name": "chat", "leaderworkerset.sigs.k8s.io/worker-index": "0"}


@pytest.fixture(scope="module")
def served() -> Iterator[int]:
    """The port of a server that speaks as vLLM does."""
    with serve_lies(dialects.vllm, host="0.0.0.0") as url:
        yield int(url.rpartition(":")[2])


@pytest.fixture(scope="module")
def typed(controlplane: ControlPlane, crds: Path) -> Iterator[None]:
    yield from controlplane.share(crds / "lws")


@pytest.fixture
def namespace(typed: None, cluster: ControlPlane) -> str:
    return cluster.namespace()


def workload(kind: str, namespace: str, **pod: Any) -> dict[str, Any]:
    """A workload "chat" of this kind, whose pods have the label app=chat."""
    template = {"metadata": {"labels": {"app": "chat"}}, "spec": {**POD, **pod}}
    if kind == "LeaderWorkerSet":
        spec: dict[str, Any] = {"leaderWorkerTemplate": {"size": 2, "workerTemplate": template}}
        return make_object("leaderworkerset.x-k8s.io/v1 LeaderWorkerSet", "chat", namespace, spec=spec)
    spec = {"selector": {"matchLabels": {"app": "chat"}}, "template": template}
    return make_object(f"apps/v1 {kind}", "chat", namespace, spec=spec)


def expose(cluster: ControlPlane, namespace: str, name: str, port: int, selector: dict[str, str]) -> None:
    """A Service that selects pods, and the server of the tests as the pod behind it."""
    ports = [{"name": "metrics", "port": 9, "targetPort": 9}, {"name": "web", "port": 80, "targetPort": port}]
    cluster.apply(make_object("Service", name, namespace, spec={"selector": selector, "ports": ports}))
    address = own_address()
    pod = f"{name}-pod"
    cluster.pod(pod, namespace, labels=selector, status={"podIP": address, "podIPs": [{"ip": address}]})
    target = {"kind": "Pod", "name": pod, "namespace": namespace}
    behind = {
        "addresses": [{"ip": address, "targetRef": target}],
        "ports": [{"name": "web", "port": port}],
    }
    cluster.apply(make_object("Endpoints", name, namespace, subsets=[behind]))


def smoke(cluster: ControlPlane, namespace: str, *more: str, config: Path | None = None) -> CommandResult:
    reached = ("--kubeconfig", config or cluster.kubeconfig(), "-n", namespace, "-o", "json")
    return dynocheck("smoke", *reached, "--timeout", "20", *more)


@pytest.mark.parametrize(
    ("kind", "reference", "selector"),
    [
        ("Deployment", "deployment/chat", {"app": "chat"}),
        ("StatefulSet", "sts/chat", {"app": "chat"}),
        ("LeaderWorkerSet", "lws/chat", LEADER),
        ("Deployment", "service/front", {"app": "chat"}),
    ],
)
def test_by_the_service_that_selects_its_pods(
    cluster: ControlPlane, namespace: str, served: int, kind: str, reference: str, selector: dict[str, str]
) -> None:
    cluster.apply(workload(kind, namespace))
    expose(cluster, namespace, "another", 9, {"app": "another"})
    expose(cluster, namespace, "front", served, selector)
    rules = yaml.safe_load(dynocheck("rbac", "--smoke", "--workload").out)["rules"]
    reader = cluster.user("reader", rules=rules, namespace=namespace)
    ended = smoke(cluster, namespace, reference, *READY, config=cluster.kubeconfig(reader))
    assert (ended.code, bad(ended)) == (0, {})
    target = {"deployment": f"{namespace}/{reference.partition('/')[2]}", "way": "the API server's proxy"}
    assert ended.report["target"].items() >= target.items()
    assert ended.report["target"]["url"].endswith("/services/http:front:80/proxy")


def test_without_a_service_by_a_pod_that_is_ready(cluster: ControlPlane, namespace: str, served: int) -> None:
    cluster.apply(workload("Deployment", namespace))
    ended = smoke(cluster, namespace, "deploy/chat", *READY)
    assert ended.outcomes == {"endpoint.discovered": "fail", "endpoint.ready": "unknown"}
    assert ended.finding("endpoint.discovered")["subject"]["kind"] == "Deployment"

    address = own_address()
    ports = [{"containerPort": served}]
    spec = {"containers": [{**POD["containers"][0], "ports": ports}]}
    ready = [{"type": "Ready", "status": "True"}]
    status = {"podIP": address, "podIPs": [{"ip": address}], "conditions": ready}
    cluster.pod("chat-0", namespace, labels={"app": "chat"}, spec=spec, status=status)
    ended = smoke(cluster, namespace, "deploy/chat", *READY)
    assert (ended.code, bad(ended)) == (0, {})
    assert ended.report["target"]["url"].endswith(f"/pods/http:chat-0:{served}/proxy")


@pytest.mark.parametrize(("updated", "outcome"), [(1, "pass"), (0, "warn")])
def test_what_serves_is_the_version_that_was_deployed(
    cluster: ControlPlane, namespace: str, served: int, updated: int, outcome: str
) -> None:
    (made,) = cluster.apply(workload("Deployment", namespace))
    expose(cluster, namespace, "chat", served, {"app": "chat"})
    cluster.patch_status({**made, "status": {"replicas": 1, "updatedReplicas": updated}})
    ended = smoke(cluster, namespace, "deployment/chat", "--select", "endpoint.rolled-out")
    assert ended.outcomes == {"endpoint.rolled-out": outcome}


@pytest.mark.parametrize("reference", ["deployment/cat", "pod/chat", "deployment/", "isvc/chat"])
def test_the_workload_must_exist(cluster: ControlPlane, namespace: str, reference: str) -> None:
    assert smoke(cluster, namespace, reference).code == 2


def test_a_job_has_the_key_from_the_secret_that_the_pods_have_it_from(
    cluster: ControlPlane, namespace: str
) -> None:
    key = {"secretKeyRef": {"name": "chat-key", "key": "token"}}
    container = {**POD["containers"][0], "env": [{"name": "VLLM_API_KEY", "valueFrom": key}]}
    cluster.apply(workload("Deployment", namespace, containers=[container]))
    expose(cluster, namespace, "chat", 8000, {"app": "chat"})
    reached = ("--kubeconfig", cluster.kubeconfig(), "-n", namespace)
    ended = dynocheck("load", "deploy/chat", "--in-cluster", "--image", "registry.example/d:1", *reached)
    assert ended.code == 0
    job = next(each for each in yaml.safe_load_all(ended.out) if each["kind"] == "Job")
    assert f"chat.{namespace}.svc" in str(job)
    assert "{'name': 'chat-key', 'key': 'token'}" in str(job)


def test_a_key_that_the_proxy_takes_off_is_no_fault_of_the_server(
    cluster: ControlPlane, namespace: str
) -> None:
    def want_key(call: ProxiedCall) -> None:
        dialects.vllm(call)
        if call.headers.get("Authorization") != "Bearer right":
            call.status, call.kind = 401, "application/json"
            call.body = b'{"error":"Unauthorized"}'

    key = {"secretKeyRef": {"name": "chat-key", "key": "token"}}
    container = {**POD["containers"][0], "env": [{"name": "VLLM_API_KEY", "valueFrom": key}]}
    cluster.apply(workload("Deployment", namespace, containers=[container]))
    with serve_lies(want_key, host="0.0.0.0") as url:
        expose(cluster, namespace, "chat", int(url.rpartition(":")[2]), {"app": "chat"})
        ended = smoke(cluster, namespace, "deploy/chat", "--select", "endpoint.ready")
    assert (ended.code, ended.outcomes) == (3, {"endpoint.ready": "unknown"})
    assert "Secret chat-key/token" in ended.out


def test_an_inference_service(cluster: ControlPlane, namespace: str, served: int, tmp_path: Path) -> None:
    open_schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"kind": "InferenceService", "plural": "inferenceservices", "singular": "inferenceservice"}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": open_schema}
    spec = {"group": "serving.kserve.io", "names": names, "scope": "Namespaced", "versions": [version]}
    definition = make_object(
        "apiextensions.k8s.io/v1 CustomResourceDefinition", "inferenceservices.serving.kserve.io", spec=spec
    )
    (tmp_path / "kserve.yaml").write_text(yaml.safe_dump(definition))
    cluster.load_crds(tmp_path)
    cluster.apply(make_object("serving.kserve.io/v1beta1 InferenceService", "chat", namespace, spec={}))
    expose(cluster, namespace, "chat-predictor", served, {"serving.kserve.io/inferenceservice": "chat"})
    ended = smoke(cluster, namespace, "isvc/chat", *READY)
    assert (ended.code, bad(ended)) == (0, {})
    assert ended.report["target"]["url"].endswith("/services/http:chat-predictor:80/proxy")
