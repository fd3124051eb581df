"""Pools and their endpoint pickers."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dynocheck.checks.gaie.inference_pools import epp, pool
from dynocheck.facts import EndpointPicker, InferencePool, ObjectReference, PickerConfig, Pod, RouteParent
from tests.checks.judging import get_skip_reason, list_messages, run_check
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


def with_picker(**fields: object) -> InferencePool:
    return replace(POOL, picker=replace(EPP, **fields))


def with_config(text: str | None, **fields: str) -> InferencePool:
    return with_picker(configs=(PickerConfig("cm", "epp.yaml", text, **fields),))


def test_all_is_well() -> None:
    assert list_messages(pool, pools(POOL), routes(ROUTE), None) == []
    assert list_messages(epp, pools(POOL), routes(ROUTE), workloads(DEPLOYMENT), None) == []


def test_no_pool() -> None:
    assert get_skip_reason(pool, pools(), routes(), None)
    assert get_skip_reason(epp, pools(), routes(), workloads(), None)


def test_its_members() -> None:
    crashing = Pod("serving", "w", "Running", waiting=("CrashLoopBackOff",))
    assert list_messages(pool, pools(replace(POOL, pods=())), routes(ROUTE), None) == [
        ("fail", "its selector matches no pod in namespace serving")
    ]
    (finding,) = run_check(pool, pools(replace(POOL, pods=(crashing,))), routes(ROUTE), None)
    assert finding.message == "0 of the 1 pods that its selector matches are Ready"
    assert finding.evidence == {"w": "CrashLoopBackOff"}
    assert list_messages(pool, pools(replace(POOL, pods=(crashing, *POOL.pods))), routes(ROUTE), None) == []


def test_its_pickers_service() -> None:
    assert list_messages(pool, pools(with_picker(ports=None)), routes(ROUTE), None) == [
        ("fail", "its endpoint picker's Service epp does not exist in serving")
    ]
    assert list_messages(pool, pools(with_picker(ports=(80,))), routes(ROUTE), None) == [
        ("fail", "its endpoint picker has port 9002, which Service epp does not have")
    ]
    other = ObjectReference(group="example.com", kind="Picker", namespace="serving", name="x")
    elsewhere = replace(POOL, picker=EndpointPicker(reference=other))
    assert list_messages(pool, pools(elsewhere), routes(ROUTE), None) == []
    assert get_skip_reason(epp, pools(elsewhere), routes(ROUTE), workloads(), None)


def test_what_a_controller_makes_of_it() -> None:
    refused = RouteParent(PARENT, "c", make_conditions("Accepted", status="False", reason="NotSupported"))
    assert list_messages(pool, pools(replace(POOL, statuses=(refused,))), routes(ROUTE), None) == [
        ("fail", "at Gateway gateways/gw: Accepted is False: NotSupported")
    ]
    waiting = RouteParent(PARENT, "c", make_conditions("Accepted", status="Unknown", reason="Pending"))
    assert list_messages(pool, pools(replace(POOL, statuses=(waiting,))), routes(ROUTE), None) == []


def test_a_pool_of_others_that_nobody_is_sent_to_is_a_warning() -> None:
    others = replace(POOL, dynamo=False, pods=())
    assert [o for o, _ in list_messages(pool, pools(others), routes(), None)] == ["warn"]
    assert [o for o, _ in list_messages(pool, pools(others), routes(ROUTE), None)] == ["fail"]
    assert [o for o, _ in list_messages(pool, pools(replace(others, dynamo=True)), routes(), None)] == [
        "fail"
    ]
    down = workloads(replace(DEPLOYMENT, ready=0))
    assert [o for o, _ in list_messages(epp, pools(others), routes(), down, None)] == ["warn"]


# The endpoint picker


@pytest.mark.parametrize(
    ("found_workloads", "says"),
    [
        ([replace(DEPLOYMENT, ready=0)], "the endpoint picker is down: 0 of 1 pods are ready"),
        ([replace(DEPLOYMENT, desired=0, ready=0)], "the endpoint picker is down: 0 of 0 pods are ready"),
        ([replace(DEPLOYMENT, desired=2, ready=2)], "2 endpoint pickers run"),
        ([DEPLOYMENT, replace(DEPLOYMENT, name="other")], "2 endpoint pickers run"),
        ([DEPLOYMENT, replace(DEPLOYMENT, name="old", desired=0, ready=0)], None),
        ([DEPLOYMENT, replace(DEPLOYMENT, namespace="other")], None),
        ([DEPLOYMENT, workload("unrelated", {"app": "x"}, desired=5)], None),
    ],
)
def test_what_runs_behind_its_service(found_workloads: list[object], says: str | None) -> None:
    messages = list_messages(epp, pools(POOL), routes(ROUTE), workloads(*found_workloads), None)  # type: ignore[arg-type]
    assert [outcome for outcome, _ in messages] == ([] if says is None else ["fail"])
    assert says is None or messages[0][1].startswith(says)


def test_pods_of_grove_have_no_deployment() -> None:
    assert list_messages(epp, pools(POOL), routes(ROUTE), workloads(), None) == []
    down = with_picker(pods=(replace(READY, ready=False),))
    assert [o for o, _ in list_messages(epp, pools(down), routes(ROUTE), workloads(), None)] == ["fail"]
    two = with_picker(pods=(READY, replace(READY, name="epp-1")))
    assert [o for o, _ in list_messages(epp, pools(two), routes(ROUTE), workloads(), None)] == ["fail"]
    assert list_messages(epp, pools(with_picker(pods=())), routes(ROUTE), workloads(), None) == [
        ("fail", "the endpoint picker's Service epp has no pods")
    ]


def test_others_may_run_several_pickers() -> None:
    two = workloads(replace(DEPLOYMENT, desired=2, ready=1))
    others = replace(POOL, dynamo=False)
    assert [o for o, _ in list_messages(epp, pools(others), routes(ROUTE), two, None)] == ["warn"]
    elected = replace(with_picker(election=True), dynamo=False)
    assert list_messages(epp, pools(elected), routes(ROUTE), two, None) == []


def test_a_service_without_a_selector() -> None:
    blind = with_picker(selector={}, pods=())
    assert [o for o, _ in list_messages(epp, pools(blind), routes(ROUTE), workloads(), None)] == ["warn"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (CONFIG, None),
        (CONFIG.replace("inference.networking.x-k8s.io", "llm-d.ai"), None),
        (CONFIG.partition("schedulingProfiles")[0], None),
        (None, "does not exist"),
        ("plugins: [\n", "is not valid YAML (line 2)"),
        ("", "it is not an EndpointPickerConfig"),
        ("- a", "it is not an EndpointPickerConfig"),
        (CONFIG.replace("EndpointPickerConfig", "Config"), "it is not an EndpointPickerConfig"),
        (CONFIG.replace("apiVersion", "version"), "it has no apiVersion"),
        (CONFIG.replace("pluginRef: kv", "pluginRef: vk"), "profile decode refers to vk"),
        (CONFIG.replace("type: dyn-decode-scorer", "kind: x"), "a plugin has no type"),
        (CONFIG.replace("name: kv", "name: [kv]"), "profile decode refers to kv"),
        (CONFIG.replace("pluginRef: kv", "pluginRef: {a: b}"), "profile decode refers to {'a': 'b'}"),
        (CONFIG.replace("- {pluginRef: kv, weight: 1}", "- kv"), "profile decode refers to None"),
        ("kind: EndpointPickerConfig\napiVersion: llm-d.ai/v1\nplugins: x\nschedulingProfiles: [1]", None),
        ("a: !!python/object:os.system {}", "is not valid YAML (line 1)"),
        ("a: 2026-13-99", "is not valid YAML"),
    ],
)
def test_its_configuration(text: str | None, says: str | None) -> None:
    messages = list_messages(epp, pools(with_config(text)), routes(ROUTE), workloads(DEPLOYMENT), None)
    assert [outcome for outcome, _ in messages] == ([] if says is None else ["fail"])
    assert says is None or says in messages[0][1]


def test_a_configuration_of_a_group_that_is_not_known() -> None:
    other = with_config(CONFIG.replace("inference.networking.x-k8s.io", "example.com"))
    assert [o for o, _ in list_messages(epp, pools(other), routes(ROUTE), workloads(DEPLOYMENT), None)] == [
        "warn"
    ]


def test_a_configuration_that_may_not_be_read() -> None:
    secret = with_config(None, unread="configmaps is forbidden")
    assert list_messages(epp, pools(secret), routes(ROUTE), workloads(DEPLOYMENT), None) == [
        ("unknown", "the endpoint picker's configuration could not be read: configmaps is forbidden")
    ]
