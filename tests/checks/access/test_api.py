from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.access import api
from dynocheck.facts import Access, AccessReview, ApiServer, Permissions, Settings
from dynocheck.facts.k8s.credentials import Credential, Credentials
from dynocheck.facts.k8s.namespaces import RunNamespace
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check, worker


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
    assert [
        outcome for outcome, _ in list_messages(api.kubernetes_version, server, Settings(), None)
    ] == outcomes


def test_a_site_may_ask_for_more() -> None:
    server = ApiServer("https://example", "v1.33.1")
    assert list_messages(api.kubernetes_version, server, Settings(kubernetes_version="1.34"), None) == [
        ("fail", "Kubernetes v1.33.1 is older than 1.34")
    ]


def test_each_missing_right_is_named() -> None:
    reviews = Permissions(
        (
            AccessReview(Access("list", "nodes"), allowed=True),
            AccessReview(Access("list", "storageclasses", "storage.k8s.io"), allowed=False),
        )
    )
    limits = AccessReview(Access("list", "resourcequotas", local=True), allowed=False)
    reviews = Permissions((*reviews.items, limits))
    missing = run_check(api.permissions, reviews, RunNamespace("models"))
    assert [(str(each.outcome), each.message, each.fix) for each in missing] == [
        (
            "unknown",
            "may not list storageclasses.storage.k8s.io",
            "kubectl auth can-i list storageclasses.storage.k8s.io --all-namespaces",
        ),
        (
            "unknown",
            "may not list resourcequotas in this namespace",
            "kubectl auth can-i list resourcequotas -n models",
        ),
    ]


@pytest.mark.parametrize(
    ("version", "outcomes"),
    [("v1.34.0", []), ("v1.33.2", ["warn"]), ("v1.32.0", ["warn"]), ("v1.31.9", ["fail"])],
)
def test_claims_take_a_newer_server(tmp_path: Path, version: str, outcomes: list[str]) -> None:
    text = GRAPH + FRONTEND + worker()
    claiming = text.replace("      spec:\n", "      spec:\n        resourceClaims: [{name: gpus}]\n")
    server = ApiServer("https://example", version)
    given = recipes(tmp_path / "a", deploy=claiming)
    assert [o for o, _ in list_messages(api.kubernetes_version, server, Settings(), given)] == outcomes
    plain = recipes(tmp_path / "b", deploy=text)
    assert list_messages(api.kubernetes_version, server, Settings(), plain) == []


@pytest.mark.parametrize(
    ("left_s", "says"),
    [
        (25 * 3600, None),
        (24 * 3600, None),
        (
            2 * 3600,
            "the client certificate of the kubeconfig ends in 2.0 hours, by the clock of this machine",
        ),
        (-1800, "the client certificate of the kubeconfig ended 0.5 hours ago, by the clock of this machine"),
    ],
)
def test_credentials_that_end(left_s: int, says: str | None) -> None:
    held = Credentials((Credential("client certificate", "2026-11-21T00:00:00Z", left_s),))
    assert list_messages(api.credentials, held, Settings()) == ([("warn", says)] if says else [])
    assert list_messages(api.credentials, held, Settings(credentials_hours=26))


def test_credentials_that_do_not_say_when_they_end() -> None:
    assert (
        get_skip_reason(api.credentials, Credentials(), Settings())
        == "nothing in the kubeconfig says when it ends"
    )
    assert [o for o, _ in list_messages(api.credentials, Credentials(anonymous=True), Settings())] == ["warn"]
