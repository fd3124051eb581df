"""Whether the parts of a graph fit each other: each rule on a graph that breaks it, and on its exceptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.graph import components as graphs
from dynocheck.checks.graph import images as graph_images
from dynocheck.checks.graph import placement, probes
from dynocheck.facts import Settings
from tests.checks.judging import deploy, get_coverage, outcomes, read_lines, recipes, run_check
from tests.checks.manifests import FRONTEND, dump_objects, engine, graph, job

NIXL = ("--kv-transfer-config", '{"kv_connector":"NixlConnector","kv_role":"kv_both"}')
MODE = "--disaggregation-mode"
PICKER = {"name": "Epp", "type": "epp"}


def containing(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"podTemplate": {"spec": {"containers": list(containers)}}}


# graph.frontend


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([graph(engine())], []),
        ([graph(PICKER, engine(frontendSidecar="front"))], []),  # a picker stands in for it
        ([graph(PICKER, engine())], ["fail"]),
        ([job("hf download MODEL")], ["skip"]),
    ],
)
def test_frontend(tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]) -> None:
    assert outcomes(graphs.frontend, deploy(tmp_path, *objects)) == expected


def test_no_frontend(tmp_path: Path) -> None:
    alone = graph(engine())
    alone["spec"]["components"].remove(FRONTEND)
    (finding,) = run_check(graphs.frontend, deploy(tmp_path, alone))
    assert (finding.outcome, finding.evidence) == ("fail", {"components": {"w": "worker"}})


@pytest.mark.parametrize("module", ["dynamo.router", "dynamo.global_planner"])
def test_a_pool_behind_another_graph(tmp_path: Path, module: str) -> None:
    pool = graph(engine(MODE, "prefill", name="p"), engine(name="r", module=module, model=None))
    pool["spec"]["components"].remove(FRONTEND)
    assert outcomes(graphs.frontend, deploy(tmp_path, pool)) == []
    assert outcomes(graphs.both_sides, deploy(tmp_path, pool)) == ["unjudged"]


# graph.roles


@pytest.mark.parametrize(
    ("role", "module", "args", "env", "expected"),
    [
        ("prefill", "vllm", (MODE, "prefill"), {}, []),
        ("prefill", "vllm", (f"{MODE}=prefill",), {}, []),
        ("prefill", "vllm", ("--is-prefill-worker",), {}, []),
        ("prefill", "vllm", (), {"DYN_VLLM_DISAGGREGATION_MODE": "prefill"}, []),
        ("prefill", "vllm", (), {"DYN_VLLM_IS_PREFILL_WORKER": "true"}, []),
        ("prefill", "vllm", (), {}, ["fail"]),
        ("prefill", "vllm", (MODE, "decode"), {}, ["fail"]),
        ("prefill", "vllm", (MODE, "$(DYN_MODE)"), {}, ["unjudged"]),
        ("decode", "vllm", (), {}, ["warn"]),
        ("decode", "vllm", ("--is-decode-worker",), {}, []),
        ("decode", "vllm", (MODE, "prefill"), {}, ["fail"]),
        ("decode", "sglang", (MODE, "decode"), {}, []),
        ("decode", "sglang", (), {}, ["warn"]),
        ("decode", "sglang", (MODE, "null"), {}, ["warn"]),
        ("decode", "trtllm", (), {}, ["warn"]),
        ("prefill", "trtllm", (), {"DYN_TRTLLM_DISAGGREGATION_MODE": "prefill"}, []),
        ("worker", "vllm", (MODE, "prefill"), {}, ["skip"]),  # a plain worker is what its flag says
    ],
)
def test_type_and_flag(
    tmp_path: Path, role: str, module: str, args: tuple[str, ...], env: dict[str, str], expected: list[str]
) -> None:
    one = engine(*args, role=role, module=f"dynamo.{module}", env=env)
    assert outcomes(graphs.roles, deploy(tmp_path, graph(one))) == expected


@pytest.mark.parametrize("module", ["dynamo.sglang", "dynamo.trtllm"])
def test_a_decode_worker_that_takes_up_nothing(tmp_path: Path, module: str) -> None:
    prefill = engine(MODE, "prefill", name="p", role="prefill", module=module)
    given = deploy(tmp_path, graph(prefill, engine(name="d", role="decode", module=module)))
    assert outcomes(graphs.roles, given) == ["fail"]


def test_the_contradiction_is_told_where_the_engine_starts(tmp_path: Path) -> None:
    given = deploy(tmp_path, graph(engine(MODE, "decode", role="prefill")))
    assert read_lines(graphs.roles, given) == [f"- {MODE}"]


# graph.both-sides

PREFILL, DECODE = engine(MODE, "prefill", name="p"), engine(MODE, "decode", name="d")
SGLANG_PREFILL = engine(MODE, "prefill", name="p", module="dynamo.sglang")
GLOBAL = engine(MODE, "prefill", name="p", globalDynamoNamespace=True)


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        ([PREFILL, DECODE], []),
        ([PREFILL, engine(name="d")], []),
        ([engine(MODE, "prefill", name="p", role="prefill")], ["fail"]),
        ([DECODE], ["warn"]),
        ([engine(MODE, "decode", name="d", module="dynamo.sglang")], ["fail"]),
        ([engine(name="d", role="decode")], []),
        ([SGLANG_PREFILL, engine(name="d", module="dynamo.sglang")], ["fail"]),
        ([PREFILL, engine(MODE, "$(DYN_MODE)", name="d")], ["unjudged"]),
        ([GLOBAL], ["unjudged"]),
        ([engine()], ["skip"]),
    ],
)
def test_both_sides(tmp_path: Path, components: list[dict[str, Any]], expected: list[str]) -> None:
    assert outcomes(graphs.both_sides, deploy(tmp_path, graph(*components))) == expected


# graph.engine-agrees

SGLANG = "nvcr.io/nvidia/ai-dynamo/sglang-runtime:1.3.0"


@pytest.mark.parametrize(
    ("one", "framework", "expected"),
    [
        (engine(), "vllm", []),
        (engine(), None, []),
        (engine(), "sglang", ["fail"]),
        (engine(image=SGLANG), None, ["fail"]),
        (engine(image=SGLANG), "sglang", ["fail", "fail"]),
        (engine(image="registry.example/mine:1.0.0"), "vllm", []),
        (engine(image="registry.example/vllm-runtime:1.3.0", module="dynamo.sglang"), None, ["fail"]),
    ],
)
def test_engine_agrees(
    tmp_path: Path, one: dict[str, Any], framework: str | None, expected: list[str]
) -> None:
    spec = {"backendFramework": framework} if framework else {}
    assert outcomes(graph_images.engine_agrees, deploy(tmp_path, graph(one, **spec))) == expected


# graph.images-pinned, graph.one-release

OVERRIDE: dict[str, Any] = {"runtimeVersionOverride": "1.3.0"}


def front(image: str) -> dict[str, Any]:
    return {**FRONTEND, **containing({"name": "main", "image": image})}


def beside(image: str) -> dict[str, Any]:
    one = engine()
    one["podTemplate"]["spec"]["containers"].append({"name": "side", "image": image})
    return one


def after(image: str) -> dict[str, Any]:
    return engine(pod={"initContainers": [{"name": "first", "image": image}]})


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        ([engine(image="r/vllm-runtime:1.3.0")], []),
        ([engine(image="r/vllm-runtime:v1.3.0-rc.1")], []),
        ([engine(image="r/vllm-runtime:1.5.0-nemotron-dev.1")], []),
        ([engine(image="r/vllm-runtime")], ["warn"]),
        ([engine(image="r:5000/vllm-runtime")], ["warn"]),
        ([engine(image="r/vllm-runtime:latest")], ["warn"]),
        ([engine(image="r/vllm-runtime:latest", **OVERRIDE)], ["warn"]),
        ([engine(image="r/vllm-runtime:mine")], ["warn"]),
        ([engine(image="r/vllm-runtime:mine", **OVERRIDE)], []),
        ([engine(image="r/vllm-runtime:my-tag")], []),
        ([engine(image="my-registry/vllm-runtime:latest")], []),
        ([engine(image=f"r/vllm-runtime@sha256:{'0' * 64}")], ["warn"]),
        ([engine(image=f"r/vllm-runtime:1.3.0@sha256:{'0' * 64}")], []),
        ([engine(image="r/vllm-runtime:<IMAGE_TAG>")], []),
        ([engine(image="${VLLM_IMAGE}")], []),
        ([engine(image="<your-registry>/vllm-runtime:latest")], []),
        # these need a tag and no version
        ([front("r/mine:jammy"), engine()], []),
        ([front("r/mine"), engine()], ["warn"]),
        ([beside("r/tool:jammy")], []),
        ([beside("r/tool:latest")], ["warn"]),
        ([after("busybox:1.36")], []),
        ([after("busybox")], ["warn"]),
    ],
)
def test_images_pinned(tmp_path: Path, components: list[dict[str, Any]], expected: list[str]) -> None:
    assert outcomes(graph_images.images_pinned, deploy(tmp_path, graph(*components))) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("r/vllm-runtime:1.3.0", "r/dynamo-frontend:1.3.1", []),
        ("r/vllm-runtime:1.3.0", "r/dynamo-frontend:1.1.1", ["warn"]),
        ("r/vllm-runtime:1.3.0", "r/mine:9.9.9", ["unjudged"]),
        ("r/vllm-runtime:1.3.0", "r/vllm-runtime:mine", ["unjudged"]),
    ],
)
def test_one_release(tmp_path: Path, first: str, second: str, expected: list[str]) -> None:
    both = graph(engine(name="w0", image=first), engine(name="w1", image=second))
    assert outcomes(graph_images.one_release, deploy(tmp_path, both)) == expected


# graph.probes, graph.startup-budget


def probe(port: Any, path: str = "/live", env: dict[str, str] | None = None, **main: Any) -> dict[str, Any]:
    asked = {"httpGet": {"path": path, "port": port}}
    return engine(env=env, main={"startupProbe": asked, **main})


def script(line: str) -> dict[str, Any]:
    return {"command": ["bash", "-c"], "args": [f"{line}\nexec python3 -m dynamo.vllm --model m\n"]}


PORT_8081 = script("export DYN_SYSTEM_PORT=8081")


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (probe(9090), []),
        (probe(9090, "/health"), []),
        (probe(8000), ["fail"]),
        (probe("system"), []),
        (probe("9090"), ["fail"]),
        (probe(8081, **PORT_8081), []),
        (probe(9090, **PORT_8081), ["fail"]),
        (probe(8081, env={"DYN_SYSTEM_PORT": "8081"}), []),
        (probe(9090, env={"DYN_SYSTEM_PORT": "8081"}), ["fail"]),
        (probe(7000, ports=[{"name": "side", "containerPort": 7000}]), []),
        (probe(9090, "/healthz"), ["fail"]),
        (probe(9090, "/healthz", env={"DYN_SYSTEM_HEALTH_PATH": "/healthz"}), []),
        (probe(1234, command=["./start.sh"], args=[]), ["unjudged"]),
    ],
)
def test_probes(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert outcomes(probes.probes, deploy(tmp_path, graph(one))) == expected


@pytest.mark.parametrize(
    ("args", "port", "expected"),
    [
        ([], 8000, []),
        ([], 9090, []),
        ([], 8080, ["fail"]),
        (["--http-port", "8080"], 8080, []),
        (["--http-port=8080"], 8000, ["fail"]),
    ],
)
def test_a_frontend_answers_on_two_ports(
    tmp_path: Path, args: list[str], port: int, expected: list[str]
) -> None:
    ready = {"readinessProbe": {"httpGet": {"path": "/health", "port": port}}}
    main = {"name": "main", "command": ["python3", "-m", "dynamo.frontend", *args], **ready}
    given = deploy(tmp_path, graph({**FRONTEND, **containing(main)}, engine()))
    assert outcomes(probes.probes, given) == expected


@pytest.mark.parametrize(
    ("times", "nodes", "speed", "expected"),
    [
        ({"failureThreshold": 60}, 1, None, []),
        ({"failureThreshold": 6}, 1, None, ["warn"]),
        ({"failureThreshold": 6, "initialDelaySeconds": 60}, 1, None, []),
        ({"failureThreshold": 6}, 2, None, []),
        ({}, 1, None, ["warn"]),
        # a site says how many GB its pods read in a second
        ({"failureThreshold": 6}, 1, 1.0, ["warn"]),
        ({"failureThreshold": 6}, 2, 0.25, ["warn"]),
        ({"failureThreshold": 6}, 1, 2.0, []),
    ],
)
def test_time_to_start(
    tmp_path: Path, times: dict[str, int], nodes: int, speed: float | None, expected: list[str]
) -> None:
    """Qwen3-32B is 65 GB, so that 66 s are needed at least at 1 GB/s."""
    one = probe(9090) | {"multinode": {"nodeCount": nodes}}
    one["podTemplate"]["spec"]["containers"][0]["startupProbe"] |= {"periodSeconds": 10, **times}
    settings = Settings(read_gigabytes=speed) if speed else Settings()
    assert outcomes(probes.startup_budget, deploy(tmp_path, graph(one)), settings) == expected


def test_the_time_of_a_model_that_is_not_known_is_not_guessed(tmp_path: Path) -> None:
    held = {"startupProbe": {"httpGet": {"path": "/live", "port": 9090}}}
    given = deploy(tmp_path, graph(engine(main=held, model="org/unheard-of")))
    assert outcomes(probes.startup_budget, given, Settings()) == ["unjudged"]
    assert get_coverage(probes.startup_budget, given, Settings()) == (0, ["w: org/unheard-of"])


ONE = "nvcr.io/nvidia/ai-dynamo/vllm-runtime"


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([f"{ONE}:1.3.0", f"{ONE}:1.3.1"], []),
        ([f"{ONE}:1.3.0", f"{ONE}:1.4.0"], ["warn"]),
        ([f"{ONE}:mine", f"{ONE}:mine"], []),
        ([f"{ONE}:mine", "own/frontend:mine"], []),
        ([f"{ONE}:mine", f"{ONE}:1.3.0"], ["unjudged"]),
        (["own/worker", "own/frontend"], ["unjudged"]),
        (["${IMAGE}", "${IMAGE}"], []),
    ],
)
def test_releases_that_no_tag_tells(tmp_path: Path, images: list[str], expected: list[str]) -> None:
    workers = [engine(name=f"w{number}", image=image) for number, image in enumerate(images)]
    assert outcomes(graph_images.one_release, deploy(tmp_path, graph(*workers))) == expected


# graph.placement

NAME = "graph-deployment-name"


def rule(side: str, word: str, labels: dict[str, str], **term: Any) -> dict[str, Any]:
    selector = {"matchLabels": {f"nvidia.com/dynamo-{key}": value for key, value in labels.items()}}
    made: dict[str, Any] = {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector, **term}
    if word == "preferred":
        made = {"weight": 1, "podAffinityTerm": made}
    return {"affinity": {side: {f"{word}DuringSchedulingIgnoredDuringExecution": [made]}}}


def near(**labels: str) -> dict[str, Any]:
    """A pod beside the pods of graph g that have these labels; `a_b` is the label a-b."""
    return rule("podAffinity", "required", {NAME: "g", **{k.replace("_", "-"): v for k, v in labels.items()}})


def matching(operator: str, *values: str) -> dict[str, Any]:
    key = {"key": f"nvidia.com/dynamo-{NAME}", "operator": operator, "values": list(values)}
    return rule("podAffinity", "required", {}, labelSelector={"matchExpressions": [key]})


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (rule("podAntiAffinity", "required", {NAME: "g"}), []),
        (rule("podAntiAffinity", "required", {NAME: "g-frontend"}), ["warn"]),
        (rule("podAffinity", "preferred", {NAME: "g-frontend"}), ["warn"]),
        (rule("podAffinity", "required", {NAME: "g-frontend"}), ["fail"]),
        (near(component_type="worker"), []),
        (near(component_type="prefill"), ["fail"]),
        (near(component_class="worker"), ["fail"]),
        (rule("podAffinity", "preferred", {"component-type": "wroker"}), ["warn"]),
        (rule("podAffinity", "required", {"component": "Frontend"}), []),
        (rule("podAntiAffinity", "required", {NAME: "another"}), []),
        (rule("podAffinity", "required", {NAME: "g-x"}, namespaces=["other"]), ["skip"]),
        (rule("podAffinity", "required", {"worker-hash": "x"}), ["skip"]),
        (matching("In", "g-w", "g"), []),
        (matching("In", "g-w"), ["fail"]),
        (matching("NotIn", "g"), ["fail"]),
        (matching("Exists"), []),
    ],
)
def test_placement(tmp_path: Path, pod: dict[str, Any], expected: list[str]) -> None:
    assert outcomes(placement.placement, deploy(tmp_path, graph(engine(pod=pod)))) == expected


def test_workers_beside_an_endpoint_picker_have_a_class(tmp_path: Path) -> None:
    given = deploy(tmp_path, graph(PICKER, engine(pod=near(component_class="worker"))))
    assert outcomes(placement.placement, given) == []


def test_a_worker_of_the_old_api_may_have_either_type(tmp_path: Path) -> None:
    close = rule("podAffinity", "preferred", {"component-type": "worker"})
    main = {"image": "i:1.0.0", "command": ["python3", "-m", "dynamo.vllm"]}
    roles = {"componentType": "worker", "subComponentType": "prefill"}
    service = {**roles, "extraPodSpec": {**close, "mainContainer": main}}
    old = graph() | {"apiVersion": "nvidia.com/v1alpha1", "spec": {"services": {"P": service}}}
    assert outcomes(placement.placement, deploy(tmp_path, old)) == []


@pytest.mark.parametrize(("role", "expected"), [("frontend", []), ("planner", ["fail"])])
def test_a_benchmark_beside_its_frontend(tmp_path: Path, role: str, expected: list[str]) -> None:
    given = deploy(tmp_path, graph(engine()), job("aiperf", pod=near(component_type=role)))
    assert outcomes(placement.placement, given) == expected


def test_a_benchmark_alone_is_not_judged_by_graphs_it_does_not_see(tmp_path: Path) -> None:
    alone = dump_objects(job("aiperf", pod=near(component_type="frontend")))
    assert outcomes(placement.placement, recipes(tmp_path, perf=alone)) == ["skip"]
