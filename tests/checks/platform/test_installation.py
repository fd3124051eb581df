"""CRDs of the platform, their stored versions, and the operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.platform import installation
from dynocheck.facts import (
    Condition,
    CustomResourceDefinition,
    CustomResourceDefinitions,
    OperatorConfigs,
    PlatformType,
    PlatformTypes,
    Workload,
    Workloads,
)
from tests.checks.judging import (
    FRONTEND,
    GRAPH,
    crd,
    get_skip_reason,
    make_definitions,
    outcomes,
    recipes,
    run_check,
    worker,
)
from tests.checks.platform import GRAPHS, HERE, config, operator, running, serve_graphs


def dynamo(*plurals: str, version: str = "v1beta1") -> list[CustomResourceDefinition]:
    return [crd(f"dynamo{plural}.nvidia.com", version) for plural in plurals]


ALL = (
    "graphdeployments",
    "componentdeployments",
    "workermetadatas",
    "graphdeploymentrequests",
    "graphdeploymentscalingadapters",
    "models",
)


def test_current_crds() -> None:
    assert outcomes(installation.crds, make_definitions(*dynamo(*ALL))) == []
    assert outcomes(installation.crds, make_definitions(*dynamo(*ALL[:3]))) == ["warn"] * 3


def test_an_older_platform_has_no_worker_metadata() -> None:
    older = dynamo("graphdeployments", "componentdeployments", *ALL[3:], version="v1alpha1")
    assert outcomes(installation.crds, make_definitions(*older)) == []
    assert outcomes(
        installation.crds, make_definitions(*dynamo("graphdeployments", "componentdeployments", *ALL[3:]))
    ) == ["fail"]


def test_no_crd() -> None:
    assert outcomes(installation.crds, make_definitions()) == ["fail", "fail"]


def test_a_crd_that_is_not_established() -> None:
    bad = crd("dynamomodels.nvidia.com", established=False, reason="NamesAccepted is False: taken")
    (finding,) = run_check(installation.crds, make_definitions(*dynamo(*ALL[:-1]), bad))
    assert finding.outcome == "warn"
    assert "NamesAccepted is False: taken" in finding.message
    bad = crd("dynamographdeployments.nvidia.com", established=False, reason="being deleted")
    assert outcomes(installation.crds, make_definitions(*dynamo(*ALL[1:]), bad)) == ["fail"]


NO_CONFIG = OperatorConfigs()


def judge(workloads: Workloads, configs: OperatorConfigs = NO_CONFIG) -> list[str]:
    return outcomes(installation.operator, workloads, serve_graphs("v1beta1"), configs, HERE, None)


def test_an_operator_that_runs() -> None:
    assert judge(running(operator())) == []
    assert judge(running(operator(name="renamed"))) == [], "nameOverride changes that label"


def test_no_operator() -> None:
    other = Workload(
        kind="Deployment", namespace="x", name="y", labels={"app.kubernetes.io/name": "gpu-operator"}
    )
    assert judge(running(other)) == ["fail"]
    assert get_skip_reason(
        installation.operator, running(), CustomResourceDefinitions(), OperatorConfigs(), HERE, None
    )


UNAVAILABLE = Condition("Available", "False", "MinimumReplicasUnavailable", "no minimum availability")
LATE = Condition("Progressing", "False", "ProgressDeadlineExceeded", "ReplicaSet has timed out")


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ((UNAVAILABLE,), UNAVAILABLE.message),
        ((UNAVAILABLE, LATE), LATE.message),
        ((), "no condition Available"),
    ],
)
def test_an_operator_that_is_not_available(conditions: tuple[Condition, ...], reason: str) -> None:
    facts = (running(operator(conditions=conditions)), serve_graphs("v1beta1"), NO_CONFIG, HERE, None)
    (finding,) = run_check(installation.operator, *facts)
    assert finding.outcome == "fail"
    assert reason in finding.message


def test_an_operator_that_is_scaled_to_zero_or_just_changed() -> None:
    assert judge(running(operator(desired=0))) == ["fail"]
    assert judge(running(operator(observed=False))) == ["warn"]


def test_an_operator_that_serves_another_namespace(tmp_path: Path) -> None:
    mine = recipes(tmp_path, deploy=GRAPH + FRONTEND + worker())
    configs = OperatorConfigs((config("lab"),))
    assert judge(running(operator()), configs) == ["warn"]
    with_recipe = outcomes(
        installation.operator, running(operator()), serve_graphs("v1"), configs, HERE, mine
    )
    assert with_recipe == ["fail"]
    assert judge(running(operator()), OperatorConfigs((config("default"),))) == []


def test_an_operator_for_tests_beside_one_for_everything() -> None:
    lab = operator(namespace="lab", instance="lab")
    configs = OperatorConfigs((config(), config("lab", namespace="lab", instance="lab")))
    assert judge(running(operator(), lab), configs) == []


def stored(*versions: str, migrated: str = "3") -> PlatformTypes:
    made = PlatformType(
        name=GRAPHS, generation=3, migrated_generation=migrated, storage="v1beta1", stored=versions
    )
    return PlatformTypes((made,))


def test_stored_versions() -> None:
    assert outcomes(installation.crd_migration, stored("v1beta1")) == []
    assert outcomes(installation.crd_migration, stored("v1beta1", migrated="")) == [], (
        "releases before 1.5 do not annotate"
    )
    (migrating,) = run_check(installation.crd_migration, stored("v1alpha1", "v1beta1"))
    (unseen,) = run_check(installation.crd_migration, stored("v1alpha1", "v1beta1", migrated="2"))
    assert (str(migrating.outcome), str(unseen.outcome)) == ("warn", "warn")
    assert unseen.evidence["migrated generation"] == "2"
    assert unseen.message.startswith(migrating.message + ";")
    assert get_skip_reason(installation.crd_migration, PlatformTypes())
