"""Secrets that the objects and logs of a deployment hold come out of no verb in no format."""

import json
import tarfile
from pathlib import Path

import pytest

from tests.clusters.objects import make_condition, make_object
from tests.command import run_inside
from tests.controlplane.api import Object
from tests.diagnosis.pages import find_own_address, serve_http
from tests.diagnosis.stage import IMAGE, NODE, POD, Stage, ago, crashed, running
from tests.gate.test_canaries import ONE_FORM, list_leaks
from tests.gate.test_live_canaries import Canaries, run_in_every_format

KEY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj"  # the form of a private key's line
CUT = "hf_StraddlesThePlaceWhereALineIsCut0123"


@pytest.mark.parametrize("form", ONE_FORM)
def test_of_a_deployment(stage: Stage, tmp_path: Path, form: str) -> None:
    canary = Canaries(form)
    spoil(stage, canary)
    spoil_others(stage, canary)
    where = ("--kubeconfig", stage.cluster.kubeconfig(namespace=stage.namespace))
    recording, bundle = tmp_path / "recording.json", tmp_path / "bundle.tar.gz"
    pages = {"/metrics": write_page(canary), "/v1/models": f'{{"data":[{{"id":"{canary()}"}}]}}'}
    with serve_http(lambda target: pages.get(target.partition("/proxy")[2] or target)) as port:
        serve_pod(stage, port)
        told = run_in_every_format(tmp_path, "diagnose", *where)
    with serve_http(lambda target: answer_as_prometheus(canary, target)) as port:
        url = f"http://127.0.0.1:{port}"
        told += run_in_every_format(tmp_path, "diagnose", "--prometheus", url, *where)
    for words in (("--watch", "--wait", "1s"), ("--since", "2h")):
        ended = run_inside("diagnose", *words, *where)
        told += ended.out + ended.err
    for ended in (
        run_inside("snapshot", recording, "--workloads", *where),
        run_inside("snapshot", bundle, "--bundle", *where),
    ):
        told += ended.out + ended.err
    told += recording.read_text() + read_bundle(bundle)
    told += run_in_every_format(tmp_path, "diagnose", "--snapshot", recording)
    assert len(canary.tokens) >= 60
    assert list_leaks(told, canary.tokens) == []
    assert not [word for word in (KEY, CUT[:10], CUT[-10:]) if word in told]
    assert "[hidden]" in told


def read_bundle(file: Path) -> str:
    with tarfile.open(file) as archive:
        return "".join(archive.extractfile(member).read().decode() for member in archive)  # type: ignore[union-attr]


def spoil(stage: Stage, canary: Canaries) -> None:
    """Put a secret wherever an object, an event or a log holds text."""
    status = crashed(1, reason=canary(as_label=True))
    container = status["containerStatuses"][0]
    container["lastState"]["terminated"]["message"] = f"died of {canary()}"
    container["state"]["waiting"]["message"] = f"waits for {canary()}"
    waits = make_condition("Initialized", "False", canary(as_label=True), f"not ready: {canary()}")
    status["conditions"].append(waits)
    status |= {"message": canary(), "reason": canary(as_label=True)}
    stage.deploy(ready=False, status=status, spec=make_spec(canary), labels={"note": canary(as_label=True)})
    stage.log(write_log(canary))
    for kind, name in (("Pod", POD), ("Node", NODE), ("PersistentVolumeClaim", "cache")):
        stage.tell(kind, name, canary(as_label=True), f'cannot, token="{canary()}" {canary()}')
    stage.claim("cache", "Pending", storageClassName=None)
    broken = make_condition("Ready", "False", "Because", f"no login with {canary()}")
    taint = {"key": "note", "value": canary(as_label=True), "effect": "NoSchedule"}
    node = make_object("Node", "other", annotations={"token": canary()}, status={"conditions": [broken]})
    stage.cluster.apply({**node, "spec": {"taints": [taint]}})
    graph = {"components": [{"name": "worker", "type": "worker"}]}
    state = {"state": f"failed: {canary()}", "conditions": [broken | {"message": canary()}]}
    stage.put("nvidia.com/v1beta1 DynamoGraphDeployment", "other", None, spec=graph, status=state)


def spoil_others(stage: Stage, canary: Canaries) -> None:
    """The same of every other kind that is read: conditions, templates, annotations, events of each."""

    def make_trouble(kind: str, status: str = "False") -> Object:
        return make_condition(kind, status, canary(as_label=True), f"it is late: {canary()}")

    labels, notes = {"app": "other"}, {"note": canary(), "other": f"password: {canary()}"}
    template = {"metadata": {"labels": labels, "annotations": notes}, "spec": make_spec(canary)}
    template["spec"].pop("nodeName")
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    for kind in ("Deployment", "ReplicaSet", "StatefulSet"):
        status = {"replicas": 1, "observedGeneration": 9, "conditions": [make_trouble("Progressing")]}
        stage.put(f"apps/v1 {kind}", "other", None, spec=spec, status=status, annotations=notes)
    job = {"template": {"spec": template["spec"] | {"restartPolicy": "Never"}}}
    over = [make_trouble(name, "True") for name in ("FailureTarget", "Failed")]
    stage.put("batch/v1 Job", "other", None, spec=job, status={"conditions": over, "startTime": ago(300)})
    request = {"phase": "Failed", "conditions": [make_trouble("Profiling"), make_trouble("Succeeded")]}
    kind = "nvidia.com/v1beta1 DynamoGraphDeploymentRequest"
    stage.put(kind, "other", None, spec={"model": canary(), "image": canary()}, status=request)
    ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    parent = {"parentRef": ref, "controllerName": "example.com/g", "conditions": [make_trouble("Accepted")]}
    stage.put(
        "gateway.networking.k8s.io/v1 HTTPRoute",
        "other",
        None,
        spec={"parentRefs": [{"name": "edge"}], "hostnames": ["other.example"]},
        status={"parents": [parent]},
        annotations=notes,
    )
    stage.cluster.apply(make_object("v1 ConfigMap", "other", stage.namespace, data={"token": canary()}))
    for kind in ("Deployment", "ReplicaSet", "StatefulSet", "Job", "DynamoGraphDeployment"):
        stage.tell(kind, "other", "FailedCreate", f"cannot create: {canary()}")


def serve_pod(stage: Stage, port: int) -> None:
    """A frontend that is ready, and serves on this port of this machine."""
    container = {"name": "main", "image": IMAGE, "ports": [{"containerPort": port}]}
    status = running(900, ready=True) | {"podIP": find_own_address()}
    labels = {"nvidia.com/dynamo-component-type": "frontend"}
    spec = {"containers": [container], "nodeName": NODE}
    stage.cluster.pod("front", stage.namespace, node=NODE, spec=spec, status=status, labels=labels)


def write_page(canary: Canaries) -> str:
    lines = [f'vllm:num_requests_waiting{{model_name="{canary()}",engine="{canary()}"}} 40']
    return "\n".join([*lines, f"# HELP vllm:other {canary()}", f'other{{a="{canary()}"}} x{canary()}', ""])


def answer_as_prometheus(canary: Canaries, target: str) -> str:
    """A series that names secrets, and now and then an error that does."""
    if "offset" in target:
        return json.dumps({"status": "error", "errorType": canary(), "error": f"bad token {canary()}"})
    metric = {"__name__": "vllm:num_requests_waiting", "pod": "front", "model_name": canary()}
    series = [{"metric": metric, "value": [0, "40"]}]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": series}})


def make_spec(canary: Canaries) -> Object:
    container = {
        "name": "main",
        "image": f"registry.example/{canary(as_label=True).lower()}:1",
        "args": ["--api-key", canary()],
        "env": [{"name": "HF_TOKEN", "value": canary()}, {"name": "PLAIN", "value": canary()}],
    }
    return {"containers": [container], "nodeName": NODE, "nodeSelector": {"pool": canary(as_label=True)}}


def write_log(canary: Canaries) -> str:
    before, after = "x " * 147, " y" * 400  # the secret stands where the line is cut
    key = f"-----BEGIN PRIVATE KEY-----\n{KEY}\n{KEY}\n-----END PRIVATE KEY-----"
    lines = [
        f"INFO starting with {canary()}",
        f"HF_TOKEN={canary()} python3 -m dynamo.vllm --api-key {canary()}",
        f'{{"level": "error", "password": "{canary()}", "message": "{canary()}"}}',
        f"redis://me:{canary()}@cache:6379 refused",
        f"Authorization: Bearer {canary()}",
        f"{before}{CUT}{after}",
        key,
        f"KeyError: no such model for {canary()}",
    ]
    return "\n".join(lines)
