from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.access import api
from dynocheck.facts import (
    Access,
    AccessReview,
    ApiServer,
    Credential,
    Credentials,
    Permissions,
    RunNamespace,
    Settings,
)
from tests.checks.judging import get_skip_reason, outcomes, recipes, run_check
from tests.checks.manifests import dump_objects, engine, graph


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
    server = ApiServer("https://example", version)
    assert outcomes(api.kubernetes_version, server, Settings(), None) == expected


def test_minimum_version_is_configurable() -> None:
    server = ApiServer("https://example", "v1.33.1")
    (finding,) = run_check(api.kubernetes_version, server, Settings(kubernetes_version="1.34"), None)
    assert (str(finding.outcome), finding.evidence) == ("fail", {"version": "v1.33.1", "wanted": "1.34"})


@pytest.mark.parametrize(
    ("version", "expected"),
    [("v1.34.0", []), ("v1.33.2", ["warn"]), ("v1.32.0", ["warn"]), ("v1.31.9", ["fail"])],
)
def test_resource_claims_need_a_newer_server(tmp_path: Path, version: str, expected: list[str]) -> None:
    server = ApiServer("https://example", version)
    for name, claims, outcome in (("a", [{"name": "gpus"}], expected), ("b", [], [])):
        deploy = dump_objects(graph(engine(pod={"resourceClaims": claims})))
        recipe = recipes(tmp_path / name, deploy=deploy)
        assert outcomes(api.kubernetes_version, server, Settings(), recipe) == outcome


def test_each_missing_permission_is_reported() -> None:
    reviews = Permissions(
        (
            AccessReview(Access("list", "nodes"), allowed=True),
            AccessReview(Access("list", "storageclasses", "storage.k8s.io"), allowed=False),
            AccessReview(Access("list", "resourcequotas", local=True), allowed=False),
        )
    )
    missing = run_check(api.permissions, reviews, RunNamespace("models"))
    assert [str(finding.outcome) for finding in missing] == ["unknown"] * 2
    (fix,) = {finding.fix for finding in missing}
    assert fix == "dynocheck rbac --bind user:NAME | kubectl apply -n models -f -"


@pytest.mark.parametrize(
    ("left_s", "expected"), [(25 * 3600, []), (24 * 3600, []), (2 * 3600, ["warn"]), (-1800, ["warn"])]
)
def test_credentials_that_expire(left_s: int, expected: list[str]) -> None:
    held = Credentials((Credential("client certificate", "2026-11-21T00:00:00Z", left_s),))
    assert outcomes(api.credentials, held, Settings()) == expected
    assert outcomes(api.credentials, held, Settings(credentials_hours=26)) == ["warn"]


def test_credentials_without_an_expiry() -> None:
    assert get_skip_reason(api.credentials, Credentials(), Settings())
    assert outcomes(api.credentials, Credentials(anonymous=True), Settings()) == ["warn"]
