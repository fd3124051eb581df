"""The production checklist of a namespace, on a real API server, beside the same objects in a file."""

from pathlib import Path
from typing import Any

import pytest

from tests.checks.manifests import dump_objects
from tests.checks.production.test_serving import CAREFUL, GUARDED, LABELS, READY, SPREAD, server
from tests.command import CommandResult, dynocheck
from tests.controlplane.server import ControlPlane

SERVED = [each for each in READY if "monitoring" not in each["apiVersion"]]  # whose definitions are not there
UNSERVED = {"no monitor collects its metrics", "no alert rule is in the recipe"}


def judge(cluster: ControlPlane, namespace: str, *more: str) -> CommandResult:
    config = cluster.kubeconfig()
    select = ("--select", "production", "-o", "json")
    return dynocheck("preflight", "--kubeconfig", config, "-n", namespace, *select, *more)


def says(ended: CommandResult) -> set[str]:
    findings = [finding for verdict in ended.report["verdicts"] for finding in verdict["findings"]]
    return {finding["message"].partition(": ")[2] for finding in findings}


def place(objects: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    return [{**each, "metadata": {**each["metadata"], "namespace": namespace}} for each in objects]


@pytest.mark.parametrize(
    "objects", [SERVED, [server({}, {}, 1)], [server({}, {}, 3)]], ids=["ready", "one", "three"]
)
def test_a_namespace_and_its_files_are_told_the_same(
    cluster: ControlPlane, tmp_path: Path, objects: list[dict[str, Any]]
) -> None:
    namespace = cluster.namespace()
    cluster.apply(*place(objects, namespace))
    (tmp_path / "deploy.yaml").write_text(dump_objects(*objects))
    of_file = dynocheck("recipe", tmp_path, "--select", "production", "-o", "json")
    live = judge(cluster, namespace)
    assert says(live) == says(of_file)
    assert says(live) >= UNSERVED or objects is not SERVED
    subjects = [f["subject"] for v in live.report["verdicts"] for f in v["findings"]]
    assert all((each["kind"], each["namespace"]) == ("Deployment", namespace) for each in subjects)


def test_an_empty_namespace_has_nothing_to_judge(cluster: ControlPlane) -> None:
    ended = judge(cluster, cluster.namespace())
    assert {verdict["outcome"] for verdict in ended.report["verdicts"]} == {"skip"}


def test_secrets_and_data_of_a_live_server(cluster: ControlPlane) -> None:
    namespace = cluster.namespace()
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "tuned"}}
    main = {
        **CAREFUL,
        "args": ["--model", "/models/tuned"],
        "env": [{"name": "VLLM_API_KEY", "value": "sk-not-a-real-key-0123456789"}],
        "volumeMounts": [{"name": "data", "mountPath": "/models"}],
    }
    cluster.apply(*place([server({**GUARDED, "volumes": [claim]}, main), *SERVED[1:]], namespace))
    ended = judge(cluster, namespace)
    told = {v["check"] for v in ended.report["verdicts"] for f in v["findings"] if f["outcome"] == "warn"}
    assert told == {"production.access", "production.backups", "production.signals"}
    assert "sk-not-a-real" not in ended.out


def test_a_user_who_may_not_list_budgets_is_told_so(cluster: ControlPlane) -> None:
    namespace = cluster.namespace()
    spread = {**GUARDED, "topologySpreadConstraints": [{**SPREAD, "labelSelector": {"matchLabels": LABELS}}]}
    cluster.apply(*place([server(spread, CAREFUL)], namespace))
    rules = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"]}]
    user = cluster.user("reader", rules=rules, namespace=namespace)
    ended = dynocheck(
        *("preflight", "--kubeconfig", cluster.kubeconfig(user), "-n", namespace),
        *("--select", "production.replicas", "-o", "json"),
    )
    verdict = next(v for v in ended.report["verdicts"] if v["check"] == "production.replicas")
    assert (verdict["outcome"], verdict["findings"]) == ("unjudged", [])
