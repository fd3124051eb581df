"""The Dynamo operator alone in its cluster, and its release against CRDs and images."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.platform import operators
from dynocheck.data.platform import parse_semver
from dynocheck.facts import (
    AdmissionWebhooks,
    OperatorConfigs,
    OperatorLease,
    OperatorLeases,
    Webhook,
    Workloads,
)
from tests.checks.judging import (
    FRONTEND,
    GRAPH,
    get_skip_reason,
    outcomes,
    places,
    recipes,
    run_check,
    worker,
)
from tests.checks.platform import config, operator, running, serve_graphs


def judge(
    workloads: Workloads,
    configs: OperatorConfigs,
    leases: OperatorLeases | None = None,
    webhooks: AdmissionWebhooks | None = None,
) -> list[tuple[str, str]]:
    leases, webhooks = leases or OperatorLeases(), webhooks or AdmissionWebhooks()
    return places(operators.second_operator, workloads, configs, leases, webhooks)


def test_one_operator() -> None:
    assert judge(running(operator()), OperatorConfigs((config(),))) == []
    assert judge(running(operator()), OperatorConfigs()) == [], "operators before 1.0 have no ConfigMap"
    assert get_skip_reason(
        operators.second_operator, running(), OperatorConfigs(), OperatorLeases(), AdmissionWebhooks()
    )


def test_two_cluster_wide_operators() -> None:
    two = running(operator(), operator(namespace="b", instance="b"))
    configs = OperatorConfigs((config(), config(namespace="b", instance="b")))
    assert judge(two, configs) == [("fail", "Deployment b/b-controller-manager")]


def test_two_operators_and_one_config() -> None:
    two = running(operator(), operator(namespace="b", instance="b"))
    found = judge(two, OperatorConfigs((config(),)))
    assert found == [("warn", "Deployment b/b-controller-manager")]


def test_an_expired_lease_with_webhooks_left() -> None:
    left = Webhook(kind="ValidatingWebhookConfiguration", configuration="lab", name="v", namespaces=("lab",))
    wide = Webhook(kind="ValidatingWebhookConfiguration", configuration="all", name="v")
    one, configs = running(operator()), OperatorConfigs((config(),))
    ended = OperatorLeases((OperatorLease("lab", 1000),), looked=5000)
    found = judge(one, configs, ended, AdmissionWebhooks((left, wide)))
    assert found == [("warn", "Lease lab/dynamo-operator-namespace-scope")]
    assert judge(one, configs, ended, AdmissionWebhooks((wide,))) == []
    held = OperatorLeases((OperatorLease("lab", 4900),), looked=5000)
    assert judge(one, configs, held, AdmissionWebhooks((left,))) == [], "clocks differ"


# platform.version-skew


@pytest.mark.parametrize(
    ("release", "served", "expected"),
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
def test_operator_and_served_versions(release: str, served: tuple[str, ...], expected: list[str]) -> None:
    facts = (running(operator(release)), serve_graphs(*served), None)
    assert outcomes(operators.version_skew, *facts) == expected


def test_images_newer_than_the_operator(tmp_path: Path) -> None:
    mine = recipes(tmp_path, deploy=GRAPH + FRONTEND + worker())  # 1.3.0
    served = serve_graphs("v1beta1")
    assert outcomes(operators.version_skew, running(operator("1.3.1")), served, mine) == []
    assert outcomes(operators.version_skew, running(operator("1.4.0")), served, mine) == []
    (finding,) = run_check(operators.version_skew, running(operator("1.2.1")), served, mine)
    assert finding.outcome == "warn"
    assert finding.location is not None


def test_an_unknown_release() -> None:
    for tag in ("latest", "my-build"):
        assert get_skip_reason(operators.version_skew, running(operator(tag)), serve_graphs("v1beta1"), None)


def test_semantic_versions_sort() -> None:
    ordered = ["0.1.0-alpha.6", "v0.1.0-alpha.8", "0.1.0-alpha.10", "0.1.0-rc.1", "0.1.0", "0.7.0", "v0.13.4"]
    assert sorted(ordered, key=lambda v: parse_semver(v) or (0, 0, 0, ())) == ordered
    assert parse_semver("latest") is None
