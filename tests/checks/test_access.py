from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks import access
from dynocheck.facts import Access, AccessReview, ApiServer, Permissions, Settings
from tests.checks.judging import FRONTEND, GRAPH, recipes, said, worker


@pytest.mark.parametrize(
    ("version", "outcomes"),
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
def test_versions_are_compared_as_numbers(version: str, outcomes: list[str]) -> None:
    server = ApiServer("https://example", version)
    assert [outcome for outcome, _ in said(access.kubernetes_version, server, Settings(), None)] == outcomes


def test_a_site_may_ask_for_more() -> None:
    server = ApiServer("https://example", "v1.33.1")
    assert said(access.kubernetes_version, server, Settings(kubernetes_version="1.34"), None) == [
        ("fail", "Kubernetes v1.33.1 is older than 1.34")
    ]


def test_each_missing_right_is_named() -> None:
    reviews = Permissions(
        (
            AccessReview(Access("list", "nodes"), allowed=True),
            AccessReview(Access("list", "storageclasses", "storage.k8s.io"), allowed=False),
        )
    )
    assert said(access.permissions, reviews) == [("unknown", "may not list storageclasses.storage.k8s.io")]


@pytest.mark.parametrize(
    ("version", "outcomes"),
    [("v1.34.0", []), ("v1.33.2", ["warn"]), ("v1.32.0", ["warn"]), ("v1.31.9", ["fail"])],
)
def test_claims_take_a_newer_server(tmp_path: Path, version: str, outcomes: list[str]) -> None:
    text = GRAPH + FRONTEND + worker()
    claiming = text.replace("      spec:\n", "      spec:\n        resourceClaims: [{name: gpus}]\n")
    server = ApiServer("https://example", version)
    given = recipes(tmp_path / "a", deploy=claiming)
    assert [o for o, _ in said(access.kubernetes_version, server, Settings(), given)] == outcomes
    plain = recipes(tmp_path / "b", deploy=text)
    assert said(access.kubernetes_version, server, Settings(), plain) == []
