"""That a real API server is of the same mind."""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from dynocheck.facts import Manifest, Role
from dynocheck.recipe.discover import load_recipes
from dynocheck.schema import validate, validate_component_pods
from dynocheck.schema.pods import list_component_pods
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.schema.causes import Cause, ask_server, find_lines
from tests.schema.mistakes import find_siblings, graft, mistaken
from tests.schema.samples import deployment, manifests, old_dgd, pod, render, said, service, worker

RECIPES = Path(__file__).parents[2] / "recipes"
CORPUS = RECIPES.parent.parent / "shared" / "corpus"
FOLDERS = [folder for folder in (RECIPES, CORPUS / "recipes") if folder.is_dir()]
OTHERS = [
    pytest.param(folder, marks=pytest.mark.verify)
    for folder in sorted(CORPUS.glob("*/"))
    if folder not in FOLDERS
]
CRDS = (
    "dynamo/main-2026-08/nvidia.com_dynamographdeploymentrequests.yaml",
    "dynamo/main-2026-08/nvidia.com_dynamographdeployments.yaml",
    "dynamo/main-2026-08/nvidia.com_dynamomodels.yaml",
    "gaie/v1.6.0/inference.networking.k8s.io_inferencepools.yaml",
    "gaie/v1.2.1/inference.networking.x-k8s.io_inferencepools.yaml",
    "gateway-api/v1.5.1/gateway.networking.k8s.io_gateways.yaml",
    "gateway-api/v1.5.1/gateway.networking.k8s.io_httproutes.yaml",
    "gpu-operator/resource.nvidia.com_computedomains.yaml",
    "prometheus-operator/monitoring.coreos.com_prometheusrules.yaml",
    "prometheus-operator/monitoring.coreos.com_servicemonitors.yaml",
)


def _read(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return read


REFUSED = _read("refused.yaml")


def _write(parts: dict[str, Any]) -> str:
    """A Service or Deployment with this spec, or a pod with this in its spec and its container."""
    if "service" in parts:
        return service(json.dumps(parts["service"])[1:-1])
    if "deployment" in parts:
        return deployment(json.dumps(parts["deployment"])[1:-1] + ", ")
    fields, container = (json.dumps(parts.get(key, {}))[1:-1] for key in ("pod", "container"))
    return pod(f"{fields}, " if fields else "", container=container)


BAD = {title: render(given) for title, given in _read("refused_as_written.yaml").items()}
BAD |= {title: _write(parts) for title, parts in REFUSED.items()}
GOOD = {title: render(given) for title, given in _read("accepted_as_written.yaml").items()}
OF_PODS = {title: parts for title, parts in REFUSED.items() if {*parts} <= {"pod", "container"}}

# A refusal for another reason than the schema of one object: the server did not look at everything.
ELSEWHERE = r"Invalid value: null: some validation rules were not checked because the object was invalid.*"


class Server:
    """Says of a manifest why a real API server would refuse it."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._kinds = cluster.discover()

    def serves(self, manifest: Manifest) -> bool:
        return (manifest.api_version, manifest.kind) in self._kinds

    def causes(self, item: Object, text: str = "") -> list[Cause]:
        return ask_server(self._cluster, item, text)

    def of_the_schema(self, causes: list[Cause]) -> list[Cause]:
        """The causes without those that are elsewhere's."""
        return [cause for cause in causes if not re.fullmatch(ELSEWHERE, cause.message, re.DOTALL)]


@pytest.fixture(scope="module")
def server(controlplane: ControlPlane, published_crds: Path) -> Iterator[Server]:
    """The real API server with the custom kinds defined."""
    before = controlplane.snapshot()
    controlplane.load_crds(*(published_crds / name for name in CRDS))
    yield Server(controlplane)
    controlplane.reset(before)


def compare(server: Server, text: str) -> tuple[list[Cause], list[str]]:
    (manifest,) = manifests(text)
    return server.causes(manifest.root.plain, text), said(text)


@pytest.mark.parametrize("title", BAD)
def test_the_server_refuses(server: Server, title: str) -> None:
    causes, ours = compare(server, BAD[title])
    assert causes
    assert ours


@pytest.mark.parametrize("title", GOOD)
def test_the_server_takes(server: Server, title: str) -> None:
    causes, ours = compare(server, GOOD[title])
    assert not causes
    assert not ours


@pytest.mark.parametrize("title", OF_PODS)
def test_a_template_is_judged_as_the_pod_that_is_made_of_it(title: str) -> None:
    fields, container = OF_PODS[title].get("pod", {}), OF_PODS[title].get("container", {})
    main = {"name": "main", "image": "i", **container}
    newer = yaml.safe_load(worker())
    newer["spec"]["components"][0]["podTemplate"] = {"spec": {**fields, "containers": [main]}}
    older = yaml.safe_load(old_dgd("extraPodSpec: {}"))
    older["spec"]["services"]["Worker"]["extraPodSpec"] = {**fields, "mainContainer": main}
    for graph in (newer, older):
        (manifest,) = manifests(json.dumps(graph))
        assert validate(manifest) or any(validate_component_pods(manifest))


def test_what_the_operator_adds_is_there() -> None:
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("shared-memory", "cache")]
    main = {"name": "main", "volumeMounts": mounts}
    newer = yaml.safe_load(worker("compilationCache: {pvcName: cache, mountPath: /c}, "))
    newer["spec"]["components"][0]["podTemplate"] = {"spec": {"containers": [main]}}
    older = yaml.safe_load(old_dgd("volumeMounts: [{name: cache, mountPoint: /c}]"))
    older["spec"]["services"]["Worker"]["extraPodSpec"] = {"mainContainer": main}
    for graph in (newer, older):
        (manifest,) = manifests(json.dumps(graph))
        assert [*validate_component_pods(manifest)] == []


def _without_namespace(manifest: Manifest) -> Object:
    item: Object = manifest.root.plain
    item["metadata"].pop("namespace", None)
    return item


def _applied(folder: Path) -> Iterator[Manifest]:
    for recipe in load_recipes([str(folder)]):
        for file in recipe.files:
            for manifest in file.manifests if file.role is Role.MANIFEST else ():
                if not any(file.is_open(value) for value in manifest.root.walk()):
                    yield manifest


@pytest.mark.parametrize(
    "folder", [*FOLDERS, *OTHERS], ids=lambda folder: f"{folder.parent.name}-{folder.name}"
)
def test_recipes_get_the_verdict_of_the_server(server: Server, folder: Path) -> None:
    for manifest in _applied(folder):
        if not server.serves(manifest):
            assert validate(manifest) is None
            continue
        causes = server.of_the_schema(server.causes(_without_namespace(manifest)))
        assert bool(validate(manifest)) == bool(causes), (manifest.file, causes, validate(manifest))


# Mistakes that nobody thought of

KINDS = (
    ("nvidia.com/v1alpha1", "DynamoGraphDeployment"),
    ("nvidia.com/v1beta1", "DynamoGraphDeployment"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "ConfigMap"),
    ("batch/v1", "Job"),
    ("v1", "Pod"),
)


@functools.cache
def _sources(version: str, kind: str) -> list[str]:
    """The objects of a kind that mistakes are made in, as JSON."""
    rich = manifests((Path(__file__).parent / "rich.yaml").read_text())
    real = [manifest for folder in FOLDERS for manifest in _applied(folder)]
    found = [m for m in rich * max(1, len(real) // 10) + real if (m.api_version, m.kind) == (version, kind)]
    if kind == "Pod":
        found += [each.manifest for manifest in rich + real for each in list_component_pods(manifest)]
    return [json.dumps(_of_a_bare_cluster(manifest)) for manifest in found]


def _of_a_bare_cluster(manifest: Manifest) -> Object:
    """An object without references that admission follows before the server validates."""
    item = _without_namespace(manifest)
    if manifest.kind == "Pod":
        for reference in ("runtimeClassName", "priorityClassName", "serviceAccountName"):
            item["spec"].pop(reference, None)
    return item


def _disagreement(server: Server, item: Object, *, at_place: bool = True) -> str | None:
    """How the server's verdict on an object differs from ours; with `at_place` its places count, too."""
    (manifest,) = manifests(json.dumps(item, ensure_ascii=False, indent=1))
    ours, causes = validate(manifest), server.causes(item)
    alone = server.of_the_schema(causes)
    if ours and not causes:
        return f"refused here alone: {ours}"
    if not ours and alone:
        return f"refused by the server alone: {alone}"
    lines = {violation.line for violation in ours or ()}
    if (
        at_place
        and ours
        and all(cause.field and not lines & find_lines(manifest.root, cause.field) for cause in alone)
    ):
        return f"refused here for {ours}, by the server for {alone}"
    return None


@pytest.mark.parametrize(
    ("count", "seed"), [(12, 1), pytest.param(2000, 2, marks=pytest.mark.verify)], ids=["a sample", "all"]
)
@pytest.mark.parametrize(("version", "kind"), KINDS)
def test_mistakes_are_told_as_the_server_tells_them(
    server: Server, version: str, kind: str, count: int, seed: int
) -> None:
    chance, sources = Random(seed), _sources(version, kind)
    found = (_disagreement(server, mistaken(chance.choice(sources), chance)) for _ in range(count))
    assert [disagreement for disagreement in found if disagreement] == []


CORE = manifests((Path(__file__).parent / "core.yaml").read_text())
_BARE = [json.dumps(manifest.root.plain) for manifest in CORE]
_SIBLINGS = find_siblings(_BARE)


@pytest.mark.parametrize("manifest", CORE, ids=lambda manifest: f"{manifest.kind}-{manifest.name}")
def test_core_kinds_are_taken_as_they_are(server: Server, manifest: Manifest) -> None:
    assert server.causes(manifest.root.plain) == []
    assert validate(manifest) == []


@pytest.mark.parametrize(
    ("count", "seed"),
    [(80, 1), pytest.param(3_000, 2, marks=pytest.mark.verify)],
    ids=["a sample", "thousands"],
)
def test_mistakes_in_core_kinds_are_told_as_the_server_tells_them(
    server: Server, count: int, seed: int
) -> None:
    chance = Random(seed)
    found = []
    for number in range(count):
        source = _BARE[number % len(_BARE)]
        item = graft(source, chance, _SIBLINGS) if number % 3 == 0 else mistaken(source, chance)
        # Of a selector and labels that differ the server names the labels, and of Go's decoding a type.
        found.append(_disagreement(server, item, at_place=False))
    assert [disagreement for disagreement in found if disagreement] == []
