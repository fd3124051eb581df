"""Reports to render."""

from typing import Any

from dynocheck.core.outcomes import (
    Chart,
    Finding,
    Location,
    Mark,
    Outcome,
    Panel,
    Report,
    Series,
    Subject,
    Table,
    Tool,
    Unjudged,
    Verdict,
    count_outcomes,
    unjudged,
)

PASS, WARN, FAIL = Outcome.PASS, Outcome.WARN, Outcome.FAIL
UNKNOWN, SKIP, ERROR = Outcome.UNKNOWN, Outcome.SKIP, Outcome.ERROR

UNREACHABLE = "cannot reach https://127.0.0.1:6443: Connection refused"


def verdict(outcome: Outcome, check: str, message: str, *findings: Finding, **more: Any) -> Verdict:
    usual = {"title": message, "area": check.partition(".")[0], "duration_s": 0.000012}
    return Verdict(check=check, outcome=outcome, message=message, findings=findings, **{**usual, **more})


def lone(outcome: Outcome, check: str, message: str, **more: Any) -> Verdict:
    """A verdict of one finding, with more of that."""
    return verdict(outcome, check, message, finding(outcome, message, **more))


def partly_judged(*items: Unjudged) -> Verdict:
    """A check that passed for one thing, and was not judged for these or for one image."""
    items = items or (unjudged("image a:1", why="no table for it", needs="the release of a:1"),)
    return verdict(PASS, "a.part", "t", unjudged=items, judged=1, of=1 + len(items), noun="images")


def finding(outcome: Outcome, message: str, **more: Any) -> Finding:
    return Finding(outcome=outcome, message=message, **more)


def report(*verdicts: Verdict, **more: Any) -> Report:
    usual = {"command": "preflight", "started": "2026-03-01T12:00:00.000Z", "duration_s": 2.14, "target": {}}
    counted = {"summary": count_outcomes(verdicts), "verdicts": verdicts}
    return Report(**{"tool": Tool("dynocheck", "0.1.0"), **usual, **counted, **more})


def every_outcome() -> Report:
    """A run against a cluster with something of everything."""
    rwx = "no StorageClass can give ReadWriteMany"
    forbidden = "may not list nodes at the cluster scope"
    crash = "crashed: KeyError in fabric.py, line 31"
    return report(
        verdict(PASS, "storage.default-class", "Exactly one StorageClass is the default"),
        verdict(
            FAIL,
            "storage.rwx-class",
            rwx,
            finding(
                FAIL,
                "provisioner ebs.csi.aws.com gives ReadWriteOnce only",
                subject=Subject("StorageClass", "standard"),
                fix="kubectl get storageclass",
            ),
            title="A class can give ReadWriteMany",
        ),
        lone(
            FAIL,
            "recipe.gpus-fit",
            "decode asks for 16 GPUs, the largest node has 8",
            subject=Subject("DynamoGraphDeployment", "llama-3-70b-disagg", "dynamo"),
            location=Location("recipes/llama-3-70b/vllm/disagg/deploy.yaml", 48, 13),
            evidence={"largest": {"node": "gpu-worker-03", "gpus": 8}, "asked": 16, "nodes": ["a", "b"]},
            fix="kubectl patch dynamographdeployment llama-3-70b-disagg -n dynamo --type=json "
            """-p='[{"op": "replace", "path": "/spec/services/decode/replicas", "value": 2}]'""",
        ),
        verdict(
            WARN,
            "nodes.driver",
            "driver 535.104.05 is older than the 570 that CUDA 12.8 wants (and 1 more)",
            *(
                finding(
                    WARN,
                    "driver 535.104.05 is older than the 570 that CUDA 12.8 wants",
                    subject=Subject("Node", name),
                    fix="update the driver with the GPU Operator: kubectl edit clusterpolicy",
                )
                for name in ("gpu-worker-01", "gpu-worker-02")
            ),
        ),
        lone(UNKNOWN, "nodes.allocatable", forbidden, fix="dynocheck rbac"),
        verdict(SKIP, "fabric.rdma-resource", "no recipe asks for RDMA", title="RDMA can be asked for"),
        lone(ERROR, "fabric.nccl", crash),
        target={
            "cluster": "https://127.0.0.1:6443",
            "context": "kind-dev",
            "namespace": "dynamo",
            "recipe": ["recipes/llama-3-70b/vllm/disagg"],
        },
    )


def server_down() -> Report:
    """A cluster that is gone: every check has the same reason."""
    ids = [f"{area}.check-{n}" for area in ("storage", "nodes", "operator", "recipe") for n in range(4)]
    down = finding(UNKNOWN, UNREACHABLE)
    verdicts = (verdict(UNKNOWN, check, UNREACHABLE, down, title="Something holds") for check in ids)
    return report(*verdicts, target={"cluster": "https://127.0.0.1:6443"})


VARIANTS = Table(
    id="graph.variants",
    title="What each variant asks for",
    columns=("variant", "GPUs", "role", "replicas", "gang", "KV"),
    rows=(
        ("llama-3-70b/vllm/disagg-single-node-of-eight", 8, ("prefill", "decode"), (2, 1), True, None),
        ("qwen3-32b/vllm/agg", "?", "worker", 1, False, 1.5),
    ),
    note="?: cannot be read",
)


def with_table() -> Report:
    """A run that shows more than verdicts."""
    return report(verdict(PASS, "graph.frontend", "Every graph has a frontend"), tables=(VARIANTS,))


CHARTS = (
    Chart(
        id="load.spread",
        title="How latencies are spread",
        kind="histogram",
        panels=(
            Panel(
                title="ttft",
                x="ms",
                y="requests",
                series=(Series(x=(10.0, 20.0, 40.0, 80.0, 160.0), y=(5, 10, 0, 1)),),
                marks=(Mark("p50", 25.0), Mark("p90", 39.0)),
                log=True,
                note="n=16",
            ),
        ),
        note="What the client blurred is not drawn.",
    ),
    Chart(
        id="load.timeline",
        title="What went on meanwhile",
        kind="timeline",
        panels=(
            Panel(
                title="requests in flight",
                x="s",
                y="requests in flight",
                series=(Series(x=(0.0, 1.0, 2.0, 3.0), y=(4.0, 8.0, 2.0)),),
            ),
        ),
    ),
    Chart(
        id="load.curve",
        title="What more load costs",
        kind="curve",
        panels=(
            Panel(
                title="ttft by output tokens/s",
                x="output tokens/s",
                y="ms",
                series=(
                    Series(name="p50", x=(40.0, 90.0), y=(20.0, 45.0), labels=("1 at a time", "4 at a time")),
                    Series(name="p90", x=(40.0, 90.0), y=(25.0, 80.0), labels=("1 at a time", "4 at a time")),
                ),
            ),
        ),
    ),
)


def with_charts() -> Report:
    """A run that was drawn."""
    return report(
        verdict(PASS, "load.errors", "Every request is answered"), tables=(VARIANTS,), charts=CHARTS
    )
