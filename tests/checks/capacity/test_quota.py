from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.capacity import quota
from dynocheck.facts import NamespaceLimits, Quota, RunningPod, RunningPods
from tests.checks.capacity.clusters import LIMITS, OWN, gpus_left, holding, load, workers
from tests.checks.judging import outcomes, places

SHORT = [("fail", "ResourceQuota here/team")]
UNCOUNTED = (Quota(name="team", hard={"pods": "10"}),)
ELSEWHERE = {"namespace": "team"}


@pytest.mark.parametrize(
    ("replicas", "quotas", "running", "more", "expected"),
    [
        (2, gpus_left("16"), [], {}, []),
        (2, gpus_left("15"), [], {}, SHORT),
        (2, gpus_left("24", "16"), [], {}, SHORT),
        (2, gpus_left("24", "16"), [holding("a", 16, "here", labels=OWN)], {}, []),
        (1, UNCOUNTED, [], {}, [("warn", "ResourceQuota here/team")]),
        (1, gpus_left("1"), [], ELSEWHERE, [("warn", "deploy.yaml:4")]),  # a graph of another namespace
    ],
)
def test_quota_counts_all_pods(
    tmp_path: Path, replicas: int, quotas: Any, running: list[RunningPod], more: dict[str, str], expected: Any
) -> None:
    recipe, limits = (
        load(tmp_path, workers(replicas), **more),
        NamespaceLimits(namespace="here", quotas=quotas),
    )
    assert places(quota.quota_fits, recipe, limits, RunningPods(tuple(running)), None) == expected


def in_class(operator: str) -> dict[str, Any]:
    return {"scope_selector": ({"scopeName": "PriorityClass", "operator": operator, "values": ["x"]},)}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"scopes": ("BestEffort",)}, SHORT),
        ({"scopes": ("NotBestEffort",)}, []),
        ({"scopes": ("Terminating",)}, []),
        ({"scopes": ("NotTerminating",)}, SHORT),
        ({"scopes": ("NotTerminating", "PriorityClass")}, []),
        (in_class("In"), []),
        (in_class("NotIn"), SHORT),
    ],
)
def test_quota_counts_only_pods_in_its_scopes(tmp_path: Path, scope: Any, expected: Any) -> None:
    limits = NamespaceLimits(namespace="here", quotas=gpus_left("1", **scope))
    assert places(quota.quota_fits, load(tmp_path, workers(2)), limits, RunningPods(), None) == expected


def test_namespace_without_quotas_is_skipped(tmp_path: Path) -> None:
    assert outcomes(quota.quota_fits, load(tmp_path, workers(1)), LIMITS, RunningPods(), None) == ["skip"]
