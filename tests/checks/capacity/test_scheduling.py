from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dynocheck import Finding
from dynocheck.checks.capacity import quota, scheduling
from dynocheck.facts import (
    Autoscalers,
    LimitRangeItem,
    NamespaceLimits,
    Node,
    Nodes,
    Recipes,
    ResourceSlice,
    ResourceSlices,
    RunningPod,
    RunningPods,
    Taint,
)
from tests.checks.capacity.clusters import GPU, LIMITS, OWN, gpus_left, holding, load, workers
from tests.checks.judging import GRAPH, get_skip_reason, places, recipes, run_check
from tests.checks.manifests import FRONTEND, engine


def node(name: str, gpus: int = 8, **labels: str) -> Node:
    sizes = {"cpu": "64", "memory": "512Gi", "pods": "110", GPU: str(gpus)}
    return Node(name=name, labels={"kubernetes.io/hostname": name, **labels}, allocatable=sizes)


def fits(recipe: Recipes, *facts: Any, **more: Any) -> list[str]:
    """The outcomes of capacity.fits on nodes with running pods."""
    return [str(finding.outcome) for finding in find_misfits(recipe, *facts, **more)]


def find_misfits(
    recipe: Recipes,
    nodes: list[Node],
    *running: RunningPod,
    limits: NamespaceLimits = LIMITS,
    autoscalers: tuple[str, ...] = (),
    slices: tuple[ResourceSlice, ...] = (),
) -> list[Finding]:
    facts = Nodes(tuple(nodes)), RunningPods(running), limits, Autoscalers(autoscalers)
    return run_check(scheduling.fits, recipe, *facts, ResourceSlices(slices))


def test_misfit_is_explained(tmp_path: Path) -> None:
    recipe = load(tmp_path, FRONTEND, workers(2))
    assert fits(recipe, [node("gpu-1"), node("gpu-2")]) == []
    (finding,) = find_misfits(recipe, [node("gpu-1"), node("gpu-2")], holding("gpu-2", 2))
    assert str(finding.outcome) == "fail"
    assert finding.evidence == {
        "graph": "g",
        "needs": {GPU: "8"},
        "free": {GPU: "6"},
        "held by": {"other": "2", "(this graph)": "8"},
    }
    assert finding.fix == "kubectl get pods -A -o wide --field-selector spec.nodeName=gpu-2"
    lines = (tmp_path / "deploy.yaml").read_text().splitlines()
    assert finding.location is not None
    assert finding.location.line == lines.index("  - name: decode") + 1


def test_no_node_is_large_enough(tmp_path: Path) -> None:
    (finding,) = find_misfits(load(tmp_path, workers(1)), [node("a", 4)])
    assert (str(finding.outcome), finding.evidence["free"]) == ("fail", {GPU: "4"})
    assert (finding.fix or "").startswith("choose a variant")


def test_replica_over_several_nodes_needs_them_all(tmp_path: Path) -> None:
    recipe = load(tmp_path, workers(1, multinode={"nodeCount": 2}))
    assert fits(recipe, [node("a"), node("b")]) == []
    assert fits(recipe, [node("a")]) == ["fail"]


def test_fit_that_depends_on_the_order_is_a_warning(tmp_path: Path) -> None:
    recipe = load(tmp_path, workers(2, gpus=4, name="prefill"), workers(1))
    assert fits(recipe, [node("a"), node("b")]) == ["warn"]


def test_pods_of_the_deployed_graph_are_not_in_the_way(tmp_path: Path) -> None:
    recipe = load(tmp_path, workers(1))
    assert fits(recipe, [node("a")], holding("a", 8, "here", labels=OWN)) == []
    assert fits(recipe, [node("a")], holding("a", 8, "elsewhere", labels=OWN)) == ["fail"]


def test_pods_of_negative_priority_give_way(tmp_path: Path) -> None:
    assert fits(load(tmp_path, workers(1)), [node("a")], holding("a", 8, priority=-10)) == ["warn"]


def test_with_an_autoscaler_a_misfit_is_a_warning(tmp_path: Path) -> None:
    recipe = load(tmp_path, workers(1))
    assert fits(recipe, [], autoscalers=("Karpenter",)) == ["warn"]
    assert fits(recipe, []) == ["fail"]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("cloud.google.com/gke-nodepool", []),
        ("eks.amazonaws.com/nodegroup", []),
        ("kubernetes.azure.com/agentpool", []),
        ("node.example/pool", ["warn"]),
    ],
)
def test_taint_that_is_named_like_gpus(tmp_path: Path, label: str, expected: list[str]) -> None:
    """API servers of clouds add its toleration; whether others do is unknown."""
    recipe = load(tmp_path, workers(1))
    usual = Taint(GPU, "NoSchedule", "present")
    tainted = msgspec.structs.replace(node("a"), labels={label: "gpus"}, taints=(usual,))
    assert fits(recipe, [tainted]) == expected
    other = msgspec.structs.replace(tainted, taints=(usual, Taint("team", "NoSchedule", "b")))
    assert fits(recipe, [other]) == ["fail"]
    assert fits(recipe, [tainted], holding("a", 8)) == ["fail"]


def test_resource_claims_are_not_modelled(tmp_path: Path) -> None:
    claims = [{"name": "c", "resourceClaimTemplateName": "t"}]
    recipe = load(tmp_path, workers(1, pod={"resourceClaims": claims}))
    assert fits(recipe, [node("a")]) == ["warn"]
    assert fits(recipe, [node("a", 4)]) == ["fail"]  # its other requests are


def test_gpus_offered_through_dra_are_not_counted(tmp_path: Path) -> None:
    slices = (ResourceSlice("s", "gpu.nvidia.com", "a", 8),)
    assert fits(load(tmp_path, workers(1)), [node("a", 0)], slices=slices) == ["warn"]


def test_malformed_quantity_is_not_checked(tmp_path: Path) -> None:
    recipe = load(tmp_path, engine(limits={GPU: "${GPUS}"}))
    assert fits(recipe, [node("a")]) == ["warn"]


@pytest.mark.parametrize(
    "wrong", ["podTemplate: text", "podTemplate: {spec: [text]}", "podTemplate: {metadata: 1}"]
)
def test_component_that_does_not_fit_the_schema_is_not_checked(tmp_path: Path, wrong: str) -> None:
    recipe = recipes(tmp_path, deploy=f"{GRAPH}  - {{name: w, type: worker, {wrong}}}\n")
    assert fits(recipe, [node("a")]) == ["warn"]
    limits = NamespaceLimits(namespace="here", quotas=gpus_left("1"))
    assert places(quota.quota_fits, recipe, limits, RunningPods()) == [("warn", "deploy.yaml:7")]


def test_recipe_without_graphs_is_skipped(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, c="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n")
    facts = Nodes((node("a"),)), RunningPods(), LIMITS, Autoscalers(), ResourceSlices()
    assert get_skip_reason(scheduling.fits, recipe, *facts)


def test_default_requests_of_a_limit_range_count(tmp_path: Path) -> None:
    item = LimitRangeItem(range="d", type="Container", default_request={"cpu": "100"})
    limits = NamespaceLimits(namespace="here", limits=(item,))
    (finding,) = find_misfits(load(tmp_path, engine()), [node("a")], limits=limits)
    assert finding.evidence["needs"] == {"cpu": "100"}
