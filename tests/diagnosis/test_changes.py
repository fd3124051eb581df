"""What changed between a deployment that served and one that does not: --compare and --since."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from dynocheck.cli import main
from tests.clusters.objects import make_object
from tests.diagnosis.stage import IMAGE, NODE, WORKER, Stage, ago, running


def list_changes(stage: Stage, *words: str) -> list[dict[str, Any]]:
    file = stage.logs / "report.json"
    config = str(stage.cluster.kubeconfig(namespace=stage.namespace))
    main(["diagnose", "--kubeconfig", config, "-o", f"json={file}", *words])
    tables = json.loads(file.read_text()).get("tables", [])
    found = [table for table in tables if table["id"] == "symptom.changes"]
    return [dict(zip(table["columns"], row, strict=True)) for table in found for row in table["rows"]]


def record(stage: Stage) -> Path:
    config = str(stage.cluster.kubeconfig(namespace=stage.namespace))
    file = stage.logs / "served.json"
    main(["snapshot", str(file), "--workloads", "--select", "symptom", "--kubeconfig", config])
    return file


def change_worker(stage: Stage, **container: Any) -> None:
    """Give the worker's Deployment another container."""
    labels = {"app": WORKER}
    containers = [{"name": "main", "image": IMAGE, **container}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"selector": {"matchLabels": labels}, "template": template, "replicas": 1}
    stage.cluster.apply(make_object("apps/v1 Deployment", WORKER, stage.namespace, spec=spec))


def put_config_map(stage: Stage, text: str) -> None:
    stage.cluster.apply(make_object("v1 ConfigMap", "engine", stage.namespace, data={"engine.yaml": text}))


def test_what_differs_from_a_recording(stage: Stage) -> None:
    put_config_map(stage, "max_batch_size: 8")
    stage.deploy(ready=True, status=running(900, ready=True))
    served = record(stage)
    assert list_changes(stage, "--compare", str(served)) == []

    put_config_map(stage, "max_batch_size: 800")
    env = [{"name": "DYN_REQUEST_PLANE", "value": "nats"}, {"name": "HF_TOKEN", "value": "hf_madeup"}]
    change_worker(stage, image=f"{IMAGE}-dev", args=["--max-model-len", "9"], env=env)
    changes = {(row["object"], row["change"]): row for row in list_changes(stage, "--compare", str(served))}
    of_worker = f"Deployment {WORKER}"
    assert {
        (of_worker, "containers.main.image"),
        (of_worker, "containers.main.args"),
        (of_worker, "containers.main.env.DYN_REQUEST_PLANE.value"),
        ("ConfigMap engine", "engine.yaml"),
    } <= changes.keys()
    image = changes[of_worker, "containers.main.image"]
    assert (image["before"], image["after"]) == (IMAGE, f"{IMAGE}-dev")
    assert changes[of_worker, "containers.main.args"]["after"] == "--max-model-len 9"
    assert "hf_madeup" not in json.dumps(list(changes.values()))


def test_a_driver_that_changed_on_the_node(stage: Stage) -> None:
    label = "nvidia.com/cuda.driver-version.full"
    stage.cluster.apply(make_object("v1 Node", NODE, labels={label: "570.1"}))
    stage.deploy(ready=True, status=running(900, ready=True))
    served = record(stage)
    stage.cluster.apply(make_object("v1 Node", NODE, labels={label: "580.2"}))
    changes = list_changes(stage, "--compare", str(served))
    assert [(c["object"], c["change"], c["before"], c["after"]) for c in changes] == [
        (f"Node {NODE}", label, "570.1", "580.2")
    ]


def test_what_changed_since_a_moment(stage: Stage) -> None:
    stage.deploy(ready=True, status=running(900, ready=True))
    time.sleep(1.1)  # moments of objects are whole seconds
    moment = ago(0)
    time.sleep(1.1)
    put_config_map(stage, "x")
    path = f"/apis/apps/v1/namespaces/{stage.namespace}/deployments/{WORKER}"
    labels = {"app": WORKER}
    containers = [{"name": "main", "image": f"{IMAGE}-dev"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"selector": {"matchLabels": labels}, "template": template, "replicas": 1}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment"} | stage.cluster.get(path)
    stage.put("apps/v1 ReplicaSet", f"{WORKER}-8d0", owner, spec=spec)
    changes = list_changes(stage, "--since", moment)
    assert ("ConfigMap engine", "created") in {(row["object"], row["change"]) for row in changes}
    assert [
        (row["change"], row["before"], row["after"])
        for row in changes
        if row["object"] == f"Deployment {WORKER}"
    ] == [("containers.main.image", IMAGE, f"{IMAGE}-dev")]


@pytest.mark.parametrize(
    "words", [["--since", "soon"], ["--compare", "none.json"], ["--since", "1h", "--compare", "x"]]
)
def test_what_cannot_be_compared(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", *words]) == 2
    assert words[0] in capsys.readouterr().err or "none.json" in words
