"""The Dynamo operator alone in its cluster, and its release against CRDs and images."""

from pathlib import Path

import pytest

from dynocheck.checks.platform import operators
from dynocheck.data.platform import parse_semver
from dynocheck.facts import (
    AdmissionWebhooks,
    OperatorConfig,
    OperatorConfigs,
    OperatorLease,
    OperatorLeases,
    Recipes,
    RunNamespace,
    Webhook,
    Workload,
)
from tests.checks.judging import deploy, get_coverage, outcomes, places, run_check
from tests.checks.manifests import engine, graph
from tests.checks.platform import config, operator, running, serve_graphs

ONE = operator()
TWO = [ONE, operator(namespace="b", instance="b")]
LAB = Webhook(kind="ValidatingWebhookConfiguration", configuration="lab", name="v", namespaces=("lab",))
WIDE = Webhook(kind="ValidatingWebhookConfiguration", configuration="all", name="v")
SECOND = "Deployment b/b-controller-manager"


def judge(
    workloads: list[Workload],
    configs: list[OperatorConfig],
    renewed: int = 0,
    *webhooks: Webhook,
    namespace: str = "lab",
    recipe: Recipes | None = None,
) -> list[tuple[str, str]]:
    """The findings where a namespace's operator, if there is one, last renewed its lease at this time."""
    leases = OperatorLeases((OperatorLease("lab", renewed),) if renewed else (), looked=5000)
    found = (
        OperatorConfigs(tuple(configs)),
        leases,
        AdmissionWebhooks(webhooks),
        RunNamespace(namespace),
        recipe,
    )
    return places(operators.second_operator, running(*workloads), *found)


def test_one_operator() -> None:
    assert judge([ONE], [config()]) == []
    assert judge([ONE], []) == [], "operators before 1.0 have no ConfigMap"
    nothing = running(), OperatorConfigs(), OperatorLeases(), AdmissionWebhooks(), RunNamespace("lab"), None
    assert outcomes(operators.second_operator, *nothing) == ["skip"]


def test_two_operators() -> None:
    both = [config(), config(namespace="b", instance="b")]
    assert judge(TWO, both) == [("fail", SECOND)]
    assert judge(TWO, [config()]) == [("warn", SECOND)]


def test_two_operators_of_one_namespace() -> None:
    both = [config(restricted="lab"), config(namespace="b", instance="b", restricted="lab")]
    assert len(judge(TWO, both)) == 2


def test_an_expired_lease_with_webhooks_left(tmp_path: Path) -> None:
    left = [("warn", "Lease lab/dynamo-operator-namespace-scope")]
    mine = deploy(tmp_path, graph(engine()))
    assert judge([ONE], [config()], 1000, LAB, recipe=mine, namespace="other") == left
    assert judge([ONE], [config()], 1000, LAB, recipe=mine) == [("fail", left[0][1])]
    assert judge([ONE], [config()], 1000, LAB, WIDE) == left
    assert judge([ONE], [config()], 1000, WIDE) == []
    assert judge([ONE], [config()], 4900, LAB) == [], "clocks differ"


# platform.version-skew


@pytest.mark.parametrize(
    ("release", "served", "expected"),
    [("1.4.0", "v1alpha1", "fail"), ("1.1.1", "v1alpha1 v1beta1", "fail"), ("1.4.0", "v1beta1", "")],
)
def test_a_recipe_that_the_operator_cannot_read(
    tmp_path: Path, release: str, served: str, expected: str
) -> None:
    recipe = deploy(tmp_path, graph(engine(image="registry.example/engine:1")))
    facts = running(operator(release)), serve_graphs(*served.split()), recipe
    assert outcomes(operators.version_skew, *facts) == expected.split()


@pytest.mark.parametrize(
    ("release", "served", "expected"),
    [
        ("1.4.0", ["v1alpha1", "v1beta1"], []),
        ("1.2.0", ["v1beta1"], []),
        ("1.1.1", ["v1alpha1"], []),
        ("0.9.0", ["v1alpha1"], []),
        ("1.4.0", ["v1alpha1"], ["warn"]),
        ("1.1.1", ["v1alpha1", "v1beta1"], ["warn"]),
        ("1.5.0-dev.3", ["v1alpha1"], ["warn"]),
        ("1.4.0", [], []),
    ],
)
def test_operator_and_served_versions(release: str, served: list[str], expected: list[str]) -> None:
    facts = (running(operator(release)), serve_graphs(*served), None)
    assert outcomes(operators.version_skew, *facts) == expected


@pytest.mark.parametrize("release", ["latest", "my-build"])
def test_an_operator_of_unknown_release_is_not_judged(release: str) -> None:
    count, left = get_coverage(
        operators.version_skew, running(operator(release)), serve_graphs("v1beta1"), None
    )
    assert (count, len(left)) == (0, 1)


def test_images_newer_than_the_operator(tmp_path: Path) -> None:
    mine = deploy(tmp_path, graph(engine(image="registry.example/vllm-runtime:1.3.0")))
    served = serve_graphs("v1beta1")
    assert outcomes(operators.version_skew, running(operator("1.3.1")), served, mine) == []
    assert outcomes(operators.version_skew, running(operator("1.4.0")), served, mine) == []
    (finding,) = run_check(operators.version_skew, running(operator("1.2.1")), served, mine)
    assert finding.outcome == "warn"
    assert finding.location is not None


def test_semantic_versions_sort() -> None:
    ordered = ["0.1.0-alpha.6", "v0.1.0-alpha.8", "0.1.0-alpha.10", "0.1.0-rc.1", "0.1.0", "0.7.0", "v0.13.4"]
    assert sorted(ordered, key=lambda v: parse_semver(v) or (0, 0, 0, ())) == ordered
    assert parse_semver("latest") is None
