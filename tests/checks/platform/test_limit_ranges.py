from pathlib import Path

import msgspec
import pytest

from dynocheck.checks.capacity import quota as quotas
from dynocheck.checks.platform import limit_ranges
from dynocheck.facts import LimitRangeItem, NamespaceLimits, Quota, RunningPods
from tests.checks.judging import deploy, get_skip_reason, outcomes, places, recipes, run_check
from tests.checks.manifests import engine, graph
from tests.checks.platform import JOB, LEGACY, job

GPU = "nvidia.com/gpu"


def container(*quotas: Quota, **entry: dict[str, str]) -> NamespaceLimits:
    return NamespaceLimits("default", quotas, (LimitRangeItem(range="small", type="Container", **entry),))


def counting(*scopes: str, **hard: str) -> Quota:
    return Quota(name="team", hard={k.replace("_", "."): v for k, v in hard.items()}, scopes=scopes)


def counted(*scopes: str, **hard: str) -> NamespaceLimits:
    return NamespaceLimits("default", (counting(*scopes, **hard),))


MEMORY = counting(limits_memory="1Ti")
COUNTED = NamespaceLimits("default", (MEMORY,))
FILLED = container(MEMORY, default={"memory": "4Gi"}, default_request={"memory": "4Gi"})
GPUS = NamespaceLimits("default", (Quota(name="gpus", hard={"requests.nvidia.com/gpu": "8", "pods": "10"}),))
SILENT = "command: [sleep]"


@pytest.mark.parametrize(
    ("limits", "container", "expected"),
    [
        (COUNTED, SILENT, [("fail", "ResourceQuota default/team")]),
        (FILLED, SILENT, []),
        (COUNTED, "resources: {limits: {memory: 1Gi}}", []),
        (counted(requests_memory="1Ti"), "resources: {limits: {memory: 1Gi}}", []),
        (counted("NotBestEffort", limits_memory="1Ti"), SILENT, []),
        (
            counted("NotBestEffort", limits_memory="1Ti"),
            "resources: {requests: {cpu: '1'}}",
            [("fail", "ResourceQuota default/team")],
        ),
    ],
)
def test_a_quota_requires_amounts(
    tmp_path: Path, limits: NamespaceLimits, container: str, expected: list[tuple[str, str]]
) -> None:
    assert places(limit_ranges.quota, limits, job(tmp_path, container)) == expected


def test_quotas_that_are_not_about_the_pods(tmp_path: Path) -> None:
    assert outcomes(limit_ranges.quota, GPUS, job(tmp_path / "a", SILENT)) == ["skip"]
    elsewhere = recipes(tmp_path / "b", job=JOB.replace("fetch", "fetch, namespace: other") % SILENT)
    assert "default" in get_skip_reason(limit_ranges.quota, COUNTED, elsewhere)


def test_a_missing_amount_is_reported_once(tmp_path: Path) -> None:
    recipe = deploy(tmp_path, graph(engine()))
    used = NamespaceLimits("default", (msgspec.structs.replace(MEMORY, used={"limits.memory": "0"}),))
    assert places(limit_ranges.quota, used, recipe) == [("fail", "ResourceQuota default/team")]
    assert outcomes(quotas.quota_fits, recipe, used, RunningPods(), None) == []


@pytest.mark.parametrize(
    ("entry", "resources", "expected"),
    [
        ({"max": {"memory": "32Gi"}}, "{limits: {memory: 64Gi}}", ["fail"]),
        ({"max": {"memory": "64Gi"}}, "{limits: {memory: 64Gi}}", []),
        ({"max": {"cpu": "4"}, "default": {"cpu": "4"}}, "{requests: {cpu: 4500m}}", ["fail"]),
        ({"min": {"cpu": "2"}}, "{requests: {cpu: '1'}}", ["fail"]),
        ({"default": {"memory": "512Mi"}}, "{requests: {memory: 1Gi}}", ["fail"]),
        ({"default": {"memory": "512Mi"}}, "{limits: {nvidia.com/gpu: 1}}", ["warn"]),
        ({"default": {"memory": "512Mi"}}, "{limits: {nvidia.com/gpu: 1, memory: 64Gi}}", []),
        ({"default": {"memory": "512Mi"}}, "{}", []),
        ({"max": {"nvidia.com/gpu": "4"}}, "{limits: {nvidia.com/gpu: '8'}}", ["fail"]),
        ({"max": {"memory": "32Gi"}}, "{limits: {memory: lots}}", ["warn"]),
        ({"max": {"memory": "32Gi"}}, "[1]", ["warn"]),
    ],
)
def test_limit_ranges(
    tmp_path: Path, entry: dict[str, dict[str, str]], resources: str, expected: list[str]
) -> None:
    mine = job(tmp_path, f"resources: {resources}")
    assert outcomes(limit_ranges.limit_range, container(**entry), mine) == expected


def test_a_component_that_does_not_fit_the_schema_is_not_judged(tmp_path: Path) -> None:
    wrong = recipes(tmp_path, a=LEGACY.replace("mainContainer: {image: ", "mainContainer: text  # {image: "))
    allowed = container(MEMORY, max={"memory": "32Gi"})
    for check in (limit_ranges.quota, limit_ranges.limit_range):
        (finding,) = run_check(check, allowed, wrong)
        assert finding.outcome == "warn"
        assert "not judged" in finding.message


@pytest.mark.parametrize(
    ("limit", "fails"),
    [
        (LimitRangeItem(range="r", type="Container", max={GPU: "4"}), 1),
        (LimitRangeItem(range="r", type="Container", max={"cpu": "4"}), 1),  # the container sets no cpu
        (LimitRangeItem(range="r", type="Container", min={GPU: "9"}), 1),
        (LimitRangeItem(range="r", type="Container", min={"cpu": "1"}), 1),
        (LimitRangeItem(range="r", type="Pod", max={GPU: "4"}), 2),  # the frontend sets none
        (LimitRangeItem(range="r", type="Container", ratio={"cpu": "2"}), 1),
        (LimitRangeItem(range="r", type="Container", ratio={GPU: "2"}), 0),
    ],
)
def test_a_limit_range_and_a_graph(tmp_path: Path, limit: LimitRangeItem, fails: int) -> None:
    recipe = deploy(tmp_path, graph(engine(gpus=8)))
    limits = NamespaceLimits("default", limits=(limit,))
    assert places(limit_ranges.limit_range, limits, recipe) == [("fail", "LimitRange default/r")] * fails


def test_a_limit_range_and_v1alpha1_resources_outside_of_the_pod(tmp_path: Path) -> None:
    mine = recipes(tmp_path, a=LEGACY)
    (finding,) = run_check(limit_ranges.limit_range, container(max={"memory": "32Gi"}), mine)
    assert "64Gi" in finding.message
    assert finding.location is not None
    assert finding.location.line == 1 + LEGACY[: LEGACY.index("{image:")].count("\n")
    claims = NamespaceLimits("default", limits=(LimitRangeItem(range="p", type="PersistentVolumeClaim"),))
    assert outcomes(limit_ranges.limit_range, claims, mine) == ["skip"]
