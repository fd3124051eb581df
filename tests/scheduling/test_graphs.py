from pathlib import Path

from dynocheck.recipe.discover import load_recipes
from dynocheck.scheduling.graphs import list_component_pods
from tests.checks.judging import recipes

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


def test_component_of_v1alpha1(tmp_path: Path) -> None:
    (recipe,) = recipes(tmp_path, deploy=LEGACY)
    (group,) = list_component_pods(recipe, recipe.graphs[0], "here")
    assert (group.name, group.replicas, group.nodes, group.pods) == ("Decode", 2, 3, 6)
    assert group.shape is not None
    assert group.shape.namespace == "team"
    assert group.shape.requests == {
        "cpu": 10_000,
        "memory": 100 * 2**30,
        "ephemeral-storage": 2 * 2**30,
        "nvidia.com/gpu": 4,
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
    loaded = [(recipe, graph) for recipe in load_recipes(["recipes"]) for graph in recipe.graphs]
    groups = [group for recipe, graph in loaded for group in list_component_pods(recipe, graph, "here")]
    assert len(groups) > 30
    assert all(group.shape is not None for group in groups)
    assert all(group.shape.requests for group in groups if group.shape and group.name != "epp")
