"""The control plane itself: that it is real, that it is empty again, and that it goes away."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.command import restore_sigint, until
from tests.controlplane import build, processes
from tests.controlplane.api import ApiError, Object
from tests.controlplane.server import ControlPlane

READ_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
START_AND_STAY = """
import time
from tests.controlplane.server import ControlPlane
with ControlPlane() as cluster:
    print(cluster.url, cluster.folder, flush=True)
    time.sleep(60)
"""


def names(answer: Object) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


def listens(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname or "", parts.port or 0)) == 0


@pytest.mark.parametrize("_", range(3))
def test_rights_do_not_outlive_a_test(cluster: ControlPlane, _: int) -> None:
    assert cluster.client(cluster.user("same")).get("/api/v1/pods").status_code == 403
    assert cluster.client(cluster.user("same", rules=[READ_PODS])).get("/api/v1/pods").is_success


def test_crds_are_served_without_their_webhooks(cluster: ControlPlane, crds: Path, tmp_path: Path) -> None:
    name = "dynamographdeployments.nvidia.com"
    (file,) = (crds / "dynamo").rglob("*_dynamographdeployments.yaml")
    published = yaml.load(file.read_text(), yaml.CSafeLoader)
    client = {"url": "https://operator.example/convert"}
    webhook = {"clientConfig": client, "conversionReviewVersions": ["v1"]}
    published["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
    (tmp_path / "crd.yaml").write_text(yaml.dump(published))
    assert cluster.load_crds(tmp_path) == [name]
    definition = cluster.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
    assert definition["spec"]["conversion"] == {"strategy": "None"}
    for version in definition["spec"]["versions"]:
        assert cluster.get(f"/apis/nvidia.com/{version['name']}/dynamographdeployments")["items"] == []


def test_reset_leaves_nothing(cluster: ControlPlane) -> None:
    def everything() -> dict[str, list[str]]:
        return {r.path: sorted(names(cluster.get(r.path))) for r in cluster.discover().values() if r.lists}

    before = everything()
    namespace = cluster.namespace()
    held = {"name": "held", "namespace": namespace, "finalizers": ["example.com/never"]}
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    cluster.node("gpu-1")
    cluster.pod("worker", namespace, node="gpu-1")
    cluster.user("reader", rules=[READ_PODS])
    cluster.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    cluster.kubectl("label", "namespace", "default", "changed=yes")
    cluster.kubectl("delete", "clusterrole", "system:discovery")
    assert everything() != before

    cluster.reset()
    assert everything() == before
    assert "changed" not in cluster.get("/api/v1/namespaces/default")["metadata"]["labels"]
    assert cluster.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/system:discovery")["rules"]


def test_reset_takes_kinds_back_and_a_snapshot_keeps_them(cluster: ControlPlane, crds: Path) -> None:
    start = cluster.snapshot()
    cluster.load_crds(crds / "lws")
    cluster.snapshot()
    cluster.namespace()
    cluster.reset()
    path = "/apis/leaderworkerset.x-k8s.io/v1/leaderworkersets"
    assert names(cluster.get(path)) == []

    cluster.reset(start)
    with pytest.raises(ApiError, match="404"):
        cluster.get(path)


def test_audit_shows_who_asked_for_what(cluster: ControlPlane) -> None:
    user = cluster.user("curious")
    cluster.client(user).get("/api/v1/nodes?limit=1")
    cluster.get("/api/v1/nodes")
    (event,) = cluster.audit_events(user)
    assert (event["verb"], event["requestURI"]) == ("list", "/api/v1/nodes?limit=1")
    assert event["responseStatus"]["code"] == 403
    assert len(cluster.audit_events()) == 2
    cluster.reset()
    assert cluster.audit_events() == []


def test_another_port_is_taken_when_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    free_port = processes.free_port
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = [taken, free_port(), taken]  # for etcd twice, then for the API server
        monkeypatch.setattr(processes, "free_port", lambda: ports.pop(0) if ports else free_port())
        with ControlPlane() as cluster:
            assert cluster.get("/version")
        assert not ports


def test_a_server_that_fails_shows_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControlPlane, "_audit_flags", lambda self: ["--no-such-flag"])
    cluster = ControlPlane()
    with pytest.raises(processes.StartError, match="kube-apiserver: ended with 1") as error, cluster:
        pass
    assert "unknown flag: --no-such-flag" in str(error.value)
    assert not cluster.folder.exists()


@pytest.mark.parametrize(
    "end",
    [signal.SIGKILL, *(pytest.param(s, marks=pytest.mark.verify) for s in (signal.SIGTERM, signal.SIGINT))],
)
def test_it_dies_with_its_parent(end: signal.Signals) -> None:
    build.assets("etcd", "kube-apiserver")
    command = [sys.executable, "-c", START_AND_STAY]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=restore_sigint
    ) as parent:
        assert parent.stdout
        url, folder = parent.stdout.readline().split()
        assert listens(url)
        parent.send_signal(end)
        until(lambda: not listens(url) and not Path(folder).exists())
    assert parent.returncode == -end


def test_a_server_that_keeps_what_is_gone_starts_anew(
    cluster: ControlPlane, crds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.controlplane.server.FORGETTING", -1.0)
    before, kinds, discover = cluster.url, cluster.discover(), cluster.discover
    cluster.load_crds(crds / "gaie/v1.2.1")
    stale = iter([cluster.discover()])
    monkeypatch.setattr(cluster, "discover", lambda: next(stale, None) or discover())
    cluster.reset()
    assert cluster.url != before
    assert discover() == kinds
