from __future__ import annotations

import pytest

from dynocheck.checks import gaie, platform
from dynocheck.facts import CustomResourceDefinition, CustomResourceDefinitions
from tests.checks.judging import found, said, skipped

BUNDLE = "inference.networking.k8s.io/bundle-version"
POOL = "inferencepools.inference.networking.k8s.io"
OLD = "inference.networking.x-k8s.io"
# What each release ships, as its tags have it.
SETS = {
    "v1.0.2": [POOL, f"inferencepools.{OLD}", f"inferenceobjectives.{OLD}"],
    "v1.2.1": [
        POOL,
        f"inferencepools.{OLD}",
        f"inferenceobjectives.{OLD}",
        f"inferencepoolimports.{OLD}",
        f"inferencemodelrewrites.{OLD}",
    ],
    "v1.5.0": [
        POOL,
        f"inferenceobjectives.{OLD}",
        f"inferencepoolimports.{OLD}",
        f"inferencemodelrewrites.{OLD}",
    ],
    "v1.6.0": [POOL, f"inferencepoolimports.{OLD}"],
}


def crd(
    name: str, *versions: str, established: bool = True, bundle: str | None = None, reason: str = ""
) -> CustomResourceDefinition:
    annotations = {BUNDLE: bundle} if bundle else {}
    return CustomResourceDefinition(name, name.partition(".")[2], versions, established, annotations, reason)


def known(*definitions: CustomResourceDefinition) -> CustomResourceDefinitions:
    return CustomResourceDefinitions(definitions)


def dynamo(*plurals: str, version: str = "v1beta1") -> list[CustomResourceDefinition]:
    return [crd(f"dynamo{plural}.nvidia.com", version) for plural in plurals]


ALL = (
    "graphdeployments",
    "componentdeployments",
    "workermetadatas",
    "graphdeploymentrequests",
    "graphdeploymentscalingadapters",
    "models",
)


def test_the_platform_of_today() -> None:
    assert said(platform.crds, known(*dynamo(*ALL))) == []
    assert [o for o, _ in said(platform.crds, known(*dynamo(*ALL[:3])))] == ["warn"] * 3


def test_an_older_platform_has_no_worker_metadata() -> None:
    older = dynamo("graphdeployments", "componentdeployments", *ALL[3:], version="v1alpha1")
    assert said(platform.crds, known(*older)) == []
    assert [
        o
        for o, _ in said(platform.crds, known(*dynamo("graphdeployments", "componentdeployments", *ALL[3:])))
    ] == ["fail"]


def test_nothing_of_the_platform() -> None:
    assert [o for o, _ in said(platform.crds, known())] == ["fail", "fail"]


def test_a_definition_that_is_not_established() -> None:
    bad = crd("dynamomodels.nvidia.com", established=False, reason="NamesAccepted is False: taken")
    (finding,) = found(platform.crds, known(*dynamo(*ALL[:-1]), bad))
    assert str(finding.outcome) == "warn"
    assert finding.message.startswith("exists but is not established: NamesAccepted is False: taken")
    bad = crd("dynamographdeployments.nvidia.com", established=False, reason="being deleted")
    assert [o for o, _ in said(platform.crds, known(*dynamo(*ALL[1:]), bad))] == ["fail"]


@pytest.mark.parametrize("release", SETS)
def test_each_release_is_whole_with_its_own_set(release: str) -> None:
    names = SETS[release]
    whole = [crd(name, "v1", bundle=release) for name in names]
    assert said(gaie.crds, known(*whole), None) == []
    for i, name in enumerate(names):
        if name == POOL:
            continue
        (finding,) = found(gaie.crds, known(*whole[:i], *whole[i + 1 :]), None)
        assert finding.subject is not None
        assert (str(finding.outcome), finding.subject.name) == ("fail", name)
        assert finding.message == f"bundle {release} brings it, and it does not exist"


def test_types_left_from_an_older_release_do_no_harm() -> None:
    left = crd(f"inferenceobjectives.{OLD}", "v1alpha2", bundle="v1.2.1")
    whole = [crd(name, "v1", bundle="v1.6.0") for name in SETS["v1.6.0"]]
    assert said(gaie.crds, known(*whole, left), None) == []


def test_half_an_upgrade() -> None:
    whole = [crd(name, "v1", bundle="v1.2.1") for name in SETS["v1.2.1"]]
    whole[1] = crd(whole[1].name, "v1", bundle="v1.0.2")
    ((outcome, message),) = said(gaie.crds, known(*whole), None)
    assert outcome == "warn"
    assert message.startswith("is of bundle v1.0.2, others are of v1.2.1")


def test_a_release_outside_the_table_is_said_so() -> None:
    newer = [crd(name, "v1", bundle="v1.9.0") for name in SETS["v1.6.0"]]
    ((outcome, message),) = said(gaie.crds, known(*newer), None)
    assert outcome == "warn"
    assert "newer than the releases" in message


def test_no_bundle_version_stated() -> None:
    ((outcome, _),) = said(gaie.crds, known(crd(POOL, "v1")), None)
    assert outcome == "warn"
    outcomes = [o for o, _ in said(gaie.crds, known(crd(f"inferenceobjectives.{OLD}", "v1")), None)]
    assert outcomes == ["warn", "fail"], "the pool itself is always needed"


def test_nothing_installed_and_nothing_asking() -> None:
    assert skipped(gaie.crds, known(crd("gateways.gateway.networking.k8s.io", "v1")), None)


def test_a_recipe_asks_for_it() -> None:
    from dynocheck.facts import Recipes
    from dynocheck.recipe.discover import load
    from tests.command import ROOT

    folder = ROOT / "recipes/llama-3-70b/vllm/agg"
    with_pool = Recipes(load([str(folder / "gaie")]))
    assert [o for o, _ in said(gaie.crds, known(), with_pool)] == ["fail"]
