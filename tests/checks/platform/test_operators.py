"""The checks of the Dynamo operator: that it runs, alone, and goes with what it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.platform import installation, operators
from dynocheck.data.platform import parse_semver
from dynocheck.facts import Condition, CustomResourceDefinition, CustomResourceDefinitions
from dynocheck.facts.k8s.namespace_policy import Namespace
from dynocheck.facts.k8s.platform import (
    AdmissionWebhooks,
    OperatorConfig,
    OperatorConfigs,
    OperatorLease,
    OperatorLeases,
    PlatformType,
    PlatformTypes,
    Webhook,
)
from dynocheck.facts.k8s.workloads import Workload, Workloads
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check, worker

GRAPHS = "dynamographdeployments.nvidia.com"
AVAILABLE = (Condition("Available", "True"),)
HERE = Namespace("default")
UNTOLD, UNCLAIMED, NO_WEBHOOKS = OperatorConfigs(), OperatorLeases(), AdmissionWebhooks()


def operator(
    release: str = "1.4.0",
    *,
    namespace: str = "dynamo-system",
    instance: str = "dynamo-platform",
    conditions: tuple[Condition, ...] = AVAILABLE,
    desired: int = 1,
    observed: bool = True,
    image: str = "nvcr.io/nvidia/ai-dynamo/kubernetes-operator",
    name: str = "dynamo-operator",
) -> Workload:
    return Workload(
        kind="Deployment",
        namespace=namespace,
        name=f"{instance}-controller-manager",
        labels={
            "control-plane": "controller-manager",
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/created-by": "dynamo-operator",
            "app.kubernetes.io/instance": instance,
        },
        images=(f"{image}:{release}",),
        desired=desired,
        ready=desired,
        observed=observed,
        conditions=conditions,
    )


def config(
    restricted: str = "", *, namespace: str = "dynamo-system", instance: str = "dynamo-platform"
) -> OperatorConfig:
    return OperatorConfig(namespace=namespace, name="config", instance=instance, restricted=restricted)


def running(*workloads: Workload) -> Workloads:
    return Workloads(workloads)


def types(*served: str) -> CustomResourceDefinitions:
    crd = CustomResourceDefinition(GRAPHS, "nvidia.com", served, established=True)
    return CustomResourceDefinitions((crd,))


def judged(workloads: Workloads, configs: OperatorConfigs = UNTOLD) -> list[tuple[str, str]]:
    return list_messages(installation.operator, workloads, types("v1beta1"), configs, HERE, None)


# platform.operator


def test_an_operator_that_runs() -> None:
    assert judged(running(operator())) == []
    assert judged(running(operator(name="renamed"))) == [], "nameOverride changes that label"


def test_no_operator() -> None:
    other = operator(name="gpu-operator")
    other = Workload(
        kind="Deployment", namespace="x", name="y", labels={"app.kubernetes.io/name": "gpu-operator"}
    )
    ((outcome, message),) = judged(running(other))
    assert outcome == "fail"
    assert "no operator runs in any namespace" in message
    assert get_skip_reason(
        installation.operator, running(), CustomResourceDefinitions(), OperatorConfigs(), HERE, None
    )


def test_an_operator_that_is_not_available() -> None:
    late = Condition("Progressing", "False", "ProgressDeadlineExceeded", "ReplicaSet has timed out")
    bad = Condition("Available", "False", "MinimumReplicasUnavailable", "no minimum availability")
    assert judged(running(operator(conditions=(bad,)))) == [
        ("fail", "is not available: no minimum availability")
    ]
    assert judged(running(operator(conditions=(bad, late)))) == [
        ("fail", "is not available: ReplicaSet has timed out")
    ]
    assert judged(running(operator(conditions=()))) == [
        ("fail", "is not available: it reports no condition Available")
    ]
    assert judged(running(operator(desired=0))) == [("fail", "is scaled to nothing")]
    ((outcome, _),) = judged(running(operator(observed=False)))
    assert outcome == "warn"


def test_an_operator_that_serves_another_namespace(tmp_path: Path) -> None:
    mine = recipes(tmp_path, deploy=GRAPH + FRONTEND + worker())
    configs = OperatorConfigs((config("lab"),))
    ((outcome, message),) = judged(running(operator()), configs)
    assert outcome == "warn"
    assert "is restricted to namespace lab" in message
    with_recipe = list_messages(installation.operator, running(operator()), types("v1"), configs, HERE, mine)
    assert [o for o, _ in with_recipe] == ["fail"]
    assert judged(running(operator()), OperatorConfigs((config("default"),))) == []


def test_an_operator_for_tests_beside_one_for_everything() -> None:
    lab = operator(namespace="lab", instance="lab")
    configs = OperatorConfigs((config(), config("lab", namespace="lab", instance="lab")))
    assert judged(running(operator(), lab), configs) == []


# platform.second-operator


def alone(
    workloads: Workloads,
    configs: OperatorConfigs,
    leases: OperatorLeases = UNCLAIMED,
    webhooks: AdmissionWebhooks = NO_WEBHOOKS,
) -> list[tuple[str, str]]:
    return list_messages(operators.second_operator, workloads, configs, leases, webhooks)


def test_one_operator() -> None:
    assert alone(running(operator()), OperatorConfigs((config(),))) == []
    assert alone(running(operator()), OperatorConfigs()) == [], "one of before 1.0 has no ConfigMap"
    assert get_skip_reason(
        operators.second_operator,
        running(),
        OperatorConfigs(),
        OperatorLeases(),
        AdmissionWebhooks(),
    )


def test_two_cluster_wide_operators() -> None:
    two = running(operator(), operator(namespace="b", instance="b"))
    configs = OperatorConfigs((config(), config(namespace="b", instance="b")))
    ((outcome, message),) = alone(two, configs)
    assert outcome == "fail"
    assert "beside dynamo-system/dynamo-platform-controller-manager" in message


def test_two_operators_of_which_one_does_not_tell() -> None:
    two = running(operator(), operator(namespace="b", instance="b"))
    ((outcome, message),) = alone(two, OperatorConfigs((config(),)))
    assert outcome == "warn"
    assert "cannot be told" in message


def test_a_claim_that_ended_with_webhooks_left() -> None:
    left = Webhook(kind="ValidatingWebhookConfiguration", configuration="lab", name="v", namespaces=("lab",))
    wide = Webhook(kind="ValidatingWebhookConfiguration", configuration="all", name="v")
    one, told = running(operator()), OperatorConfigs((config(),))
    ended = OperatorLeases((OperatorLease("lab", 1000),), looked=5000)
    ((outcome, message),) = alone(one, told, ended, AdmissionWebhooks((left, wide)))
    assert outcome == "warn"
    assert "operator of namespace lab is gone" in message
    assert alone(one, told, ended, AdmissionWebhooks((wide,))) == []
    held = OperatorLeases((OperatorLease("lab", 4900),), looked=5000)
    assert alone(one, told, held, AdmissionWebhooks((left,))) == [], "clocks differ"


# platform.version-skew


@pytest.mark.parametrize(
    ("release", "served", "outcomes"),
    [
        ("1.4.0", ("v1alpha1", "v1beta1"), []),
        ("1.2.0", ("v1beta1",), []),
        ("1.1.1", ("v1alpha1",), []),
        ("0.9.0", ("v1alpha1",), []),
        ("1.4.0", ("v1alpha1",), ["warn"]),
        ("1.1.1", ("v1alpha1", "v1beta1"), ["warn"]),
        ("1.5.0-dev.3", ("v1alpha1",), ["warn"]),
        ("1.4.0", (), []),
    ],
)
def test_operator_and_types(release: str, served: tuple[str, ...], outcomes: list[str]) -> None:
    judged = list_messages(operators.version_skew, running(operator(release)), types(*served), None)
    assert [outcome for outcome, _ in judged] == outcomes


def test_images_newer_than_the_operator(tmp_path: Path) -> None:
    mine = recipes(tmp_path, deploy=GRAPH + FRONTEND + worker())  # 1.3.0
    served = types("v1beta1")
    assert list_messages(operators.version_skew, running(operator("1.3.1")), served, mine) == []
    assert list_messages(operators.version_skew, running(operator("1.4.0")), served, mine) == []
    (finding,) = run_check(operators.version_skew, running(operator("1.2.1")), served, mine)
    assert finding.message.startswith("w runs registry.example/vllm-runtime:1.3.0, newer than")
    assert finding.location is not None


def test_a_release_that_cannot_be_told() -> None:
    for tag in ("latest", "my-build"):
        assert get_skip_reason(operators.version_skew, running(operator(tag)), types("v1beta1"), None)


def test_semantic_versions_sort_as_they_do() -> None:
    ordered = ["0.1.0-alpha.6", "v0.1.0-alpha.8", "0.1.0-alpha.10", "0.1.0-rc.1", "0.1.0", "0.7.0", "v0.13.4"]
    assert sorted(ordered, key=lambda v: parse_semver(v) or (0, 0, 0, ())) == ordered
    assert parse_semver("latest") is None


# platform.crd-migration


def stored(*versions: str, migrated: str = "3") -> PlatformTypes:
    made = PlatformType(
        name=GRAPHS, generation=3, migrated_generation=migrated, storage="v1beta1", stored=versions
    )
    return PlatformTypes((made,))


def test_stored_versions() -> None:
    assert list_messages(installation.crd_migration, stored("v1beta1")) == []
    assert list_messages(installation.crd_migration, stored("v1beta1", migrated="")) == [], (
        "before 1.5 nobody annotates"
    )
    ((outcome, message),) = list_messages(installation.crd_migration, stored("v1alpha1", "v1beta1"))
    assert outcome == "warn"
    assert message == "objects may still be stored as v1alpha1, and not as v1beta1"
    ((_, message),) = list_messages(installation.crd_migration, stored("v1alpha1", "v1beta1", migrated="2"))
    assert message.endswith("the operator has not seen this definition's latest change")
    assert get_skip_reason(installation.crd_migration, PlatformTypes())
