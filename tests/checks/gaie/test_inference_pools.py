"""Pools and their endpoint pickers."""

import pytest
from msgspec.structs import replace

from dynocheck.checks.gaie.inference_pools import epp, pool
from dynocheck.facts import (
    EndpointPicker,
    InferencePool,
    ObjectReference,
    PickerConfig,
    Pod,
    RouteParent,
    Workload,
)
from tests.checks.judging import judge, outcomes, run_check
from tests.checks.routing import (
    DEPLOYMENT,
    EPP,
    PARENT,
    POOL,
    READY,
    ROUTE,
    make_conditions,
    pools,
    routes,
    workload,
    workloads,
)
from tests.clusters.gaie import CONFIG

CRASHING = Pod("serving", "w", "Running", waiting=("CrashLoopBackOff",))
OTHERS = replace(POOL, dynamo=False)
PICKER = ObjectReference(group="example.com", kind="Picker", namespace="serving", name="x")
DOWN = replace(DEPLOYMENT, ready=0)


def with_picker(**fields: object) -> InferencePool:
    return replace(POOL, picker=replace(EPP, **fields))


def with_config(text: str | None, **fields: str) -> InferencePool:
    return with_picker(configs=(PickerConfig("cm", "epp.yaml", text, **fields),))


def with_status(status: str, reason: str) -> InferencePool:
    conditions = make_conditions("Accepted", status=status, reason=reason)
    return replace(POOL, statuses=(RouteParent(PARENT, "c", conditions),))


def judge_picker(found: InferencePool, *running: Workload) -> list[str]:
    return outcomes(epp, pools(found), routes(ROUTE), workloads(*running), None)


def test_no_pool() -> None:
    assert outcomes(pool, pools(), routes(), None) == ["skip"]
    assert outcomes(epp, pools(), routes(), workloads(), None) == ["skip"]


@pytest.mark.parametrize(
    ("found", "routed", "expected"),
    [
        (POOL, True, []),
        (replace(POOL, pods=()), True, ["fail"]),
        (replace(POOL, pods=(CRASHING,)), True, ["fail"]),
        (replace(POOL, pods=(CRASHING, *POOL.pods)), True, []),
        (with_picker(ports=None), True, ["fail"]),  # there is no such Service
        (with_picker(ports=(80,)), True, ["fail"]),
        (replace(POOL, picker=EndpointPicker(reference=PICKER)), True, []),
        (with_status("False", "NotSupported"), True, ["fail"]),
        (with_status("Unknown", "Pending"), True, []),
        # a pool of others to which no route leads
        (replace(OTHERS, pods=()), False, ["warn"]),
        (replace(OTHERS, pods=()), True, ["fail"]),
        (replace(POOL, pods=()), False, ["fail"]),
    ],
)
def test_pools(found: InferencePool, routed: bool, expected: list[str]) -> None:
    assert outcomes(pool, pools(found), routes(*[ROUTE] * routed), None) == expected


def test_pods_of_a_pool_are_told_with_their_state() -> None:
    (finding,) = run_check(pool, pools(replace(POOL, pods=(CRASHING,))), routes(ROUTE), None)
    assert finding.evidence == {"w": "CrashLoopBackOff"}


# The endpoint picker

TWO = replace(DEPLOYMENT, desired=2, ready=1)


@pytest.mark.parametrize(
    ("found", "running", "expected"),
    [
        (POOL, [DEPLOYMENT], []),
        (POOL, [DOWN], ["fail"]),
        (POOL, [replace(DOWN, desired=0)], ["fail"]),
        (POOL, [replace(DEPLOYMENT, desired=2, ready=2)], ["fail"]),
        (POOL, [DEPLOYMENT, replace(DEPLOYMENT, name="other")], ["fail"]),
        (POOL, [DEPLOYMENT, replace(DOWN, name="old", desired=0)], []),
        (POOL, [DEPLOYMENT, replace(DEPLOYMENT, namespace="other")], []),
        (POOL, [DEPLOYMENT, workload("unrelated", {"app": "x"}, desired=5)], []),
        # pods of Grove have no Deployment
        (POOL, [], []),
        (with_picker(pods=(replace(READY, ready=False),)), [], ["fail"]),
        (with_picker(pods=(READY, replace(READY, name="epp-1"))), [], ["fail"]),
        (with_picker(pods=()), [], ["fail"]),
        (with_picker(selector={}, pods=()), [], ["warn"]),
        (replace(POOL, picker=EndpointPicker(reference=PICKER)), [], ["skip"]),
        # others may run several
        (OTHERS, [TWO], ["warn"]),
        (replace(with_picker(election=True), dynamo=False), [TWO], []),
        (with_config(None, unread="configmaps is forbidden"), [DEPLOYMENT], ["unknown"]),
    ],
)
def test_endpoint_pickers(found: InferencePool, running: list[Workload], expected: list[str]) -> None:
    assert judge_picker(found, *running) == expected


def test_of_the_light_picker_only_whether_it_runs_is_judged() -> None:
    light = replace(with_picker(configs=(PickerConfig("cm", "epp.yaml", "- a"),), light=True), dynamo=False)
    assert judge(epp, pools(light), routes(ROUTE), workloads(TWO), None) == ["unjudged"]
    assert judge(epp, pools(light), routes(ROUTE), workloads(DOWN), None) == ["fail", "unjudged"]


def test_a_picker_of_others_that_no_route_leads_to_is_a_warning() -> None:
    assert outcomes(epp, pools(OTHERS), routes(), workloads(DOWN), None) == ["warn"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CONFIG, []),
        (CONFIG.replace("inference.networking.x-k8s.io", "llm-d.ai"), []),
        (CONFIG.replace("inference.networking.x-k8s.io", "example.com"), ["warn"]),
        (CONFIG.partition("schedulingProfiles")[0], []),
        (None, ["fail"]),
        ("plugins: [\n", ["fail"]),
        ("", ["fail"]),
        ("- a", ["fail"]),
        (CONFIG.replace("EndpointPickerConfig", "Config"), ["fail"]),
        (CONFIG.replace("apiVersion", "version"), ["fail"]),
        (CONFIG.replace("pluginRef: kv", "pluginRef: vk"), ["fail"]),
        (CONFIG.replace("type: dyn-decode-scorer", "kind: x"), ["fail"]),
        (CONFIG.replace("name: kv", "name: [kv]"), ["fail"]),
        (CONFIG.replace("pluginRef: kv", "pluginRef: {a: b}"), ["fail"]),
        (CONFIG.replace("- {pluginRef: kv, weight: 1}", "- kv"), ["fail"]),
        ("kind: EndpointPickerConfig\napiVersion: llm-d.ai/v1\nplugins: x\nschedulingProfiles: [1]", []),
        ("a: !!python/object:os.system {}", ["fail"]),
        ("a: 2026-13-99", ["fail"]),
    ],
)
def test_its_configuration(text: str | None, expected: list[str]) -> None:
    assert judge_picker(with_config(text), DEPLOYMENT) == expected
