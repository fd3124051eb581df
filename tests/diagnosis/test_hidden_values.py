"""Secrets in pod templates, ConfigMaps and metrics come out of no report of diagnose and no recording."""

import base64
import tarfile
from pathlib import Path
from urllib.parse import quote

import pytest

from dynocheck.cli import main
from tests.clusters.objects import make_condition, make_object
from tests.diagnosis.pages import find_own_address, serve_http
from tests.diagnosis.stage import IMAGE, POD, Stage, crashed, running

FORMS = ("table", "json", "junit", "sarif", "markdown", "html", "github")


def make_canary(number: int) -> str:
    """A token of the hub's form, another one for each place."""
    return f"hf_{number:02}" + "bWFkZXVwZm9ydGVzdHMQqZzXxWwKkJj"[: 30 - number % 3]


def encode(canary: str) -> set[str]:
    encoded = base64.b64encode(canary.encode()).decode()
    return {canary, encoded, quote(encoded, safe=""), quote(f"token={canary}", safe="")}


def plant(stage: Stage, port: int) -> list[str]:
    """A deployment with a canary in each field, message, line and page that is read."""
    canaries: list[str] = []

    def plant_one(shape: str = "{}") -> str:
        canaries.append(make_canary(len(canaries)))
        return shape.format(canaries[-1])

    env = [
        {"name": "HF_TOKEN", "value": plant_one()},
        {"name": "MODEL_URL", "value": plant_one("https://x:{}@hub.example/m")},
        {"name": "EXTRA", "value": base64.b64encode(plant_one().encode()).decode()},
    ]
    container = {
        "name": "main",
        "image": IMAGE,
        "env": env,
        "command": ["sh", "-c", plant_one("vllm serve --api-key {}")],
        "args": ["--hf-token", plant_one(), plant_one("--token={}")],
    }
    status = crashed(1, message=plant_one("ended with {}"))
    status["conditions"] = [*status["conditions"], make_condition("Held", "True", "R", plant_one())]
    stage.deploy(ready=False, spec={"containers": [container]}, status=status)
    labels = {"app": "front"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": labels}, "template": template, "replicas": 1}
    told = [make_condition("Progressing", "False", "Slow", plant_one("late: {}"))]
    counts = {"replicas": 1, "observedGeneration": 9, "conditions": told}
    stage.put("apps/v1 Deployment", "front", None, spec=spec, status=counts)
    data = {"token": plant_one(), "engine.yaml": plant_one("api_key: {}")}
    stage.cluster.apply(make_object("v1 ConfigMap", "engine", stage.namespace, data=data))
    for kind, name, reason in (
        ("Pod", POD, "BackOff"),
        ("Pod", POD, "FailedMount"),
        ("ReplicaSet", f"{POD}", "FailedCreate"),
        ("Deployment", "front", "ReplicaFailure"),
    ):
        stage.tell(kind, name, reason, plant_one("it said {}"))
    lines = [
        plant_one("INFO using token {}"),
        plant_one("GET https://hub.example/m?token={}"),
        f"INFO {base64.b64encode(plant_one().encode()).decode()}",
        plant_one("Authorization: Bearer {}"),
        plant_one("KeyError: no such model for {}"),
    ]
    stage.log("\n".join(lines))
    serving = {"name": "main", "image": IMAGE, "ports": [{"containerPort": port}]}
    stage.cluster.pod(
        "front-0",
        stage.namespace,
        node="stage",
        spec={"containers": [serving], "nodeName": "stage"},
        status=running(900, ready=True) | {"podIP": find_own_address()},
        labels={"nvidia.com/dynamo-component-type": "frontend"},
    )
    return canaries


@pytest.mark.parametrize("encoded", [False, True], ids=["reports", "recordings"])
def test_no_canary_comes_out(stage: Stage, encoded: bool, capsys: pytest.CaptureFixture[str]) -> None:
    served = [make_canary(number) for number in (90, 91)]
    metrics = f'vllm:num_requests_waiting{{model_name="{served[0]}"}} 40\n'
    models = f'{{"data":[{{"id":"{served[1]}"}}]}}'
    pages = {"/metrics": metrics, "/v1/models": models}
    with serve_http(lambda target: pages.get(target.partition("/proxy")[2] or target)) as port:
        canaries = [*plant(stage, port), *served]
        config = str(stage.cluster.kubeconfig(namespace=stage.namespace))
        written = [stage.logs / "old.json", stage.logs / "support.tar.gz"]
        main(["snapshot", str(written[0]), "--workloads", "--select", "symptom", "--kubeconfig", config])
        if encoded:
            bundle = ["--bundle", "--select", "symptom", "--kubeconfig", config]
            main(["snapshot", str(written[1]), *bundle])
        else:
            outputs = [word for form in FORMS for word in ("-o", f"{form}={stage.logs / form}")]
            main(["diagnose", "-v", "--since", "1h", "--kubeconfig", config, *outputs])
            main(["diagnose", "-v", "--compare", str(written[0]), "--kubeconfig", config])
            written += [stage.logs / form for form in FORMS]
    printed = capsys.readouterr()
    texts = [printed.out, printed.err, *(read(file) for file in written if file.exists())]
    assert len(canaries) == 22
    found = {c for c in canaries for form in encode(c) for text in texts if form in text}
    assert found == set()


def read(file: Path) -> str:
    if file.suffix != ".gz":
        return file.read_text()
    with tarfile.open(file) as archive:
        return "\n".join(archive.extractfile(each).read().decode() for each in archive)  # type: ignore[union-attr]
