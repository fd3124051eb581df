"""Engines in groups of pods and in custom resources are judged by what their whole group is given."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine.command_words import command_words
from dynocheck.checks.engine.flags import flags_known
from dynocheck.checks.engine.kv_transfer import pair_agrees
from dynocheck.checks.engine.shell_quoting import shell_quoting
from dynocheck.checks.graph.probes import probes
from dynocheck.checks.manifest.placeholders import placeholders
from dynocheck.checks.memory.gpu_memory import weights_fit
from dynocheck.checks.memory.shared_memory import shared_memory
from dynocheck.checks.model.sources import token
from dynocheck.checks.parallelism.divisibility import requests_equal_limits
from dynocheck.checks.parallelism.gpu_counts import gpus_match
from tests.checks.judging import deploy, judge, places, recipes
from tests.checks.manifests import dump_objects, engine, graph

VLLM = "vllm/vllm-openai:v0.11.0"
SGLANG = "lmsysorg/sglang:v0.5.9"
LATER, SPLIT = "vllm/vllm-openai:v0.16.0", "vllm serve a/b -tp 16 --nnodes 2"
WORK = ["sh", "-c", "ray start --address=$(LWS_LEADER_ADDRESS) --block"]
ROUTED = "python3 -m sglang.launch_server --model-path a/b --nnodes $(LWS_GROUP_SIZE) --tp 16"


def pod(command: list[str] | str, gpus: int = 8, image: str = VLLM, **container: Any) -> dict[str, Any]:
    words = ["sh", "-c", command] if isinstance(command, str) else command
    main: dict[str, Any] = {"name": "main", "image": image, "command": words, **container}
    if gpus:
        main["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    return {"spec": {"containers": [main]}}


def make(kind: str, version: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "e"}, "spec": spec}


def group(size: int | None, leader: dict[str, Any] | None, worker: dict[str, Any]) -> dict[str, Any]:
    template: dict[str, Any] = {"workerTemplate": worker} | ({"size": size} if size else {})
    template |= {"leaderTemplate": leader} if leader is not None else {}
    return make("LeaderWorkerSet", "leaderworkerset.x-k8s.io/v1", {"leaderWorkerTemplate": template})


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (group(2, pod("vllm serve a/b -tp 8 -pp 2"), pod(WORK)), []),
        (group(1, pod("vllm serve a/b -tp 8 -pp 2"), pod(WORK)), ["fail"]),
        (group(None, pod("vllm serve a/b -tp 8 -pp 2"), pod(WORK)), ["fail"]),  # one pod is the default
        (group(3, pod("vllm serve a/b -tp 8 -pp 2"), pod(WORK)), ["warn"]),
        (group(3, pod("vllm serve a/b -tp 8 -pp 2", gpus=0), pod(WORK)), []),
        (group(2, pod("vllm serve a/b -tp 4", gpus=4), pod("vllm serve a/b -tp 4", gpus=4)), []),
        (group(2, pod("vllm serve a/b -tp 8 -pp 2", gpus=4), pod(WORK)), ["unjudged"]),
        (group(2, None, pod("vllm serve a/b -tp 8 -pp 2")), ["unjudged"]),
        (group(2, pod(ROUTED, image=SGLANG), pod(ROUTED, image=SGLANG)), []),
        (group(4, pod(ROUTED, image=SGLANG), pod(ROUTED, image=SGLANG)), ["warn", "warn"]),
        (group(2, pod(ROUTED, 4, SGLANG), pod(ROUTED, 4, SGLANG)), ["fail", "fail"]),
        (group(2, pod(SPLIT, image=LATER), pod(SPLIT, image=LATER)), []),
    ],
)
def test_gpus_of_a_leader_and_its_workers(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(gpus_match, deploy(tmp_path, one)) == expected


def cluster(serve: str, workers: list[dict[str, Any]], head: int = 8, **more: Any) -> dict[str, Any]:
    """What RayCluster, RayService and RayJob have in common."""
    groups = [{"groupName": f"w{i}", "rayStartParams": {}, **each} for i, each in enumerate(workers)]
    return {
        "headGroupSpec": {"rayStartParams": {}, "template": pod([serve], head)},
        "workerGroupSpecs": groups,
        **more,
    }


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (cluster("vllm serve a/b -tp 8 -pp 2", [{"replicas": 1, "template": pod([])}]), []),
        (cluster("vllm serve a/b -tp 8 -pp 2", [{"replicas": 1, "template": pod([], 4)}]), ["unjudged"]),
        (cluster("vllm serve a/b -tp 8", [{"replicas": 1, "template": pod([], 4)}], head=0), ["fail"]),
        (cluster("vllm serve a/b -tp 8", [{"replicas": 1, "numOfHosts": 2, "template": pod([], 4)}], 0), []),
        (cluster("vllm serve a/b -tp 8 -pp 2", [{"template": pod([])}]), ["unjudged"]),
        (cluster("vllm serve a/b -tp 8", [], enableInTreeAutoscaling=True), []),
    ],
)
@pytest.mark.parametrize("kind", ["RayCluster", "RayService", "RayJob"])
def test_gpus_of_a_ray_cluster(tmp_path: Path, kind: str, spec: dict[str, Any], expected: list[str]) -> None:
    inner = {"RayService": "rayClusterConfig", "RayJob": "rayClusterSpec"}
    one = make(kind, "ray.io/v1", {inner[kind]: spec} if kind in inner else spec)
    given = deploy(tmp_path, one)
    assert judge(gpus_match, given) == expected
    assert judge(command_words, given) == []  # the operator makes one script of the words


@pytest.mark.parametrize(
    ("command", "gpus", "expected"),
    [
        ("vllm serve a/b -tp 16 --distributed-executor-backend ray", 8, []),
        ("vllm serve a/b -tp 32 --distributed-executor-backend ray", 8, ["fail"]),
        ("vllm serve a/b -tp 16 --distributed-executor-backend ray", 4, ["fail"]),
    ],
)
def test_gpus_of_a_fleet_of_ray_clusters(
    tmp_path: Path, command: str, gpus: int, expected: list[str]
) -> None:
    inside = cluster("", [{"replicas": 1, "template": pod([], gpus)}])
    inside["headGroupSpec"]["template"] = pod(["bash", "-lc", "--", f"ray start --head; {command}"], gpus)
    fleet = make("RayClusterFleet", "orchestration.aibrix.ai/v1alpha1", {"template": {"spec": inside}})
    assert judge(gpus_match, deploy(tmp_path, fleet)) == expected


def kserve(args: str = "", *, parallelism: Any = None, **main: Any) -> dict[str, Any]:
    """An LLMInferenceService, whose container KServe completes."""
    container: dict[str, Any] = {"name": "main", "resources": {"limits": {"nvidia.com/gpu": "2"}}, **main}
    if args:
        container["env"] = [{"name": "VLLM_ADDITIONAL_ARGS", "value": args}]
    spec: dict[str, Any] = {
        "model": {"uri": "hf://meta-llama/Llama-3.1-8B-Instruct", "name": "l"},
        "template": {"containers": [container]},
    }
    spec |= {"parallelism": parallelism} if parallelism else {}
    return make("LLMInferenceService", "serving.kserve.io/v1alpha2", spec)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (kserve("--tensor-parallel-size 2"), []),
        (kserve(parallelism={"tensor": 2}), []),
        (kserve("--tensor-parallel-size 4"), ["fail"]),
        (kserve(parallelism={"tensor": 4}), ["fail"]),
        (kserve(), ["warn"]),
        (kserve("-tp 4", resources={}), ["unjudged"]),
        (kserve(command=["/start"]), ["unjudged"]),
    ],
)
def test_gpus_of_kserve_s_own_engine(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    given = deploy(tmp_path, one)
    assert judge(gpus_match, given) == expected
    for check in (token, shared_memory, shell_quoting):  # KServe adds what these miss
        assert not {"fail", "warn"} & set(judge(check, given)), check


def test_a_flag_that_kserve_passes_on_is_told_where_it_is_written(tmp_path: Path) -> None:
    given = deploy(tmp_path, kserve("--max-model-len 4096 --bogus-flag", image=LATER))
    assert judge(flags_known, given) == ["fail"]
    ((_, place),) = places(flags_known, given)
    file, line = place.rsplit(":", 1)
    assert "--bogus-flag" in (tmp_path / file).read_text().splitlines()[int(line) - 1]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (make("ReplicaSet", "apps/v1", {"template": pod("vllm serve a/b -tp 9")}), ["fail"]),
        (
            make(
                "InferenceService",
                "serving.kserve.io/v1beta1",
                {"predictor": pod("vllm serve a/b -tp 9")["spec"]},
            ),
            ["fail"],
        ),
        (
            make(
                "InferenceService",
                "serving.kserve.io/v1beta1",
                {"predictor": {"model": {"modelFormat": {"name": "huggingface"}}}},
            ),
            ["unjudged"],
        ),
        (
            make(
                "ServingRuntime", "serving.kserve.io/v1alpha1", pod("vllm serve /mnt/models -tp 9", 0)["spec"]
            ),
            ["unjudged"],
        ),
        (
            make("StormService", "aibrix.ai/v1", {"roles": [{"template": pod("vllm serve a/b -tp 9")}]}),
            ["fail"],
        ),
        (
            make(
                "ModelServing",
                "x.io/v1",
                {"entryTemplate": pod("vllm serve a/b -tp 16", 8), "workerTemplate": pod("ray start", 8)},
            ),
            ["unjudged"],
        ),
        (make("Widget", "x.io/v1", {"containers": ["vllm/vllm-openai"]}), ["skip"]),
    ],
)
def test_gpus_of_other_kinds(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(gpus_match, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize(
    ("kind", "version", "expected"), [("ReplicaSet", "apps/v1", ["fail"]), ("ModelServing", "x.io/v1", [])]
)
def test_an_operator_of_another_kind_may_add_variables(
    tmp_path: Path, kind: str, version: str, expected: list[str]
) -> None:
    one = make(kind, version, {"template": pod(["vllm", "serve", "a/b", "--host", "$(ADDRESS)"])})
    assert judge(shell_quoting, deploy(tmp_path, one)) == expected


def test_a_config_of_kserve_gets_its_connector_from_the_service(tmp_path: Path) -> None:
    halves = {"template": pod("vllm serve /m")["spec"], "prefill": {"template": pod("vllm serve /m")["spec"]}}
    configs = [
        make("LLMInferenceServiceConfig", "serving.kserve.io/v1alpha2", {side: spec})
        | {"metadata": {"name": f"e-{side}"}}
        for side, spec in (("decode", halves), ("prefill", halves["prefill"]))
    ]
    assert judge(pair_agrees, deploy(tmp_path, *configs)) == ["skip"]


def test_a_port_that_kserve_names_is_not_missed(tmp_path: Path) -> None:
    given = deploy(tmp_path, kserve(readinessProbe={"httpGet": {"path": "/health", "port": "http"}}))
    assert "fail" not in judge(probes, given)


def test_a_graph_s_engine_that_names_its_nodes_is_not_judged_alone(tmp_path: Path) -> None:
    given = deploy(tmp_path, graph(engine("--tensor-parallel-size", "16", "--nnodes", "2", gpus=8)))
    assert judge(gpus_match, given) == ["unjudged"]


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        ("ray start --address=$(LWS_LEADER_ADDRESS) --block", []),
        ("ray start --address=$(LWS_LEADER_ADDR) --block", ["warn"]),
        ("ray start --address=$(LWS_NEW_VARIABLE) --block", []),  # a later release may set it
        ("ray start --address=$(hostname -i) --block", []),
        ("echo $$(RAY_ADDRESS)", []),
    ],
)
def test_a_variable_that_nothing_sets(tmp_path: Path, work: str, expected: list[str]) -> None:
    one = group(2, pod("vllm serve a/b -tp 8 -pp 2"), pod(work))
    assert judge(placeholders, deploy(tmp_path, one)) == expected
    one = group(2, pod("vllm serve a/b -tp 8 -pp 2 --master-addr $(LWS_LEADER_ADDR)"), pod(WORK))
    assert judge(placeholders, deploy(tmp_path, one)) == ["warn"]
    beside = pod("vllm serve a/b")
    beside["spec"]["initContainers"] = [{"name": "wait", "image": "busybox:1", "args": ["$(MODEL_PATH)"]}]
    wanted = make("Deployment", "apps/v1", {"template": beside})
    assert judge(placeholders, deploy(tmp_path, wanted)) == ["warn"]
    beside["spec"]["initContainers"][0]["args"] = ["$(VLLM_SERVICE_HOST)"]
    assert judge(placeholders, deploy(tmp_path, wanted)) == []


# An InferenceService whose pod is its runtime's, with the model's own fields in it.

RUNTIME_ARGS = ["--port=8080", "--model=/mnt/models", "--served-model-name={{.Name}}"]
RUNTIME_COMMAND = ["python", "-m", "vllm.entrypoints.openai.api_server"]


def runtime(*args: str, **container: Any) -> dict[str, Any]:
    main = {
        "name": "kserve-container",
        "image": LATER,
        "command": RUNTIME_COMMAND,
        "args": [*RUNTIME_ARGS, *args],
    }
    spec = {"containers": [main | container], "supportedModelFormats": [{"name": "vLLM"}]}
    return make("ServingRuntime", "serving.kserve.io/v1alpha1", spec) | {"metadata": {"name": "own"}}


def inference(
    *args: str, gpus: int = 1, uri: str = "hf://Qwen/Qwen3-32B", name: str = "own", **model: Any
) -> dict[str, Any]:
    fields = {
        "modelFormat": {"name": "vLLM"},
        "runtime": name,
        "storageUri": uri,
        "args": list(args),
        **model,
    }
    if gpus:
        fields["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    predictor = {"minReplicas": 1, "model": fields}
    return make("InferenceService", "serving.kserve.io/v1beta1", {"predictor": predictor})


PORT = {"httpGet": {"path": "/health", "port": 8000}}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([runtime(), inference()], []),
        ([runtime(), inference("--tensor-parallel-size=2", gpus=2)], []),
        ([runtime(), inference("--tensor-parallel-size=4", gpus=2)], ["fail"]),
        ([runtime("--tensor-parallel-size=4"), inference(gpus=2)], ["fail"]),
        (
            [runtime("--tensor-parallel-size=4"), inference("--tensor-parallel-size=2", gpus=2)],
            [],
        ),  # the last counts
        ([runtime(), inference(gpus=0)], ["unjudged"]),  # nobody requests one
        ([runtime(resources={"limits": {"nvidia.com/gpu": 2}}), inference("-tp", "2", gpus=0)], []),
        ([runtime(), inference(name="another")], ["unjudged", "unjudged"]),
        ([runtime(), inference("-tp", "2", gpus=2), inference("-tp", "2", gpus=1)], ["fail"]),
    ],
)
def test_gpus_of_a_service_with_its_runtime(
    tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]
) -> None:
    assert judge(gpus_match, deploy(tmp_path, *objects)) == expected


def test_a_service_and_its_runtime_are_told_once_and_where_they_are_written(tmp_path: Path) -> None:
    """In one file, each at its own line; in two, what the runtime has is told at the name of the runtime."""
    together = deploy(tmp_path / "one", runtime("--bogus-flag"), inference("--other-bogus"))
    found = places(flags_known, together)
    rows = (tmp_path / "one" / "deploy.yaml").read_text().splitlines()
    assert [rows[int(place.rsplit(":", 1)[1]) - 1].strip() for _, place in found] == [
        "- --bogus-flag",
        "- --other-bogus",
    ]
    folder = tmp_path / "two"
    apart = recipes(folder, runtime=dump_objects(runtime("--bogus-flag")), service=dump_objects(inference()))
    ((outcome, place),) = places(flags_known, apart)
    row = (folder / "service.yaml").read_text().splitlines()[int(place.rsplit(":", 1)[1]) - 1]
    assert (outcome, row.strip()) == ("fail", "runtime: own")


def test_a_service_has_the_runtime_that_is_nearest(tmp_path: Path) -> None:
    """Variants have runtimes of one name; of two in other folders none is known to be its own."""
    one = dump_objects(runtime("-tp", "2"), inference(gpus=2))
    given = recipes(tmp_path / "a", a__a=one, b__b=dump_objects(runtime("-tp", "4")))
    assert judge(gpus_match, given) == ["unjudged"]  # of the other runtime alone
    apart = {
        "x__x": dump_objects(runtime()),
        "y__y": dump_objects(runtime()),
        "z__z": dump_objects(inference()),
    }
    assert judge(gpus_match, recipes(tmp_path / "b", **apart)) == ["unjudged"] * 3


def test_a_service_has_the_probes_and_variables_of_its_runtime(tmp_path: Path) -> None:
    both = [runtime(readinessProbe=PORT, env=[{"name": "A", "value": "1"}]), inference()]
    assert judge(probes, deploy(tmp_path / "a", *both)) == ["fail"]  # it listens on 8080
    both = [runtime(readinessProbe=PORT), inference("--port=8000", env=[{"name": "A", "value": "2"}])]
    assert judge(probes, deploy(tmp_path / "b", *both)) == []


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (inference("--max-model-len=8192", gpus=1, uri="hf://Qwen/Qwen3-32B"), ["fail"]),
        (inference("--max-model-len=8192", gpus=1, uri="hf://Qwen/Qwen3-8B"), []),
        (inference("--max-model-len=8192", gpus=1, uri="s3://models/Qwen3-8B"), ["unjudged"]),
    ],
)
def test_the_model_that_kserve_fetches_is_the_one_that_is_loaded(
    tmp_path: Path, one: dict[str, Any], expected: list[str]
) -> None:
    own = runtime()
    own["spec"]["nodeSelector"] = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"}
    assert judge(weights_fit, deploy(tmp_path, own, one)) == expected


DYNAMO = "registry.example/vllm-runtime:1.3.0"
LAUNCH = ["python3", "-m", "dynamo.vllm", "--model", "a/b"]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (make("Deployment", "apps/v1", {"template": pod([*LAUNCH, "--speed"], image=DYNAMO)}), ["fail"]),
        (make("Deployment", "apps/v1", {"template": pod(LAUNCH, image=DYNAMO)}), []),
        (
            group(
                2,
                pod(f"exec {' '.join(LAUNCH)} --speed", image=DYNAMO),
                pod(f"{' '.join(LAUNCH)} --headless", image=DYNAMO),
            ),
            ["fail"],
        ),
        (
            make(
                "Deployment",
                "apps/v1",
                {"template": pod("python3 -m dynamo.frontend --speed", 0, image=DYNAMO)},
            ),
            ["fail"],
        ),
        (
            make("Job", "batch/v1", {"template": pod(["python3", "-m", "dynamo.profiler", "--speed"])}),
            ["skip"],
        ),
    ],
)
def test_dynamo_that_no_operator_runs(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(flags_known, deploy(tmp_path, one)) == expected


def test_dynamo_that_no_operator_runs_gets_its_gpus(tmp_path: Path) -> None:
    one = group(2, pod([*LAUNCH, "-tp", "8"], image=DYNAMO), pod(["sleep", "inf"], image=DYNAMO))
    assert judge(gpus_match, deploy(tmp_path, one)) == ["warn"]
    (recipe,) = deploy(
        tmp_path, make("Deployment", "apps/v1", {"template": pod("python -m dynamo.frontend")})
    )
    assert recipe.servers[0].components[0].role == "frontend"


def beside(command: list[str], gpus: int = 1, restart: str | None = "Always", **main: Any) -> dict[str, Any]:
    """A graph of a worker without an engine of its own, beside an init container."""
    engine_beside = pod(command, gpus, SGLANG, name="engine")["spec"]["containers"][0]
    engine_beside |= {"restartPolicy": restart} if restart else {}
    own = {"command": ["dynamo-sglang-sidecar"], "args": [], "resources": {}, **main}
    return graph(engine(main=own, pod={"initContainers": [engine_beside]}))


SERVE = ["python3", "-m", "sglang.launch_server", "--model-path", "a/b"]


@pytest.mark.parametrize(
    ("one", "flags", "gpus"),
    [
        (beside(SERVE), [], []),
        (beside([*SERVE, "--speed"]), ["fail"], []),
        (beside([*SERVE, "--tp", "2"]), [], ["fail"]),
        (beside([*SERVE, "--tp", "2"], gpus=2), [], []),
        (beside([*SERVE, "--speed"], restart=None), [], ["skip"]),
    ],
)
def test_an_engine_in_a_sidecar(
    tmp_path: Path, one: dict[str, Any], flags: list[str], gpus: list[str]
) -> None:
    given = deploy(tmp_path, one)
    assert judge(flags_known, given) == flags
    assert judge(gpus_match, given) == gpus


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"requests": {"nvidia.com/gpu": "8"}}, ["fail"]),
        ({"requests": {"nvidia.com/gpu": "4"}, "limits": {"nvidia.com/gpu": "8"}}, ["fail"]),
        ({"limits": {"nvidia.com/gpu": "8"}}, []),
    ],
)
def test_devices_of_a_group_are_requested_as_they_are_limited(
    tmp_path: Path, resources: dict[str, Any], expected: list[str]
) -> None:
    one = group(2, pod("vllm serve a/b -tp 8"), pod(WORK, 0, resources=resources))
    assert judge(requests_equal_limits, deploy(tmp_path, one)) == expected
