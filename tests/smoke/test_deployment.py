"""`dynocheck smoke` finds the endpoint of a DynamoGraphDeployment, and the way to it: a real API server."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clusters import gaie, platform
from tests.clusters.objects import make_object
from tests.command import CommandResult, dynocheck
from tests.controlplane.certs import Authority
from tests.controlplane.server import ControlPlane
from tests.dynamo.server import MODEL, Dynamo
from tests.kube.servers import tls
from tests.smoke.asking import bad
from tests.smoke.lying import serve_proxy

ROUTING = "gateway.networking.k8s.io/v1"
READY = ("--select", "endpoint.ready", "--select", "endpoint.discovered")
VIA_GATEWAY = ("--via", "gateway", *READY)


def rules(kind: str = "Role", *more: str) -> list[dict[str, Any]]:
    """The rights that `dynocheck rbac` says are enough: in the namespace, or those of a ClusterRole."""
    printed = {role["kind"]: role for role in yaml.safe_load_all(dynocheck("rbac", "--smoke", *more).out)}
    granted: list[dict[str, Any]] = printed[kind]["rules"]
    return granted


def own_address() -> str:
    """An address of this machine that is not loopback, to which an API server forwards."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address besides loopback")
        address: str = probe.getsockname()[0]
    return address


@pytest.fixture(scope="module")
def typed(controlplane: ControlPlane, crds: Path) -> Iterator[None]:
    yield from controlplane.share(*(crds / folder for area in (platform, gaie) for folder in area.CRDS))


def graph(name: str, namespace: str, *, limits: str = "", replicas: int = 1) -> dict[str, Any]:
    def component(name: str, kind: str) -> dict[str, Any]:
        container = {"name": "main", "image": "registry.example/runtime:1.6.1"}
        return {"name": name, "type": kind, "podTemplate": {"spec": {"containers": [container]}}}

    annotations = {"dynocheck.dev/limits": limits} if limits else {}
    workers = component("VllmWorker", "worker") | {"replicas": replicas}
    spec = {"components": [component("Frontend", "frontend"), workers]}
    kind = "nvidia.com/v1beta1 DynamoGraphDeployment"
    return make_object(kind, name, namespace, annotations=annotations, spec=spec)


def serve(cluster: ControlPlane, name: str, namespace: str, port: int) -> None:
    """Make the frontend's Service, and behind it a pod with the address of the real frontend."""
    address = own_address()
    cluster.pod(name, namespace, status={"podIP": address, "podIPs": [{"ip": address}]})
    pod = {"kind": "Pod", "name": name, "namespace": namespace}
    apply_service(cluster, name, namespace, port, {"ip": address, "targetRef": pod})


def apply_service(cluster: ControlPlane, name: str, namespace: str, port: int, address: Any) -> None:
    """A Service at port 8000, and the one address behind it."""
    spec = {"ports": [{"name": "http", "port": 8000, "targetPort": port}]}
    subsets = [{"addresses": [address], "ports": [{"name": "http", "port": port}]}]
    cluster.apply(make_object("Service", name, namespace, spec=spec))
    cluster.apply(make_object("Endpoints", name, namespace, subsets=subsets))


@pytest.fixture
def namespace(typed: None, cluster: ControlPlane) -> str:
    return cluster.namespace()


def deploy(cluster: ControlPlane, namespace: str, port: int, **graphs: Any) -> dict[str, Any]:
    """The graph "chat" of this shape, whose frontend's Service leads to a port."""
    (made,) = cluster.apply(graph("chat", namespace, **graphs))
    serve(cluster, "chat-frontend", namespace, port)
    return made


def smoke(
    cluster: ControlPlane, namespace: str, *more: str, config: Path | None = None, **run: Any
) -> CommandResult:
    reached = ("--kubeconfig", config or cluster.kubeconfig(), "-n", namespace, "-o", "json")
    return dynocheck("smoke", *reached, *more, **run)


def test_through_the_api_server(cluster: ControlPlane, namespace: str, dynamo: Dynamo) -> None:
    deploy(cluster, namespace, dynamo.port)
    reader = cluster.user("reader", rules=rules(), namespace=namespace)
    ended = smoke(cluster, namespace, "chat", config=cluster.kubeconfig(reader))
    assert (ended.code, bad(ended)) == (0, {"endpoint.too-long": "warn"})
    assert ended.outcomes["endpoint.discovered"] == "pass"
    target = {"deployment": f"{namespace}/chat", "model": MODEL, "way": "the API server's proxy"}
    assert ended.report["target"].items() >= target.items()


def test_no_stream_is_lost_on_the_way_through_the_api_server(
    cluster: ControlPlane, namespace: str, dynamo: Dynamo
) -> None:
    """Its reverse proxy drops one in fifty whose answer begins as soon as the request is there."""
    deploy(cluster, namespace, dynamo.port)
    ended = smoke(cluster, namespace, "--requests", "300", "--select", "endpoint.steady")
    assert ended.outcomes == {"endpoint.steady": "pass"}


def test_a_token_is_as_good_as_a_certificate(cluster: ControlPlane, namespace: str, dynamo: Dynamo) -> None:
    deploy(cluster, namespace, dynamo.port)
    account = cluster.service_account("smoker", namespace, rules=rules())
    ended = smoke(cluster, namespace, *READY, config=cluster.kubeconfig(account))
    assert (ended.code, set(ended.outcomes.values())) == (0, {"pass"})
    assert account.token is not None
    assert account.token not in ended.out


def test_who_may_not_is_told_so(cluster: ControlPlane, namespace: str, dynamo: Dynamo) -> None:
    deploy(cluster, namespace, dynamo.port)
    ended = smoke(cluster, namespace, *READY, config=cluster.kubeconfig(cluster.user("stranger")))
    assert (ended.code, set(ended.outcomes.values())) == (3, {"unknown"})
    assert "cannot list resource" in ended.findings("endpoint.ready")[0]["message"]

    reading = [rule for rule in rules() if rule["resources"] != ["services/proxy"]]
    lister = cluster.user("lister", rules=reading, namespace=namespace)
    ended = smoke(cluster, namespace, *READY, "--timeout", "9", config=cluster.kubeconfig(lister))
    assert ended.outcomes == {"endpoint.discovered": "pass", "endpoint.ready": "fail"}
    assert "services/proxy" in ended.findings("endpoint.ready")[0]["message"]


def test_a_frontend_without_a_service(cluster: ControlPlane, namespace: str) -> None:
    cluster.apply(graph("chat", namespace))
    ended = smoke(cluster, namespace, *READY)
    assert ended.outcomes == {"endpoint.discovered": "fail", "endpoint.ready": "unknown"}
    finding = ended.finding("endpoint.discovered")
    assert finding["message"] == "its frontend has no Service chat-frontend"
    assert finding["subject"] == subject(namespace)


def subject(namespace: str) -> dict[str, str]:
    return {"kind": "DynamoGraphDeployment", "name": "chat", "namespace": namespace}


def test_a_replica_that_has_not_come_up_is_missed(
    cluster: ControlPlane, namespace: str, dynamo: Dynamo
) -> None:
    deploy(cluster, namespace, dynamo.port, replicas=3)
    ended = smoke(cluster, namespace, *READY, "--select", "endpoint.replicas")
    assert (ended.code, bad(ended)) == (0, {"endpoint.replicas": "warn"})
    assert ended.finding("endpoint.replicas")["subject"] == subject(namespace)


def status(state: str, observed: int, reason: str) -> dict[str, Any]:
    said = {"type": "Ready", "status": "False", "reason": reason, "message": "1 of 2"}
    changed = {**said, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"state": state, "observedGeneration": observed, "conditions": [changed]}


@pytest.mark.parametrize(
    ("state", "observed", "outcome"),
    [
        ("successful", 1, "pass"),
        ("pending", 1, "warn"),
        ("failed", 1, "fail"),
        ("successful", 0, "pass"),  # set by an operator that does not report generations
    ],
)
def test_what_serves_is_the_version_that_was_deployed(
    cluster: ControlPlane, namespace: str, dynamo: Dynamo, state: str, observed: int, outcome: str
) -> None:
    made = deploy(cluster, namespace, dynamo.port)
    cluster.patch_status({**made, "status": status(state, observed, "pods_not_ready")})
    ended = smoke(cluster, namespace, "--select", "endpoint.rolled-out")
    assert ended.outcomes == {"endpoint.rolled-out": outcome}
    messages = [finding["message"] for finding in ended.findings("endpoint.rolled-out")]
    assert all(message.endswith(": pods_not_ready: 1 of 2") for message in messages)


def test_a_change_that_the_operator_has_not_seen(
    cluster: ControlPlane, namespace: str, dynamo: Dynamo
) -> None:
    made = deploy(cluster, namespace, dynamo.port)
    cluster.patch_status({**made, "status": status("successful", 1, "all_resources_are_ready")})
    cluster.apply(graph("chat", namespace, replicas=2))
    ended = smoke(cluster, namespace, "--select", "endpoint.rolled-out")
    assert ended.outcomes == {"endpoint.rolled-out": "warn"}


def test_the_deployment_must_be_clear(cluster: ControlPlane, namespace: str) -> None:
    ended = smoke(cluster, namespace)
    assert (ended.code, "give the name of a DynamoGraphDeployment; existing: none" in ended.err) == (2, True)
    cluster.apply(graph("chat", namespace), graph("code", namespace))
    for name, says in (((), "give the name of a"), (("cat",), "no DynamoGraphDeployment cat")):
        ended = smoke(cluster, namespace, *name)
        assert (ended.code, says in ended.err, "; existing: chat, code" in ended.err) == (2, True, True)


def test_by_the_name_that_the_clusters_dns_knows(cluster: ControlPlane, namespace: str) -> None:
    deploy(cluster, namespace, 9)
    ended = smoke(cluster, namespace, "--via", "dns", "--timeout", "1", *READY)
    target = {"url": f"http://chat-frontend.{namespace}.svc:8000", "way": "the cluster's DNS"}
    assert ended.report["target"].items() >= target.items()
    assert ended.outcomes["endpoint.ready"] == "fail"  # for this machine does not ask that DNS


def test_a_key_cannot_be_sent_through_the_api_server(cluster: ControlPlane, namespace: str) -> None:
    deploy(cluster, namespace, 9)
    ended = smoke(cluster, namespace, "--api-key-env", "USER", env={"USER": "somebody"})
    assert (ended.code, "proxy removes the key" in ended.err) == (2, True)


def test_the_graph_says_what_it_must_keep(cluster: ControlPlane, namespace: str, dynamo: Dynamo) -> None:
    deploy(cluster, namespace, dynamo.port, limits="error_rate=1%\nrequests_per_s=0")
    ended = smoke(cluster, namespace, "--select", "load.errors", "--select", "load.limits")
    assert (ended.code, set(ended.outcomes.values())) == (0, {"pass"})
    who = f"dynocheck.dev/limits of DynamoGraphDeployment {namespace}/chat"
    assert ended.report["target"]["limits"] == [f"error_rate=1% ({who})", f"requests_per_s=0 ({who})"]


def test_what_a_graph_says_and_nobody_understands_is_unknown(
    cluster: ControlPlane, namespace: str, dynamo: Dynamo
) -> None:
    """And nothing else is."""
    deploy(cluster, namespace, dynamo.port, limits="error_rate=few, requests_per_s=0")
    ended = smoke(cluster, namespace)
    assert (ended.code, bad(ended)) == (3, {"endpoint.too-long": "warn", "load.limits": "unknown"})
    who = f"dynocheck.dev/limits of DynamoGraphDeployment {namespace}/chat"
    said = ended.finding("load.limits")["message"]
    assert said == f"{who}: error_rate=few: not of the form ttft.p95=500ms or error_rate=1%"
    ended = smoke(cluster, namespace, "--select", "load.limits", "--limit", "error_rate=0")
    assert ended.outcomes == {"load.limits": "pass"}, "what is given here sets it aside"


# By a Gateway


def route(namespace: str, backend: dict[str, Any]) -> dict[str, Any]:
    matches = [{"path": {"type": "PathPrefix", "value": "/v1"}}]
    rules = [{"matches": matches, "backendRefs": [backend]}]
    spec = {"parentRefs": [{"name": "front"}], "hostnames": ["chat.example"], "rules": rules}
    return make_object(f"{ROUTING} HTTPRoute", "chat", namespace, spec=spec)


def gateway(
    cluster: ControlPlane,
    namespace: str,
    port: int,
    address: str | None,
    *others: dict[str, Any],
    tls: dict[str, Any] | None = None,
) -> None:
    listener = {"name": "http", "port": port, "protocol": "HTTPS" if tls else "HTTP"}
    listener |= {"tls": tls} if tls else {}
    spec = {"gatewayClassName": "any", "listeners": [*others, listener]}
    (made,) = cluster.apply(make_object(f"{ROUTING} Gateway", "front", namespace, spec=spec))
    if address:
        cluster.patch_status({**made, "status": {"addresses": [{"type": "IPAddress", "value": address}]}})


POOL = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "chat-pool"}


@pytest.mark.parametrize("backend", [POOL, {"name": "chat-frontend", "port": 8000}])
def test_by_the_gateway_that_its_route_is_for(
    cluster: ControlPlane, namespace: str, dynamo: Dynamo, backend: dict[str, Any]
) -> None:
    cluster.apply(graph("chat", namespace), route(namespace, backend))
    gateway(cluster, namespace, dynamo.port, "127.0.0.1")
    ended = smoke(cluster, namespace, *VIA_GATEWAY)
    assert (ended.code, set(ended.outcomes.values())) == (0, {"pass"})
    target = {"url": dynamo.url, "way": f"Gateway {namespace}/front"}
    assert ended.report["target"].items() >= target.items()


@pytest.mark.parametrize("via", [(), ("--via", "gateway")])
def test_the_printed_roles_are_enough_for_the_way_by_a_gateway(
    cluster: ControlPlane, namespace: str, dynamo: Dynamo, via: tuple[str, ...]
) -> None:
    cluster.apply(graph("chat", namespace), route(namespace, POOL))
    gateway(cluster, namespace, dynamo.port, "127.0.0.1")
    name = f"router{len(via)}"
    cluster.user(name, rules=rules("Role", *via), namespace=namespace)
    router = cluster.user(name, rules=rules("ClusterRole", *via))
    ended = smoke(cluster, namespace, "chat", "--via", "gateway", config=cluster.kubeconfig(router))
    assert (ended.code, bad(ended)) == (0, {"endpoint.too-long": "warn"})
    assert ended.outcomes["endpoint.discovered"] == "pass"


def test_the_printed_roles_are_those_of_one_way() -> None:
    assert dynocheck("rbac", "--via", "gateway").code == 2
    (only,) = yaml.safe_load_all(dynocheck("rbac", "--smoke", "--via", "dns").out)
    granted = {resource for rule in only["rules"] for resource in rule["resources"]}
    assert granted == {"dynamographdeployments", "services"}


def test_who_may_not_read_routes_is_told_which_role_to_ask_for(cluster: ControlPlane, namespace: str) -> None:
    cluster.apply(graph("chat", namespace))
    local = cluster.user("local", rules=rules(), namespace=namespace)
    ended = smoke(cluster, namespace, *VIA_GATEWAY, config=cluster.kubeconfig(local))
    assert (ended.code, set(ended.outcomes.values())) == (3, {"unknown"})
    finding = ended.finding("endpoint.discovered")
    assert "cannot list resource" in finding["message"]
    assert finding["fix"].startswith("dynocheck rbac --smoke --via gateway --bind ")


EXACT = {"path": {"type": "Exact", "value": "/v1/chat/completions"}}
BY_EXPRESSION = {"path": {"type": "RegularExpression", "value": "/v1/.*"}}
BELOW = {"path": {"type": "PathPrefix", "value": "/chat/v1"}}


@pytest.mark.parametrize(("match", "base"), [(EXACT, ""), (BY_EXPRESSION, ""), (BELOW, "/chat")])
def test_the_url_by_a_gateway_is_what_stands_before_v1(
    cluster: ControlPlane, namespace: str, match: dict[str, Any], base: str
) -> None:
    made = route(namespace, POOL)
    made["spec"]["rules"][0]["matches"] = [match]
    cluster.apply(graph("chat", namespace), made)
    gateway(cluster, namespace, 9, "127.0.0.1")
    ended = smoke(cluster, namespace, "--via", "gateway", "--timeout", "1", *READY)
    assert ended.report["target"]["url"] == f"http://127.0.0.1:9{base}"


def test_a_route_names_the_listener_that_it_is_for(
    cluster: ControlPlane, namespace: str, dynamo: Dynamo
) -> None:
    """Another listener comes first, and another route leads to a Gateway that has no address."""
    elsewhere, here = route(namespace, POOL), route(namespace, POOL)
    elsewhere["metadata"]["name"] = "a-first"
    elsewhere["spec"]["parentRefs"] = [{"name": "nowhere"}]
    here["spec"]["parentRefs"] = [{"name": "front", "sectionName": "http"}]
    cluster.apply(graph("chat", namespace), elsewhere, here)
    other = {"name": "admin", "port": 9, "protocol": "HTTP"}
    gateway(cluster, namespace, dynamo.port, "127.0.0.1", other)
    ended = smoke(cluster, namespace, *VIA_GATEWAY)
    assert (ended.code, ended.report["target"]["url"]) == (0, dynamo.url)


def test_a_gateway_with_tls_is_asked_by_the_name_of_the_route(
    cluster: ControlPlane, namespace: str, dynamo: Dynamo, tmp_path: Path
) -> None:
    """Its certificate is for that name, and the Gateway has an address of numbers."""
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    secret = {"certificateRefs": [{"name": "any"}]}
    cluster.apply(graph("chat", namespace), route(namespace, POOL))
    with serve_proxy(dynamo.url, tls=tls(authority.issue("server", hosts=["chat.example"]), tmp_path)) as url:
        gateway(cluster, namespace, int(url.rpartition(":")[2]), "127.0.0.1", tls=secret)
        trusting = ("--ca-file", str(tmp_path / "ca.pem"))
        ended = smoke(cluster, namespace, "--via", "gateway", *trusting, *READY)
        assert (ended.code, ended.report["target"]["url"]) == (0, url)
        ended = smoke(cluster, namespace, "--via", "gateway", "--timeout", "5", *READY)
    assert "untrusted" in ended.findings("endpoint.ready")[0]["message"]


def test_a_gateway_without_an_address_and_a_graph_without_a_route(
    cluster: ControlPlane, namespace: str
) -> None:
    cluster.apply(graph("chat", namespace))
    ended = smoke(cluster, namespace, *VIA_GATEWAY)
    assert ended.findings("endpoint.discovered")[0]["message"] == "no HTTPRoute refers to chat"
    cluster.apply(route(namespace, POOL))
    gateway(cluster, namespace, 80, None)
    ended = smoke(cluster, namespace, *VIA_GATEWAY)
    assert "has an address" in ended.findings("endpoint.discovered")[0]["message"]
