"""Pods that really broke, on the real node of the tests: their cause is named, alone."""

import json
from pathlib import Path

import pytest

from dynocheck.cli import main
from tests.diagnosis.replay import replay
from tests.node.recordings import FOLDER

# The check that names the cause, its outcome, the object, and a part of the message.
CAUSES = {
    "claim-missing": ("symptom.claim", "fail", "model-cache", "does not exist"),
    "config-key-missing": ("symptom.start", "fail", "worker", "ConfigMap engine has no key missing"),
    "crash": ("symptom.crash", "fail", "worker", "fatal: no model"),
    "evicted-for-disk": ("symptom.ended", "fail", "worker", "EmptyDir"),
    "gpu-missing": ("symptom.unscheduled", "fail", "worker", "Insufficient nvidia.com/gpu"),
    "image-missing": ("symptom.image", "fail", "worker", "does not reach the registry"),
    "init-hangs": ("symptom.start", "warn", "worker", "waiting for etcd"),
    "name-wrong": ("symptom.crash", "fail", "worker", "name is not resolved"),
    "node-full": ("symptom.unscheduled", "fail", "worker", "Insufficient cpu"),
    "out-of-memory": ("symptom.crash", "fail", "worker", "limit of 20Mi"),
    "pod-security": ("symptom.creation", "fail", "worker", "level restricted"),
    "port-in-use": ("symptom.crash", "fail", "worker", "another process has the port"),
    "probe-refused": ("symptom.not-ready", "warn", "worker", "connection refused"),
    "probe-too-early": ("symptom.crash", "warn", "worker", "liveness probe failed"),
    "pull-secret-wrong": ("symptom.image", "fail", "worker", "without valid credentials"),
    "quota": ("symptom.creation", "fail", "worker", "quota none"),
    "read-only-files": ("symptom.crash", "fail", "worker", "read-only"),
    "secret-missing": ("symptom.start", "fail", "worker", "Secret hf-token does not exist"),
    "taint": ("symptom.unscheduled", "fail", "worker", "untolerated taint"),
    "claim-unbound": ("symptom.claim", "fail", "model-cache", "fast-shared"),
    "config-volume-missing": ("symptom.start", "fail", "worker", "ConfigMap engine does not exist"),
    "download-fails": ("symptom.crash", "fail", "download", "gated"),
    "download-too-slow": ("symptom.workload", "fail", "download", "deadline"),
    "ends-well": ("symptom.crash", "fail", "worker", "ended without an error"),
    "folder-missing": ("symptom.start", "fail", "worker", "has no /mnt/models"),
    "gated": ("symptom.unscheduled", "warn", "worker", "example.com/quota"),
    "host-port": ("symptom.unscheduled", "fail", "worker", "free ports"),
    "image-misspelt": ("symptom.image", "fail", "worker", "not valid"),
    "image-never": ("symptom.image", "fail", "worker", "may not pull"),
    "init-crashes": ("symptom.crash", "fail", "worker", "fatal: no bucket"),
    "limit-range": ("symptom.creation", "fail", "worker", "LimitRange"),
    "memory-disk-full": ("symptom.crash", "fail", "worker", "is full"),
    "module-missing": ("symptom.crash", "fail", "worker", "not in the image"),
    "no-such-node": ("symptom.unscheduled", "fail", "worker", "selector"),
    "not-permitted": ("symptom.crash", "fail", "worker", "may not read or write"),
    "one-a-node": ("symptom.unscheduled", "fail", "worker", "anti-affinity"),
    "one-of-two": ("symptom.crash", "fail", "worker", "container main crashes"),
    "priority-missing": ("symptom.creation", "fail", "worker", "PriorityClass inference"),
    "program-missing": ("symptom.crash", "fail", "worker", "no program vllm"),
    "root-not-allowed": ("symptom.start", "fail", "worker", "runAsNonRoot"),
    "runtime-missing": ("symptom.start", "fail", "worker", "no handler nvidia"),
    "secret-key-missing": ("symptom.start", "fail", "worker", "no key HF_TOKEN"),
    "segmentation-fault": ("symptom.crash", "fail", "worker", "segmentation fault"),
    "service-account-missing": ("symptom.creation", "fail", "worker", "account dynamo"),
    "startup-too-short": ("symptom.crash", "fail", "worker", "startup probe failed"),
    "tag-missing": ("symptom.image", "fail", "worker", "no such image or tag"),
    "wrong-architecture": ("symptom.crash", "fail", "worker", "processor architecture"),
}


def test_every_recording_has_its_cause() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} - {"cluster"} == CAUSES.keys()


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_named(name: str, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    with replay(FOLDER / f"{name}.json", tmp_path) as config:
        main(["diagnose", "--kubeconfig", str(config), "-o", f"json={file}"])
    verdicts = json.loads(file.read_text())["verdicts"]
    findings = [(v["check"], f) for v in verdicts for f in v["findings"] if not f.get("explained_by")]
    check, outcome, subject, says = CAUSES[name]
    assert [(c, f["outcome"]) for c, f in findings] == [(check, outcome)]
    assert findings[0][1]["subject"]["name"].startswith(subject)
    assert says in findings[0][1]["message"]
    assert findings[0][1]["fix"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.verify] * (i % 6 != 3)) for i, name in enumerate(CAUSES)]
)
def test_nothing_is_named_once_the_cause_is_gone(name: str, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    with replay(FOLDER / f"{name}.json", tmp_path, mended=True) as config:
        main(["diagnose", "--kubeconfig", str(config), "-o", f"json={file}"])
    verdicts = json.loads(file.read_text())["verdicts"]
    assert [(v["check"], f["message"]) for v in verdicts for f in v["findings"]] == []
