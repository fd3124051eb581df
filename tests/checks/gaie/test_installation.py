"""What the definitions of the Gateway API and its inference extension say."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dynocheck.checks.gaie.installation import compatible, crds, gateway_crds
from dynocheck.facts import ApiServer, CustomResourceDefinition, CustomResourceDefinitions, Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.gaie.test_gateways import EPP
from tests.checks.judging import crd, make_definitions, outcomes, recipes
from tests.checks.routing import AGENTGATEWAY, CLASS, ROUTE, classes, gateways, routes, workloads
from tests.checks.routing import GATEWAY as GATEWAY_OBJECT
from tests.command import ROOT

SERVER, GKE = (ApiServer("https://kube.example", version) for version in ("v1.36.3", "v1.34.1-gke.1829001"))
OLD = "inference.networking.x-k8s.io"
POOL, OLD_POOL = "inferencepools.inference.networking.k8s.io", f"inferencepools.{OLD}"
OBJECTIVES, IMPORTS = f"inferenceobjectives.{OLD}", f"inferencepoolimports.{OLD}"
REWRITES = f"inferencemodelrewrites.{OLD}"
# What each release ships, as its tags have it.
SETS = {
    "v1.0.2": [POOL, OLD_POOL, OBJECTIVES],
    "v1.2.1": [POOL, OLD_POOL, OBJECTIVES, IMPORTS, REWRITES],
    "v1.5.0": [POOL, OBJECTIVES, IMPORTS, REWRITES],
    "v1.6.0": [POOL, IMPORTS],
}


def ship(release: str, bundle: str = "") -> list[CustomResourceDefinition]:
    return [crd(name, "v1", bundle=bundle or release) for name in SETS[release]]


def judge(
    *found: CustomResourceDefinition, server: ApiServer = SERVER, recipe: Recipes | None = None
) -> list[str]:
    return outcomes(crds, make_definitions(*found), server, recipe)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        # types left from an older release do no harm
        ([*ship("v1.6.0"), crd(OBJECTIVES, "v1alpha2", bundle="v1.2.1")], []),
        ([*ship("v1.2.1")[:1], crd(OLD_POOL, "v1", bundle="v1.0.2"), *ship("v1.2.1")[2:]], ["warn"]),
        (ship("v1.6.0", "v1.9.0"), ["warn"]),  # newer than the table
        ([crd(POOL, "v1")], ["warn"]),  # of no bundle
        ([crd(OBJECTIVES, "v1")], ["warn", "fail"]),  # the pool itself is always needed
        ([crd("gateways.gateway.networking.k8s.io", "v1")], ["skip"]),
    ],
)
def test_definitions(found: list[CustomResourceDefinition], expected: list[str]) -> None:
    assert judge(*found) == expected


def test_a_recipe_asks_for_it() -> None:
    folder = ROOT / "recipes/llama-3-70b/vllm/agg/gaie"
    assert judge(recipe=Recipes(load_recipes([str(folder)]))) == ["fail"]


@pytest.mark.parametrize(("bundle", "expected"), [("v1.0.1", ["warn"]), ("v1.3.0", []), ("v1.6.0", [])])
def test_gke_brings_the_pool_alone(bundle: str, expected: list[str]) -> None:
    alone = crd(POOL, "v1", bundle=bundle)
    assert judge(alone, server=GKE) == expected
    assert "fail" in judge(alone)


# The Gateway API

GATEWAY = "gateway.networking.k8s.io"
NEEDED = [f"{plural}.{GATEWAY}" for plural in ("gatewayclasses", "gateways", "httproutes", "referencegrants")]
INFERENCE = crd(POOL, "v1")


def gateway_api(*names: str, version: str = "v1", bundle: str = "v1.5.1") -> list[CustomResourceDefinition]:
    return [crd(name, version, gateway_bundle=bundle) for name in names]


THREE, WITHOUT_ROUTES = gateway_api(*NEEDED[:3]), gateway_api(*NEEDED[:2], NEEDED[3])
GRANTS = crd(NEEDED[3], "v1beta1", gateway_bundle="v1.3.0")
EXPERIMENTAL = crd(NEEDED[3], "v1", gateway_bundle="v1.5.1", channel="experimental")
DELETED = crd(NEEDED[0], established=False, reason="it is being deleted", gateway_bundle="v1.5.1")


@pytest.mark.parametrize(
    ("found", "asked", "expected"),
    [
        (gateway_api(*NEEDED), False, []),
        ([*gateway_api(*NEEDED[:3], bundle="v1.3.0"), GRANTS], False, []),
        # what is missing fails where something asks for it
        (WITHOUT_ROUTES, False, ["warn"]),
        ([*WITHOUT_ROUTES, INFERENCE], False, ["fail"]),
        (WITHOUT_ROUTES, True, ["fail"]),
        ([], True, ["fail"]),
        ([INFERENCE], False, ["skip"]),
        ([*gateway_api(*NEEDED, version="v1beta1", bundle="v0.8.1"), INFERENCE], False, ["fail"] * 3),
        # half an upgrade
        ([*THREE, *gateway_api(NEEDED[3], bundle="v1.3.0")], False, ["warn"]),
        ([*THREE, EXPERIMENTAL], False, ["warn"]),
        ([*gateway_api(*NEEDED[1:]), DELETED], False, ["warn"]),
    ],
)
def test_the_gateway_api(
    tmp_path: Path, found: list[CustomResourceDefinition], asked: bool, expected: list[str]
) -> None:
    asking = recipes(tmp_path, deploy=EPP) if asked else None
    assert outcomes(gateway_crds, make_definitions(*found), asking) == expected


# The controller and the extension


def run(image: str, definitions: CustomResourceDefinitions | None = None, **fields: Any) -> list[str]:
    """The outcomes with a controller of this image, of pools of bundle v1.2.1 unless others are given."""
    types = make_definitions(crd(POOL, "v1", bundle="v1.2.1")) if definitions is None else definitions
    running = replace(AGENTGATEWAY, images=(image,), **fields)
    return outcomes(
        compatible, types, classes(CLASS), gateways(GATEWAY_OBJECT), routes(ROUTE), workloads(running), None
    )


def test_a_controller_of_before_pools() -> None:
    digest, labels = "cr.agentgateway.dev/controller@sha256:00", {"app.kubernetes.io/version": "v1.0.0"}
    assert run("cr.agentgateway.dev/controller:v1.0.0") == []
    assert run("mirror:5000/agw/controller:v0.9.1") == ["fail"]
    assert run(digest, labels=labels) == []
    assert run(digest) == ["skip"]  # which does not say its version
    assert run("x/controller:latest") == ["skip"]
    assert run("x/controller:v1.0.0", make_definitions()) == ["skip"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([crd(POOL, "v1", bundle="v1.2.1")], ["warn", "fail"]),
        ([crd(POOL, "v1", bundle="v1.3.1")], ["warn", "fail"]),
        ([crd(POOL, "v1", bundle="v1.5.0")], ["fail"]),
        ([crd(POOL, "v1", bundle="v1.4.0"), crd(OLD_POOL, "v1alpha2", bundle="v1.4.0")], []),
    ],
)
def test_needed_bundle(tmp_path: Path, found: list[CustomResourceDefinition], expected: list[str]) -> None:
    pool = f"apiVersion: {OLD}/v1alpha2\nkind: InferencePool\nmetadata: {{name: p}}\nspec: {{}}\n"
    newer = "apiVersion: inference.networking.k8s.io/v1\nkind: InferencePool\nmetadata: {name: p}\n"
    asking = recipes(tmp_path, old=pool, newer=newer + "spec: {appProtocol: kubernetes.io/h2c}\n")
    around = classes(CLASS), gateways(GATEWAY_OBJECT), routes(ROUTE), workloads()
    assert outcomes(compatible, make_definitions(*found), *around, asking) == expected
