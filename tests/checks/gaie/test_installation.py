"""What the definitions of the Gateway API and its inference extension say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dynocheck.checks.gaie import installation
from dynocheck.facts import ApiServer, CustomResourceDefinition, CustomResourceDefinitions
from tests.checks.gaie.test_gateways import EPP
from tests.checks.judging import crd, get_skip_reason, list_messages, make_definitions, recipes, run_check
from tests.checks.routing import AGENTGATEWAY, CLASS, ROUTE, classes, gateways, routes, workloads
from tests.checks.routing import GATEWAY as GATEWAY_OBJECT

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
    assert list_messages(installation.crds, make_definitions(*whole), SERVER, None) == []
    for i, name in enumerate(names):
        if name == POOL:
            continue
        (finding,) = run_check(installation.crds, make_definitions(*whole[:i], *whole[i + 1 :]), SERVER, None)
        assert finding.subject is not None
        assert (str(finding.outcome), finding.subject.name) == ("fail", name)
        assert finding.message == f"is part of bundle {release}, but does not exist"


def test_types_left_from_an_older_release_do_no_harm() -> None:
    left = crd(f"inferenceobjectives.{OLD}", "v1alpha2", bundle="v1.2.1")
    whole = [crd(name, "v1", bundle="v1.6.0") for name in SETS["v1.6.0"]]
    assert list_messages(installation.crds, make_definitions(*whole, left), SERVER, None) == []


def test_half_an_upgrade() -> None:
    whole = [crd(name, "v1", bundle="v1.2.1") for name in SETS["v1.2.1"]]
    whole[1] = crd(whole[1].name, "v1", bundle="v1.0.2")
    ((outcome, message),) = list_messages(installation.crds, make_definitions(*whole), SERVER, None)
    assert outcome == "warn"
    assert message.startswith("is from bundle v1.0.2, others are from v1.2.1")


def test_a_release_outside_the_table_is_said_so() -> None:
    newer = [crd(name, "v1", bundle="v1.9.0") for name in SETS["v1.6.0"]]
    ((outcome, message),) = list_messages(installation.crds, make_definitions(*newer), SERVER, None)
    assert outcome == "warn"
    assert "newer than the releases" in message


def test_no_bundle_version_stated() -> None:
    ((outcome, _),) = list_messages(installation.crds, make_definitions(crd(POOL, "v1")), SERVER, None)
    assert outcome == "warn"
    outcomes = [
        o
        for o, _ in list_messages(
            installation.crds, make_definitions(crd(f"inferenceobjectives.{OLD}", "v1")), SERVER, None
        )
    ]
    assert outcomes == ["warn", "fail"], "the pool itself is always needed"


def test_nothing_installed_and_nothing_asking() -> None:
    assert get_skip_reason(
        installation.crds, make_definitions(crd("gateways.gateway.networking.k8s.io", "v1")), SERVER, None
    )


def test_a_recipe_asks_for_it() -> None:
    from dynocheck.facts import Recipes
    from dynocheck.recipe.discover import load_recipes
    from tests.command import ROOT

    folder = ROOT / "recipes/llama-3-70b/vllm/agg"
    with_pool = Recipes(load_recipes([str(folder / "gaie")]))
    assert [o for o, _ in list_messages(installation.crds, make_definitions(), SERVER, with_pool)] == ["fail"]


GATEWAY = "gateway.networking.k8s.io"
NEEDED = [f"{plural}.{GATEWAY}" for plural in ("gatewayclasses", "gateways", "httproutes", "referencegrants")]


def gateway_api(*names: str, version: str = "v1", bundle: str = "v1.5.1") -> list[CustomResourceDefinition]:
    return [crd(name, version, gateway_bundle=bundle) for name in names]


def test_a_subset_of_the_gateway_api_is_enough() -> None:
    assert list_messages(installation.gateway_crds, make_definitions(*gateway_api(*NEEDED)), None) == []
    grants = crd(NEEDED[3], "v1beta1", gateway_bundle="v1.3.0")
    assert (
        list_messages(
            installation.gateway_crds,
            make_definitions(*gateway_api(*NEEDED[:3], bundle="v1.3.0"), grants),
            None,
        )
        == []
    )


def test_what_is_missing_fails_where_something_asks_for_it(tmp_path: Path) -> None:
    some = gateway_api(*NEEDED[:2], NEEDED[3])
    assert list_messages(installation.gateway_crds, make_definitions(*some), None) == [
        ("warn", "does not exist")
    ]
    assert list_messages(installation.gateway_crds, make_definitions(*some, crd(POOL, "v1")), None) == [
        ("fail", "does not exist")
    ]
    asking = recipes(tmp_path, deploy=EPP)
    assert list_messages(installation.gateway_crds, make_definitions(*some), asking) == [
        ("fail", "does not exist")
    ]
    assert list_messages(installation.gateway_crds, make_definitions(), asking) == [
        ("fail", "Gateway API is not installed")
    ]
    assert get_skip_reason(installation.gateway_crds, make_definitions(crd(POOL, "v1")), None)


def test_a_gateway_api_of_before_v1() -> None:
    old = gateway_api(*NEEDED, version="v1beta1", bundle="v0.8.1")
    messages = list_messages(installation.gateway_crds, make_definitions(*old, crd(POOL, "v1")), None)
    assert messages == [("fail", "is served as v1beta1, not as v1")] * 3


def test_half_an_upgrade_of_the_gateway_api() -> None:
    mixed = [*gateway_api(*NEEDED[:3]), *gateway_api(NEEDED[3], bundle="v1.3.0")]
    assert list_messages(installation.gateway_crds, make_definitions(*mixed), None) == [
        ("warn", "is from bundle v1.3.0, Gateway from v1.5.1: the upgrade is incomplete")
    ]
    other = crd(NEEDED[3], "v1", gateway_bundle="v1.5.1", channel="experimental")
    assert list_messages(
        installation.gateway_crds, make_definitions(*gateway_api(*NEEDED[:3]), other), None
    ) == [("warn", "is from the experimental channel, Gateway from the standard channel")]
    gone = crd(NEEDED[0], established=False, reason="it is being deleted", gateway_bundle="v1.5.1")
    ((_, message),) = list_messages(
        installation.gateway_crds, make_definitions(gone, *gateway_api(*NEEDED[1:])), None
    )
    assert message == "exists but is not established: it is being deleted"


@pytest.mark.parametrize(("bundle", "outcomes"), [("v1.0.1", ["warn"]), ("v1.3.0", []), ("v1.6.0", [])])
def test_gke_brings_the_pool_alone(bundle: str, outcomes: list[str]) -> None:
    gke = ApiServer("https://kube.example", "v1.34.1-gke.1829001")
    pool = crd(POOL, "v1", bundle=bundle)
    assert [o for o, _ in list_messages(installation.crds, make_definitions(pool), gke, None)] == outcomes
    assert "fail" in [o for o, _ in list_messages(installation.crds, make_definitions(pool), SERVER, None)]


# The controller and the extension


def compatible(*images: str, definitions: CustomResourceDefinitions | None = None, **fields: Any) -> Any:
    running = [replace(AGENTGATEWAY, images=(image,), **fields) for image in images]
    types = make_definitions(crd(POOL, "v1", bundle="v1.2.1")) if definitions is None else definitions
    return types, classes(CLASS), gateways(GATEWAY_OBJECT), routes(ROUTE), workloads(*running), None


def test_a_controller_of_before_pools() -> None:
    assert list_messages(installation.compatible, *compatible("cr.agentgateway.dev/controller:v1.0.0")) == []
    ((outcome, message),) = list_messages(
        installation.compatible, *compatible("mirror:5000/agw/controller:v0.9.1")
    )
    assert (outcome, message.startswith("agentgateway 0.9 does not support pools")) == ("fail", True)


def test_a_controller_that_does_not_say_its_version() -> None:
    digest = "cr.agentgateway.dev/controller@sha256:00"
    assert "no controller has a workload" in get_skip_reason(installation.compatible, *compatible(digest))
    assert (
        list_messages(
            installation.compatible, *compatible(digest, labels={"app.kubernetes.io/version": "v1.0.0"})
        )
        == []
    )
    assert get_skip_reason(installation.compatible, *compatible("x/controller:latest"))
    assert get_skip_reason(
        installation.compatible, *compatible("x/controller:v1.0.0", definitions=make_definitions())
    )


def test_a_recipe_uses_what_the_bundle_does_not_bring(tmp_path: Path) -> None:
    pool = f"apiVersion: {OLD}/v1alpha2\nkind: InferencePool\nmetadata: {{name: p}}\nspec: {{}}\n"
    newer = "apiVersion: inference.networking.k8s.io/v1\nkind: InferencePool\nmetadata: {name: p}\n"
    asking = recipes(tmp_path, old=pool, newer=newer + "spec: {appProtocol: kubernetes.io/h2c}\n")
    for bundle, outcomes in (("v1.2.1", ["warn", "fail"]), ("v1.5.0", ["fail"])):
        facts = compatible(definitions=make_definitions(crd(POOL, "v1", bundle=bundle)))[:-1]
        assert [o for o, _ in list_messages(installation.compatible, *facts, asking)] == outcomes
    both = make_definitions(
        crd(POOL, "v1", bundle="v1.4.0"), crd(f"inferencepools.{OLD}", "v1alpha2", bundle="v1.4.0")
    )
    assert list_messages(installation.compatible, *compatible(definitions=both)[:-1], asking) == []
