from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.capacity import quota
from dynocheck.facts import NamespaceLimits, Quota, Recipes, RunningPod, RunningPods
from tests.checks.capacity.clusters import LIMITS, OWN, gpus_left, holding, load, workers
from tests.checks.judging import get_skip_reason, places


def check(recipe: Recipes, *running: RunningPod, quotas: tuple[Quota, ...]) -> list[tuple[str, str]]:
    limits = NamespaceLimits(namespace="here", quotas=quotas)
    return places(quota.quota_fits, recipe, limits, RunningPods(running))


def test_quota_counts_all_pods(tmp_path: Path) -> None:
    recipe = load(tmp_path, workers(2))
    assert check(recipe, quotas=gpus_left("16")) == []
    assert check(recipe, quotas=gpus_left("24", "16")) == [("fail", "ResourceQuota here/team")]
    own = holding("a", 16, "here", labels=OWN)
    assert check(recipe, own, quotas=gpus_left("24", "16")) == []


def test_quota_that_is_not_counted_yet(tmp_path: Path) -> None:
    uncounted = (Quota(name="team", hard={"pods": "10"}),)
    found = check(load(tmp_path, workers(1)), quotas=uncounted)
    assert found == [("warn", "ResourceQuota here/team")]


def in_class(operator: str) -> dict[str, Any]:
    return {"scope_selector": ({"scopeName": "PriorityClass", "operator": operator, "values": ["x"]},)}


@pytest.mark.parametrize(
    ("scope", "is_counted"),
    [
        ({"scopes": ("BestEffort",)}, True),
        ({"scopes": ("NotBestEffort",)}, False),
        ({"scopes": ("Terminating",)}, False),
        ({"scopes": ("NotTerminating",)}, True),
        ({"scopes": ("NotTerminating", "PriorityClass")}, False),
        (in_class("In"), False),
        (in_class("NotIn"), True),
    ],
)
def test_quota_counts_only_pods_in_its_scopes(tmp_path: Path, scope: Any, is_counted: bool) -> None:
    assert bool(check(load(tmp_path, workers(2)), quotas=gpus_left("1", **scope))) is is_counted


def test_graph_of_another_namespace_is_not_checked(tmp_path: Path) -> None:
    recipe = load(tmp_path, workers(1), namespace="team")
    assert check(recipe, quotas=gpus_left("1")) == [("warn", "deploy.yaml:4")]


def test_namespace_without_quotas_is_skipped(tmp_path: Path) -> None:
    assert get_skip_reason(quota.quota_fits, load(tmp_path, workers(1)), LIMITS, RunningPods())
