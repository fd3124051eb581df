from pathlib import Path

import pytest

from dynocheck import facts
from dynocheck.checks.access.api import credentials, kubernetes_version, permissions
from dynocheck.facts import Access, AccessReview, ApiServer, Credentials, Settings
from tests.checks.judging import deploy, outcomes, run_check
from tests.checks.manifests import engine, graph


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v1.36.3", []),
        ("v1.30.0", []),
        ("v1.31.7-gke.1148000", []),
        ("v1.33.4+k3s1", []),
        ("v1.30+", []),
        ("v1.29.14-eks-5ae0f2d", ["fail"]),
        ("v1.9.11", ["fail"]),
        ("v2.0.0", []),
        ("banana", ["warn"]),
        ("", ["warn"]),
    ],
)
def test_versions_are_compared_as_numbers(version: str, expected: list[str]) -> None:
    assert outcomes(kubernetes_version, ApiServer("https://example", version), Settings(), None) == expected


def test_minimum_version_is_configurable() -> None:
    server, minimum = ApiServer("https://example", "v1.33.1"), Settings(kubernetes_version="1.34")
    (finding,) = run_check(kubernetes_version, server, minimum, None)
    assert (finding.outcome, finding.evidence) == ("fail", {"version": "v1.33.1", "wanted": "1.34"})


@pytest.mark.parametrize(
    ("version", "expected"),
    [("v1.34.0", []), ("v1.33.2", ["warn"]), ("v1.32.0", ["warn"]), ("v1.31.9", ["fail"])],
)
def test_resource_claims_need_a_newer_server(tmp_path: Path, version: str, expected: list[str]) -> None:
    server = ApiServer("https://example", version)
    for number, claims in enumerate(([], [{"name": "gpus"}])):
        recipe = deploy(tmp_path / str(number), graph(engine(pod={"resourceClaims": claims})))
        assert outcomes(kubernetes_version, server, Settings(), recipe) == expected * bool(claims)


def test_each_missing_permission_is_reported() -> None:
    classes, quotas = (
        Access("list", "storageclasses", "storage.k8s.io"),
        Access("list", "resourcequotas", local=True),
    )
    allowed = {Access("list", "nodes"): True, classes: False, quotas: False}
    reviews = facts.Permissions(tuple(AccessReview(access, allowed=may) for access, may in allowed.items()))
    missing = run_check(permissions, reviews, facts.RunNamespace("models"))
    fix = "dynocheck rbac --bind user:NAME | kubectl apply -n models -f -"
    assert [(finding.outcome, finding.fix) for finding in missing] == [("unknown", fix)] * 2


@pytest.mark.parametrize(
    ("left_s", "expected"), [(25 * 3600, []), (24 * 3600, []), (2 * 3600, ["warn"]), (-1800, ["warn"])]
)
def test_credentials_that_expire(left_s: int, expected: list[str]) -> None:
    held = Credentials((facts.Credential("client certificate", "2026-11-21T00:00:00Z", left_s),))
    assert outcomes(credentials, held, Settings()) == expected
    assert outcomes(credentials, held, Settings(credentials_hours=26)) == ["warn"]


def test_credentials_without_an_expiry() -> None:
    assert outcomes(credentials, Credentials(), Settings()) == ["skip"]
    assert outcomes(credentials, Credentials(anonymous=True), Settings()) == ["warn"]
