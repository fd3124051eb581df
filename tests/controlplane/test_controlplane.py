"""The control plane itself: that it is real, that it is empty again, and that it goes away."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.command import restore_sigint
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


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def names(answer: Object) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


def eventually(holds: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def listens(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname or "", parts.port or 0)) == 0


def test_tells_its_real_version(cluster: ControlPlane) -> None:
    assert cluster.get("/version")["gitVersion"] == build.versions()["kubernetes"]


# Users


def test_a_user_without_rights_may_see_nothing(cluster: ControlPlane) -> None:
    answer = cluster.client(cluster.user("nobody")).get("/api/v1/pods")
    assert answer.status_code == 403
    assert 'User "nobody" cannot list resource "pods"' in answer.json()["message"]


def test_rights_are_in_force_at_once_and_in_their_namespace(cluster: ControlPlane) -> None:
    inside, outside = cluster.namespace(), cluster.namespace()
    reader = cluster.client(cluster.user("reader", rules=[READ_PODS], namespace=inside))
    assert reader.get(f"/api/v1/namespaces/{inside}/pods").status_code == 200
    assert reader.get(f"/api/v1/namespaces/{outside}/pods").status_code == 403


@pytest.mark.parametrize("_", range(3))
def test_rights_do_not_outlive_a_test(cluster: ControlPlane, _: int) -> None:
    assert cluster.client(cluster.user("same")).get("/api/v1/pods").status_code == 403
    assert cluster.client(cluster.user("same", rules=[READ_PODS])).get("/api/v1/pods").is_success


def test_a_service_account_has_a_token(cluster: ControlPlane) -> None:
    account = cluster.service_account("runner", cluster.namespace(), rules=[READ_PODS])
    client = cluster.client(account)
    assert client.get("/api/v1/pods").status_code == 200
    assert client.get("/api/v1/nodes").status_code == 403


def test_kubectl_speaks_as_a_user(cluster: ControlPlane) -> None:
    cluster.node("gpu-1")
    assert "gpu-1" in cluster.kubectl("get", "nodes").stdout
    refused = cluster.kubectl("get", "nodes", user=cluster.user("nobody"))
    assert refused.returncode == 1
    assert "Forbidden" in refused.stderr


def test_a_kubeconfig_can_be_wrong(cluster: ControlPlane) -> None:
    path = cluster.kubeconfig(
        server="https://127.0.0.1:1",
        namespace="other",
        token="expired",
        client_key_data=None,
        insecure_skip_tls_verify=True,
    )
    config = yaml.safe_load(path.read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    assert config["clusters"][0]["cluster"]["insecure-skip-tls-verify"] is True
    assert config["contexts"][0]["context"]["namespace"] == "other"
    assert config["users"][0]["user"].keys() == {"client-certificate-data", "token"}


# Objects


def test_a_node_has_what_a_kubelet_reports(cluster: ControlPlane) -> None:
    cluster.node("gpu-1", gpus=8, labels={"zone": "a"}, allocatable={"nvidia.com/gpu": "7"})
    cluster.node("gpu-2", ready=False, taints=[{"key": "gpu", "effect": "NoSchedule"}])
    first, second = cluster.get("/api/v1/nodes")["items"]
    assert first["status"]["capacity"]["nvidia.com/gpu"] == "8"
    assert first["status"]["allocatable"]["nvidia.com/gpu"] == "7"
    assert first["metadata"]["labels"]["zone"] == "a"
    assert first["status"]["conditions"][0]["status"] == "True"
    assert second["status"]["conditions"][0]["status"] == "False"
    assert second["spec"]["taints"] == [{"key": "gpu", "effect": "NoSchedule"}]


def test_a_pod_runs_on_its_node(cluster: ControlPlane) -> None:
    cluster.node("gpu-1", gpus=8)
    owner = cluster.apply(config_map("owner"))[0]
    cluster.pod("worker", node="gpu-1", gpus=1, owner=owner)
    cluster.pod("waiting", phase="Pending")
    waiting, worker = cluster.get("/api/v1/namespaces/default/pods")["items"]
    assert waiting["status"]["phase"] == "Pending"
    assert "nodeName" not in waiting["spec"]
    assert worker["status"]["containerStatuses"][0]["ready"] is True
    assert worker["spec"]["containers"][0]["resources"]["requests"] == {"nvidia.com/gpu": "1"}
    assert worker["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]


def test_apply_changes_and_delete_deletes(cluster: ControlPlane) -> None:
    cluster.apply(config_map("settings", a="1"))
    cluster.apply(config_map("settings", b="2"))
    path = "/api/v1/namespaces/default/configmaps/settings"
    assert cluster.get(path)["data"] == {"b": "2"}
    cluster.delete(config_map("settings"))
    with pytest.raises(ApiError, match='configmaps "settings" not found') as error:
        cluster.get(path)
    assert error.value.code == 404


def test_apply_tells_of_a_kind_that_is_not_served(
    cluster: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.controlplane.api.PATIENCE", 0.1)
    with pytest.raises(LookupError, match=r"no Nothing of example.com/v1"):
        cluster.apply({"apiVersion": "example.com/v1", "kind": "Nothing", "metadata": {}})


def test_patch_status_keeps_the_rest(cluster: ControlPlane) -> None:
    node = cluster.node("gpu-1", gpus=8)
    cluster.patch_status({**node, "status": {"allocatable": {"nvidia.com/gpu": "0"}}})
    status = cluster.get("/api/v1/nodes/gpu-1")["status"]
    assert (status["allocatable"]["nvidia.com/gpu"], status["allocatable"]["cpu"]) == ("0", "64")


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


def test_all_crds_load_together(cluster: ControlPlane, crds: Path) -> None:
    loaded = cluster.load_crds(crds)
    assert len(loaded) == len(set(loaded)) > 40


# Going back


def test_reset_leaves_nothing(cluster: ControlPlane) -> None:
    def everything() -> dict[str, list[str]]:
        return {r.path: sorted(names(cluster.get(r.path))) for r in cluster.discover().values() if r.lists}

    before = everything()
    namespace = cluster.namespace()
    held = config_map("held")
    held["metadata"] |= {"namespace": namespace, "finalizers": ["example.com/never"]}
    cluster.apply(held)
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


# Its servers


def test_the_scheduler_schedules(cluster: ControlPlane) -> None:
    cluster.node("gpu-1", gpus=1)
    cluster.start_scheduler()
    cluster.pod("fits", phase="Pending", gpus=1)
    fits = "/api/v1/namespaces/default/pods/fits"
    assert eventually(lambda: cluster.get(fits)["spec"].get("nodeName") == "gpu-1")


def test_the_controller_manager_controls(cluster: ControlPlane) -> None:
    cluster.node("silent")
    cluster.start_controller_manager()
    namespace = cluster.namespace()
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    assert eventually(lambda: names(cluster.get(account)) == ["default"])
    assert "taints" not in cluster.get("/api/v1/nodes/silent")["spec"]


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


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
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
        assert eventually(lambda: not listens(url) and not Path(folder).exists())
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
