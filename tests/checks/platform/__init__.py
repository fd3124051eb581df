from pathlib import Path
from typing import Any

from dynocheck.facts import (
    Condition,
    CustomResourceDefinitions,
    Namespace,
    OperatorConfig,
    Recipes,
    Workload,
    Workloads,
)
from tests.checks.judging import crd, make_definitions, recipes

GRAPHS = "dynamographdeployments.nvidia.com"
AVAILABLE = (Condition("Available", "True"),)
HERE = Namespace("default", labels={"kubernetes.io/metadata.name": "default"})
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: fetch}
spec:
  template:
    spec:
      containers:
      - name: main
        image: python:3.12-slim
        %s
"""
LEGACY = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: old}
spec:
  services:
    Worker:
      envFromSecret: hf-token-secret
      resources: {limits: {gpu: "1", memory: 64Gi, cpu: "8"}}
      extraPodSpec:
        imagePullSecrets: [{name: pull}]
        mainContainer: {image: "registry.example/vllm-runtime:1.3.0"}
"""


def job(folder: Path, line: str) -> Recipes:
    """A recipe of one Job with this line in its container."""
    return recipes(folder, job=JOB % line)


def operator(
    release: str = "1.4.0",
    *,
    namespace: str = "dynamo-system",
    instance: str = "dynamo-platform",
    desired: int = 1,
    name: str = "dynamo-operator",
    **fields: Any,
) -> Workload:
    labels = {
        "control-plane": "controller-manager",
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/created-by": "dynamo-operator",
        "app.kubernetes.io/instance": instance,
    }
    image = f"nvcr.io/nvidia/ai-dynamo/kubernetes-operator:{release}"
    fields = {"conditions": AVAILABLE, "images": (image,), **fields}
    fields |= {"labels": labels, "desired": desired, "ready": desired}
    name = f"{instance}-controller-manager"
    return Workload(kind="Deployment", namespace=namespace, name=name, **fields)


def config(
    restricted: str = "", *, namespace: str = "dynamo-system", instance: str = "dynamo-platform"
) -> OperatorConfig:
    return OperatorConfig(namespace=namespace, name="config", instance=instance, restricted=restricted)


def running(*workloads: Workload) -> Workloads:
    return Workloads(workloads)


def serve_graphs(*versions: str) -> CustomResourceDefinitions:
    return make_definitions(crd(GRAPHS, *versions))
