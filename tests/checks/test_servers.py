"""Engines without Dynamo are judged as a graph's workers are, wherever their pods are written."""

import json
from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine.command_words import command_words
from dynocheck.checks.engine.flags import flags_known, values
from dynocheck.checks.engine.kv_transfer import pair_agrees
from dynocheck.checks.engine.shell_quoting import shell_quoting
from dynocheck.checks.graph.placement import placement
from dynocheck.checks.graph.probes import probes, startup_budget
from dynocheck.checks.manifest.references import references
from dynocheck.checks.memory.shared_memory import shared_memory
from dynocheck.checks.model.sources import token
from dynocheck.checks.parallelism.divisibility import heads_divide
from dynocheck.checks.parallelism.gpu_counts import gpus_match
from dynocheck.facts import Settings
from tests.checks.judging import deploy, judge, recipes, run_check
from tests.checks.manifests import dump_objects

VLLM = "vllm/vllm-openai:v0.11.0"
SGLANG = "lmsysorg/sglang:v0.5.9-cu129-amd64"
SHM = {"volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}]}
AT_SHM: dict[str, Any] = {"volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}]}
START = ["python3", "-m", "sglang.launch_server", "--model-path", "a/b"]


def serve(
    image: str,
    *args: str,
    kind: str = "Deployment",
    gpus: int = 1,
    pod: dict[str, Any] | None = None,
    **container: Any,
) -> dict[str, Any]:
    """A workload with one container, which gets these arguments."""
    main = {"name": "engine", "image": image, **container}
    main |= {"args": list(args)} if args else {}
    main["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {}
    spec = {"containers": [main], **(pod or {})}
    template: dict[str, Any] = {"template": {"metadata": {"labels": {"app": "e"}}, "spec": spec}}
    if kind != "Job":
        template |= {"selector": {"matchLabels": {"app": "e"}}, "replicas": 1}
    top = spec if kind == "Pod" else template
    versions = {"Job": "batch/v1", "Pod": "v1"}
    return {
        "apiVersion": versions.get(kind, "apps/v1"),
        "kind": kind,
        "metadata": {"name": "e"},
        "spec": top,
    }


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "Job", "Pod"])
def test_a_pod_of_any_kind_has_the_gpus_of_its_ranks(tmp_path: Path, kind: str) -> None:
    one = serve(VLLM, "--model", "a/b", "-tp", "3", kind=kind, gpus=2)
    assert judge(gpus_match, deploy(tmp_path, one)) == ["fail"]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (serve(VLLM, "--model", "a/b", "--tensor-parallel-size=2", gpus=2), []),
        (serve(VLLM, "vllm serve --enforce-eager -tp 2 a/b", command=["bash", "-c"], gpus=2), []),
        (serve(VLLM, "ray start --head; exec vllm serve a/b -tp 4", command=["sh", "-c"], gpus=2), ["fail"]),
        (serve("mirror/any:1", "a/b", "--pipeline-parallel-size", "2", command=["vllm", "serve"]), ["fail"]),
        (serve(SGLANG, *START, "--tp", "4", gpus=4), []),
        (serve(SGLANG, *START, "--tp", "4", gpus=8), ["warn"]),
        (serve(SGLANG, *START, "--tp", "8", "--dp", "8", "--enable-dp-attention", gpus=8), []),
        (serve("vllm/vllm-openai-cpu:v0.19.0", "--model", "a/b", gpus=0), ["skip"]),
        (serve(VLLM, "--model", "a/b", gpus=0), ["unjudged"]),
        (serve(VLLM, command=["/start.sh"]), ["unjudged"]),
        (serve("ghcr.io/huggingface/text-generation-inference:2.0.3", "--num-shard", "2"), ["fail"]),
        (serve(VLLM, "hf download a/b", command=["sh", "-c"], kind="Job"), ["skip"]),
        (serve("nginx:1", "-g", "daemon off;"), ["skip"]),
    ],
)
def test_gpus_of_a_server(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(gpus_match, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize(
    ("image", "args", "expected"),
    [
        (VLLM, "--model a/b --enable-prefix-caching --port 8000", []),
        (VLLM, "--model a/b --api-key x --enable-auto-tool-choice --tool-call-parser hermes", []),
        (VLLM, "a/b --max_model_len 8192", []),
        (VLLM, "--model a/b --enable-prefix-cachin", []),  # an abbreviation
        (VLLM, "--model a/b --bogus 1", ["fail"]),
        ("vllm/vllm-openai:v0.4.2", "--model a/b --enable-chunked-prefill", []),
        ("vllm/vllm-openai:v0.4.2", "--model a/b --kv-transfer-config {}", ["fail"]),  # there since 0.6.4
        ("vllm/vllm-openai:latest", "--model a/b --bogus 1", ["warn"]),
        ("vllm/vllm-openai:latest", "--model a/b --disable-log-requests", ["unjudged"]),
        ("aibrix/vllm-openai:v0.9.2-cu128", "--model a/b --disable-log-requests", ["unjudged"]),
        ("vllm/vllm-openai:v9.0.0", "--model a/b --bogus 1", ["unjudged"]),
    ],
)
def test_flags_of_the_image_s_release(tmp_path: Path, image: str, args: str, expected: list[str]) -> None:
    assert judge(flags_known, deploy(tmp_path, serve(image, *args.split()))) == expected


def test_values_words_quotes_heads_token_and_shared_memory(tmp_path: Path) -> None:
    wrong = serve(
        VLLM,
        *("--model", "meta-llama/Llama-3.1-8B-Instruct", "--max-num-seqs", "many", "stray", "$WHERE"),
        *("--tensor-parallel-size", "3"),
        gpus=3,
    )
    given = deploy(tmp_path, wrong)
    for check in (values, command_words, heads_divide, shared_memory, token, shell_quoting):
        assert "fail" in judge(check, given) or "warn" in judge(check, given), check


def test_a_right_server_has_no_finding(tmp_path: Path) -> None:
    key = {"secretKeyRef": {"name": "hf", "key": "token"}}
    right = serve(
        VLLM,
        *("--model", "meta-llama/Llama-3.1-8B-Instruct", "--tensor-parallel-size", "2"),
        gpus=2,
        pod=SHM,
        env=[{"name": "HF_TOKEN", "valueFrom": key}],
        **AT_SHM,
    )
    given = deploy(tmp_path, right)
    for check in (flags_known, values, command_words, shell_quoting, gpus_match, heads_divide, shared_memory):
        assert judge(check, given) == [], check


PROBE = {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 10}
NAMED = {"httpGet": {"path": "/health", "port": "http"}}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (serve(VLLM, "--model", "a/b", readinessProbe=PROBE), []),
        (serve(VLLM, "--model", "a/b", "--port", "8080", readinessProbe=PROBE), ["fail"]),
        (
            serve(VLLM, "a/b", readinessProbe=NAMED, ports=[{"name": "http", "containerPort": 80}]),
            ["fail"],
        ),
        (serve(VLLM, "a/b", readinessProbe=NAMED, ports=[{"name": "http", "containerPort": 8000}]), []),
        (
            serve(
                VLLM,
                "a/b",
                readinessProbe=NAMED,
                ports=[{"name": "http", "containerPort": n} for n in (8000, 80)],
            ),
            [],
        ),
        (serve(VLLM, "vllm serve a/b & python proxy.py", command=["sh", "-c"], livenessProbe=PROBE), []),
        (serve(SGLANG, *START, "--port", "8000", readinessProbe=PROBE), ["fail"]),  # on localhost alone
        (serve(SGLANG, *START, "--port=8000", "--host=::", readinessProbe=PROBE), []),
    ],
)
def test_probes_of_a_server(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(probes, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"startupProbe": PROBE | {"failureThreshold": 3}}, ["warn"]),
        ({"startupProbe": PROBE | {"failureThreshold": 180}, "livenessProbe": PROBE}, []),
        ({"livenessProbe": PROBE}, ["warn"]),  # it ends the engine while this loads
        ({"livenessProbe": PROBE | {"initialDelaySeconds": 900}}, []),
        ({"readinessProbe": PROBE}, ["skip"]),
    ],
)
def test_a_server_has_time_to_load(tmp_path: Path, more: dict[str, Any], expected: list[str]) -> None:
    one = serve(VLLM, "--model", "meta-llama/Llama-3.3-70B-Instruct", "-tp", "4", gpus=4, **more)
    assert judge(startup_budget, deploy(tmp_path, one), Settings()) == expected


@pytest.mark.parametrize(
    ("name", "spec", "pod", "expected"),
    [
        ("vllm", {}, {}, ["fail"]),
        ("vllm", {}, {"enableServiceLinks": False}, []),
        ("vllm", {"clusterIP": "None"}, {}, []),
        ("vllm-api", {}, {}, []),
    ],
)
def test_a_service_named_vllm(
    tmp_path: Path, name: str, spec: dict[str, Any], pod: dict[str, Any], expected: list[str]
) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
    assert judge(values, deploy(tmp_path, serve(VLLM, "--model", "a/b", pod=pod), service)) == expected


def transfer(name: str, role: str | None, *args: str, connector: str = "NixlConnector") -> dict[str, Any]:
    """A server that takes part in a KV transfer, unless it has no role."""
    config = json.dumps({"kv_connector": connector, "kv_role": role})
    told = [f"--kv-transfer-config={config}"] if role else []
    return serve(VLLM, "--model", "Qwen/Qwen3-8B", *told, *args) | {"metadata": {"name": name}}


PRODUCER, CONSUMER = transfer("first", "kv_producer"), transfer("second", "kv_consumer")


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ([PRODUCER, CONSUMER], []),
        ([PRODUCER, transfer("second", "kv_consumer", connector="MooncakeConnector")], ["fail"]),
        ([PRODUCER, transfer("second", "kv_consumer", "--kv-cache-dtype=fp8")], ["fail"]),
        ([PRODUCER], ["unjudged"]),  # what receives is not here
        ([PRODUCER, transfer("second", "kv_both")], ["skip"]),  # which may do both
        ([transfer("m-prefill", None), transfer("m-decode", "kv_both")], ["warn"]),
        ([transfer("m-prefill", "kv_both"), transfer("m-decode", None)], ["warn"]),
        ([transfer("m-prefill", "kv_consumer"), transfer("m-decode", "kv_producer")], ["warn", "warn"]),
        ([transfer("m-prefill", "kv_both"), serve(VLLM, "--model", "a/b")], ["skip"]),
    ],
)
def test_servers_that_pass_on_a_kv_cache(
    tmp_path: Path, servers: list[dict[str, Any]], expected: list[str]
) -> None:
    assert judge(pair_agrees, deploy(tmp_path, *servers)) == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"app": "e"}, []),
        ({"app": "f"}, ["warn"]),
        ({"other": "f"}, ["skip"]),  # of a pod that is elsewhere
        ({"app": "e", "other": "f"}, ["skip"]),
        ({}, ["skip"]),
    ],
)
def test_a_service_selects_the_pods_beside_it(
    tmp_path: Path, labels: dict[str, str], expected: list[str]
) -> None:
    spec = {"selector": labels} if labels else {}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}
    assert judge(placement, deploy(tmp_path, serve(VLLM, "--model", "a/b"), service)) == expected


@pytest.mark.parametrize(
    ("own_name", "app", "expected"),
    [(True, "e", []), (True, "f", ["warn"]), (False, "f", ["skip"])],
)
def test_a_service_of_the_name_of_an_engine_selects_it(
    tmp_path: Path, own_name: bool, app: str, expected: list[str]
) -> None:
    """Also from a file of its own."""
    engine = serve(VLLM, "--model", "a/b")
    name = engine["metadata"]["name"] if own_name else "another"
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}}
    service |= {"spec": {"selector": {"app": app}}}
    given = recipes(tmp_path, engine=dump_objects(engine), service=dump_objects(service))
    assert judge(placement, given) == expected


@pytest.mark.parametrize(
    ("metadata", "pod", "expected"),
    [
        ({"name": "settings"}, {}, ["warn"]),
        ({"name": "settings", "labels": {"grafana_dashboard": "1"}}, {}, []),
        ({"name": "settings"}, {"volumes": [{"name": "c", "configMap": {"name": "settings"}}]}, []),
        ({"name": "settings"}, {"nodeSelector": {"reads": "settings"}}, []),
    ],
)
def test_a_config_map_that_nothing_names(
    tmp_path: Path, metadata: dict[str, Any], pod: dict[str, Any], expected: list[str]
) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"TP": "1"}}
    assert judge(references, deploy(tmp_path, serve(VLLM, "--model", "a/b", pod=pod), config)) == expected


@pytest.mark.parametrize(
    ("image", "args", "expected"),
    [
        ("vllm/vllm-openai:v0.8.5", "--model a/b --gpu-memory-utilization 9.5", ["fail"]),
        ("vllm/vllm-openai:v0.8.5", "--model a/b --gpu-memory-utilization 0.95", []),
        (VLLM, "--model a/b --tensor-parallel-size 0", ["fail"]),
    ],
)
def test_bounds_that_only_the_engine_states(
    tmp_path: Path, image: str, args: str, expected: list[str]
) -> None:
    assert judge(values, deploy(tmp_path, serve(image, *args.split()))) == expected


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("Qwen/Qwen3-32B --quantization awq", ["fail"]),
        ("Qwen/Qwen3-32B -q gptq_marlin", ["fail"]),
        ("Qwen/Qwen3-32B --quantization fp8", []),  # which vLLM makes as it loads
        ("Qwen/Qwen3-32B-AWQ --quantization awq", []),
    ],
)
def test_awq_needs_weights_in_it(tmp_path: Path, args: str, expected: list[str]) -> None:
    given = deploy(tmp_path, serve(VLLM, "--model", *args.split()))
    assert judge(values, given) == expected


def test_two_equal_servers_load_the_same_model(tmp_path: Path) -> None:
    """In files of their own, at the same lines: what is remembered of one is not taken for the other's."""
    one = serve(VLLM, "--host", "0.0.0.0", "--model", "meta-llama/Llama-3.1-8B")
    given = recipes(tmp_path, a__a=dump_objects(one), b__b=dump_objects(one))
    assert [found.message.split()[4] for found in run_check(token, given)] == ["meta-llama/Llama-3.1-8B"] * 2
    words = serve(VLLM, "vllm", "serve", "a/b", "--max-model-len", "4096", command=["env"])
    given = recipes(tmp_path / "c", a__a=dump_objects(words), b__b=dump_objects(words))
    assert judge(command_words, given) == []
