from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dynocheck import Finding, Skip
from dynocheck.checks.capacity import quota, scheduling
from dynocheck.facts import (
    Node,
    Nodes,
    Recipes,
    ResourceSlice,
    ResourceSlices,
    Taint,
)
from dynocheck.facts.k8s.autoscaling import Autoscalers
from dynocheck.facts.k8s.capacity import LimitRangeItem, NamespaceLimits, Quota, RunningPod, RunningPods
from dynocheck.recipe.discover import load_recipes
from dynocheck.scheduling.graphs import ComponentPods, list_component_pods
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check, worker

GPU = "nvidia.com/gpu"
NO_SCALERS = Autoscalers()
OWN = {"nvidia.com/dynamo-graph-deployment-name": "g"}


def node(name: str, gpus: int = 8, **labels: str) -> Node:
    sizes = {"cpu": "64", "memory": "512Gi", "pods": "110", GPU: str(gpus)}
    return Node(name=name, labels={"kubernetes.io/hostname": name, **labels}, allocatable=sizes)


def holding(node_name: str, gpus: int, namespace: str = "other", **more: Any) -> RunningPod:
    return RunningPod(namespace=namespace, name="p", node=node_name, requests={GPU: gpus}, **more)


def fits(
    recipe: Recipes,
    nodes: list[Node],
    *running: RunningPod,
    limits: NamespaceLimits | None = None,
    autoscalers: Autoscalers = NO_SCALERS,
    slices: ResourceSlices | None = None,
) -> list[Finding]:
    return run_check(
        scheduling.fits,
        recipe,
        Nodes(tuple(nodes)),
        RunningPods(running),
        limits or NamespaceLimits(namespace="here"),
        autoscalers,
        slices or ResourceSlices(),
    )


def told(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(str(finding.outcome), finding.message) for finding in findings]


def replicas(number: int, gpus: int = 8) -> str:
    return worker("decode", gpus=f'"{gpus}"', role="decode", more=f"replicas: {number}")


# fits


def test_it_fits_or_says_how_many_do_not(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=GRAPH + FRONTEND + replicas(2))
    assert fits(recipe, [node("gpu-1"), node("gpu-2")]) == []
    (finding,) = fits(recipe, [node("gpu-1"), node("gpu-2")], holding("gpu-2", 2))
    assert told([finding]) == [
        (
            "fail",
            "decode: 1 of 2 replicas has no node: needs 8 nvidia.com/gpu, the best node gpu-2 has 6 free",
        )
    ]
    assert finding.evidence == {
        "graph": "g",
        "needs": {GPU: "8"},
        "free": {GPU: "6"},
        "held by": {"other": "2", "(this graph)": "8"},
    }
    assert finding.fix == "kubectl get pods -A -o wide --field-selector spec.nodeName=gpu-2"
    assert finding.location is not None
    assert finding.location.line == 9


def test_what_no_node_could_ever_hold(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=GRAPH + replicas(1))
    ((outcome, message),) = told(fits(recipe, [node("a", 4)]))
    assert outcome == "fail"
    assert message.endswith(
        "no node could ever hold it: needs 8 nvidia.com/gpu, the largest node it may use, a, has 4"
    )


def test_a_replica_over_several_nodes_needs_them_all(tmp_path: Path) -> None:
    more = "multinode: {nodeCount: 2}"
    recipe = recipes(tmp_path, deploy=GRAPH + worker("prefill", gpus='"8"', role="prefill", more=more))
    assert fits(recipe, [node("a"), node("b")]) == []
    ((outcome, message),) = told(fits(recipe, [node("a")]))
    assert (outcome, message.partition(":")[2].partition(":")[0]) == (
        "fail",
        " 1 of 1 replica (2 pods each) has no node",
    )


def test_what_depends_on_the_order_is_a_warning(tmp_path: Path) -> None:
    small = worker("prefill", gpus='"4"', role="prefill", more="replicas: 2")
    recipe = recipes(tmp_path, deploy=GRAPH + small + replicas(1))
    ((outcome, message),) = told(fits(recipe, [node("a"), node("b")]))
    assert outcome == "warn"
    assert message.startswith("decode: whether it fits depends on the order of placing")


def test_a_graph_that_is_deployed_already_does_not_stand_in_its_own_way(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=GRAPH + replicas(1))
    assert fits(recipe, [node("a")], holding("a", 8, "here", labels=OWN)) == []
    assert fits(recipe, [node("a")], holding("a", 8, "elsewhere", labels=OWN)) != []


def test_pods_that_exist_to_be_evicted_are_no_failure(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=GRAPH + replicas(1))
    ((outcome, message),) = told(fits(recipe, [node("a")], holding("a", 8, priority=-10)))
    assert outcome == "warn"
    assert message.endswith("unless pods of negative priority are evicted for it")


def test_where_nodes_are_added_a_lack_is_a_warning(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=GRAPH + replicas(1))
    ((outcome, message),) = told(fits(recipe, [], autoscalers=Autoscalers(("Karpenter",))))
    assert outcome == "warn"
    assert message.endswith("; Karpenter may add a node")
    assert [outcome for outcome, _ in told(fits(recipe, [], autoscalers=NO_SCALERS))] == ["fail"]


USUAL = Taint(GPU, "NoSchedule", "present")


@pytest.mark.parametrize(
    ("label", "outcomes"),
    [
        ("cloud.google.com/gke-nodepool", []),
        ("eks.amazonaws.com/nodegroup", []),
        ("kubernetes.azure.com/agentpool", []),
        ("node.example/pool", ["warn"]),
    ],
)
def test_the_taint_that_is_named_like_gpus(tmp_path: Path, label: str, outcomes: list[str]) -> None:
    """Clouds have their API servers add its toleration; of others it is not known."""
    recipe = recipes(tmp_path, deploy=GRAPH + replicas(1))
    tainted = msgspec.structs.replace(node("a"), labels={label: "gpus"}, taints=(USUAL,))
    judged = told(fits(recipe, [tainted]))
    assert [outcome for outcome, _ in judged] == outcomes
    assert all("unless the API server adds the toleration" in message for _, message in judged)
    own = msgspec.structs.replace(tainted, taints=(USUAL, Taint("team", "NoSchedule", "b")))
    assert [outcome for outcome, _ in told(fits(recipe, [own]))] == ["fail"]
    full = holding("a", 8)
    assert [outcome for outcome, _ in told(fits(recipe, [tainted], full))] == ["fail"]


def test_devices_by_claim_are_not_judged(tmp_path: Path) -> None:
    spec = "      spec:\n"
    claim = spec + "        resourceClaims: [{name: c, resourceClaimTemplateName: t}]\n"
    recipe = recipes(tmp_path, deploy=GRAPH + replicas(1).replace(spec, claim))
    ((outcome, message),) = told(fits(recipe, [node("a")]))
    assert outcome == "warn"
    assert "resource claim (DRA), which is not modelled" in message
    # What it needs besides the claim it still needs.
    assert [o for o, _ in told(fits(recipe, [node("a", 4)]))] == ["fail"]


def test_gpus_offered_through_dra_may_be_given_for_the_resource(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=GRAPH + replicas(1))
    offered = ResourceSlices((ResourceSlice("s", "gpu.nvidia.com", "a", 8),))
    ((outcome, message),) = told(fits(recipe, [node("a", 0)], slices=offered))
    assert (outcome, message.rpartition("; ")[2]) == (
        "warn",
        "GPUs that are offered through DRA are not counted",
    )


def test_a_quantity_that_is_none_is_not_judged(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=GRAPH + worker("w", gpus='"${GPUS}"'))
    assert told(fits(recipe, [node("a")])) == [("warn", "w: not judged whole: '${GPUS}' is no quantity")]


@pytest.mark.parametrize(
    "wrong", ["podTemplate: text", "podTemplate: {spec: [text]}", "podTemplate: {metadata: 1}"]
)
def test_a_component_that_does_not_fit_the_schema_is_not_judged(tmp_path: Path, wrong: str) -> None:
    recipe = recipes(tmp_path, deploy=f"{GRAPH}  - {{name: w, type: worker, {wrong}}}\n")
    said_so = [("warn", "w: not judged whole: its manifest does not fit the schema")]
    assert told(fits(recipe, [node("a")])) == said_so
    assert refused(recipe, quotas=gpus_left("1")) == said_so


def test_nothing_to_judge(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, c="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n")
    with pytest.raises(Skip, match="no DynamoGraphDeployment"):
        fits(recipe, [node("a")])


def test_requests_that_a_limit_range_gives_count(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=GRAPH + worker(gpus='"1"'))
    given = LimitRangeItem(range="d", type="Container", default_request={"cpu": "100"})
    limits = NamespaceLimits(namespace="here", limits=(given,))
    ((_, message),) = told(fits(recipe, [node("a")], limits=limits))
    assert "needs 100 cpu, the largest node it may use, a, has 64" in message


# The pods of a graph

LEGACY = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: g, namespace: team}
spec:
  services:
    Decode:
      componentType: worker
      subComponentType: decode
      replicas: 2
      multinode: {nodeCount: 3}
      resources:
        requests: {cpu: "10", memory: 100Gi}
        limits: {gpu: "4", custom: {rdma/ib: "2"}}
      extraPodMetadata: {labels: {team: a}}
      extraPodSpec:
        nodeSelector: {pool: gpu}
        containers: null
        mainContainer:
          image: registry.example/vllm-runtime:1.3.0
          resources: {requests: {cpu: "1", ephemeral-storage: 2Gi}}
"""


def test_a_component_of_the_old_api(tmp_path: Path) -> None:
    (recipe,) = recipes(tmp_path, deploy=LEGACY)
    (group,) = list_component_pods(recipe, recipe.graphs[0], "here")
    assert (group.name, group.replicas, group.nodes, group.pods) == ("Decode", 2, 3, 6)
    assert group.shape is not None
    assert group.shape.namespace == "team"
    assert group.shape.requests == {
        "cpu": 10_000,
        "memory": 100 * 2**30,
        "ephemeral-storage": 2 * 2**30,
        GPU: 4,
        "rdma/ib": 2,
    }
    assert group.shape.node_selector == {"pool": "gpu"}
    prefix = "nvidia.com/dynamo"
    assert group.shape.labels == {
        f"{prefix}-graph-deployment-name": "g",
        f"{prefix}-component": "Decode",
        f"{prefix}-component-type": "worker",
        f"{prefix}-sub-component-type": "decode",
        f"{prefix}-namespace": "team-g",
        "team": "a",
    }


def test_every_component_of_the_reference_recipes_has_a_shape() -> None:
    made: list[ComponentPods] = []
    for recipe in load_recipes(["recipes"]):
        for graph in recipe.graphs:
            made += list_component_pods(recipe, graph, "here")
    assert len(made) > 30
    assert all(group.shape is not None for group in made)
    assert all(group.shape.requests for group in made if group.shape and group.name != "epp")


# quota-fits


def refused(recipe: Recipes, *running: RunningPod, **limits: Any) -> list[tuple[str, str]]:
    allowed = NamespaceLimits(namespace="here", **limits)
    return list_messages(quota.quota_fits, recipe, allowed, RunningPods(running))


def gpus_left(hard: str, used: str = "0", **more: Any) -> tuple[Quota, ...]:
    resource = f"requests.{GPU}"
    return (Quota(name="team", hard={resource: hard}, used={resource: used}, **more),)


def test_a_quota_counts_all_pods(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=GRAPH + FRONTEND + replicas(2))
    assert refused(recipe, quotas=gpus_left("16")) == []
    ((outcome, message),) = refused(recipe, quotas=gpus_left("24", "16"))
    assert (outcome, message) == (
        "fail",
        "graph g needs 16 requests.nvidia.com/gpu, 8 of 24 are left",
    )
    own = holding("a", 16, "here", labels=OWN)
    assert refused(recipe, own, quotas=gpus_left("24", "16")) == []


def test_a_quota_that_is_not_counted_yet_refuses(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=GRAPH + replicas(1))
    uncounted = (Quota(name="team", hard={"pods": "10"}),)
    assert [outcome for outcome, _ in refused(recipe, quotas=uncounted)] == ["warn"]


@pytest.mark.parametrize(
    ("scope", "counted"),
    [
        ({"scopes": ("BestEffort",)}, True),
        ({"scopes": ("NotBestEffort",)}, False),
        ({"scopes": ("Terminating",)}, False),
        ({"scopes": ("NotTerminating",)}, True),
        ({"scopes": ("NotTerminating", "PriorityClass")}, False),
        ({"scope_selector": ({"scopeName": "PriorityClass", "operator": "In", "values": ["x"]},)}, False),
        ({"scope_selector": ({"scopeName": "PriorityClass", "operator": "NotIn", "values": ["x"]},)}, True),
    ],
)
def test_a_quota_counts_only_pods_of_its_scopes(tmp_path: Path, scope: Any, counted: bool) -> None:
    recipe = recipes(tmp_path, deploy=GRAPH + replicas(2))
    assert bool(refused(recipe, quotas=gpus_left("1", **scope))) is counted


def test_a_graph_for_another_namespace_is_not_judged_here(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=LEGACY)
    ((outcome, message),) = refused(recipe, quotas=gpus_left("1"))
    assert outcome == "warn"
    assert message == "graph g goes to namespace team, whose quotas were not looked at"


def test_a_namespace_without_limits(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=GRAPH + replicas(1))
    assert get_skip_reason(quota.quota_fits, recipe, NamespaceLimits(namespace="here"), RunningPods()) == (
        "namespace here has no ResourceQuota"
    )
