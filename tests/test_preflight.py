"""`dynocheck preflight` on a real API server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import clusters
from tests.command import ROOT, Ended, dynocheck
from tests.controlplane.server import ControlPlane

CHECKS = {
    "access.api-reachable",
    "access.kubernetes-version",
    "access.permissions",
    "gaie.crds",
    "gpu.allocatable",
    "gpu.nodes-present",
    "gpu.operator",
    "platform.crds",
    "storage.default-class",
    "storage.rwx-class",
}
# These say something true of a user without any rights: /version is for everybody.
SEEN_BY_ALL = {"access.api-reachable", "access.kubernetes-version"}


def preflight(cluster: ControlPlane, *arguments: str | Path, kubeconfig: Path | None = None) -> Ended:
    config = kubeconfig or cluster.kubeconfig()
    return dynocheck("preflight", "--kubeconfig", config, "-o", "json", *arguments)


def crd(name: str) -> dict[str, Any]:
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    return {**kind, "metadata": {"name": name}}


def node(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}


def test_a_fit_cluster_passes(fit_cluster: ControlPlane) -> None:
    ended = preflight(fit_cluster)
    assert ended.outcomes == dict.fromkeys(CHECKS, "pass")
    assert ended.code == 0
    assert ended.report["target"]["cluster"] == fit_cluster.url


# What is taken away, the checks that turn with what they say, and the object that a finding names.

Spoil = Callable[[ControlPlane], None]


def no_default_class(cluster: ControlPlane) -> None:
    cluster.apply(clusters.storage_class(default=False))


def two_default_classes(cluster: ControlPlane) -> None:
    cluster.apply(clusters.storage_class("other"))


def block_storage_only(cluster: ControlPlane) -> None:
    cluster.delete(clusters.storage_class())
    cluster.apply(clusters.storage_class("gp3", "ebs.csi.aws.com"))


def unheard_of_storage(cluster: ControlPlane) -> None:
    cluster.delete(clusters.storage_class())
    cluster.apply(clusters.storage_class("mystery", "csi.mystery.example"))


def no_class(cluster: ControlPlane) -> None:
    cluster.delete(clusters.storage_class())


def no_graphs(cluster: ControlPlane) -> None:
    cluster.delete(crd("dynamographdeployments.nvidia.com"))


def no_components(cluster: ControlPlane) -> None:
    cluster.delete(crd("dynamocomponentdeployments.nvidia.com"))


def no_discovery(cluster: ControlPlane) -> None:
    cluster.delete(crd("dynamoworkermetadatas.nvidia.com"))


def no_models(cluster: ControlPlane) -> None:
    cluster.delete(crd("dynamomodels.nvidia.com"))


def half_of_gaie(cluster: ControlPlane) -> None:
    cluster.delete(crd("inferenceobjectives.inference.networking.x-k8s.io"))


def no_pools(cluster: ControlPlane) -> None:
    cluster.delete(crd("inferencepools.inference.networking.k8s.io"))


def broken_device_plugin(cluster: ControlPlane) -> None:
    cluster.node("gpu-2", gpus=8, labels=clusters.GPU_LABELS, allocatable={"nvidia.com/gpu": "0"})


def sick_gpu(cluster: ControlPlane) -> None:
    cluster.node("gpu-2", gpus=8, labels=clusters.GPU_LABELS, allocatable={"nvidia.com/gpu": "7"})


def operator_not_ready(cluster: ControlPlane) -> None:
    cluster.pod("gpu-operator-7d9f", "gpu-operator", node="gpu-1", labels=clusters.OPERATOR, ready=False)


def operator_gone(cluster: ControlPlane) -> None:
    metadata = {"name": "gpu-operator-7d9f", "namespace": "gpu-operator"}
    cluster.delete({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})


@pytest.mark.parametrize(
    ("spoil", "turned", "named"),
    [
        (no_default_class, {"storage.default-class": "warn"}, "shared"),
        (two_default_classes, {"storage.default-class": "warn"}, "other"),
        (block_storage_only, {"storage.rwx-class": "warn"}, "gp3"),
        (unheard_of_storage, {"storage.rwx-class": "warn"}, "mystery"),
        (no_class, {"storage.default-class": "warn", "storage.rwx-class": "warn"}, None),
        (no_graphs, {"platform.crds": "fail"}, "dynamographdeployments.nvidia.com"),
        (no_components, {"platform.crds": "fail"}, "dynamocomponentdeployments.nvidia.com"),
        (no_discovery, {"platform.crds": "fail"}, "dynamoworkermetadatas.nvidia.com"),
        (no_models, {"platform.crds": "warn"}, "dynamomodels.nvidia.com"),
        (half_of_gaie, {"gaie.crds": "fail"}, "inferenceobjectives.inference.networking.x-k8s.io"),
        (no_pools, {"gaie.crds": "fail"}, "inferencepools.inference.networking.k8s.io"),
        (broken_device_plugin, {"gpu.allocatable": "fail"}, "gpu-2"),
        (sick_gpu, {"gpu.allocatable": "warn"}, "gpu-2"),
        (operator_not_ready, {"gpu.operator": "fail"}, "gpu-operator-7d9f"),
        (operator_gone, {"gpu.operator": "warn"}, "gpu-operator"),
    ],
)
def test_one_thing_taken_away_turns_its_check_alone(
    fit_cluster: ControlPlane, spoil: Spoil, turned: dict[str, str], named: str | None
) -> None:
    spoil(fit_cluster)
    ended = preflight(fit_cluster)
    assert ended.outcomes == dict.fromkeys(CHECKS, "pass") | turned
    assert ended.code == (1 if "fail" in turned.values() else 0)
    for check in turned:
        found = ended.findings(check)
        assert named is None or named in [f["subject"]["name"] for f in found]
        assert all(f["fix"] for f in found)


def test_no_gpu_anywhere(fit_cluster: ControlPlane) -> None:
    for name in clusters.GPU_NODES:
        fit_cluster.delete(node(name))
    fit_cluster.node("cpu-1")
    ended = preflight(fit_cluster)
    turned = {"gpu.nodes-present": "fail", "gpu.allocatable": "skip"}
    assert ended.outcomes == dict.fromkeys(CHECKS, "pass") | turned
    (finding,) = ended.findings("gpu.nodes-present")
    assert finding["evidence"] == {"nodes": ["cpu-1"]}


def test_gpus_of_a_managed_cluster_need_no_operator(fit_cluster: ControlPlane) -> None:
    operator_gone(fit_cluster)
    for name in clusters.GPU_NODES:
        fit_cluster.delete(node(name))
    fit_cluster.node("managed", gpus=8, labels={"cloud.google.com/gke-accelerator": "nvidia-h200-141gb"})
    ended = preflight(fit_cluster)
    assert ended.outcomes == dict.fromkeys(CHECKS, "pass") | {"gpu.operator": "skip"}
    assert ended.code == 0


def test_a_recipe_makes_a_missing_default_a_failure(fit_cluster: ControlPlane) -> None:
    no_default_class(fit_cluster)
    ended = preflight(fit_cluster, "--recipe", "recipes/qwen3-32b", "--select", "storage")
    assert ended.outcomes["storage.default-class"] == "fail"
    (finding,) = ended.findings("storage.default-class")
    assert finding["location"]["file"] == "recipes/qwen3-32b/model-cache/model-cache.yaml"


def test_a_recipe_makes_block_storage_a_failure(fit_cluster: ControlPlane) -> None:
    block_storage_only(fit_cluster)
    ended = preflight(fit_cluster, "--recipe", "recipes/qwen3-32b", "--select", "storage.rwx-class")
    (finding,) = ended.findings("storage.rwx-class")
    assert finding["outcome"] == "fail"
    assert (finding["subject"]["name"], finding["location"]["line"] > 0) == ("gp3", True)


# Not being able to look


def test_a_user_without_rights_learns_nothing_false(fit_cluster: ControlPlane) -> None:
    nobody = fit_cluster.user("nobody")
    ended = preflight(fit_cluster, kubeconfig=fit_cluster.kubeconfig(nobody))
    unknown = dict.fromkeys(CHECKS - SEEN_BY_ALL, "unknown")
    assert ended.outcomes == unknown | dict.fromkeys(SEEN_BY_ALL, "pass")
    assert ended.code == 3
    assert "Traceback" not in ended.err
    denied = [f["message"] for f in ended.findings("access.permissions")]
    assert "may not list nodes" in denied
    assert "may not list storageclasses.storage.k8s.io" in denied
    (finding,) = ended.findings("storage.default-class")
    assert 'User "nobody" cannot list resource "storageclasses"' in finding["message"]
    assert "dynocheck rbac" in finding["fix"]


def test_the_role_that_rbac_prints_is_enough_and_no_more(fit_cluster: ControlPlane) -> None:
    import yaml

    role = yaml.safe_load(dynocheck("rbac").out)
    reader = fit_cluster.user("reader", rules=role["rules"])
    config = fit_cluster.kubeconfig(reader)
    assert preflight(fit_cluster, kubeconfig=config).outcomes == dict.fromkeys(CHECKS, "pass")
    events = fit_cluster.audit_events(reader)
    assert {event["verb"] for event in events} <= {"get", "list", "create"}
    created = {event["objectRef"]["resource"] for event in events if event["verb"] == "create"}
    assert created <= {"selfsubjectaccessreviews"}, "it only reads"

    less = fit_cluster.user("less", rules=[r for r in role["rules"] if "nodes" not in r["resources"]])
    ended = preflight(fit_cluster, kubeconfig=fit_cluster.kubeconfig(less))
    assert "may not list nodes" in [f["message"] for f in ended.findings("access.permissions")]
    assert ended.outcomes["gpu.nodes-present"] == "unknown"


def test_a_stopped_server_is_one_line_within_five_seconds(cluster: ControlPlane) -> None:
    config = cluster.kubeconfig(server="https://127.0.0.1:1")
    start = time.monotonic()
    ended = preflight(cluster, kubeconfig=config)
    assert time.monotonic() - start < 5
    assert ended.code == 3
    assert set(ended.outcomes.values()) == {"unknown"}
    shown = dynocheck("preflight", "--kubeconfig", config)
    assert shown.out.count("Connection refused") == 1
    assert "10 checks could not look: cannot reach https://127.0.0.1:1: Connection refused" in shown.out


def test_an_expired_token_is_told_from_a_missing_right(cluster: ControlPlane) -> None:
    config = cluster.kubeconfig(token="expired", client_certificate_data=None, client_key_data=None)
    ended = preflight(cluster, kubeconfig=config)
    (finding,) = ended.findings("storage.default-class")
    assert "the credentials are not accepted (401)" in finding["message"]
    assert "expired" not in ended.out.replace("expired or wrong", ""), "the token itself"


def test_an_interrupt_reports_what_was_learnt(cluster: ControlPlane, tmp_path: Path) -> None:
    plugin = tmp_path / "slow-login"
    plugin.write_text("#!/bin/sh\nexec sleep 60\n")
    plugin.chmod(0o755)
    login = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(plugin),
        "interactiveMode": "Never",
    }
    config = cluster.kubeconfig(client_certificate_data=None, client_key_data=None, exec=login)
    command = [sys.executable, "-m", "dynocheck", "preflight", "--kubeconfig", str(config), "-o", "json"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        time.sleep(2)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=10)
    ended = Ended(running.returncode, out, err)
    assert ended.code == 130
    assert set(ended.outcomes.values()) == {"unknown"}
    assert "interrupted" in ended.err
    assert "Traceback" not in ended.err
