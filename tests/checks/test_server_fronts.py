"""Engines without Dynamo: the ports, hosts and paths by which they are reached, their tags and mounts."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine.command_words import command_words
from dynocheck.checks.engine.flags import values
from dynocheck.checks.graph.images import images_pinned
from dynocheck.checks.graph.placement import placement
from dynocheck.checks.graph.probes import probes
from dynocheck.checks.manifest.schema import schema
from dynocheck.checks.parallelism.gpu_counts import gpus_match
from tests.checks.judging import deploy, judge, read_lines
from tests.checks.test_servers import SGLANG, START, VLLM, serve

SCRIPT = (
    "bash /vllm-workspace/examples/online_serving/multi-node-serving.sh leader; vllm serve a/b --port 8080"
)


def lead(port: Any, kind: str = "Service", **spec: Any) -> dict[str, Any]:
    """A Service, or an InferencePool, that leads to a port of the pods."""
    pool = {"targetPorts": [{"number": port}], "selector": {"matchLabels": {"app": "e"}}}
    service = {"ports": [{"port": 80, "targetPort": port}], "selector": {"app": "e"}}
    version = "v1" if kind == "Service" else "inference.networking.k8s.io/v1"
    body = {**(service if kind == "Service" else pool), **spec}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "s"}, "spec": body}


def declare(*ports: dict[str, Any]) -> dict[str, Any]:
    return serve(VLLM, "--model=a/b", ports=list(ports))


def probe(path: str, *args: str, image: str = VLLM) -> dict[str, Any]:
    return serve(image, *args, readinessProbe={"httpGet": {"path": path, "port": 8000}})


HTTP = {"name": "http", "containerPort": 8000}


@pytest.mark.parametrize(
    ("server", "front", "expected"),
    [
        (serve(VLLM, "--model=a/b"), lead(8000), []),
        (serve(VLLM, "--model=a/b"), lead(8080), ["fail"]),
        (serve(VLLM, "--model=a/b", "--port=8080"), lead(8080), []),
        (serve(VLLM, "--model=a/b", "--port", "8080"), lead(8000), ["fail"]),
        (serve(VLLM, "--model=a/b"), lead(8080, "InferencePool"), ["fail"]),
        (serve(VLLM, "--model=a/b"), lead(8000, "InferencePool"), []),
        (serve(VLLM, "--model=a/b"), lead(8080, clusterIP="None"), []),
        (serve(VLLM, "--model=a/b", "--port=$(PORT)"), lead(8080), []),
        (serve(VLLM, SCRIPT, command=["bash", "-c"]), lead(8000), ["fail"]),
        (serve(VLLM, SCRIPT, command=["bash", "-c"]), lead(8080), []),
        (serve(VLLM, SCRIPT, command=["bash", "-c"]), lead(8265), []),  # Ray's dashboard
        (serve(VLLM, f"nginx & {SCRIPT}", command=["bash", "-c"]), lead(80), []),
        (serve(VLLM, "--model=a/b", pod={"hostname": "x"}), lead(8080, selector={"app": "other"}), ["warn"]),
        (declare(HTTP), lead("http"), []),
        (declare(HTTP), lead("web"), ["fail"]),
        (declare(HTTP), lead("PORT"), []),  # which is filled in later
        (declare(HTTP | {"containerPort": 8080}), lead("http"), ["fail"]),
        (declare(HTTP, {"name": "zmq", "containerPort": 5557}), lead(5557), []),
        (serve("nginx:1", "-g", "daemon off;", ports=[HTTP]), lead("web"), ["fail"]),
        (serve("nginx:1", "-g", "daemon off;", ports=[HTTP]), lead(8123), ["skip"]),
        (serve(SGLANG, *START), lead(30000), ["fail"]),  # it listens on 127.0.0.1
        (serve(SGLANG, *START, "--host", "0.0.0.0"), lead(30000), []),
        (serve(VLLM, "--model=a/b", "--host=localhost"), lead(8000), ["fail"]),
    ],
)
def test_where_a_service_leads(
    tmp_path: Path, server: dict[str, Any], front: dict[str, Any], expected: list[str]
) -> None:
    assert judge(placement, deploy(tmp_path, server, front)) == expected


METRICS = {"name": "metrics", "containerPort": 9090}
API = {"name": "http", "port": 80, "targetPort": 8000}


@pytest.mark.parametrize(
    ("second", "args", "expected"),
    [
        ({"name": "metrics", "port": 9090, "targetPort": "metrics"}, [], ["warn"]),
        ({"name": "metrics", "port": 9090}, [], ["warn"]),
        ({"name": "metrics", "port": 9090, "targetPort": 8000}, [], []),
        ({"name": "zmq", "port": 55555}, [], []),  # for what is not switched on, and nobody asks
        ({"name": "metrics", "port": 9100}, ["--kv-events-config", '{"endpoint": "tcp://*:9100"}'], []),
    ],
)
def test_a_further_port_on_which_nothing_listens(
    tmp_path: Path, second: dict[str, Any], args: list[str], expected: list[str]
) -> None:
    one = serve(VLLM, "--model=a/b", *args, ports=[HTTP, METRICS])
    assert judge(placement, deploy(tmp_path, one, lead(8000, ports=[API, second]))) == expected


URL = "http://localhost:8000/health"


@pytest.mark.parametrize(
    ("image", "command", "expected"),
    [
        (VLLM, ["curl", "-s", URL], ["warn"]),
        (VLLM, ["curl", "-sf", URL], []),
        (VLLM, ["curl", "--fail", URL], []),
        (VLLM, ["sh", "-c", f"curl -s {URL} || exit 1"], ["warn"]),
        (VLLM, ["sh", "-c", f"curl -s {URL} | grep ok"], []),
        (VLLM, ["sh", "-c", f'test "$(curl -so /dev/null -w %{{http_code}} {URL})" = 200'], []),
        (VLLM, ["bash", "-c", f"curl -fsS '{URL}' > /dev/null"], []),
        (VLLM, ["python3", "probe.py"], []),
        ("ollama/ollama:0.14.2", ["curl", "-f", "http://localhost:11434"], ["fail"]),
        ("ollama/ollama:0.14.2", ["sh", "-c", "wget -q http://localhost:11434 || exit 1"], ["fail"]),
        ("ollama/ollama:0.14.2", ["ollama", "list"], []),
        ("ollama/ollama:0.3.0-rocm", ["curl", "-f", "http://localhost:11434"], []),
        ("mine/ollama:1", ["curl", "-f", "http://localhost:11434"], []),
    ],
)
def test_probes_that_run_curl(tmp_path: Path, image: str, command: list[str], expected: list[str]) -> None:
    one = serve(image, readinessProbe={"exec": {"command": command}})
    assert judge(probes, deploy(tmp_path, one)) == expected


def test_a_container_may_install_curl_itself(tmp_path: Path) -> None:
    probed = {"exec": {"command": ["curl", "-f", "http://localhost:11434"]}}
    script = "apt-get update && apt-get install -y curl && ollama serve"
    one = serve("ollama/ollama:0.14.2", command=["bash", "-c", script], readinessProbe=probed)
    assert judge(probes, deploy(tmp_path, one)) == []


@pytest.mark.parametrize(
    ("replicas", "expected"), [(2, ["warn"]), (3, ["warn", "warn"])]
)  # the first warning is of a name that one cluster has
def test_pods_share_the_gpus_of_a_node_that_they_name(
    tmp_path: Path, replicas: int, expected: list[str]
) -> None:
    pod = {"nodeSelector": {"kubernetes.io/hostname": "gpu-1"}}
    one = serve(VLLM, "--model=a/b", "-tp=4", gpus=4, pod=pod)
    one["spec"]["replicas"] = replicas
    assert judge(placement, deploy(tmp_path, one)) == expected


def test_an_engine_without_gpus_and_a_command_that_is_known_is_told(tmp_path: Path) -> None:
    script = serve(VLLM, command=["/start.sh"], gpus=0)
    assert judge(gpus_match, deploy(tmp_path, script)) == ["unjudged"]
    on_cpu = serve("vllm/vllm-openai-cpu:v0.11.0", command=["/start.sh"], gpus=0)
    assert judge(gpus_match, deploy(tmp_path / "cpu", on_cpu)) == ["unjudged"]
    known = serve("vllm/vllm-openai-cpu:v0.11.0", "--model=a/b", gpus=0)
    assert judge(gpus_match, deploy(tmp_path / "known", known)) == ["skip"]


def test_a_host_that_only_the_pod_reaches_is_told_where_it_is(tmp_path: Path) -> None:
    one = deploy(tmp_path, probe("/health", "--model=a/b", "--host=127.0.0.1"), lead(8000))
    assert read_lines(probes, one) == ["- --host=127.0.0.1"]
    assert read_lines(placement, one) == ["- --host=127.0.0.1"]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (probe("/health", "--model=a/b"), []),
        (probe("/healthz", "--model=a/b"), ["fail"]),
        (probe("/v2/health/ready", "--model=a/b"), ["fail"]),
        (probe("/v1/models", "--model=a/b"), []),
        (probe("/x/healthz", "--model=a/b"), []),  # what nobody has is not known to be missing
        (probe("/healthz", "--model=a/b", "--root-path=/x"), []),
    ],
)
def test_a_probe_asks_for_a_path_that_the_server_has(
    tmp_path: Path, one: dict[str, Any], expected: list[str]
) -> None:
    assert judge(probes, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("vllm/vllm-openai:v0.11.0", []),
        ("vllm/vllm-openai:0.11.0", ["fail"]),
        ("docker.io/lmsysorg/sglang:0.5.9-cu129-amd64", ["fail"]),
        ("ghcr.io/huggingface/text-generation-inference:3.3.4", []),
        ("ghcr.io/huggingface/text-generation-inference:v3.3.4", ["fail"]),
        ("mirror.example/vllm/vllm-openai:0.11.0", []),  # it may name its tags as it likes
        ("vllm/vllm-openai:latest", []),
    ],
)
def test_a_release_is_tagged_as_its_engine_tags_it(tmp_path: Path, image: str, expected: list[str]) -> None:
    one = serve(image, "vllm", "serve", "a/b") if "vllm" in image else serve(image, *START)
    assert judge(images_pinned, deploy(tmp_path, one)) == expected


def test_a_mount_in_a_group_of_pods_needs_its_volume(tmp_path: Path) -> None:
    mounts = [{"name": "cache", "mountPath": "/models"}]
    main = {"name": "main", "image": VLLM, "args": ["--model=a/b"], "volumeMounts": mounts}
    spec: dict[str, Any] = {"containers": [main]}
    template = {"size": 1, "workerTemplate": {"spec": spec}}
    version = "leaderworkerset.x-k8s.io/v1"
    named = {"apiVersion": version, "kind": "LeaderWorkerSet", "metadata": {"name": "e"}}
    one = {**named, "spec": {"leaderWorkerTemplate": template}}
    assert read_lines(schema, deploy(tmp_path, one)) == ["- name: cache"]
    spec["volumes"] = [{"name": "cache", "emptyDir": {}}]
    del main["image"]  # an overlay may set it
    assert read_lines(schema, deploy(tmp_path, one)) == []


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--model=a/b", "--max-num-seqs=8 --enforce-eager"], "- --max-num-seqs=8 --enforce-eager"),
        (["--model=a/b --enforce-eager"], "- --model=a/b --enforce-eager"),
        (["--model= a/b"], "- --model= a/b"),
        (["--model=a/b", "--port= 8000"], ""),  # Python takes blanks around a number
        (["--model=a/b", '--hf-overrides={"a": " --port"}'], ""),
        (["--model=a/b", "--enable-auto-tool-choice"], ""),
    ],
)
def test_a_word_with_two_flags_or_a_blank(tmp_path: Path, args: list[str], line: str) -> None:
    lines = read_lines(command_words, deploy(tmp_path, serve(VLLM, *args)))
    assert lines == ([line] if line else [])


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], ["fail"]),
        (["--tool-call-parser=hermes"], []),
    ],
)
def test_tools_are_chosen_by_a_parser(tmp_path: Path, args: list[str], expected: list[str]) -> None:
    one = serve(VLLM, "--model=a/b", "--enable-auto-tool-choice", *args)
    assert judge(values, deploy(tmp_path, one)) == expected


def test_a_resource_that_no_device_plugin_offers(tmp_path: Path) -> None:
    one = serve(VLLM, "--model=a/b", gpus=0)
    one["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpus": 1}}
    assert read_lines(placement, deploy(tmp_path, one)) == ["nvidia.com/gpus: 1"]


def test_ranks_without_their_gpus_are_told_where_they_are_stated(tmp_path: Path) -> None:
    one = serve(VLLM, "--model=a/b", "--tensor-parallel-size=4", gpus=2)
    assert read_lines(gpus_match, deploy(tmp_path, one)) == ["- --tensor-parallel-size=4"]


@pytest.mark.parametrize(
    ("selector", "port", "expected"),
    [
        ({"leaderworkerset.sigs.k8s.io/name": "e", "role": "leader"}, 8080, []),
        (
            {"leaderworkerset.sigs.k8s.io/name": "e", "leaderworkerset.sigs.k8s.io/worker-index": "0"},
            8080,
            [],
        ),
        ({"leaderworkerset.sigs.k8s.io/name": "f", "role": "leader"}, 8080, ["warn"]),
        ({"leaderworkerset.sigs.k8s.io/name": "e", "role": "leader"}, 8000, ["fail"]),
    ],
)
def test_a_service_of_a_leader(
    tmp_path: Path, selector: dict[str, str], port: int, expected: list[str]
) -> None:
    lead_by = {"name": "leader", "image": VLLM, "args": ["--model=a/b", "--port=8080"]}
    follow = {"name": "worker", "image": VLLM, "command": ["ray", "start", "--block"]}
    leader = {"metadata": {"labels": {"role": "leader"}}, "spec": {"containers": [lead_by]}}
    template = {"size": 2, "leaderTemplate": leader, "workerTemplate": {"spec": {"containers": [follow]}}}
    named = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": "e"},
    }
    one = {**named, "spec": {"leaderWorkerTemplate": template}}
    assert judge(placement, deploy(tmp_path, one, lead(port, selector=selector))) == expected


@pytest.mark.parametrize(
    ("image", "args", "expected"),
    [
        (VLLM, "--enable-auto-tool-choice --tool-call-parser hermes", []),
        (VLLM, "--enable-auto-tool-choice --tool-call-parser llama", ["fail"]),
        ("vllm/vllm-openai:v0.6.3", "--enable-auto-tool-choice --tool-call-parser pythonic", ["fail"]),
        (VLLM, "--tool-call-parser llama", []),  # it is not looked up
        (VLLM, "--enable-auto-tool-choice --tool-call-parser own --tool-parser-plugin /a.py", []),
        ("vllm/vllm-openai:latest", "--enable-auto-tool-choice --tool-call-parser llama", ["unjudged"]),
    ],
)
def test_a_parser_of_tools_is_one_of_the_release(
    tmp_path: Path, image: str, args: str, expected: list[str]
) -> None:
    assert judge(values, deploy(tmp_path, serve(image, "--model=a/b", *args.split()))) == expected
