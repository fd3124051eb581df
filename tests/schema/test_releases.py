"""Kubernetes' own kinds, judged by the release of the API server that is to take them."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.manifest import schema as manifest
from dynocheck.checks.manifest import versions
from dynocheck.data import kubernetes_schemas
from dynocheck.data.kubernetes_schemas import (
    choose_release,
    describe_release,
    is_known,
    list_releases,
    read_definitions,
)
from dynocheck.facts import CustomKind, CustomVersion, GivenKinds, ServedKinds, ServerVersion
from dynocheck.schema import Definitions, validate
from dynocheck.schema.apiserver_rules import ENFORCED, NOT_REQUIRED, REPLACED
from tests.checks.judging import outcomes, recipes, run_check
from tests.command import ROOT, dynocheck
from tests.controlplane.server import ControlPlane
from tests.schema.samples import manifests, pod, storage_class, write
from tools.write_kubernetes_schemas import compact

SINCE_1_37 = pod("volumes: [{name: v, emptyDir: {mode: 0700}}], ")
UNTIL_1_35 = pod("workloadRef: {name: w, podGroup: g}, ")
_POOL = "pool: {name: p, generation: 1, resourceSliceCount: 1}, devices:"
_MAPPED = f"{{driver: a.b, nodeName: w, {_POOL} [{{name: d, nodeAllocatableResourceMappings: {{}}}}]}}"
UNTIL_1_36 = write("resource.k8s.io/v1", "ResourceSlice", f"spec: {_MAPPED}")
_EXACTLY = "{name: gpu, exactly: {deviceClassName: gpu.nvidia.com}}"
QUEUE = "{type: External, external: {metric: {name: depth}, target: {type: Value, value: 5}}}"
LOAD = "{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}"
CLAIM = write("resource.k8s.io/v1", "ResourceClaim", f"spec: {{devices: {{requests: [{_EXACTLY}]}}}}")


# Which release


@pytest.mark.parametrize(
    ("server", "chosen", "described", "known"),
    [
        ("", "1.37", "Kubernetes 1.37, the newest known", False),
        ("v1.36.3", "1.36", "Kubernetes 1.36", True),
        ("v1.30.0-gke.1", "1.30", "Kubernetes 1.30", True),
        ("v1.33.4+k3s1", "1.33", "Kubernetes 1.33", True),
        ("v1.9.11", "1.30", "Kubernetes 1.30, the nearest known", False),
        ("v1.99.0", "1.37", "Kubernetes 1.37, the nearest known", False),
        ("v2.0.0", "1.37", "Kubernetes 1.37, the nearest known", False),
        ("dev", "1.37", "Kubernetes 1.37, the newest known", False),
    ],
)
def test_the_release_of_a_server_is_chosen(server: str, chosen: str, described: str, known: bool) -> None:
    assert (str(choose_release(server)), describe_release(server)) == (chosen, described)
    assert is_known(server) is known


def test_every_release_from_the_oldest_to_the_newest_is_known() -> None:
    oldest, newest = list_releases()[0], list_releases()[-1]
    assert [each.minor for each in list_releases()] == list(range(oldest.minor, newest.minor + 1))
    for page in ("docs/checks.md", "docs/recipes.md"):
        assert f"{oldest} to {newest}" in " ".join((ROOT / page).read_text().split()), page


# What they define


def references(schema: Any) -> set[str]:
    if not isinstance(schema, dict):
        return set()
    own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
    return own.union(*map(references, schema.values()))


@pytest.mark.parametrize("release", list_releases(), ids=str)
def test_a_release_is_complete(release: kubernetes_schemas.Release) -> None:
    found = read_definitions(release)
    assert references(found) <= {*found}
    object_meta = "apimachinery.pkg.apis.meta.v1.ObjectMeta"
    newest = read_definitions(choose_release())[object_meta]
    assert found[object_meta] == newest, "every object is judged by the newest"
    for kind in ("api.apps.v1.Deployment", "api.batch.v1.Job", "api.core.v1.Pod", "api.core.v1.Service"):
        assert "spec" in found[kind]["properties"]


def test_rules_are_about_what_there_is() -> None:
    assert {*ENFORCED, *NOT_REQUIRED, *REPLACED} <= {*read_definitions(choose_release())}


def test_a_server_publishes_what_is_known_of_its_release(controlplane: ControlPlane) -> None:
    version = controlplane.get("/version")["gitVersion"]
    assert is_known(version)
    known = read_definitions(choose_release(version))
    published = compact(controlplane.get("/openapi/v2")["definitions"])
    same = known.keys() & published.keys()
    assert "api.core.v1.Pod" in same
    assert {name: known[name] for name in same} == {name: published[name] for name in same}
    assert not [name for name in published if name.startswith("api.") and name not in known]


# What is said of a manifest


def judge(text: str, server: str = "") -> list[str] | None:
    (given,) = manifests(text)
    violations = validate(given, Definitions(server=server))
    return None if violations is None else [f"{each.path}: {each.message}" for each in violations]


@pytest.mark.parametrize(
    ("text", "field", "takes", "refuses"),
    [
        (SINCE_1_37, "spec.volumes[0].emptyDir.mode", "v1.37.2", "v1.36.3"),
        (SINCE_1_37, "spec.volumes[0].emptyDir.mode", "", "v1.30.14"),
        (UNTIL_1_36, "spec.devices[0].nodeAllocatableResourceMappings", "v1.36.3", "v1.37.2"),
        (UNTIL_1_35, "spec.workloadRef", "v1.35.4", "v1.36.3"),
        (UNTIL_1_35, "spec.workloadRef", "v1.35.4", "v1.34.4"),
    ],
)
def test_a_field_is_known_in_the_releases_that_have_it(
    text: str, field: str, takes: str, refuses: str
) -> None:
    assert judge(text, takes) == []
    (message,) = judge(text, refuses) or [""]
    assert message.startswith(f"{field}: is no known field")


@pytest.mark.parametrize(
    ("metric", "server", "expected"),
    [
        (QUEUE, "v1.37.2", []),
        (QUEUE, "", []),
        (QUEUE, "v1.36.3", ["spec.minReplicas: is 0, must be at least 1"]),
        (LOAD, "", ["spec.minReplicas: is 0, which needs a metric of type Object or External"]),
    ],
)
def test_a_release_scales_to_zero(metric: str, server: str, expected: list[str]) -> None:
    scaled = f"scaleTargetRef: {{kind: Deployment, name: a}}, metrics: [{metric}]"
    spec = f"spec: {{{scaled}, minReplicas: 0, maxReplicas: 2}}"
    assert judge(write("autoscaling/v2", "HorizontalPodAutoscaler", spec), server) == expected


@pytest.mark.parametrize("server", ["v1.33.13", "v1.29.0"])
def test_a_kind_that_comes_later_is_not_served(server: str) -> None:
    assert judge(CLAIM, "v1.34.4") == judge(CLAIM) == []
    (message,) = judge(CLAIM, server) or [""]
    assert message.startswith('apiVersion: is "resource.k8s.io/v1", in which Kubernetes 1.3')
    assert message.endswith("has no ResourceClaim")


@pytest.mark.parametrize("release", list_releases(), ids=str)
def test_what_is_everywhere_is_right_in_every_release(release: kubernetes_schemas.Release) -> None:
    rich = manifests((Path(__file__).parent / "rich.yaml").read_text())
    assert [validate(each, Definitions(server=f"v{release}.0")) for each in rich] == [[] for _ in rich]


# What the checks say


def test_a_finding_says_by_which_schema(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=SINCE_1_37 + "---\n" + storage_class("provisioner: [a]"))
    last = run_check(manifest.schema, given)
    assert [each.evidence for each in last] == [{"schema": "Kubernetes 1.37, the newest known"}]
    both = run_check(manifest.schema, given, None, ServedKinds(), ServerVersion("v1.36.3"))
    assert [each.evidence for each in both] == [{"schema": "Kubernetes 1.36"}] * 2


def test_a_custom_kind_is_of_no_release(tmp_path: Path) -> None:
    gadget = CustomKind("a.example", "Gadget", (CustomVersion("v1", True, {"type": "object"}),), "here")
    text = "{apiVersion: a.example/v1, kind: Gadget, metadata: {name: a}, size: 1}"
    (finding,) = run_check(manifest.schema, recipes(tmp_path, deploy=text), GivenKinds((gadget,)))
    assert (finding.message.partition(":")[0], finding.evidence) == ("size", {})


def test_a_release_that_is_not_known_is_a_warning(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=pod())
    assert outcomes(manifest.schema, given, None, ServedKinds(), ServerVersion("v1.99.0")) == ["warn"]
    assert outcomes(manifest.schema, given, None, ServedKinds(), ServerVersion("v1.30.0")) == []


def test_a_version_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=SINCE_1_37)
    unread = ServerVersion(reason="no answer")
    for kinds, cause in ((ServedKinds(), "version"), (ServedKinds(reason="no answer"), "Definitions")):
        (finding,) = run_check(manifest.schema, given, None, kinds, unread)
        assert finding.outcome == "unknown"
        assert f"{cause} could not be read: no answer" in finding.message


def test_api_versions_are_those_of_the_server(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=CLAIM)
    assert outcomes(versions.api_version, given, ServerVersion("v1.34.1")) == []
    assert outcomes(versions.api_version, given) == []
    (finding,) = run_check(versions.api_version, given, ServerVersion("v1.32.0"))
    assert "resource.k8s.io/v1beta1" in finding.evidence["served"]


# On the command line


def test_a_recipe_is_judged_by_the_release_of_the_cluster(cluster: ControlPlane, tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(SINCE_1_37)
    strictly = ("--dry-run=server", "--validate=strict")
    refused = cluster.kubectl("apply", *strictly, "-f", str(tmp_path / "pod.yaml"))
    assert 'unknown field "spec.volumes[0].emptyDir.mode"' in refused.stderr

    arguments = ("recipe", tmp_path, "-o", "json", "--select", "manifest.schema")
    alone = dynocheck(*arguments)
    assert (alone.outcomes["manifest.schema"], alone.code) == ("pass", 0)
    assert alone.report["target"]["schemas"] == "Kubernetes 1.37, the newest known"

    ended = dynocheck(*arguments, "--cluster", "--kubeconfig", cluster.kubeconfig(None))
    finding = ended.finding("manifest.schema")
    assert (ended.code, finding["outcome"]) == (1, "fail")
    assert finding["message"].startswith("spec.volumes[0].emptyDir.mode: is no known field")
    assert finding["evidence"] == {"schema": "Kubernetes 1.36"}
    assert ended.report["target"]["schemas"] == "Kubernetes 1.36"


def test_a_recording_knows_the_release(cluster: ControlPlane, tmp_path: Path) -> None:
    recording = tmp_path / "cluster.json"
    dynocheck("snapshot", recording, "--kubeconfig", cluster.kubeconfig(None))
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "pod.yaml").write_text(SINCE_1_37)
    ended = dynocheck("recipe", tmp_path / "r", "-o", "json", "--snapshot", recording)
    assert ended.outcomes["manifest.schema"] == "fail"
    assert ended.report["target"]["schemas"] == "Kubernetes 1.36"
