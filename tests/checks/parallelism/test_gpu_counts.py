"""Whether a replica is given as many GPUs as its engine is split over."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.parallelism.gpu_counts import gpus_match
from tests.checks.judging import deploy, judge, read_lines, run_check
from tests.checks.manifests import engine, graph

TWO_NODES = {"multinode": {"nodeCount": 2}}
SGLANG = {"module": "dynamo.sglang"}
CLAIMS = [{"name": "gpus"}]


@pytest.mark.parametrize(
    ("args", "gpus", "more", "expected"),
    [
        ("", 1, {}, []),
        ("--tensor-parallel-size 4", 4, {}, []),
        ("--tensor-parallel-size=4", 4, {}, []),
        ("-tp 4", 0, {"limits": {"nvidia.com/gpu": 4}}, []),  # a number
        ("--tensor-parallel-size 4 --pipeline-parallel-size 2", 8, {}, []),
        ("--tensor-parallel-size 4 --data-parallel-size 2", 8, {}, []),
        ("--tensor-parallel-size 8 --enable-expert-parallel", 8, {}, []),
        ("--tensor-parallel-size 4", 2, {}, ["fail"]),
        ("--tensor-parallel-size 4", 8, {}, ["warn"]),
        ("--tensor-parallel-size 4 --enable-elastic-ep", 8, {}, []),  # it grows into them
        ("--tp 4 --elastic-ep-backend mooncake", 8, SGLANG, []),
        ("", 0, {}, ["fail"]),
        ("--tensor-parallel-size $(NOWHERE)", 4, {}, ["unjudged"]),
        ("--tensor-parallel-size 16", 8, TWO_NODES, []),
        ("--tensor-parallel-size 16", 4, TWO_NODES, ["fail"]),
        ("--tp 8 --dp 8 --enable-dp-attention", 8, SGLANG, []),  # attention DP takes no GPUs
        ("", 1, {"main": {"resources": {"claims": CLAIMS}}, "pod": {"resourceClaims": CLAIMS}}, ["unjudged"]),
    ],
)
def test_gpus_match(tmp_path: Path, args: str, gpus: int, more: dict[str, Any], expected: list[str]) -> None:
    assert judge(gpus_match, deploy(tmp_path, graph(engine(*args.split(), gpus=gpus, **more)))) == expected


@pytest.mark.parametrize(
    ("tensor", "gpus", "more", "fix"),
    [
        ("4", 2, {}, '"4"'),
        ("16", 4, TWO_NODES, '"8"   # on each of 2 nodes'),
        ("32", 8, TWO_NODES, '"8"; set multinode.nodeCount: 4'),
        ("16", 8, {}, '"8"; set multinode.nodeCount: 2'),
    ],
)
def test_the_fix_says_how_many_and_where(
    tmp_path: Path, tensor: str, gpus: int, more: dict[str, Any], fix: str
) -> None:
    given = deploy(tmp_path, graph(engine("--tensor-parallel-size", tensor, gpus=gpus, **more)))
    (finding,) = run_check(gpus_match, given)
    assert finding.fix == f"set podTemplate.spec.containers[main].resources.limits[nvidia.com/gpu]: {fix}"
    assert read_lines(gpus_match, given) == ["- name: w"]


def test_fewer_ranks_than_nodes_leave_no_gpus_to_set(tmp_path: Path) -> None:
    (finding,) = run_check(gpus_match, deploy(tmp_path, graph(engine(gpus=8, multinode={"nodeCount": 2}))))
    assert finding.fix == "raise the parallel sizes to use all nodes, or remove multinode"


def test_nodes_that_the_ranks_do_not_fill_evenly_are_left_out(tmp_path: Path) -> None:
    worker = engine("--tensor-parallel-size", "8", gpus=4, multinode={"nodeCount": 3})
    (finding,) = run_check(gpus_match, deploy(tmp_path, graph(worker)))
    assert finding.fix == "set multinode.nodeCount: 2"


def test_limits_and_requests_of_v1alpha1_are_of_one_container(tmp_path: Path) -> None:
    main = {"image": VLLM, "command": ["python3", "-m", "dynamo.vllm"], "args": ["--model", "m", "-tp", "2"]}
    gpus = {"limits": {"gpu": "1"}, "requests": {"gpu": "1"}}
    worker = {"componentType": "worker", "resources": gpus, "extraPodSpec": {"mainContainer": main}}
    one = graph() | {"apiVersion": "nvidia.com/v1alpha1", "spec": {"services": {"W": worker}}}
    (finding,) = run_check(gpus_match, deploy(tmp_path, one))
    assert finding.fix == 'set resources.limits.gpu: "2"; set resources.requests.gpu: "2"'


VLLM = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0"
SCRIPT = ["bash", "/scripts/run.sh"]


def test_several_containers_are_not_given_the_total_each(tmp_path: Path) -> None:
    command = ["vllm", "serve", "Qwen/Qwen3-0.6B", "--tensor-parallel-size", "4"]
    resources = {"limits": {"nvidia.com/gpu": "1"}}
    containers = [{"name": n, "image": "i", "command": command, "resources": resources} for n in "ab"]
    pod = {"metadata": {"labels": {"app": "w"}}, "spec": {"containers": containers}}
    spec = {"selector": {"matchLabels": {"app": "w"}}, "template": pod}
    made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "w"}, "spec": spec}
    (finding,) = run_check(gpus_match, deploy(tmp_path, made))
    assert finding.fix == "request 4 GPUs in all of containers[a] and containers[b] together"


@pytest.mark.parametrize(
    ("image", "command", "expected"),
    [
        (VLLM, SCRIPT, ["unjudged"]),
        (VLLM, ["python3", "-m", "vllm.entrypoints.api_server"], ["unjudged"]),
        ("registry.example/mine:1.3.0", SCRIPT, ["unjudged"]),
        (VLLM, "bash run.sh", ["skip"]),  # manifest.schema tells
        (VLLM, ["bash", 1], ["skip"]),
    ],
)
def test_a_worker_whose_engine_nobody_sees_is_not_judged(
    tmp_path: Path, image: str, command: Any, expected: list[str]
) -> None:
    given = deploy(tmp_path, graph(engine(image=image, main={"command": command})))
    assert judge(gpus_match, given) == expected


@pytest.mark.parametrize(
    ("kind", "expected"), [("", ["unjudged"]), ("default", ["unjudged"]), ("planner", ["skip"])]
)
def test_a_component_of_no_type_may_hide_its_engine(tmp_path: Path, kind: str, expected: list[str]) -> None:
    main = {"image": "i:0.3.2", "command": ["dynamo", "serve", "graphs.agg:Worker"]}
    service = {"extraPodSpec": {"mainContainer": main}, "resources": {"limits": {"gpu": "1"}}}
    service |= {"componentType": kind} if kind else {}
    one = {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": "g"},
        "spec": {"services": {"W": service}},
    }
    assert judge(gpus_match, deploy(tmp_path, one)) == expected
