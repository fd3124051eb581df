"""Checks of recipes, each on files that hold one mistake."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dynocheck.checks.graph import components
from dynocheck.checks.manifest import schema
from dynocheck.checks.model import names
from dynocheck.checks.parallelism import gpu_counts
from dynocheck.checks.perf import targets
from dynocheck.checks.structure import layout
from tests.checks.judging import (
    FRONTEND,
    GRAPH,
    get_coverage,
    get_skip_reason,
    list_messages,
    recipes,
    run_check,
    worker,
)

DOWNLOAD = """
apiVersion: batch/v1
kind: Job
metadata: {name: download}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: c, image: python:3.12, command: [hf, download, MODEL]}
"""


def benchmark(endpoint: str = "g-frontend:8000", asked: str = "Qwen/Qwen3-0.6B") -> str:
    return f"""
apiVersion: batch/v1
kind: Job
metadata: {{name: perf}}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: c
        image: i
        command: [sh, -c, "aiperf profile --url $ENDPOINT -m $MODEL_NAME"]
        env:
        - {{name: ENDPOINT, value: "{endpoint}"}}
        - {{name: MODEL_NAME, value: {asked}}}
"""


# graph.frontend


def test_a_graph_has_a_frontend(tmp_path: Path) -> None:
    assert (
        list_messages(components.frontend, recipes(tmp_path / "a", deploy=GRAPH + FRONTEND + worker())) == []
    )
    (finding,) = run_check(components.frontend, recipes(tmp_path / "b", deploy=GRAPH + worker()))
    assert (str(finding.outcome), finding.evidence) == ("fail", {"components": {"w": "worker"}})
    assert "no DynamoGraphDeployment" in get_skip_reason(
        components.frontend, recipes(tmp_path / "c", job=DOWNLOAD)
    )


def test_an_endpoint_picker_stands_in_for_it(tmp_path: Path) -> None:
    picker = "  - {name: Epp, type: epp, eppConfig: {config: {}}}\n"
    beside = worker(more="frontendSidecar: front")
    assert list_messages(components.frontend, recipes(tmp_path / "a", deploy=GRAPH + picker + beside)) == []
    ((outcome, message),) = list_messages(
        components.frontend, recipes(tmp_path / "b", deploy=GRAPH + picker + worker())
    )
    assert outcome == "fail"
    assert message.startswith("w is behind the endpoint picker")


# parallelism.gpus-match


@pytest.mark.parametrize(
    ("gpus", "args", "outcomes"),
    [
        ('"1"', "", []),
        ('"4"', '--tensor-parallel-size, "4"', []),
        ('"4"', "--tensor-parallel-size=4", []),
        ("4", '-tp, "4"', []),
        ('"8"', '--tensor-parallel-size, "4", --pipeline-parallel-size, "2"', []),
        ('"8"', '--tensor-parallel-size, "4", --data-parallel-size, "2"', []),
        ('"8"', '--tensor-parallel-size, "8", --enable-expert-parallel', []),
        ('"2"', '--tensor-parallel-size, "4"', ["fail"]),
        ('"8"', '--tensor-parallel-size, "4"', ["warn"]),
        ('"0"', "", ["fail"]),
        ('"4"', "--tensor-parallel-size, $(NOWHERE)", []),  # which is not judged
    ],
)
def test_gpus_match(tmp_path: Path, gpus: str, args: str, outcomes: list[str]) -> None:
    given = recipes(tmp_path, deploy=GRAPH + FRONTEND + worker(gpus=gpus, args=args))
    assert [o for o, _ in list_messages(gpu_counts.gpus_match, given)] == outcomes


def test_the_message_says_how_many_and_where(tmp_path: Path) -> None:
    text = GRAPH + FRONTEND + worker(gpus='"2"', args='--tensor-parallel-size, "4"')
    (finding,) = run_check(gpu_counts.gpus_match, recipes(tmp_path, deploy=text))
    assert finding.message == "w: TP 4 needs 4 GPUs, a replica is given 2"
    assert finding.fix == 'set nvidia.com/gpu: "4"'
    assert finding.location is not None
    assert finding.location.line == text.splitlines().index("  - name: w") + 1


def test_gpus_of_all_nodes_count(tmp_path: Path) -> None:
    args = '--tensor-parallel-size, "16"'
    two = worker(gpus='"8"', args=args, more="multinode: {nodeCount: 2}")
    assert list_messages(gpu_counts.gpus_match, recipes(tmp_path / "a", deploy=GRAPH + FRONTEND + two)) == []
    short = worker(gpus='"4"', args=args, more="multinode: {nodeCount: 2}")
    (finding,) = run_check(gpu_counts.gpus_match, recipes(tmp_path / "b", deploy=GRAPH + FRONTEND + short))
    assert finding.fix == 'set nvidia.com/gpu: "8" on each of 2 nodes'


def test_attention_data_parallelism_of_sglang_takes_no_gpus(tmp_path: Path) -> None:
    args = '--tp, "8", --dp, "8", --enable-dp-attention'
    sglang = worker(gpus='"8"', args=args).replace("dynamo.vllm", "dynamo.sglang")
    assert list_messages(gpu_counts.gpus_match, recipes(tmp_path, deploy=GRAPH + FRONTEND + sglang)) == []


def test_gpus_by_claim_are_not_guessed(tmp_path: Path) -> None:
    by_claim = worker().replace(
        'resources: {limits: {nvidia.com/gpu: "1"}}', "resources: {claims: [{name: gpus}]}"
    )
    by_claim = by_claim.replace("      spec:\n", "      spec:\n        resourceClaims: [{name: gpus}]\n")
    given = recipes(tmp_path, deploy=GRAPH + FRONTEND + by_claim)
    assert get_coverage(gpu_counts.gpus_match, given) == (0, ["w"])


# model.same-everywhere


def test_everybody_means_the_same_model(tmp_path: Path) -> None:
    good = recipes(
        tmp_path / "a",
        model_cache__download=DOWNLOAD.replace("MODEL", "Qwen/Qwen3-0.6B"),
        vllm__agg__deploy=GRAPH + FRONTEND + worker(),
        vllm__agg__perf=benchmark(),
    )
    assert list_messages(names.same_everywhere, good) == []


def test_another_model_is_downloaded(tmp_path: Path) -> None:
    download = DOWNLOAD.replace("MODEL", "Qwen/Qwen3-0.6B-FP8")
    online = recipes(tmp_path / "a", download=download, deploy=GRAPH + FRONTEND + worker())
    ((outcome, message),) = list_messages(names.same_everywhere, online)
    assert outcome == "warn"
    assert (
        message
        == "w loads Qwen/Qwen3-0.6B, the recipe downloads Qwen/Qwen3-0.6B-FP8: each pod downloads its own"
    )
    env = "resources:", 'env: [{name: HF_HUB_OFFLINE, value: "1"}]\n          resources:'
    offline = recipes(tmp_path / "b", download=download, deploy=GRAPH + FRONTEND + worker().replace(*env))
    assert [o for o, _ in list_messages(names.same_everywhere, offline)] == ["fail"]


def test_a_job_that_downloads_what_nobody_loads_is_told_once(tmp_path: Path) -> None:
    download = DOWNLOAD.replace("MODEL", "Qwen/Qwen3-0.6B-FP8")
    pair = worker("p", role="prefill") + worker("d", role="decode")
    given = recipes(tmp_path, download=download, deploy=GRAPH + FRONTEND + pair)
    (finding,) = run_check(names.same_everywhere, given)
    assert finding.message.startswith("downloads Qwen/Qwen3-0.6B-FP8, every worker loads Qwen/Qwen3-0.6B:")
    assert finding.location is not None
    assert finding.location.file == str(tmp_path / "download.yaml")


def test_workers_that_differ_are_each_told(tmp_path: Path) -> None:
    download = DOWNLOAD.replace("MODEL", "Qwen/Qwen3-0.6B-FP8")
    pair = worker("p") + worker("q").replace("Qwen/Qwen3-0.6B", "Qwen/Qwen3-8B")
    given = recipes(tmp_path, download=download, deploy=GRAPH + FRONTEND + pair)
    assert [message.partition(" loads")[0] for _, message in list_messages(names.same_everywhere, given)] == [
        "p",
        "q",
    ]


def test_prefill_and_decode_are_of_one_model(tmp_path: Path) -> None:
    pair = worker("p", role="prefill") + worker("d", role="decode")
    assert list_messages(names.same_everywhere, recipes(tmp_path / "a", deploy=GRAPH + FRONTEND + pair)) == []
    other = worker("p", role="prefill") + worker("d", role="decode", args="--served-model-name, small")
    ((outcome, message),) = list_messages(
        names.same_everywhere, recipes(tmp_path / "b", deploy=GRAPH + FRONTEND + other)
    )
    assert outcome == "fail"
    assert message == "p prefills Qwen/Qwen3-0.6B, its graph decodes small"


def test_one_graph_may_serve_two_models(tmp_path: Path) -> None:
    two = worker("a") + worker("b", args="--served-model-name, other")
    assert list_messages(names.same_everywhere, recipes(tmp_path, deploy=GRAPH + FRONTEND + two)) == []


def test_a_benchmark_asks_for_what_is_served(tmp_path: Path) -> None:
    served = GRAPH + FRONTEND + worker(args="--served-model-name, small")
    ((outcome, message),) = list_messages(
        names.same_everywhere, recipes(tmp_path, deploy=served, perf=benchmark())
    )
    assert outcome == "fail"
    assert message == "perf requests Qwen/Qwen3-0.6B, its graph serves small"


@pytest.mark.parametrize(
    ("image", "command", "count"),
    [
        ("nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0", "[bash, /scripts/run.sh]", 1),
        ("nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0", "[python3, -m, vllm.entrypoints.api_server]", 1),
        ("registry.example/mine:1.3.0", "[bash, /scripts/run.sh]", 1),
        ("nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0", "bash run.sh", 0),  # manifest.schema tells
        ("nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0", "[bash, 1]", 0),
    ],
)
def test_a_worker_whose_engine_nobody_sees_is_not_judged(
    tmp_path: Path, image: str, command: str, count: int
) -> None:
    text = worker().replace("registry.example/vllm-runtime:1.3.0", image)
    text = text.replace("[python3, -m, dynamo.vllm]", command)
    given = recipes(tmp_path, deploy=GRAPH + FRONTEND + text)
    if count:
        assert get_coverage(gpu_counts.gpus_match, given) == (0, ["w"])
    else:
        assert "no engine" in get_skip_reason(gpu_counts.gpus_match, given)


# perf.endpoint


@pytest.mark.parametrize(
    ("endpoint", "outcomes"),
    [
        ("g-frontend:8000", []),
        ("http://g-frontend:8000/v1", []),
        ("http://g-frontend.my-namespace.svc.cluster.local:8000", []),
        ("g-frontend", []),
        ("g-Frontend:8000", []),
        ("other-frontend:8000", ["fail"]),
        ("g-frontend:8080", ["fail"]),
        ("http://g-frontend:port", ["fail"]),
    ],
)
def test_a_benchmark_reaches_the_graph_beside_it(tmp_path: Path, endpoint: str, outcomes: list[str]) -> None:
    given = recipes(tmp_path, deploy=GRAPH + FRONTEND + worker(), perf=benchmark(endpoint))
    assert [o for o, _ in list_messages(targets.endpoint, given)] == outcomes


def test_a_benchmark_of_a_folder_without_graphs_may_reach_any(tmp_path: Path) -> None:
    given = recipes(tmp_path, vllm__agg__deploy=GRAPH + FRONTEND + worker(), perf__perf=benchmark())
    assert list_messages(targets.endpoint, given) == []


def test_a_gateway_is_not_judged_as_a_frontend(tmp_path: Path) -> None:
    picker = "  - {name: Epp, type: epp, eppConfig: {config: {}}}\n"
    given = recipes(tmp_path, deploy=GRAPH + picker + worker(), perf=benchmark("http://inference-gateway"))
    assert get_skip_reason(targets.endpoint, given)


# structure.layout


def test_a_model_folder(tmp_path: Path) -> None:
    deploy = {"vllm__agg__deploy": GRAPH + FRONTEND + worker()}
    ((outcome, message),) = list_messages(layout.layout, recipes(tmp_path / "a", **deploy))
    assert (outcome, message) == ("warn", "no model-cache/: each pod downloads the weights")
    (finding,) = run_check(layout.layout, recipes(tmp_path / "b", **deploy, model_cache__download=DOWNLOAD))
    assert finding.message == "no PersistentVolumeClaim in model-cache/"
    assert finding.location is not None
    assert finding.location.file == str(tmp_path / "b" / "model-cache")


def test_a_folder_in_which_nothing_is_deployed(tmp_path: Path) -> None:
    assert [o for o, _ in list_messages(layout.layout, recipes(tmp_path / "a", job=DOWNLOAD))] == ["fail"]
    assert list_messages(layout.layout, recipes(tmp_path / "b", deploy="a: [", job=DOWNLOAD)) == []


# manifest.*


def test_each_yaml_mistake_is_placed(tmp_path: Path) -> None:
    twice = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: 1\n  k: 2\n"
    given = recipes(tmp_path, broken="a: [1\nb: 2\n", twice=twice, words="hello\n")
    outcomes = sorted(outcome for outcome, _ in list_messages(schema.yaml, given))
    assert outcomes == ["fail", "fail", "warn"], "kubectl takes the last of two values"
    places = {
        f"{f.location.file.rpartition('/')[2]}:{f.location.line}"
        for f in run_check(schema.yaml, given)
        if f.location
    }
    assert places == {"broken.yaml:2", "twice.yaml:6", "words.yaml:1"}


def test_schema_mistakes_are_placed(tmp_path: Path) -> None:
    text = GRAPH + FRONTEND.replace("type: frontend", "typ: frontend")
    (finding,) = run_check(schema.schema, recipes(tmp_path / "a", deploy=text))
    assert "typ" in finding.message
    assert finding.location is not None
    assert finding.location.line == 7
    half = "kind: ConfigMap\nmetadata: {name: a}\n"
    assert list_messages(schema.schema, recipes(tmp_path / "b", deploy=half)) == [
        ("fail", "an object without apiVersion")
    ]


def test_a_kind_that_is_a_number_is_none(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy="apiVersion: 1\nkind: 5\nmetadata: {name: a}\n", values="kind: {a: b}\n")
    assert list_messages(schema.schema, given) == [("fail", "an object without kind")]


def test_rules_that_nothing_evaluates_are_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = GRAPH + FRONTEND + FRONTEND.replace("Frontend", "frontend")
    given = recipes(tmp_path, deploy=twice)
    assert list_messages(schema.schema, given) == [
        ("fail", "spec.components: component names must be unique case-insensitively")
    ]
    monkeypatch.setitem(sys.modules, "cel_expr_python.cel", None)
    ((outcome, message),) = list_messages(schema.schema, given)
    assert outcome == "warn"
    assert message.startswith("CEL rules of custom resources were not evaluated")


def test_an_unheard_of_kind_is_not_judged(tmp_path: Path) -> None:
    other = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\n"
    ((outcome, message),) = list_messages(schema.schema, recipes(tmp_path / "a", widget=other))
    assert outcome == "warn"
    assert message == "not judged: no schema for Widget of example.com/v1"
    values = recipes(tmp_path / "b", values="image: x\nreplicas: 3\n", deploy=GRAPH + FRONTEND)
    assert list_messages(schema.schema, values) == []


def test_what_kustomize_reads_is_not_applied(tmp_path: Path) -> None:
    patch = "kind: DynamoGraphDeployment\napiVersion: nvidia.com/v1beta1\nspec: {nonsense: 1}\n"
    given = recipes(tmp_path, deploy=GRAPH + FRONTEND, kustomize__patch=patch)
    assert list_messages(schema.schema, given) == []
