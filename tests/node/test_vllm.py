"""The real vLLM on CPU as a Deployment, as users have one, and `dynocheck smoke` on the way to it."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.command import CommandResult, dynocheck, run_inside
from tests.controlplane.api import wait
from tests.dynamo.build import Home
from tests.node import images, pods
from tests.node.node import Node
from tests.node.operator import show_machine
from tests.node.test_graphs import assert_serves
from tests.vllm_cpu.build import ENVIRONMENT, VERSION, python

pytestmark = [pytest.mark.verify, pytest.mark.timeout(1800)]
PORT, START_S, KEY = 8000, 600, "not-for-everyone"
FLAGS = ("--load-format", "dummy", "--dtype", "bfloat16", "--enforce-eager", "--max-model-len", "512")


@pytest.fixture
def vllm(node: Node, namespace: str, dynamo_home: Home, tmp_path: Path) -> str:
    """The namespace of a Deployment and a Service `chat`, ready, whose API key lies in a Secret."""
    model = tmp_path / "model"
    shutil.copytree(dynamo_home.model, model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "hidden_size": 256}))
    mounts, volumes = show_machine(python().parent.parent, model)
    mounts.append({"name": "shm", "mountPath": "/dev/shm"})  # 64 MiB are too few for vLLM on CPU
    volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}})
    serve = [str(python()), "-m", "vllm.entrypoints.openai.api_server", "--port", str(PORT)]
    env = {**ENVIRONMENT, "HOME": "/tmp", "PATH": "/usr/bin:/bin"}
    key = {"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": {"name": "chat", "key": "api"}}}
    container = pods.container(
        command=[*serve, "--model", str(model), "--served-model-name", "tiny", *FLAGS],
        env=[*({"name": name, "value": value} for name, value in env.items()), key],
        ports=[{"name": "http", "containerPort": PORT}],
        readinessProbe={"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 2},
        volumeMounts=mounts,
    )
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "chat", "namespace": namespace}}
    node.cluster.apply(
        {**secret, "stringData": {"api": KEY}},
        pods.deployment("chat", namespace, container, volumes=volumes, enableServiceLinks=False),
        pods.service("chat", namespace, PORT),
    )
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/chat"
    wait(lambda: node.cluster.get(path)["status"].get("readyReplicas") == 1, "make vLLM ready", START_S)
    return namespace


def test_smoke_in_a_pod_with_the_key_from_the_servers_secret(node: Node, vllm: str) -> None:
    """With the rights that dynocheck says are enough, and the one to read that Secret."""
    rules = yaml.safe_load(run_inside("rbac", "--smoke", "--workload").out)["rules"]
    secret = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["chat"], "verbs": ["get"]}
    node.cluster.service_account("smoke", vllm, rules=[*rules, secret])
    words = ["smoke", "deployment/chat", "--via", "dns", "--requests", "4", "-n", vllm, "-o", "json"]
    own = {"name": "main", "image": images.DYNOCHECK, "args": words}
    node.cluster.apply(pods.pod("smoke", vllm, own, serviceAccountName="smoke", restartPolicy="Never"))
    path = f"/api/v1/namespaces/{vllm}/pods/smoke"
    wait(lambda: pods.ended(node.cluster.get(path)), "end the pod with smoke", START_S)
    progress, _, report = f"\n{pods.logs(node.cluster, vllm, 'smoke')}".partition("\n{")
    ended = CommandResult(0, f"{{{report}", progress)
    assert_serves(ended)
    assert ended.report["target"].items() >= {"model": "tiny", "server": f"vLLM {VERSION}"}.items()
    assert KEY not in ended.out + progress

    reached = ("--kubeconfig", node.cluster.kubeconfig(), "-n", vllm, "-o", "json", "--timeout", "60")
    by_proxy = dynocheck("smoke", "service/chat", *reached)
    assert (by_proxy.code, by_proxy.outcomes["endpoint.ready"]) == (3, "unknown")
