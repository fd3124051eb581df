"""Controllers, classes and Gateways, those that serve inference and no others."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dynocheck.checks.gaie.gateways import controller, gateway, gateway_class
from dynocheck.data.gateways import gateway_controller as row
from dynocheck.facts import Gateway, Workload
from tests.checks.judging import (
    crd,
    explain_unjudged,
    get_skip_reason,
    judge,
    make_definitions,
    outcomes,
    places,
    recipes,
)
from tests.checks.routing import (
    AGENTGATEWAY,
    CLASS,
    GATEWAY,
    LISTENER,
    ROUTE,
    classes,
    gateways,
    make_conditions,
    routes,
    workload,
    workloads,
)

NO_TYPES = make_definitions()
EXTENSION = make_definitions(crd("inferencepools.inference.networking.k8s.io", "v1"))
ALL = classes(CLASS), gateways(GATEWAY), routes(ROUTE)
EPP = """
apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeployment
metadata: {name: g}
spec:
  components:
  - {name: epp, type: epp}
"""
HTTP_ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs:
  - {name: gw, namespace: gateways}
  rules:
  - backendRefs:
    - {group: inference.networking.k8s.io, kind: InferencePool, name: g-pool}
"""
DOWN = replace(AGENTGATEWAY, ready=0)
GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
NAME = {"app.kubernetes.io/name": "agentgateway"}


def judge_class(*found: Any) -> list[tuple[str, str]]:
    return places(gateway_class, classes(*found), *ALL[1:], None)


def judge_gateway(*found: Any) -> list[str]:
    return outcomes(gateway, ALL[0], gateways(*found), ALL[2], NO_TYPES, None)


# The controller


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([AGENTGATEWAY], []),
        ([], [("fail", "GatewayClass agw")]),
        ([DOWN], [("fail", "Deployment serving/agentgateway")]),
        ([replace(DOWN, desired=0)], [("fail", "Deployment serving/agentgateway")]),
        # it runs in part: one of two Deployments, and a rollout that leaves one pod
        ([AGENTGATEWAY, replace(DOWN, name="other")], [("warn", "Deployment serving/other")]),
        ([replace(AGENTGATEWAY, desired=2, ready=1)], [("warn", "Deployment serving/agentgateway")]),
        # what only shares a name with it does not stand for it
        ([workload("standalone", NAME), DOWN], [("fail", "Deployment serving/agentgateway")]),
        ([workload("p", {**NAME, GATEWAY_NAME: "p"})], [("fail", "GatewayClass agw")]),
    ],
)
def test_a_controller_runs(found: list[Workload], expected: list[tuple[str, str]]) -> None:
    assert places(controller, *ALL, workloads(*found), NO_TYPES, None) == expected


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("agentgateway.dev/agentgateway", {"agentgateway": "agentgateway"}),
        ("agentgateway.dev/agentgateway-tenant-b", {"app.kubernetes.io/name": "agentgateway"}),
        ("kgateway.dev/kgateway", {"kgateway": "kgateway"}),
        ("kgateway.dev/agentgateway", {"kgateway": "kgateway"}),
        ("istio.io/gateway-controller", {"app": "istiod", "istio.io/rev": "1-28"}),
        ("gateway.envoyproxy.io/gatewayclass-controller", {"control-plane": "envoy-gateway"}),
        ("gateway.nginx.org/nginx-gateway-controller", {"app.kubernetes.io/name": "nginx-gateway-fabric"}),
    ],
)
def test_each_controller_is_found_by_its_own_labels(name: str, labels: dict[str, str]) -> None:
    kind = classes(replace(CLASS, controller=name))
    there = workload("w", {**labels, "pod-template-hash": "x"})
    for ready, expected in ((1, []), (0, ["fail"])):
        found = workloads(replace(there, ready=ready))
        assert outcomes(controller, kind, *ALL[1:], found, NO_TYPES, None) == expected


def test_every_row_has_a_source() -> None:
    istio = row("istio.io/gateway-controller")
    assert istio is not None
    assert istio.source.startswith("https://")
    assert row("istio.io/unmanaged-gateway") is None
    assert row("kgateway.dev/kgateway2") is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ([replace(CLASS, controller="networking.gke.io/gateway")], "runs outside the cluster"),
        ([replace(CLASS, controller="example.com/x")], "controller example.com/x of class agw is unknown"),
    ],
)
def test_controllers_that_are_not_judged(found: list[Any], reason: str) -> None:
    facts = (classes(*found), *ALL[1:], workloads(), NO_TYPES, None)
    assert judge(controller, *facts) == ["unjudged"]
    assert reason in explain_unjudged(controller, *facts)


def test_a_missing_class_is_another_checks() -> None:
    assert "see gaie.class" in get_skip_reason(controller, classes(), *ALL[1:], workloads(), NO_TYPES, None)


@pytest.mark.parametrize(("status", "expected"), [("True", "warn"), ("Unknown", "fail")])
def test_istio_may_run_elsewhere_while_its_class_is_accepted(status: str, expected: str) -> None:
    accepted = make_conditions("Accepted", status=status)
    istio = replace(CLASS, controller="istio.io/gateway-controller", conditions=accepted)
    assert outcomes(controller, classes(istio), *ALL[1:], workloads(), NO_TYPES, None) == [expected]


def test_nothing_that_serves_inference() -> None:
    broken = gateways(replace(GATEWAY, conditions=make_conditions("Programmed", status="False")))
    facts = classes(replace(CLASS, conditions=())), broken, routes()
    assert outcomes(controller, *facts, workloads(), NO_TYPES, None) == ["skip"]
    assert outcomes(gateway_class, *facts, None) == ["skip"]
    assert outcomes(gateway, *facts, NO_TYPES, None) == ["skip"]


# The class


def test_a_class_exists_and_is_accepted() -> None:
    pending = make_conditions("Accepted", status="Unknown", reason="Pending")
    assert judge_class(CLASS) == []
    assert judge_class(replace(CLASS, conditions=pending)) == [("fail", "GatewayClass agw")]
    assert judge_class(replace(CLASS, conditions=())) == [("fail", "GatewayClass agw")]
    assert judge_class() == [("fail", "Gateway gateways/gw")]


# The Gateway


def test_a_gateway_is_programmed() -> None:
    old = make_conditions("Programmed", current=False)
    waiting = make_conditions("Programmed", status="False", reason="AddressNotAssigned")
    no_secret = make_conditions("ResolvedRefs", status="False", reason="NoSecret")
    tls = replace(LISTENER, name="https", conditions=no_secret)
    assert judge_gateway(GATEWAY) == []
    assert judge_gateway(replace(GATEWAY, conditions=old)) == ["fail"]
    assert judge_gateway(replace(GATEWAY, conditions=waiting)) == ["fail"]
    assert judge_gateway(replace(GATEWAY, listeners=(LISTENER, tls))) == ["warn"]


BROKEN = replace(GATEWAY, name="broken", conditions=make_conditions("Programmed", status="False"))
UNABLE = replace(GATEWAY, name="other", class_name="traefik")
TRAEFIK = replace(CLASS, name="traefik", controller="traefik.io/gateway-controller")


@pytest.mark.parametrize(
    ("files", "found", "expected"),
    [
        ({"deploy": EPP, "route": HTTP_ROUTE}, [GATEWAY], []),
        ({"deploy": EPP, "route": HTTP_ROUTE}, [replace(GATEWAY, namespace="x")], [("fail", "route.yaml:7")]),
        # a recipe that names none needs one that works
        ({"deploy": EPP}, [BROKEN, GATEWAY, UNABLE], []),
        ({"deploy": EPP}, [BROKEN, UNABLE], [("fail", "Gateway gateways/broken")]),
        ({"deploy": EPP}, [UNABLE], [("fail", "")]),
        ({"deploy": EPP.replace("epp", "frontend")}, [], [("skip", "")]),  # without a pool
    ],
)
def test_the_gateway_of_a_recipe(
    tmp_path: Path, files: dict[str, str], found: list[Gateway], expected: list[tuple[str, str]]
) -> None:
    around = classes(CLASS, TRAEFIK), gateways(*found), routes(), NO_TYPES, recipes(tmp_path, **files)
    assert places(gateway, *around) == expected


def test_gateways_that_nothing_routes_to_yet() -> None:
    around = classes(CLASS, TRAEFIK), gateways(BROKEN, UNABLE), routes()
    assert places(gateway, *around, EXTENSION, None) == [("warn", "Gateway gateways/broken")]
    assert places(controller, *around, workloads(DOWN), EXTENSION, None) == [
        ("warn", "Deployment serving/agentgateway")
    ]
    working = classes(CLASS), gateways(GATEWAY), routes()
    assert outcomes(gateway, *working, EXTENSION, None) == []
    assert outcomes(controller, *working, workloads(AGENTGATEWAY), EXTENSION, None) == []
