"""Dynamo's platform on the node: its types, and its operator as a Deployment whose webhooks really answer.

What a graph is made of comes from `tests.node.operator`, which works from outside.
"""

import base64
from http import HTTPStatus
from pathlib import Path

from tests.clusters import platform
from tests.clusters.objects import make_namespace, make_object
from tests.controlplane.api import ApiError, Object, wait
from tests.controlplane.certs import Authority, Pair
from tests.controlplane.server import ControlPlane
from tests.dynamo.build import VERSION
from tests.node import images, webhooks


def install(cluster: ControlPlane) -> None:
    """Install it as its chart does, on a cluster that has the types, and wait until it answers."""
    host = f"{platform.SERVICE}.{platform.NAMESPACE}.svc"
    authority = Authority()
    ca = base64.b64encode(authority.certificate).decode()
    cluster.apply(make_namespace(platform.NAMESPACE), platform.config())
    cluster.apply(_secret(authority.issue("dynamo-operator", hosts=[host])), _operator(), _service())
    wait(lambda: _is_available(cluster), "make Dynamo's operator available", 60)
    cluster.apply(platform.admission(ca), platform.admission(ca, "Mutating"))
    platform.convert(cluster, ca)
    wait(lambda: _admits(cluster), "reach Dynamo's operator", 60)


def _operator() -> Object:
    operator = platform.operator(release=VERSION)
    operator.pop("status")
    probe = {"httpGet": {"path": "/", "port": webhooks.PORT, "scheme": "HTTPS"}, "periodSeconds": 1}
    container = {
        "name": "manager",
        "image": images.OPERATOR,
        "args": ["-c", Path(webhooks.__file__).read_text()],
        "readinessProbe": probe,
        "volumeMounts": [{"name": "certificate", "mountPath": "/certificate"}],
    }
    volumes = [{"name": "certificate", "secret": {"secretName": platform.SERVICE}}]
    operator["spec"]["template"]["spec"] = {"containers": [container], "volumes": volumes}
    return operator


def _secret(pair: Pair) -> Object:
    parts = {"tls.crt": pair.certificate, "tls.key": pair.key}
    data = {name: base64.b64encode(part).decode() for name, part in parts.items()}
    name = platform.SERVICE
    return make_object("Secret", name, platform.NAMESPACE, type="kubernetes.io/tls", data=data)


def _service() -> Object:
    ports = [{"port": 443, "targetPort": webhooks.PORT}]
    spec = {"selector": {"control-plane": "controller-manager"}, "ports": ports}
    return make_object("Service", platform.SERVICE, platform.NAMESPACE, spec=spec)


def _admits(cluster: ControlPlane) -> bool:
    """Whether the API server reaches the webhooks: the way to a new Service comes a moment after it."""
    graph = make_object("DynamoGraphDeployment", "any", "default", spec={"components": []})
    path = "/apis/nvidia.com/v1beta1/namespaces/default/dynamographdeployments"
    try:
        cluster.request("POST", path, {**graph, "apiVersion": "nvidia.com/v1beta1"}, dryRun="All")
    except ApiError as error:
        if error.code == HTTPStatus.INTERNAL_SERVER_ERROR:
            return False
        raise
    return True


def _is_available(cluster: ControlPlane) -> bool:
    path = f"/apis/apps/v1/namespaces/{platform.NAMESPACE}/deployments"
    (operator,) = cluster.get(path)["items"]
    return bool(operator["status"].get("availableReplicas"))
