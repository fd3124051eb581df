"""`dynocheck preflight` on a real API server."""

import shlex
import time
from pathlib import Path

import pytest
import yaml

from tests import clusters, outcomes
from tests.checks.judging import FRONTEND, GRAPH, worker
from tests.clusters import storage
from tests.command import CommandResult, dynocheck, interrupt, start, until
from tests.controlplane.server import ControlPlane
from tests.kube.servers import SLACK

HEALTHY = outcomes.read("fit")
# These say something true of a user without any rights: the kubeconfig is at hand, /version is for all.
SEEN_OFFLINE = {"access.credentials"}
SEEN_BY_ALL = {"access.api-reachable", "access.kubernetes-version"} | SEEN_OFFLINE


def preflight(cluster: ControlPlane, *arguments: str | Path, kubeconfig: Path | None = None) -> CommandResult:
    config = kubeconfig or cluster.kubeconfig()
    return dynocheck("preflight", "--kubeconfig", config, "-o", "json", *arguments)


def test_a_fit_cluster_passes(fit_cluster: ControlPlane) -> None:
    ended = preflight(fit_cluster)
    assert (ended.code, ended.outcomes) == (0, HEALTHY)
    assert ended.report["target"]["cluster"] == fit_cluster.url


def test_a_recipe_makes_a_missing_default_a_failure(fit_cluster: ControlPlane) -> None:
    fit_cluster.apply(clusters.storage_class(default=False))
    ended = preflight(fit_cluster, "--recipe", "recipes/qwen3-32b", "--select", "storage")
    assert ended.outcomes["storage.default-class"] == "fail"
    finding = ended.finding("storage.default-class")
    assert finding["location"]["file"] == "recipes/qwen3-32b/model-cache/model-cache.yaml"


def test_a_recipe_makes_block_storage_a_failure(fit_cluster: ControlPlane) -> None:
    fit_cluster.delete(clusters.storage_class())
    fit_cluster.apply(clusters.storage_class("gp3", "ebs.csi.aws.com"))
    ended = preflight(fit_cluster, "--recipe", "recipes/qwen3-32b", "--select", "storage.rwx-class")
    finding = ended.finding("storage.rwx-class")
    assert (finding["outcome"], finding["subject"]["name"]) == ("fail", "gp3")
    assert finding["location"]["line"] > 0


def variants(folder: Path, **replicas: int) -> Path:
    """A model's folder with a variant for each name, of so many workers of eight GPUs."""
    for name, number in replicas.items():
        path = folder / "model/vllm" / name / "deploy.yaml"
        path.parent.mkdir(parents=True)
        graph = GRAPH.replace("name: g}", f"name: {name}}}")
        path.write_text(graph + FRONTEND + worker(gpus='"8"', more=f"replicas: {number}"))
    return folder / "model"


def test_a_variant_that_does_not_fit_is_a_warning_where_another_does(
    fit_cluster: ControlPlane, tmp_path: Path
) -> None:
    model = variants(tmp_path, large=9, small=1)
    ended = preflight(fit_cluster, "--recipe", model, "--select", "capacity.fits")
    finding = ended.finding("capacity.fits")
    assert (finding["outcome"], ended.code) == ("warn", 0)
    assert finding["location"]["file"].endswith("large/deploy.yaml")
    assert finding["message"].endswith("(of the same recipe, small fits)")
    alone = preflight(fit_cluster, "--recipe", model / "vllm/large", "--select", "capacity.fits")
    assert (alone.outcomes, alone.code) == ({"capacity.fits": "fail"}, 1)


def test_variants_that_each_lack_something_do_not_fit(fit_cluster: ControlPlane, tmp_path: Path) -> None:
    model = variants(tmp_path, large=9, small=1)
    small = model / "vllm/small/deploy.yaml"
    small.write_text(small.read_text().replace("replicas: 1", "multinode: {nodeCount: 2}"))
    selected = ("--select", "capacity.fits", "--select", "platform.multinode")
    ended = preflight(fit_cluster, "--recipe", model, *selected)
    assert (ended.outcomes, ended.code) == ({"capacity.fits": "fail", "platform.multinode": "fail"}, 1)


def test_claims_are_those_of_the_namespace_that_is_named(fit_cluster: ControlPlane) -> None:
    models = fit_cluster.namespace()
    fit_cluster.apply(storage.claim("weights", models, phase="Lost"))
    select = ("--select", "storage.claims-bound")
    assert preflight(fit_cluster, *select).outcomes == {"storage.claims-bound": "pass"}
    finding = preflight(fit_cluster, *select, "-n", models).finding("storage.claims-bound")
    assert finding["subject"] == {"kind": "PersistentVolumeClaim", "name": "weights", "namespace": models}
    assert finding["outcome"] == "fail"


def test_a_token_that_ends_within_a_day(cluster: ControlPlane) -> None:
    robot = cluster.service_account("robot", "default")
    ended = preflight(cluster, "--select", "access.credentials", kubeconfig=cluster.kubeconfig(robot))
    finding = ended.finding("access.credentials")
    assert finding["outcome"] == "warn"
    assert "expires in 1.0 hours" in finding["message"]
    assert robot.token is not None
    assert robot.token not in ended.out


# Not being able to look


def test_a_user_without_rights_learns_nothing_false(fit_cluster: ControlPlane) -> None:
    nobody = fit_cluster.user("nobody")
    ended = preflight(fit_cluster, kubeconfig=fit_cluster.kubeconfig(nobody))
    unknown = dict.fromkeys(HEALTHY.keys() - SEEN_BY_ALL, "unknown")
    assert ended.outcomes == unknown | dict.fromkeys(SEEN_BY_ALL, "pass")
    assert (ended.code, "Traceback" in ended.err) == (3, False)
    denied = [f["message"] for f in ended.findings("access.permissions")]
    assert "may not list nodes" in denied
    assert "may not list storageclasses.storage.k8s.io" in denied
    finding = ended.finding("storage.rwx-class")
    assert 'User "nobody" cannot list resource "storageclasses"' in finding["message"]
    assert "dynocheck rbac" in finding["fix"]


def test_the_command_of_a_fix_gives_the_rights(fit_cluster: ControlPlane) -> None:
    """The fix of a user without rights, typed by an administrator."""
    somebody = fit_cluster.user("some body")
    account = fit_cluster.service_account("robot", "default")
    for user in (somebody, account):
        config = fit_cluster.kubeconfig(user)
        (finding,) = preflight(fit_cluster, kubeconfig=config).findings("storage.rwx-class")
        rbac, pipe, apply = shlex.split(finding["fix"], comments=True), "|", "kubectl"
        assert (rbac[0], rbac[1], rbac.count(pipe), rbac.count(apply)) == ("dynocheck", "rbac", 1, 1)
        printed = dynocheck(*rbac[1 : rbac.index(pipe)])
        assert printed.code == 0
        for document in yaml.safe_load_all(printed.out):
            if document["kind"] in ("Role", "RoleBinding"):
                document["metadata"]["namespace"] = "default"
            fit_cluster.apply(document)
    for user in (somebody, account):
        outcomes = preflight(fit_cluster, kubeconfig=fit_cluster.kubeconfig(user)).outcomes
        del outcomes["access.credentials"]  # a token expires earlier than a certificate
        assert outcomes.pop("gaie.epp") == "unknown", "the ConfigMap has a name of its own"
        assert outcomes.items() <= HEALTHY.items(), "the rights of one user are left when another gets them"


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("user:alice@example.com", {"kind": "User", "name": "alice@example.com"}),
        ("user:oidc:alice", {"kind": "User", "name": "oidc:alice"}),
        ("group:system:masters", {"kind": "Group", "name": "system:masters"}),
        ("serviceaccount:ci:robot", {"kind": "ServiceAccount", "namespace": "ci", "name": "robot"}),
        ("serviceaccount:ci/robot", {"kind": "ServiceAccount", "namespace": "ci", "name": "robot"}),
        ("sa:ci:robot", {"kind": "ServiceAccount", "namespace": "ci", "name": "robot"}),
    ],
)
def test_rbac_binds_its_roles(subject: str, expected: dict[str, str]) -> None:
    printed = {each["kind"]: each for each in yaml.safe_load_all(dynocheck("rbac", "--bind", subject).out)}
    roles = {kind for kind in printed if not kind.endswith("Binding")}
    for kind in roles:
        binding = printed[f"{kind}Binding"]
        (bound,) = binding["subjects"]
        assert expected.items() <= bound.items()
        assert binding["roleRef"]["name"] == printed[kind]["metadata"]["name"]
    assert roles


@pytest.mark.parametrize("subject", ["alice", "user:", "sa:robot", "sa:a:b:c", "sa:/b", "role:x", ""])
def test_whom_rbac_cannot_bind(subject: str) -> None:
    ended = dynocheck("rbac", "--bind", subject)
    assert (ended.code, ended.out) == (2, "")
    assert "user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME" in ended.err


def test_a_stopped_server_is_one_line_within_five_seconds(cluster: ControlPlane) -> None:
    config = cluster.kubeconfig(server="https://127.0.0.1:1")
    start = time.monotonic()
    ended = preflight(cluster, kubeconfig=config)
    assert time.monotonic() - start < 5 + SLACK
    assert ended.code == 3
    assert {check for check, outcome in ended.outcomes.items() if outcome != "unknown"} == SEEN_OFFLINE
    shown = dynocheck("preflight", "--kubeconfig", config)
    assert shown.out.count("Connection refused") == 1
    could_not = f"{len(HEALTHY) - len(SEEN_OFFLINE)} checks could not look"
    assert f"{could_not}: cannot reach https://127.0.0.1:1: Connection refused" in shown.out


def test_an_expired_token_is_told_from_a_missing_right(cluster: ControlPlane) -> None:
    config = cluster.kubeconfig(token="expired", client_certificate_data=None, client_key_data=None)
    ended = preflight(cluster, kubeconfig=config)
    message = ended.finding("storage.default-class")["message"]
    assert "the credentials are not accepted (401)" in message
    assert "expired" not in ended.out.replace("expired or wrong", ""), "the token itself"


def test_an_interrupt_reports_what_was_learnt(cluster: ControlPlane, tmp_path: Path) -> None:
    plugin = tmp_path / "slow-login"
    plugin.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nexec sleep 60\n")
    plugin.chmod(0o755)
    version = "client.authentication.k8s.io/v1"
    login = {"apiVersion": version, "command": str(plugin), "interactiveMode": "Never"}
    config = cluster.kubeconfig(client_certificate_data=None, client_key_data=None, exec=login)
    with start("preflight", "--kubeconfig", config, "-o", "json") as running:
        until((tmp_path / "asked").exists)
        ended = interrupt(running)
    assert {check for check, outcome in ended.outcomes.items() if outcome != "unknown"} == SEEN_OFFLINE
    assert "interrupted" in ended.err
