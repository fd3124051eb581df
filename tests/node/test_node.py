"""The node itself: pods run on it, with addresses, names, GPUs and images."""

import json

import pytest

from tests.controlplane.api import Object
from tests.controlplane.server import FIRST_SERVICE
from tests.node import images, pods
from tests.node.node import GPU, Node

ASK = """
import socket
print(socket.gethostbyname("kubernetes.default.svc.cluster.local"))
with socket.create_connection(("web", 80)) as connection:
    print("web answers")
"""


def test_a_pod_runs_and_is_given_gpus(node: Node, namespace: str) -> None:
    asked = pods.container(script="echo $NVIDIA_VISIBLE_DEVICES", resources={"limits": {GPU: "2"}})
    node.cluster.apply(pods.pod("gpus", namespace, asked, restartPolicy="Never"))
    ended = pods.until(node.cluster, namespace, "gpus", pods.ended)
    assert ended["status"]["phase"] == "Succeeded"
    assert ended["status"]["podIP"].startswith("10.244.0.")
    assert pods.logs(node.cluster, namespace, "gpus").count("GPU-") == 2


@pytest.mark.verify
def test_dynocheck_judges_its_own_cluster_from_its_image(node: Node, namespace: str) -> None:
    words = ["preflight", "--select", "access.api-reachable", "-o", "json"]
    own: Object = {"name": "main", "image": images.DYNOCHECK, "args": words}
    own["securityContext"] = {"runAsNonRoot": True, "readOnlyRootFilesystem": True}
    node.cluster.apply(pods.pod("own", namespace, own, restartPolicy="Never"))
    pods.until(node.cluster, namespace, "own", pods.ended)
    report = json.loads(pods.logs(node.cluster, namespace, "own"))
    assert [(each["check"], each["outcome"]) for each in report["verdicts"]] == [
        ("access.api-reachable", "pass")
    ]


@pytest.mark.verify
def test_names_of_services_are_resolved(node: Node, namespace: str) -> None:
    web = pods.pod("web", namespace, pods.container(script="httpd -f -p 80"))
    node.cluster.apply(pods.service("web", namespace, 80), web)
    pods.until(node.cluster, namespace, "web", pods.ready)
    asking = {"name": "main", "image": images.DYNOCHECK, "command": ["python3", "-c", ASK]}
    node.cluster.apply(pods.pod("asks", namespace, asking))
    assert pods.until_log(node.cluster, namespace, "asks", "web answers").startswith(FIRST_SERVICE)
