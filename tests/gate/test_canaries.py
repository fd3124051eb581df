"""Secrets in every place where they can be come out in no format, as they are, in base64 or as in a URL."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from dynocheck.core import snapshot
from dynocheck.core.knowledge import Knowledge
from dynocheck.core.registry import load
from dynocheck.facts import NodeReports
from dynocheck.reports import FORMATS
from tests.checks.node.test_cluster import make_node, record
from tests.command import ROOT, run_inside

FORMS: dict[str, Callable[[str], str]] = {
    "plain": lambda token: token,
    "base64": lambda token: base64.b64encode(f"user:{token}".encode()).decode(),
    "url": lambda token: quote(f"redis://:{token}%@cache", safe=""),
}
ONE_FORM = [pytest.param(form, marks=() if form == "url" else pytest.mark.verify) for form in FORMS]
# Where in a manifest; `{}` stands for the secret, and each has one of its own.
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: engine
  labels: {{label: "{}"}}
  annotations: {{note: "{}", other: "password: {}"}}
spec:
  selector: {{matchLabels: {{label: "{}"}}}}
  template:
    metadata: {{labels: {{label: "{}"}}}}
    spec:
      nodeSelector: {{pool: "{}"}}
      serviceAccountName: "{}"
      containers:
      - name: "main-{}"
        image: "registry.example/{}:1"
        command: [python3, -m, dynamo.vllm]
        args: [--model, "{}", --tensor-parallel-size, "{}", --no-such-flag, "{}", --api-key, "{}"]
        env: [{{name: HF_TOKEN, value: "{}"}}, {{name: PLAIN, value: "{}"}}]
        volumeMounts: [{{name: "{}", mountPath: "/x/{}"}}]
        resources: {{requests: {{memory: "{}"}}, limits: {{"{}": 1}}}}
      volumes: [{{name: claim, persistentVolumeClaim: {{claimName: "{}"}}}}]  # dynocheck: ignore[no.such] {}
---
apiVersion: v1
kind: Secret
metadata: {{name: s}}
data: {{k: "{}"}}
stringData: {{k: "{}"}}
"""


def plant(template: str, form: str) -> tuple[str, list[str]]:
    """A template filled in with secrets of its own, and these."""
    tokens = [f"hf_Canary{form}{number:03}QwErTyUiOp" for number in range(template.count("{}"))]
    return template.format(*map(FORMS[form], tokens)), tokens


def list_leaks(text: str, tokens: list[str]) -> list[str]:
    """The secrets that a text gives away."""
    forms = {token: [encode(token) for encode in FORMS.values()] for token in tokens}
    return [token for token, words in forms.items() if any(word in text for word in (token, *words))]


@pytest.mark.parametrize("form", FORMS)
def test_a_recipe(tmp_path: Path, form: str) -> None:
    text, tokens = plant(MANIFEST, form)
    (tmp_path / "deploy.yaml").write_text(text)
    (tmp_path / "README.md").write_text(f"```sh\nkubectl apply -f {FORMS[form](tokens[0])}.yaml\n```\n")
    for name in FORMATS:
        ended = run_inside("recipe", tmp_path, "-v", "-o", name)
        assert ended.code == 1
        assert list_leaks(ended.out + ended.err, tokens) == [], name
    run_inside("recipe", tmp_path, "--write-baseline", tmp_path / "old.json")
    assert list_leaks((tmp_path / "old.json").read_text(), tokens) == []


def walk_texts(value: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every text in a snapshot's facts that says something in words: where it is, and what holds it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if isinstance(item, str) and key in ("message", "reason", "state", "release", "product"):
            yield f"{path}.{key}", value, key
        yield from walk_texts(item, f"{path}.{'*' if isinstance(key, int) else key}")


@pytest.mark.parametrize("form", FORMS)
def test_a_cluster(tmp_path: Path, form: str) -> None:
    recorded = json.loads((ROOT / "dynocheck/data/demo.json").read_text())
    places = list({path: (holder, key) for path, holder, key in walk_texts(recorded["facts"])}.values())
    places += [(item["labels"], "note") for item in recorded["facts"]["Nodes"]["items"][:1]]
    parameters = recorded["facts"]["StorageClasses"]["items"][0]["parameters"]
    places += [(parameters, name) for name in ("adminPassword", "restuserkey", "server", "csi.example/token")]
    tokens = [f"hf_Canary{form}{number:03}QwErTyUiOp" for number in range(len(places))]
    for (holder, key), token in zip(places, tokens, strict=True):
        holder[key] = FORMS[form](token)
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps(recorded))
    for name in FORMATS:
        ended = run_inside("preflight", "--snapshot", file, "-v", "-o", name)
        assert ended.code in (0, 1, 3), ended.err
        assert list_leaks(ended.out + ended.err, tokens) == [], name
    facts, target = snapshot.read(file, [probe.provides for probe in load(installed=False).probes])
    assert list_leaks(snapshot.encode(Knowledge(facts.facts), target).decode(), tokens) == []


def test_a_secret_by_its_name_alone(tmp_path: Path) -> None:
    recorded = json.loads((ROOT / "dynocheck/data/demo.json").read_text())
    parameters = recorded["facts"]["StorageClasses"]["items"][0]["parameters"]
    parameters |= {"adminPassword": "plumage", "restuserkey": "feathers", "secretName": "kept"}
    (tmp_path / "c.json").write_text(json.dumps(recorded))
    facts, target = snapshot.read(
        tmp_path / "c.json", [probe.provides for probe in load(installed=False).probes]
    )
    written = snapshot.encode(Knowledge(facts.facts), target).decode()
    assert ("plumage" in written, "feathers" in written, "kept" in written) == (False, False, True)


def fill_texts(value: Any, make: Callable[[], str]) -> None:
    """Put a text into every place of recorded facts that has or may have one, but the names of nodes."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        if isinstance(item, str) or (item is None and key in ("unseen", "fix", "absent", "fault", "unread")):
            value[key] = make()
        fill_texts(item, make)


@pytest.mark.parametrize("form", ONE_FORM)
def test_what_nodes_said(tmp_path: Path, form: str) -> None:
    file = record(tmp_path / "nodes.json", *(make_node(f"gpu-{number}") for number in range(3)))
    recorded = json.loads(file.read_text())
    tokens: list[str] = []

    def make() -> str:
        tokens.append(f"hf_Canary{form}{len(tokens):03}QwErTyUiOp")
        return FORMS[form](tokens[-1])

    first, second, third = recorded["facts"]["NodeReports"]["items"]
    fill_texts(first, make)
    for report in (second, third):
        report["gpus"]["devices"] = report["gpus"]["devices"][:1]
        fill_texts(report, make)
        report["unseen"] = make() if report is third else None
    demo = ROOT / "dynocheck/data/demo.json"
    third["name"] = json.loads(demo.read_text())["facts"]["Nodes"]["items"][0]["name"]  # else it is refused
    file.write_text(json.dumps(recorded))
    outputs = [word for name in FORMATS for word in ("-o", f"{name}={tmp_path / name}")]
    for words in ("node --cluster --snapshot", f"preflight --snapshot {demo} --with"):
        ended = run_inside(*words.split(), file, "-v", *outputs)
        assert ended.code in (0, 1, 3), ended.err
        told = "".join((tmp_path / name).read_text() for name in FORMATS) + ended.out + ended.err
        assert "[hidden]" in told
        assert list_leaks(told, tokens) == []
    assert len(tokens) >= 60
    facts, target = snapshot.read(file, [NodeReports])
    assert list_leaks(snapshot.encode(Knowledge(facts.facts), target).decode(), tokens) == []
