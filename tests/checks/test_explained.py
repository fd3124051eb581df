"""What follows from another finding points at it, in whole runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from dynocheck import Finding, Subject, fail, warn
from dynocheck.core.registry import load
from tests.checks.manifests import claim, dump_objects, engine, graph, job
from tests.command import run_inside

DEMO = Path(__file__).parents[2] / "dynocheck" / "data" / "demo.json"


def explained(*arguments: str | Path) -> list[tuple[str, str]]:
    """The checks of the findings that another explains, each with the check of the other."""
    verdicts = run_inside(*arguments, "-o", "json").report["verdicts"]
    findings = [(verdict["check"], finding) for verdict in verdicts for finding in verdict["findings"]]
    return [(check, f["explained_by"]["check"]) for check, f in findings if f["explained_by"]]


def write(folder: Path, *objects: dict[str, Any]) -> Path:
    (folder / "deploy.yaml").write_text(dump_objects(*objects), encoding="utf-8")
    return folder


def test_a_pod_that_selects_another_architecture_fits_nowhere(tmp_path: Path) -> None:
    pod = {"nodeSelector": {"kubernetes.io/arch": "arm64"}}
    recipe = write(tmp_path, graph(engine(pod=pod)))
    run = "preflight", "--snapshot", DEMO, "--recipe", recipe
    assert explained(*run) == [("capacity.fits", "gpu.image-arch")]


@pytest.mark.parametrize(
    "reason",
    [{"unschedulable": True}, {"taints": [{"key": "reserved", "effect": "NoSchedule", "value": "web"}]}],
)
def test_nodes_that_take_no_pods_are_why_pods_fit_nowhere(tmp_path: Path, reason: dict[str, Any]) -> None:
    recorded = json.loads(DEMO.read_text())
    for node in recorded["facts"]["Nodes"]["items"]:
        node |= reason
    (tmp_path / "cluster.json").write_text(json.dumps(recorded))
    recipe = write(tmp_path, graph(engine()))
    found = explained("preflight", "--snapshot", tmp_path / "cluster.json", "--recipe", recipe)
    assert ("capacity.fits", "gpu.nodes-ready") in found


def test_another_reason_not_to_fit_is_told_by_itself(tmp_path: Path) -> None:
    recipe = write(tmp_path, graph(engine(gpus=64)))
    assert explained("preflight", "--snapshot", DEMO, "--recipe", recipe) == []


def test_a_claim_of_another_name_is_why_each_pod_downloads(tmp_path: Path) -> None:
    mounted = {"volumeMounts": [{"name": "cache", "mountPath": "/cache"}]}
    volume = {"name": "cache", "persistentVolumeClaim": {"claimName": "shared-cache"}}
    worker = engine(env={"HF_HOME": "/cache"}, main=mounted, pod={"volumes": [volume]})
    get = job("hf download Qwen/Qwen3-32B", name="get", env={"HF_HOME": "/models"})
    recipe = write(tmp_path, graph(worker), get, claim("ReadWriteMany"))
    assert ("storage.model-path", "storage.claim-declared") in explained("recipe", recipe)


@pytest.mark.parametrize(
    ("word", "cause"),
    [("stray", "engine.command-words"), ("--max-model-len 8192", "engine.shell-quoting")],
)
def test_a_word_too_many_is_told_once(tmp_path: Path, word: str, cause: str) -> None:
    recipe = write(tmp_path, graph(engine(word)))
    report = run_inside("recipe", recipe, "-o", "json").report
    causes = ("engine.command-words", "engine.shell-quoting", "engine.values", "engine.flags-known")
    told = [(v["check"], f) for v in report["verdicts"] for f in v["findings"] if v["check"] in causes]
    assert [check for check, finding in told if not finding["explained_by"]] == [cause]


def test_a_cache_without_a_claim_is_told_by_the_claim_that_its_download_mounts(tmp_path: Path) -> None:
    download = job("hf download Qwen/Qwen3-32B", name="get")
    for folder, each in (("model-cache", download), ("vllm/agg", graph(engine()))):
        (tmp_path / folder).mkdir(parents=True)
        write(tmp_path / folder, each)
    (tmp_path / "model-cache" / "deploy.yaml").rename(tmp_path / "model-cache" / "model-download.yaml")
    assert ("structure.layout", "storage.claim-declared") in explained("recipe", tmp_path)


def failed(kind: str) -> Finding:
    return fail("3 of 9 requests failed", evidence={"class": kind})


NODE, OPERATOR = Subject("Node", "gpu-1"), Subject("Deployment", "gpu-operator")
DOWN = fail("0 of 3", evidence={"ready": 0}, subject=Subject("DaemonSet", "plugin"))
POLICY = Subject("ClusterPolicy", "policy")
SERVICE, HOOK = Subject("Service", "webhook"), Subject("MutatingWebhookConfiguration", "hooks")


@pytest.mark.parametrize(
    ("effect", "found", "cause", "by", "holds"),
    [
        ("load.errors", failed("timeout"), "endpoint.steady", failed("timeout"), True),
        ("load.errors", failed("timeout"), "endpoint.steady", failed("http-5xx"), False),
        ("gpu.operator", fail("idle", subject=DOWN.subject), "gpu.operands", DOWN, True),
        ("gpu.allocatable", fail("0 GPUs", subject=NODE), "gpu.operands", DOWN, True),
        (
            "gpu.allocatable",
            fail("0 GPUs", subject=NODE),
            "gpu.operands",
            fail("2 of 3", evidence={"ready": 2}),
            False,
        ),
        ("gpu.allocatable", fail("0", subject=NODE), "gpu.operator", fail("x", subject=OPERATOR), False),
        (
            "gpu.operator",
            fail("x", evidence={"state": "notReady"}, subject=POLICY),
            "gpu.operands",
            DOWN,
            True,
        ),
        ("gpu.operator", fail("not Ready", subject=OPERATOR), "gpu.operands", DOWN, False),
        ("platform.webhook", fail("no endpoint", subject=SERVICE), "platform.operator", fail("gone"), True),
        ("platform.webhook", fail("expired", subject=HOOK), "platform.operator", fail("gone"), False),
        ("platform.webhook", fail("no endpoint", subject=SERVICE), "platform.operator", warn("old"), False),
        (
            "rdma.required-by-recipe",
            fail("m", evidence={"lacking": ["a/b"]}),
            "rdma.operator",
            fail("n"),
            True,
        ),
        ("rdma.required-by-recipe", warn("no RDMA asked for"), "rdma.operator", fail("n"), False),
    ],
)
def test_the_relations(effect: str, found: Finding, cause: str, by: Finding, holds: bool) -> None:
    assert load().by_id[effect].explained_by[cause](by, found) is holds


def test_a_placeholder_for_a_name_in_a_binding_is_told_once(tmp_path: Path) -> None:
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "a"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "${ACCOUNT:-runner}"}],
    }
    found = explained("recipe", write(tmp_path, graph(engine()), binding))
    assert found == [("manifest.schema", "manifest.placeholders")]
