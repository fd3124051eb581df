"""Inference routes at their Gateways, and their pools."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dynocheck.checks.gaie.inference_routes import route
from dynocheck.facts import (
    GAIE,
    GAIE_EXPERIMENTAL,
    GATEWAY_API,
    ControllerCondition,
    Listener,
    ObjectReference,
    Route,
    RouteParent,
    RunNamespace,
)
from tests.checks.gaie.test_gateways import EPP, HTTP_ROUTE
from tests.checks.judging import outcomes, places, recipes, run_check
from tests.checks.routing import (
    BACKEND,
    CLASS,
    CONTROLLER,
    GATEWAY,
    HOME,
    LISTENER,
    PARENT,
    POOL,
    ROUTE,
    STATUS,
    classes,
    gateways,
    make_conditions,
    pools,
    routes,
)

AROUND = pools(POOL), gateways(GATEWAY), classes(CLASS), RunNamespace("default")
CLOSED = Listener(name="closed", port=8080)
SECOND = replace(GATEWAY, name="second")
LISTENER_SET = ObjectReference(group=GATEWAY_API, kind="ListenerSet", namespace=HOME, name="ls")
ACCEPTED = make_conditions("Accepted")
REFUSED = make_conditions("Accepted", status="False", reason="NoMatchingParent")
UNRESOLVED = (*ACCEPTED, *make_conditions("ResolvedRefs", status="False"))
OTHER = RouteParent(PARENT, "example.com/other", REFUSED)


def judge(found: Route, *listeners: Listener, gateway: Any = GATEWAY) -> list[str]:
    """The outcomes of a route at a Gateway with these listeners and a second one."""
    both = gateways(replace(gateway, listeners=listeners), SECOND)
    return outcomes(route, routes(found), AROUND[0], both, *AROUND[2:], None)


def test_without_a_route() -> None:
    assert outcomes(route, routes(), pools(), *AROUND[1:], None) == ["skip"]
    assert places(route, routes(), *AROUND, None) == [("warn", "InferencePool serving/pool")]


def test_its_gateway_is_elsewhere() -> None:
    here = replace(PARENT, namespace="serving")
    (finding,) = run_check(route, routes(replace(ROUTE, parents=(here,))), *AROUND, None)
    assert (finding.outcome, finding.fix) == ("fail", "set namespace: gateways in the parentRef")


@pytest.mark.parametrize(
    ("listeners", "expected"),
    [
        ([Listener(name="a")], ["fail"]),
        ([Listener(name="a", routes_from="None")], ["fail"]),
        ([Listener(name="a", routes_from="Selector")], []),
        ([Listener(name="a"), LISTENER], []),
        ([replace(LISTENER, kinds=("GRPCRoute",))], ["fail"]),
        ([replace(LISTENER, kinds=("GRPCRoute", "HTTPRoute"))], []),
        ([], []),  # all of them may be in ListenerSets
    ],
)
def test_what_listeners_take(listeners: list[Listener], expected: list[str]) -> None:
    assert judge(ROUTE, *listeners) == expected


def test_a_gateway_takes_routes_of_its_own_namespace() -> None:
    assert judge(replace(ROUTE, namespace=HOME), Listener(name="http")) == []


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"section": "http"}, []),
        ({"section": "closed"}, ["fail"]),
        ({"section": "none"}, ["fail"]),
        ({"port": 8080}, ["fail"]),
        ({"port": 1}, ["fail"]),
        ({"name": "second"}, []),
    ],
)
def test_only_the_listener_it_names_counts(named: dict[str, Any], expected: list[str]) -> None:
    parent = replace(PARENT, **named)
    one = replace(ROUTE, parents=(parent,), statuses=(replace(STATUS, parent=parent),))
    assert judge(one, LISTENER, CLOSED) == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"statuses": (STATUS, OTHER)}, []),  # only the word of its own controller counts
        ({"statuses": (OTHER,)}, ["fail"]),
        ({"parents": (PARENT, replace(PARENT, name="second"))}, ["fail"]),  # which says nothing of it
        ({"parents": ()}, ["fail"]),
        # a parent that is no Gateway is judged by its status
        ({"parents": (LISTENER_SET,), "statuses": (replace(STATUS, parent=LISTENER_SET),)}, []),
        ({"parents": (LISTENER_SET,), "statuses": ()}, ["fail"]),
    ],
)
def test_every_parent_counts(changed: dict[str, Any], expected: list[str]) -> None:
    assert judge(replace(ROUTE, **changed), LISTENER) == expected


def test_of_a_class_that_is_gone_any_controller_is_believed() -> None:
    assert outcomes(route, routes(ROUTE), *AROUND[:2], classes(), AROUND[3], None) == []


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (make_conditions("Accepted", status="False", reason="NotAllowedByListeners"), ["fail"]),
        (make_conditions("Accepted", current=False), ["fail"]),
        (UNRESOLVED, ["fail"]),
        (ACCEPTED, ["fail"]),  # ResolvedRefs is not reported
        ((), ["fail"]),
        (make_conditions("Accepted", "ResolvedRefs", "Reconciled"), []),
        ((*STATUS.conditions, *make_conditions("Reconciled", status="False")), ["fail"]),
        ((*STATUS.conditions, *make_conditions("PartiallyInvalid", status="False")), []),
        (make_conditions("Accepted", "ResolvedRefs", "PartiallyInvalid"), ["warn"]),
    ],
)
def test_what_its_controller_says(conditions: tuple[ControllerCondition, ...], expected: list[str]) -> None:
    status = RouteParent(PARENT, CONTROLLER, conditions)
    assert outcomes(route, routes(replace(ROUTE, statuses=(status,))), *AROUND, None) == expected


def test_a_controller_without_support_for_pools_is_told_how_to_get_it() -> None:
    unknown = make_conditions("ResolvedRefs", status="False", reason="InvalidKind")
    status = RouteParent(PARENT, CONTROLLER, (*ACCEPTED, *unknown))
    (finding,) = run_check(route, routes(replace(ROUTE, statuses=(status,))), *AROUND, None)
    assert "inferenceExtension.enabled=true" in (finding.fix or "")


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ({"group": GAIE_EXPERIMENTAL}, ["fail"]),
        ({"group": ""}, ["fail"]),
        ({"group": "", "name": "x"}, ["fail", "warn"]),  # and no route leads to the pool
        ({"name": "x"}, ["fail", "warn"]),
        ({"namespace": "x"}, ["fail", "warn"]),
    ],
)
def test_a_backend_that_is_no_pool_is_one_cause(backend: dict[str, str], expected: list[str]) -> None:
    """What its controller says of it, that ResolvedRefs is False, is not told too."""
    broken = replace(STATUS, conditions=UNRESOLVED)
    changed = replace(ROUTE, pools=(replace(BACKEND, **backend),), statuses=(broken,))
    assert outcomes(route, routes(changed), *AROUND, None) == expected


def test_a_pool_of_the_experimental_group_may_be_led_to() -> None:
    old = replace(POOL, group=GAIE_EXPERIMENTAL)
    to_it = replace(ROUTE, pools=(replace(BACKEND, group=GAIE_EXPERIMENTAL),))
    assert outcomes(route, routes(to_it), pools(old), *AROUND[1:], None) == []


@pytest.mark.parametrize(
    ("parent", "applied_in", "expected"),
    [
        ("{name: gw}", "default", ["warn"]),  # whose namespace has no Gateway
        ("{name: gw}", "gateways", ["skip"]),
        ("{name: gw, namespace: gateways}", "default", ["skip"]),
    ],
)
def test_an_open_namespace(tmp_path: Path, parent: str, applied_in: str, expected: list[str]) -> None:
    text = HTTP_ROUTE.replace("{name: gw, namespace: gateways}", parent)
    around = pools(), *AROUND[1:3], RunNamespace(applied_in), recipes(tmp_path, deploy=EPP, route=text)
    assert outcomes(route, routes(), *around) == expected


@pytest.mark.parametrize("group", [GAIE_EXPERIMENTAL, '""'])
def test_a_recipe_whose_backend_is_of_the_wrong_group(tmp_path: Path, group: str) -> None:
    asking = recipes(tmp_path, deploy=EPP, route=HTTP_ROUTE.replace(GAIE, group))
    assert places(route, routes(), pools(), *AROUND[1:], asking) == [("fail", "route.yaml:10")]
