"""Secrets that the objects and logs of a deployment hold come out of no verb in no format."""

import tarfile
from pathlib import Path

import pytest

from tests.clusters.objects import make_condition, make_object
from tests.command import run_inside
from tests.controlplane.api import Object
from tests.diagnosis.stage import NODE, POD, Stage, crashed
from tests.gate.test_canaries import list_leaks
from tests.gate.test_live_canaries import ONE_FORM, Canaries, run_in_every_format

KEY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj"  # the form of a private key's line
CUT = "hf_StraddlesThePlaceWhereALineIsCut0123"


@pytest.mark.parametrize("form", ONE_FORM)
def test_of_a_deployment(stage: Stage, tmp_path: Path, form: str) -> None:
    canary = Canaries(form)
    spoil(stage, canary)
    where = ("--kubeconfig", stage.cluster.kubeconfig(namespace=stage.namespace))
    recording, bundle = tmp_path / "recording.json", tmp_path / "bundle.tar.gz"
    told = run_in_every_format(tmp_path, "diagnose", *where)
    for ended in (
        run_inside("snapshot", recording, "--workloads", *where),
        run_inside("snapshot", bundle, "--bundle", *where),
    ):
        told += ended.out + ended.err
    told += recording.read_text() + read_bundle(bundle)
    told += run_in_every_format(tmp_path, "diagnose", "--snapshot", recording)
    assert len(canary.tokens) > 20
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
