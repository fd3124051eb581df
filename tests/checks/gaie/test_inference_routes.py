"""Inference routes at their Gateways, and their pools."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from dynocheck.checks.gaie.inference_routes import route
from dynocheck.facts import GAIE, GAIE_EXPERIMENTAL, Listener, ObjectReference, RouteParent, RunNamespace
from tests.checks.gaie.test_gateways import EPP, HTTP_ROUTE
from tests.checks.judging import get_skip_reason, list_messages, recipes, run_check
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


def test_all_is_well() -> None:
    assert list_messages(route, routes(ROUTE), *AROUND, None) == []


def test_nothing_to_judge() -> None:
    assert get_skip_reason(route, routes(), pools(), *AROUND[1:], None)


def test_a_pool_that_no_route_leads_to() -> None:
    assert list_messages(route, routes(), *AROUND, None) == [
        ("warn", "no HTTPRoute refers to it, so it gets no requests from Gateways")
    ]


def test_its_gateway_is_elsewhere() -> None:
    here = replace(PARENT, namespace="serving")
    (finding,) = run_check(route, routes(replace(ROUTE, parents=(here,))), *AROUND, None)
    assert finding.message == ("its Gateway gw does not exist in namespace serving, but in gateways")
    assert finding.fix == "set namespace: gateways in the parentRef"


@pytest.mark.parametrize(
    ("listeners", "admitted"),
    [
        ([Listener(name="a")], False),
        ([Listener(name="a", routes_from="None")], False),
        ([Listener(name="a", routes_from="Selector")], True),
        ([Listener(name="a"), LISTENER], True),
        ([replace(LISTENER, kinds=("GRPCRoute",))], False),
        ([replace(LISTENER, kinds=("GRPCRoute", "HTTPRoute"))], True),
        ([], True),  # all of them may be in ListenerSets
    ],
)
def test_what_listeners_take(listeners: list[Listener], admitted: bool) -> None:
    taking = gateways(replace(GATEWAY, listeners=tuple(listeners)))
    outcomes = [o for o, _ in list_messages(route, routes(ROUTE), AROUND[0], taking, *AROUND[2:], None)]
    assert outcomes == ([] if admitted else ["fail"])


def test_a_gateway_takes_routes_of_its_own_namespace() -> None:
    same = gateways(replace(GATEWAY, listeners=(Listener(name="http"),)))
    there = replace(ROUTE, namespace=HOME)
    assert list_messages(route, routes(there), AROUND[0], same, *AROUND[2:], None) == []


def test_only_the_listener_it_names_counts() -> None:
    closed = Listener(name="closed", port=8080)
    both = gateways(replace(GATEWAY, listeners=(LISTENER, closed)))
    for changed, says in (
        ({"section": "closed"}, "accepts HTTPRoutes"),
        ({"section": "none"}, "has no listener none"),
        ({"port": 8080}, "accepts HTTPRoutes"),
        ({"port": 1}, "has no listener port 1"),
    ):
        named = replace(ROUTE, parents=(replace(PARENT, **changed),))
        ((outcome, message),) = list_messages(route, routes(named), AROUND[0], both, *AROUND[2:], None)
        assert (outcome, says in message) == ("fail", True), message
    open_ = replace(PARENT, section="http")
    fine = replace(ROUTE, parents=(open_,), statuses=(replace(STATUS, parent=open_),))
    assert list_messages(route, routes(fine), AROUND[0], both, *AROUND[2:], None) == []


def test_only_the_word_of_its_own_controller_counts() -> None:
    bad = make_conditions("Accepted", status="False", reason="NoMatchingParent")
    other = RouteParent(PARENT, "example.com/other", bad)
    assert list_messages(route, routes(replace(ROUTE, statuses=(STATUS, other))), *AROUND, None) == []
    ((outcome, message),) = list_messages(route, routes(replace(ROUTE, statuses=(other,))), *AROUND, None)
    assert (outcome, "no controller has processed it" in message) == ("fail", True)
    # Of a class that is gone, whoever speaks is believed.
    assert list_messages(route, routes(ROUTE), *AROUND[:2], classes(), AROUND[3], None) == []


def test_every_parent_counts() -> None:
    second = replace(GATEWAY, name="second")
    both = replace(ROUTE, parents=(PARENT, replace(PARENT, name="second")))
    ((outcome, message),) = list_messages(
        route, routes(both), AROUND[0], gateways(GATEWAY, second), *AROUND[2:], None
    )
    assert (outcome, message.startswith("at Gateway gateways/second: no status")) == ("fail", True)


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        (
            make_conditions("Accepted", status="False", reason="NotAllowedByListeners"),
            "Accepted is False: NotAllowed",
        ),
        (make_conditions("Accepted", current=False), "Accepted is of an older generation"),
        (
            (*make_conditions("Accepted"), *make_conditions("ResolvedRefs", status="False")),
            "ResolvedRefs is False",
        ),
        (make_conditions("Accepted"), "its controller has not reported ResolvedRefs"),
        ((), "its controller has not reported Accepted"),
    ],
)
def test_what_its_controller_says(conditions: tuple[object, ...], says: str) -> None:
    status = RouteParent(PARENT, CONTROLLER, conditions)  # type: ignore[arg-type]
    ((outcome, message),) = list_messages(route, routes(replace(ROUTE, statuses=(status,))), *AROUND, None)
    assert (outcome, says in message) == ("fail", True), message


def test_what_else_a_controller_may_say() -> None:
    good = make_conditions("Accepted", "ResolvedRefs")
    for more, outcomes in (
        (make_conditions("Reconciled"), []),
        (make_conditions("Reconciled", status="False"), ["fail"]),
        (make_conditions("PartiallyInvalid", status="False"), []),
        (make_conditions("PartiallyInvalid"), ["warn"]),
    ):
        status = RouteParent(PARENT, CONTROLLER, (*good, *more))
        seen = list_messages(route, routes(replace(ROUTE, statuses=(status,))), *AROUND, None)
        assert [outcome for outcome, _ in seen] == outcomes


def test_a_controller_without_support_for_pools_is_told_how_to_get_it() -> None:
    bad = (
        *make_conditions("Accepted"),
        *make_conditions("ResolvedRefs", status="False", reason="InvalidKind"),
    )
    status = RouteParent(PARENT, CONTROLLER, bad)
    (finding,) = run_check(route, routes(replace(ROUTE, statuses=(status,))), *AROUND, None)
    assert "inferenceExtension.enabled=true" in (finding.fix or "")


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        ({"group": GAIE_EXPERIMENTAL}, f"the InferencePool with that name has {GAIE}"),
        ({"group": ""}, f"has group (core), the InferencePool with that name has {GAIE}"),
        ({"group": "", "name": "x"}, "group (core), which has no kind InferencePool"),
        ({"name": "x"}, "InferencePool x does not exist in serving"),
        ({"namespace": "x"}, "InferencePool pool does not exist in x"),
    ],
)
def test_backends(backend: dict[str, str], says: str) -> None:
    changed = replace(ROUTE, pools=(replace(BACKEND, **backend),))
    broken = replace(
        STATUS, conditions=(*make_conditions("Accepted"), *make_conditions("ResolvedRefs", status="False"))
    )
    messages = list_messages(route, routes(replace(changed, statuses=(broken,))), *AROUND, None)
    assert messages[0][0] == "fail"
    assert says in messages[0][1]
    assert not [message for _, message in messages if "ResolvedRefs" in message], "one cause, one finding"


def test_a_pool_of_the_experimental_group_may_be_led_to() -> None:
    old = replace(POOL, group=GAIE_EXPERIMENTAL)
    to_it = replace(ROUTE, pools=(replace(BACKEND, group=GAIE_EXPERIMENTAL),))
    assert list_messages(route, routes(to_it), pools(old), *AROUND[1:], None) == []


def test_a_parent_that_is_no_gateway_is_judged_by_its_status() -> None:
    listeners = ObjectReference(
        group="gateway.networking.k8s.io", kind="ListenerSet", namespace=HOME, name="ls"
    )
    attached = replace(ROUTE, parents=(listeners,), statuses=(replace(STATUS, parent=listeners),))
    assert list_messages(route, routes(attached), *AROUND, None) == []
    lost = replace(attached, statuses=())
    assert [o for o, _ in list_messages(route, routes(lost), *AROUND, None)] == ["fail"]


def test_a_route_without_parents() -> None:
    assert [o for o, _ in list_messages(route, routes(replace(ROUTE, parents=())), *AROUND, None)] == ["fail"]


def test_a_recipe_that_leaves_the_namespace_of_its_gateway_open(tmp_path: Path) -> None:
    text = HTTP_ROUTE.replace(", namespace: gateways", "")
    asking = recipes(tmp_path, deploy=EPP, route=text)
    ((outcome, message),) = list_messages(route, routes(), pools(), *AROUND[1:], asking)
    assert outcome == "warn"
    assert message.endswith("is in gateways: applied in default, the route has no Gateway")
    beside = (pools(), *AROUND[1:3], RunNamespace("gateways"))
    assert get_skip_reason(route, routes(), *beside, asking) == "no HTTPRoute refers to a pool yet"
    named = recipes(tmp_path / "named", deploy=EPP, route=HTTP_ROUTE)
    assert (
        get_skip_reason(route, routes(), pools(), *AROUND[1:], named) == "no HTTPRoute refers to a pool yet"
    )


@pytest.mark.parametrize("group", [GAIE_EXPERIMENTAL, '""'])
def test_a_recipe_whose_backend_is_of_the_wrong_group(tmp_path: Path, group: str) -> None:
    asking = recipes(tmp_path, deploy=EPP, route=HTTP_ROUTE.replace(GAIE, group))
    (finding,) = run_check(route, routes(), pools(), *AROUND[1:], asking)
    assert finding.message.endswith(f"Dynamo's operator creates InferencePools of {GAIE}")
    assert finding.location is not None
    assert finding.location.line == 10
