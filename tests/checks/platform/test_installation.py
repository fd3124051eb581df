"""CRDs of the platform, their stored versions, and the operator."""

from pathlib import Path

import pytest

from dynocheck.checks.platform import installation
from dynocheck.facts import (
    Condition,
    CustomResourceDefinition,
    CustomResourceDefinitions,
    OperatorConfig,
    OperatorConfigs,
    PlatformType,
    PlatformTypes,
    Workload,
)
from tests.checks.judging import crd, deploy, make_definitions, outcomes, run_check
from tests.checks.manifests import engine, graph
from tests.checks.platform import GRAPHS, HERE, config, operator, running, serve_graphs

NEEDED = ("graphdeployments", "componentdeployments")
METADATA = "workermetadatas"
OTHERS = ("graphdeploymentrequests", "graphdeploymentscalingadapters")


def dynamo(*plurals: str, version: str = "v1beta1") -> list[CustomResourceDefinition]:
    return [crd(f"dynamo{plural}.nvidia.com", version) for plural in plurals]


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (dynamo(*NEEDED, METADATA, *OTHERS, "models"), []),
        (dynamo(*NEEDED, METADATA), ["warn"] * 3),
        (dynamo(*NEEDED, *OTHERS, "models", version="v1alpha1"), []),  # before there was worker metadata
        (dynamo(*NEEDED, *OTHERS, "models"), ["fail"]),
        ([], ["fail", "fail"]),
    ],
)
def test_crds(types: list[CustomResourceDefinition], expected: list[str]) -> None:
    assert outcomes(installation.crds, make_definitions(*types)) == expected


def test_a_crd_that_is_not_established() -> None:
    bad = crd("dynamomodels.nvidia.com", established=False, reason="NamesAccepted is False: taken")
    (finding,) = run_check(installation.crds, make_definitions(*dynamo(*NEEDED, METADATA, *OTHERS), bad))
    assert finding.outcome == "warn"
    assert "NamesAccepted is False: taken" in finding.message
    bad = crd(GRAPHS, established=False, reason="being deleted")
    others = dynamo(NEEDED[1], METADATA, *OTHERS, "models")
    assert outcomes(installation.crds, make_definitions(*others, bad)) == ["fail"]


def judge(workloads: list[Workload], *configs: OperatorConfig) -> list[str]:
    facts = running(*workloads), serve_graphs("v1beta1"), OperatorConfigs(configs), HERE, None
    return outcomes(installation.operator, *facts)


OTHER = {"app.kubernetes.io/name": "gpu-operator"}
LAB = operator(namespace="lab", instance="lab")


@pytest.mark.parametrize(
    ("workloads", "configs", "expected"),
    [
        ([operator()], [], []),
        ([operator(name="renamed")], [], []),  # nameOverride changes that label
        ([Workload(kind="Deployment", namespace="x", name="y", labels=OTHER)], [], ["fail"]),
        ([operator(desired=0)], [], ["fail"]),
        ([operator(observed=False)], [], ["warn"]),
        ([operator()], [config("lab")], ["warn"]),
        ([operator()], [config("default")], []),
        # An operator for tests beside one for everything.
        ([operator(), LAB], [config(), config("lab", namespace="lab", instance="lab")], []),
    ],
)
def test_operators(workloads: list[Workload], configs: list[OperatorConfig], expected: list[str]) -> None:
    assert judge(workloads, *configs) == expected


def test_no_operator_and_no_types_of_it() -> None:
    nothing = running(), CustomResourceDefinitions(), OperatorConfigs(), HERE, None
    assert outcomes(installation.operator, *nothing) == ["skip"]


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
    found = running(operator(conditions=conditions)), serve_graphs("v1beta1"), OperatorConfigs()
    (finding,) = run_check(installation.operator, *found, HERE, None)
    assert finding.outcome == "fail"
    assert reason in finding.message


def test_an_operator_of_another_namespace_than_the_recipes(tmp_path: Path) -> None:
    found = running(operator()), serve_graphs("v1"), OperatorConfigs((config("lab"),))
    assert outcomes(installation.operator, *found, HERE, deploy(tmp_path, graph(engine()))) == ["fail"]


def stored(*versions: str, migrated: str = "3") -> PlatformTypes:
    made = PlatformType(
        name=GRAPHS, generation=3, migrated_generation=migrated, storage="v1beta1", stored=versions
    )
    return PlatformTypes((made,))


def test_stored_versions() -> None:
    assert outcomes(installation.crd_migration, stored("v1beta1")) == []
    before_1_5 = stored("v1beta1", migrated="")  # releases before that do not annotate
    assert outcomes(installation.crd_migration, before_1_5) == []
    (migrating,) = run_check(installation.crd_migration, stored("v1alpha1", "v1beta1"))
    (unseen,) = run_check(installation.crd_migration, stored("v1alpha1", "v1beta1", migrated="2"))
    assert (migrating.outcome, unseen.outcome) == ("warn", "warn")
    assert unseen.evidence["migrated generation"] == "2"
    assert unseen.message.startswith(migrating.message + ";")
    assert outcomes(installation.crd_migration, PlatformTypes()) == ["skip"]
