"""Routes in front of engines: what they send again, and to which pod."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.network.routes import routes
from tests.checks.judging import deploy, judge, read_lines
from tests.checks.test_servers import VLLM, serve

SERVER = serve(VLLM, "--model", "a/b")
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "s"},
    "spec": {"selector": {"app": "e"}},
}
OTHER = serve("nginx:1", "-g", "daemon off;")


def route(host: str = "s.ns.svc.cluster.local", **retries: Any) -> dict[str, Any]:
    rule: dict[str, Any] = {"route": [{"destination": {"host": host}}]}
    rule |= {"retries": retries} if retries else {}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "v"},
        "spec": {"http": [rule]},
    }


def ingress(service: str = "s", **annotations: str) -> dict[str, Any]:
    known = {f"nginx.ingress.kubernetes.io/{key.replace('_', '-')}": annotations[key] for key in annotations}
    path = {"path": "/v1", "backend": {"service": {"name": service, "port": {"number": 80}}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "i", "annotations": known},
        "spec": {"rules": [{"http": {"paths": [path]}}]},
    }


def http_route(service: str = "s", **retry: Any) -> dict[str, Any]:
    rule = {"backendRefs": [{"name": service, "port": 80}], "retry": retry}
    version = "gateway.networking.k8s.io/v1"
    return {"apiVersion": version, "kind": "HTTPRoute", "metadata": {"name": "h"}, "spec": {"rules": [rule]}}


def destination(host: str = "s", **consistent: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "d"},
        "spec": {"host": host, "trafficPolicy": {"loadBalancer": {"consistentHash": consistent}}},
    }


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (route(attempts=3, retryOn="5xx,reset,connect-failure"), ["warn"]),
        (route(attempts=3, retryOn="connect-failure, 503"), ["warn"]),
        (route(attempts=3, retryOn="connect-failure,refused-stream"), []),
        (route(attempts=0, retryOn="5xx"), []),
        (route(attempts=3), []),  # Istio's own conditions are those of a connection
        (route(), []),
        (route("elsewhere", attempts=3, retryOn="5xx"), ["skip"]),
        (ingress(upstream_hash_by="$request_uri"), ["warn"]),
        (ingress(upstream_hash_by="$http_x_user_id"), []),
        (ingress(proxy_read_timeout="600"), []),
        (http_route(codes=[500, 503], attempts=2), ["warn"]),
        (http_route(codes=[500], attempts=0), []),
        (http_route(codes=[429]), []),
        (http_route("elsewhere", codes=[500]), ["skip"]),
        (destination(httpHeaderName=":path"), ["warn"]),
        (destination("s.ns.svc", httpHeaderName="Host"), ["warn"]),
        (destination(httpHeaderName="x-session"), []),
        (destination(useSourceIp=True), []),
        (destination("elsewhere", httpHeaderName=":path"), ["skip"]),
        (ingress("elsewhere", upstream_hash_by="$request_uri"), ["skip"]),
    ],
)
def test_routes_to_an_engine(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(routes, deploy(tmp_path, SERVER, SERVICE, one)) == expected


def test_an_annotation_that_names_the_class_is_deprecated(tmp_path: Path) -> None:
    one = ingress()
    one["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "nginx"}
    assert read_lines(routes, deploy(tmp_path, SERVER, SERVICE, one)) == [
        "kubernetes.io/ingress.class: nginx"
    ]
    one["spec"]["ingressClassName"] = "nginx"
    assert judge(routes, deploy(tmp_path, SERVER, SERVICE, one)) == []


def test_routes_to_another_program_are_not_judged(tmp_path: Path) -> None:
    assert judge(routes, deploy(tmp_path, OTHER, SERVICE, route(attempts=3, retryOn="5xx"))) == ["skip"]
