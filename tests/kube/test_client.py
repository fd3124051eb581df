"""Asking a real API server: lists by pages, who asks, and its refusals."""

import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from dynocheck.kube import (
    Cluster,
    Forbidden,
    KubeError,
    NotFound,
    StatusError,
    Unauthorized,
    find_connection,
    run_parallel,
)
from tests.command import dynocheck
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.kube.servers import SLACK, Request, reply, serve

READ_ALL = {"apiGroups": [""], "resources": ["*"], "verbs": ["get", "list"]}
CONFIG_MAPS = "/api/v1/configmaps"
COUNT = 1200


class Meta(msgspec.Struct):
    name: str


class Named(msgspec.Struct):
    metadata: Meta


class Review(msgspec.Struct):
    status: Object


def reach(kubeconfig: Path, timeout_s: float = 10) -> Cluster:
    return Cluster(find_connection(str(kubeconfig)), timeout_s=timeout_s)


# Pages


@pytest.fixture(scope="module")
def many(controlplane: ControlPlane) -> Iterator[set[str]]:
    """The names of more ConfigMaps than two pages hold."""
    start = controlplane.snapshot()
    namespace = controlplane.namespace()
    names = [f"many-{number:04}" for number in range(COUNT)]
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    made = ({**kind, "metadata": {"name": name, "namespace": namespace}} for name in names)
    controlplane.apply(*made, workers=8)
    controlplane.snapshot()
    yield set(names)
    controlplane.reset(start)


def test_every_page_is_read_once(many: set[str], cluster: ControlPlane) -> None:
    reader = cluster.user("reader", rules=[READ_ALL])
    found = [each.metadata.name for each in reach(cluster.kubeconfig(reader)).items(CONFIG_MAPS, Named)]
    assert sorted(name for name in found if name in many) == sorted(many)
    asked = [parse_qs(urlsplit(event["requestURI"]).query) for event in cluster.audit_events(reader)]
    assert [query["limit"] for query in asked] == [["500"]] * 3
    assert ["continue" in query for query in asked] == [False, True, True]


def test_a_selector_holds_for_every_page(many: set[str], cluster: ControlPlane) -> None:
    found = reach(cluster.kubeconfig()).items(CONFIG_MAPS, Named, fieldSelector="metadata.name=many-0007")
    assert [each.metadata.name for each in found] == ["many-0007"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_list_that_expires_is_read_again_once(
    many: set[str], cluster: ControlPlane, tmp_path: Path, times: int
) -> None:
    expired = {"kind": "Status", "reason": "Expired", "message": "The provided continue parameter is too old"}
    left = times
    real = cluster.client(cluster.admin)

    def forward(request: Request, _: object) -> bytes:
        nonlocal left
        last = len(server.requests) >= 3 and "continue" in request.target
        if last and left:
            left -= 1
            return reply(410, expired)
        return reply(200, real.get(request.target).content)

    with serve(forward) as server:
        asking = server.cluster(tmp_path, timeout_s=10)
        if times == 1:
            names = [each.metadata.name for each in asking.items(CONFIG_MAPS, Named)]
            assert sorted(name for name in names if name in many) == sorted(many)
            assert len(server.requests) == 6
        else:
            with pytest.raises(StatusError, match=r"the list expired while it was read \(410\)"):
                asking.items(CONFIG_MAPS, Named)


def test_a_continuation_that_is_no_more(cluster: ControlPlane) -> None:
    with pytest.raises(StatusError, match=r"status 400: .*continue key is not valid"):
        reach(cluster.kubeconfig()).get(CONFIG_MAPS, Named, **{"limit": "1", "continue": "garbage"})


# Who asks


def test_a_client_certificate_by_data_or_by_file(cluster: ControlPlane, tmp_path: Path) -> None:
    user = cluster.user("certified", rules=[READ_ALL])
    assert user.pair is not None
    reach(cluster.kubeconfig(user)).items(CONFIG_MAPS, Named)
    (tmp_path / "user.crt").write_bytes(user.pair.certificate)
    (tmp_path / "user.key").write_bytes(user.pair.key)
    files = {"client_certificate": str(tmp_path / "user.crt"), "client_key": str(tmp_path / "user.key")}
    config = cluster.kubeconfig(user, client_certificate_data=None, client_key_data=None, **files)
    reach(config).items(CONFIG_MAPS, Named)
    assert {event["user"]["username"] for event in cluster.audit_events(user)} == {"certified"}


def test_a_token(cluster: ControlPlane) -> None:
    account = cluster.service_account("runner", cluster.namespace(), rules=[READ_ALL])
    reach(cluster.kubeconfig(account)).items(CONFIG_MAPS, Named)
    (agent,) = {event["userAgent"] for event in cluster.audit_events(account)}
    assert agent.startswith("dynocheck/")


@pytest.mark.parametrize("token", ["expired", "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl"])
def test_a_token_that_is_not_accepted(cluster: ControlPlane, token: str) -> None:
    config = cluster.kubeconfig(token=token, client_certificate_data=None, client_key_data=None)
    with pytest.raises(Unauthorized, match=r"the credentials are not accepted \(401\)") as raised:
        reach(config).items(CONFIG_MAPS, Named)
    assert token not in str(raised.value).replace("expired or wrong", "")
    assert raised.value.fix == "kubectl auth whoami"


# What is refused


def test_no_rights(cluster: ControlPlane) -> None:
    with pytest.raises(Forbidden) as raised:
        reach(cluster.kubeconfig(cluster.user("nobody"))).items("/api/v1/nodes", Named)
    refusal = 'User "nobody" cannot list resource "nodes" in API group "" at the cluster scope'
    assert str(raised.value) == f"{cluster.url}: nodes is forbidden: {refusal} (403)"
    assert "dynocheck rbac" in (raised.value.fix or "")


@pytest.mark.parametrize(
    "path", ["/api/v1/namespaces/default/configmaps/none", "/apis/example.com/v1/things"]
)
def test_nothing_there(cluster: ControlPlane, path: str) -> None:
    with pytest.raises(NotFound) as raised:
        reach(cluster.kubeconfig()).get(path, Named)
    assert str(raised.value).startswith(f"{cluster.url}{path}: not found (404)")


def test_a_review_is_posted(cluster: ControlPlane) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    spec = {"resourceAttributes": {"verb": "list", "resource": "nodes"}}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
    assert reach(cluster.kubeconfig()).post(path, body, Review).status["allowed"] is True


def test_together_keeps_the_order_and_gives_the_first_error(cluster: ControlPlane) -> None:
    asking = reach(cluster.kubeconfig())
    paths = [f"/api/v1/namespaces/{name}" for name in ("default", "kube-system", "none", "kube-public")] * 10
    gets = [partial(asking.get, path, Named) for path in paths if not path.endswith("none")]
    found = [each.metadata.name for each in run_parallel(gets)]
    assert found == ["default", "kube-system", "kube-public"] * 10
    with pytest.raises(NotFound, match='namespaces "none" not found'):
        run_parallel([partial(asking.get, path, Named) for path in paths])
    assert run_parallel([]) == []


# A server that stops


def test_a_server_that_stops_answers_no_more_and_then_again(cluster: ControlPlane) -> None:
    asking = reach(cluster.kubeconfig(), timeout_s=1)
    asking.items(CONFIG_MAPS, Named)
    process = cluster._processes._running["kube-apiserver"]
    process.send_signal(signal.SIGSTOP)
    try:
        for each in (asking, reach(cluster.kubeconfig(), timeout_s=1)):  # a kept connection, a new one
            start = time.monotonic()
            with pytest.raises(KubeError, match=cluster.url):
                each.items(CONFIG_MAPS, Named)
            assert time.monotonic() - start < 1 + SLACK
        start = time.monotonic()
        ended = dynocheck("preflight", "--kubeconfig", cluster.kubeconfig())
        assert time.monotonic() - start < 5 + SLACK
        assert ended.code == 3
        assert f"cannot reach {cluster.url}" in ended.out
    finally:
        process.send_signal(signal.SIGCONT)
    asking.items(CONFIG_MAPS, Named)
