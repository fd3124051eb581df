"""Controllers, classes and Gateways, those that serve inference and no others."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from dynocheck.checks.gaie.gateways import controller, gateway, gateway_class
from dynocheck.data.gateways import gateway_controller as row
from tests.checks.judging import get_skip_reason, list_messages, recipes, run_check
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


def test_all_is_well() -> None:
    assert list_messages(controller, *ALL, workloads(AGENTGATEWAY), None) == []
    assert list_messages(gateway_class, *ALL, None) == []
    assert list_messages(gateway, *ALL, None) == []


# The controller


def test_zero_pods_are_no_ready_controller() -> None:
    assert list_messages(controller, *ALL, workloads(), None) == [
        ("fail", "no workload of its controller, agentgateway, found")
    ]
    for broken in ({"ready": 0}, {"desired": 0, "ready": 0}):
        (finding,) = run_check(controller, *ALL, workloads(replace(AGENTGATEWAY, **broken)), None)
        assert (str(finding.outcome), finding.subject and finding.subject.kind) == ("fail", "Deployment")


def test_one_of_two_controllers_is_enough_for_now() -> None:
    other = replace(AGENTGATEWAY, name="other", ready=0)
    assert list_messages(controller, *ALL, workloads(AGENTGATEWAY, other), None) == [
        ("warn", "0 of 1 pods of agentgateway are ready")
    ]


def test_a_rollout_that_leaves_one_pod_is_a_warning() -> None:
    half = replace(AGENTGATEWAY, desired=2, ready=1)
    assert list_messages(controller, *ALL, workloads(half), None) == [
        ("warn", "1 of 2 pods of agentgateway are ready")
    ]


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
    assert list_messages(controller, kind, *ALL[1:], workloads(there), None) == []
    down = replace(there, ready=0)
    assert [o for o, _ in list_messages(controller, kind, *ALL[1:], workloads(down), None)] == ["fail"]


def test_what_only_shares_a_name_with_the_controller_does_not_stand_for_it() -> None:
    name = {"app.kubernetes.io/name": "agentgateway"}
    alone = workload("standalone", name)
    down = replace(AGENTGATEWAY, ready=0)
    assert [o for o, _ in list_messages(controller, *ALL, workloads(alone, down), None)] == ["fail"]
    proxy = workload("agentgateway", {**name, "gateway.networking.k8s.io/gateway-name": "agentgateway"})
    assert [o for o, _ in list_messages(controller, *ALL, workloads(proxy), None)] == ["fail"]


def test_every_row_has_a_source() -> None:
    istio = row("istio.io/gateway-controller")
    assert istio is not None
    assert istio.source.startswith("https://")
    assert row("istio.io/unmanaged-gateway") is None
    assert row("kgateway.dev/kgateway2") is None


def test_gke_and_the_unheard_of_are_not_judged() -> None:
    gke = classes(replace(CLASS, controller="networking.gke.io/gateway"))
    assert "runs outside the cluster" in get_skip_reason(controller, gke, *ALL[1:], workloads(), None)
    other = classes(replace(CLASS, controller="example.com/x"))
    assert get_skip_reason(controller, other, *ALL[1:], workloads(), None) == (
        "controller example.com/x of class agw is unknown to dynocheck"
    )


def test_istio_may_run_elsewhere_while_its_class_is_accepted() -> None:
    istio = replace(CLASS, controller="istio.io/gateway-controller")
    assert [o for o, _ in list_messages(controller, classes(istio), *ALL[1:], workloads(), None)] == ["warn"]
    refused = replace(istio, conditions=make_conditions("Accepted", status="Unknown"))
    assert [o for o, _ in list_messages(controller, classes(refused), *ALL[1:], workloads(), None)] == [
        "fail"
    ]


def test_nothing_that_serves_inference() -> None:
    broken = gateways(replace(GATEWAY, conditions=make_conditions("Programmed", status="False")))
    facts = classes(replace(CLASS, conditions=())), broken, routes()
    assert get_skip_reason(controller, *facts, workloads(), None)
    assert get_skip_reason(gateway_class, *facts, None)
    assert get_skip_reason(gateway, *facts, None)


# The class


def test_a_class_that_is_not_accepted() -> None:
    pending = make_conditions("Accepted", status="Unknown", reason="Pending")
    assert list_messages(gateway_class, classes(replace(CLASS, conditions=pending)), *ALL[1:], None) == [
        ("fail", "Accepted is Unknown: Pending")
    ]
    nothing = classes(replace(CLASS, conditions=()))
    assert list_messages(gateway_class, nothing, *ALL[1:], None) == [
        ("fail", "its controller has not reported Accepted")
    ]


def test_a_class_that_does_not_exist() -> None:
    (finding,) = run_check(gateway_class, classes(), *ALL[1:], None)
    assert finding.subject is not None
    assert str(finding.subject) == "Gateway gateways/gw"
    assert "see gaie.class" in get_skip_reason(controller, classes(), *ALL[1:], workloads(), None)


# The Gateway


def test_a_gateway_that_was_programmed_before_its_last_change() -> None:
    old = replace(GATEWAY, conditions=make_conditions("Programmed", current=False))
    assert [o for o, _ in list_messages(gateway, ALL[0], gateways(old), ALL[2], None)] == ["fail"]


def test_a_gateway_without_an_address() -> None:
    pending = make_conditions("Programmed", status="False", reason="AddressNotAssigned")
    waiting = gateways(replace(GATEWAY, conditions=pending))
    assert list_messages(gateway, ALL[0], waiting, ALL[2], None) == [
        ("fail", "Programmed is False: AddressNotAssigned")
    ]


def test_a_listener_that_does_not_work_is_a_warning() -> None:
    tls = replace(
        LISTENER, name="https", conditions=make_conditions("ResolvedRefs", status="False", reason="NoSecret")
    )
    half = gateways(replace(GATEWAY, listeners=(LISTENER, tls)))
    assert list_messages(gateway, ALL[0], half, ALL[2], None) == [
        ("warn", "listener https: ResolvedRefs is False: NoSecret")
    ]


def test_a_recipe_names_a_gateway(tmp_path: Path) -> None:
    asking = recipes(tmp_path, deploy=EPP, route=HTTP_ROUTE)
    assert list_messages(gateway, classes(CLASS), gateways(GATEWAY), routes(), asking) == []
    elsewhere = gateways(replace(GATEWAY, namespace="default"))
    (finding,) = run_check(gateway, classes(CLASS), elsewhere, routes(), asking)
    assert finding.message == "the route's Gateway gw does not exist in namespace gateways"
    assert finding.location is not None
    assert (finding.location.line, finding.location.column) == (7, 5)


def test_a_recipe_that_names_none_needs_one_that_works(tmp_path: Path) -> None:
    asking = recipes(tmp_path, deploy=EPP)
    broken = replace(GATEWAY, name="broken", conditions=make_conditions("Programmed", status="False"))
    unable = replace(GATEWAY, name="other", class_name="traefik")
    table = classes(CLASS, replace(CLASS, name="traefik", controller="traefik.io/gateway-controller"))
    assert list_messages(gateway, table, gateways(broken, GATEWAY, unable), routes(), asking) == []
    assert [o for o, _ in list_messages(gateway, table, gateways(broken, unable), routes(), asking)] == [
        "fail"
    ]
    assert list_messages(gateway, table, gateways(unable), routes(), asking) == [
        ("fail", "the recipe uses an inference pool, but no Gateway can route to it")
    ]


def test_a_recipe_without_a_pool_asks_for_nothing(tmp_path: Path) -> None:
    frontend = recipes(tmp_path, deploy=EPP.replace("epp", "frontend"))
    assert get_skip_reason(gateway, classes(CLASS), gateways(), routes(), frontend)
