"""Whether objects that pods name are made: each kind by a right name, a wrong one, and where none is made."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.manifest.references import references
from tests.checks.judging import deploy, outcomes, places, recipes
from tests.checks.manifests import config_map, dump_objects, engine, graph, mount_config


def name_config(name: str, key: str = "a.yaml", **more: Any) -> dict[str, Any]:
    """A graph whose worker has a variable of this key."""
    source = {"configMapKeyRef": {"name": name, "key": key, **more}}
    return graph(engine(main={"env": [{"name": "SETTING", "valueFrom": source}]}))


def name_in_pod(**pod: Any) -> dict[str, Any]:
    return graph(engine(pod=pod))


def make(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields}


def claim_template(name: str) -> dict[str, Any]:
    return name_in_pod(resourceClaims=[{"name": "channel", "resourceClaimTemplateName": name}])


def secret(name: str, key: str = "TOKEN") -> dict[str, Any]:
    source = {"secretKeyRef": {"name": name, "key": key}}
    return graph(engine(main={"env": [{"name": "TOKEN", "valueFrom": source}]}))


CONFIG = config_map("settings", a="b: c")
DOMAIN = make("ComputeDomain", "d", spec={"channel": {"resourceClaimTemplate": {"name": "channel"}}})
TOKENS = make("Secret", "tokens", stringData={"TOKEN": "set-me"})
VOLUME = {"name": "v", "configMap": {"name": "settings", "items": [{"key": "b.yaml", "path": "b"}]}}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([name_config("settings"), CONFIG], []),
        ([name_config("setings"), CONFIG], ["fail"]),
        ([name_config("other"), CONFIG], ["fail"]),
        ([name_config("settings")], ["warn"]),
        ([name_config("settings", "b.yaml"), CONFIG], ["fail"]),
        ([name_config("other", optional=True), CONFIG], ["skip"]),
        ([name_in_pod(volumes=[VOLUME]), CONFIG], ["fail"]),
        ([claim_template("channel"), DOMAIN], []),
        ([claim_template("chanel"), DOMAIN], ["fail"]),
        ([claim_template("channel"), make("ResourceClaimTemplate", "channel")], []),
        ([claim_template("channel")], ["warn"]),
        ([name_in_pod(serviceAccountName="runner"), make("ServiceAccount", "runner")], []),
        ([name_in_pod(serviceAccountName="runer"), make("ServiceAccount", "runner")], ["fail"]),
        ([name_in_pod(serviceAccountName="planner-serviceaccount")], []),
        ([name_in_pod(priorityClassName="high")], ["warn"]),
        ([name_in_pod(priorityClassName="system-node-critical")], []),
        ([secret("hf-token-secret")], []),
        ([secret("mine")], []),
        ([secret("tokens"), TOKENS], []),
        ([secret("token"), TOKENS], ["fail"]),
        ([secret("tokens", "KEY"), TOKENS], ["fail"]),
        ([secret("wandb"), TOKENS], ["warn"]),
        ([secret("hf-token-secret"), TOKENS], []),
        ([name_config("${NAME}"), CONFIG], ["skip"]),
        ([graph(engine())], ["skip"]),
    ],
)
def test_references(tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]) -> None:
    assert outcomes(references, deploy(tmp_path, *objects)) == expected


def test_a_name_is_told_once_where_it_stands(tmp_path: Path) -> None:
    one = name_config("setings")
    one["spec"]["components"].append({**one["spec"]["components"][-1], "name": "x"})
    (found,) = places(references, deploy(tmp_path, one, CONFIG))
    assert found[0] == "fail"


def test_unrelated_manifests_are_not_siblings(tmp_path: Path) -> None:
    pods = [make("Pod", n, spec={"containers": [], "serviceAccountName": n}) for n in ("one", "other")]
    given = recipes(
        tmp_path,
        a=dump_objects(pods[0], make("ServiceAccount", "one")),
        b=dump_objects(pods[1]),
    )
    assert outcomes(references, given) == ["warn"]


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("settings", "/etc/engine/a.yaml", []),
        ("settings", "/etc/engine/b.yaml", ["fail"]),
        ("settings", "/elsewhere/b.yaml", []),
        ("other", "/etc/engine/b.yaml", ["warn"]),
    ],
)
def test_the_file_of_an_engine_is_in_the_map_that_is_mounted(
    tmp_path: Path, name: str, path: str, expected: list[str]
) -> None:
    worker = engine("--config", path, **mount_config(name, "/etc/engine"))
    objects = [graph(worker), *([CONFIG] if name == "settings" else [])]
    assert outcomes(references, deploy(tmp_path, *objects)) == expected


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        ("engine/worker.yaml", "/etc", []),
        ("engine/decode.yaml", "/etc", ["fail"]),
        ("./decode.yaml", "/etc/engine", ["fail"]),
        ("engine/decode.yaml", "/opt", []),  # maybe in the image
        ("engine/decode.yaml", "", []),  # in the image's folder, which is unknown
    ],
)
def test_the_file_of_an_engine_is_sought_from_its_working_directory(
    tmp_path: Path, path: str, folder: str, expected: list[str]
) -> None:
    mounted = mount_config("settings", "/etc/engine")
    worker = engine("--config", path, main={**mounted["main"], "workingDir": folder}, pod=mounted["pod"])
    given = deploy(tmp_path, graph(worker), config_map("settings", worker="max-model-len: 1"))
    assert outcomes(references, given) == expected


def name_secret_as_config(name: str) -> dict[str, Any]:
    return graph(engine(main={"envFrom": [{"configMapRef": {"name": name}}]}))


@pytest.mark.parametrize(
    ("command", "one", "expected"),
    [
        ("generic tokens --from-literal=TOKEN=x", secret("tokens"), []),
        ("generic tokens --from-literal TOKEN=x -n a", secret("tokens"), []),
        ("generic tokens --from-literal=TOKEN=x", secret("tokens", "token"), ["fail"]),
        ("generic tokens --from-literal=TOKEN=x --from-file=token", secret("tokens", "token"), []),
        ("generic tokens --from-env-file=.env", secret("tokens", "token"), []),
        ("generic tokens --from-literal=TOKEN=x", name_secret_as_config("tokens"), ["warn"]),
    ],
)
def test_a_page_creates_a_secret_with_its_keys(
    tmp_path: Path, command: str, one: dict[str, Any], expected: list[str]
) -> None:
    (tmp_path / "README.md").write_text(f"# Use\n\n```bash\nkubectl create secret {command}\n```\n")
    assert outcomes(references, deploy(tmp_path, one)) == expected
