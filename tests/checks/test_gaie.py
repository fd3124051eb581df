"""What the definitions of the Gateway API and its inference extension say."""

from __future__ import annotations

import pytest

from dynocheck.checks import gaie
from dynocheck.facts import ApiServer
from tests.checks.judging import crd, found, known, said, skipped

SERVER = ApiServer("https://kube.example", "v1.36.3")
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


@pytest.mark.parametrize("release", SETS)
def test_each_release_is_whole_with_its_own_set(release: str) -> None:
    names = SETS[release]
    whole = [crd(name, "v1", bundle=release) for name in names]
    assert said(gaie.crds, known(*whole), SERVER, None) == []
    for i, name in enumerate(names):
        if name == POOL:
            continue
        (finding,) = found(gaie.crds, known(*whole[:i], *whole[i + 1 :]), SERVER, None)
        assert finding.subject is not None
        assert (str(finding.outcome), finding.subject.name) == ("fail", name)
        assert finding.message == f"bundle {release} brings it, and it does not exist"


def test_types_left_from_an_older_release_do_no_harm() -> None:
    left = crd(f"inferenceobjectives.{OLD}", "v1alpha2", bundle="v1.2.1")
    whole = [crd(name, "v1", bundle="v1.6.0") for name in SETS["v1.6.0"]]
    assert said(gaie.crds, known(*whole, left), SERVER, None) == []


def test_half_an_upgrade() -> None:
    whole = [crd(name, "v1", bundle="v1.2.1") for name in SETS["v1.2.1"]]
    whole[1] = crd(whole[1].name, "v1", bundle="v1.0.2")
    ((outcome, message),) = said(gaie.crds, known(*whole), SERVER, None)
    assert outcome == "warn"
    assert message.startswith("is of bundle v1.0.2, others are of v1.2.1")


def test_a_release_outside_the_table_is_said_so() -> None:
    newer = [crd(name, "v1", bundle="v1.9.0") for name in SETS["v1.6.0"]]
    ((outcome, message),) = said(gaie.crds, known(*newer), SERVER, None)
    assert outcome == "warn"
    assert "newer than the releases" in message


def test_no_bundle_version_stated() -> None:
    ((outcome, _),) = said(gaie.crds, known(crd(POOL, "v1")), SERVER, None)
    assert outcome == "warn"
    outcomes = [o for o, _ in said(gaie.crds, known(crd(f"inferenceobjectives.{OLD}", "v1")), SERVER, None)]
    assert outcomes == ["warn", "fail"], "the pool itself is always needed"


def test_nothing_installed_and_nothing_asking() -> None:
    assert skipped(gaie.crds, known(crd("gateways.gateway.networking.k8s.io", "v1")), SERVER, None)


def test_a_recipe_asks_for_it() -> None:
    from dynocheck.facts import Recipes
    from dynocheck.recipe.discover import load
    from tests.command import ROOT

    folder = ROOT / "recipes/llama-3-70b/vllm/agg"
    with_pool = Recipes(load([str(folder / "gaie")]))
    assert [o for o, _ in said(gaie.crds, known(), SERVER, with_pool)] == ["fail"]
