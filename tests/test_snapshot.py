"""Recordings of a cluster, judged elsewhere."""

import json
from pathlib import Path

import pytest

from tests.checks.manifests import dump_objects
from tests.command import dynocheck, usage_error
from tests.controlplane.server import ControlPlane


@pytest.fixture
def recording(fit_cluster: ControlPlane, tmp_path: Path) -> Path:
    path = tmp_path / "cluster.json"
    ended = dynocheck("snapshot", path, "--kubeconfig", fit_cluster.kubeconfig())
    assert ended.code == 0, ended.err
    return path


def test_a_recording_is_judged_like_its_cluster(fit_cluster: ControlPlane, recording: Path) -> None:
    live = dynocheck("preflight", "-o", "json", "--kubeconfig", fit_cluster.kubeconfig())
    recorded = dynocheck("preflight", "-o", "json", "--snapshot", recording, env={"KUBECONFIG": "/nowhere"})
    assert recorded.outcomes == live.outcomes
    assert recorded.code == live.code == 0
    target = {"cluster": fit_cluster.url, "snapshot": str(recording)}
    assert recorded.report["target"].items() >= target.items()


def test_a_recipe_is_judged_against_a_recording(recording: Path) -> None:
    ended = dynocheck("preflight", "--recipe", "recipes/qwen3-32b", "-o", "json", "--snapshot", recording)
    assert ended.outcomes["storage.default-class"] == "pass"
    assert ended.outcomes["storage.class-exists"] == "skip"


def test_what_could_not_be_seen_stays_unknown(fit_cluster: ControlPlane, tmp_path: Path) -> None:
    path = tmp_path / "cluster.json"
    nobody = fit_cluster.kubeconfig(fit_cluster.user("nobody"))
    taken = dynocheck("snapshot", path, "--kubeconfig", nobody)
    assert taken.code == 3
    assert "not recorded: StorageClasses: " in taken.err
    ended = dynocheck("preflight", "-o", "json", "--snapshot", path)
    assert ended.outcomes["storage.rwx-class"] == "unknown"
    message = ended.finding("storage.rwx-class")["message"]
    assert message.startswith("when the snapshot was taken: ")
    assert "storageclasses.storage.k8s.io is forbidden" in message


def test_a_fact_that_a_recording_lacks_is_unknown(recording: Path) -> None:
    content = json.loads(recording.read_text())
    del content["facts"]["Nodes"]
    recording.write_text(json.dumps(content))
    ended = dynocheck("preflight", "-o", "json", "--snapshot", recording)
    assert (ended.code, ended.outcomes["gpu.nodes-present"]) == (3, "unknown")


def test_recipes_are_recorded_without_their_secrets(fit_cluster: ControlPlane, tmp_path: Path) -> None:
    token = "hf_" + "abcdefghijklmnopqrstuvwx"
    recipe, path = tmp_path / "recipe", tmp_path / "cluster.json"
    recipe.mkdir()
    secret = {"name": "hf-token-secret", "annotations": {"note": token}}
    said = f"curl -H 'Authorization: Bearer {token}' x"
    env = [{"name": "API_KEY", "value": "open-sesame-please"}]
    container = {"name": "c", "image": "i", "env": env, "command": ["sh", "-c", said]}
    objects = (
        {"kind": "Secret", "metadata": secret, "stringData": {"HF_TOKEN": "open-sesame-please"}},
        {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}},
    )
    (recipe / "secret.yaml").write_text(dump_objects(*({"apiVersion": "v1", **each} for each in objects)))
    dynocheck("snapshot", path, "--recipe", recipe, "--kubeconfig", fit_cluster.kubeconfig())
    content = path.read_text()
    assert "hf-token-secret" in content
    assert token not in content
    assert "open-sesame" not in content
    ended = dynocheck("recipe", "-o", "json", "--snapshot", path)
    assert ended.outcomes["manifest.schema"] == "pass"


@pytest.mark.parametrize("content", ["", "[]", '{"schema": "dynocheck.snapshot/v1"}', "[" * 100_000])
def test_a_file_that_is_no_recording(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(content)
    assert f"{path}: not a snapshot" in usage_error("preflight", "--snapshot", path)


def test_a_recording_of_another_time(recording: Path) -> None:
    content = json.loads(recording.read_text())
    recording.write_text(json.dumps(content | {"schema": "dynocheck.snapshot/v9"}))
    assert "dynocheck.snapshot/v9" in usage_error("preflight", "--snapshot", recording)

    content["facts"]["Nodes"] = {"items": [{"name": 5}]}
    recording.write_text(json.dumps(content))
    assert "fact Nodes" in usage_error("preflight", "--snapshot", recording)
