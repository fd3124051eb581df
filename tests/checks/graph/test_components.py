"""Whether the parts of a graph fit each other: each rule on a graph that breaks it, and on its exceptions."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.graph.components import both_sides, frontend, roles
from dynocheck.checks.graph.images import engine_agrees, images_pinned, one_release
from dynocheck.checks.graph.placement import placement
from dynocheck.checks.graph.probes import probes, startup_budget
from dynocheck.core.declarations import Check
from dynocheck.facts import Settings
from tests.checks.judging import deploy, judge, outcomes, read_lines, recipes, run_check
from tests.checks.manifests import FRONTEND, MODEL, dump_objects, engine, graph, job
from tests.checks.test_servers import serve

MODE = "--disaggregation-mode"
VLLM, SGLANG, TRTLLM = (f"dynamo.{name}" for name in ("vllm", "sglang", "trtllm"))
SGLANG_IMAGE = "nvcr.io/nvidia/ai-dynamo/sglang-runtime:1.3.0"
RUNTIME = "nvcr.io/nvidia/ai-dynamo/vllm-runtime"
VLLM_IMAGE = f"{RUNTIME}:1.3.0"
PICKER = {"name": "Epp", "type": "epp"}


def front(image: str, *args: str, **main: Any) -> dict[str, Any]:
    command = {"command": ["python3", "-m", "dynamo.frontend", *args]} if args or main else {}
    container = {"name": "main", **({"image": image} if image else {}), **command, **main}
    return {**FRONTEND, "podTemplate": {"spec": {"containers": [container]}}}


# graph.frontend, graph.roles, graph.both-sides


def split(role: str, module: str, *args: str, **env: str) -> dict[str, Any]:
    """A graph of one worker of this type."""
    return graph(engine(*args, role=role, module=module, env=env))


PREFILL, DECODE = engine(MODE, "prefill", name="p"), engine(MODE, "decode", name="d")
SGLANG_PREFILL = engine(MODE, "prefill", name="p", module=SGLANG)


def pair(module: str) -> dict[str, Any]:
    """A graph of a prefill worker that is told so and a decode worker that is not."""
    prefill = engine(MODE, "prefill", name="p", role="prefill", module=module)
    return graph(prefill, engine(name="d", role="decode", module=module))


def pool(module: str) -> dict[str, Any]:
    return graph(PREFILL, engine(name="r", module=module, model=None), front=False)


def former(tag: str) -> dict[str, Any]:
    """A component of the type that frontends once had, started by its image."""
    main = {"name": "main", "image": f"nvcr.io/nvidia/ai-dynamo/vllm-runtime:{tag}"}
    return {"name": "front", "type": "main", "podTemplate": {"spec": {"containers": [main]}}}


def odd(role: str) -> dict[str, Any]:
    """A component of some type that runs a frontend."""
    return {**front(VLLM_IMAGE, "--http-port", "8000"), "name": "front", "type": role}


def half(tag: str, role: str = "worker") -> dict[str, Any]:
    """A graph of vLLM's workers of one release, of which one prefills and the other has no mode."""
    image = f"{RUNTIME}:{tag}"
    prefill = engine(MODE, "prefill", name="p", role="prefill", image=image)
    return graph(prefill, engine(name="d", role=role, image=image))


SOMEWHERE = engine(MODE, "$(DYN_MODE)", name="d")


@pytest.mark.parametrize(
    ("check", "one", "expected"),
    [
        (frontend, graph(engine()), []),
        (frontend, graph(engine(), former("0.5.0"), front=False), ["unjudged"]),
        (frontend, graph(engine(), former("1.3.0"), front=False), ["fail"]),
        (frontend, graph(PICKER, engine(frontendSidecar="front")), []),  # a picker stands in for it
        (frontend, graph(PICKER, engine()), ["fail"]),
        (frontend, job("hf download MODEL"), ["skip"]),
        (frontend, graph(engine(), odd("main"), front=False), ["warn"]),  # which has no Service of its own
        (frontend, graph(engine(), odd("worker"), front=False), ["warn"]),
        (frontend, graph(engine(), odd("frontend"), front=False), []),
        (roles, split("prefill", VLLM, MODE, "prefill"), []),
        (roles, split("prefill", VLLM, f"{MODE}=prefill"), []),
        (roles, split("prefill", VLLM, "--is-prefill-worker"), []),
        (roles, split("prefill", VLLM, DYN_VLLM_DISAGGREGATION_MODE="prefill"), []),
        (roles, split("prefill", VLLM, DYN_VLLM_IS_PREFILL_WORKER="true"), []),
        (roles, split("prefill", VLLM), ["fail"]),
        (roles, split("prefill", VLLM, MODE, "decode"), ["fail"]),
        (roles, split("prefill", VLLM, MODE, "$(DYN_MODE)"), ["unjudged"]),
        (roles, split("decode", VLLM), ["warn"]),
        (roles, split("decode", VLLM, "--is-decode-worker"), []),
        (roles, split("decode", VLLM, MODE, "prefill"), ["fail"]),
        (roles, split("decode", SGLANG, MODE, "decode"), []),
        (roles, split("decode", SGLANG), ["warn"]),
        (roles, split("decode", SGLANG, MODE, "null"), ["warn"]),
        (roles, split("decode", TRTLLM), ["warn"]),
        (roles, graph(engine(name="d", role="decode"), {"name": "epp", "type": "epp"}), []),
        (roles, split("prefill", TRTLLM, DYN_TRTLLM_DISAGGREGATION_MODE="prefill"), []),
        (roles, split("worker", VLLM, MODE, "prefill"), ["skip"]),  # a plain worker is what its flag says
        # a decode worker that takes up nothing
        (roles, pair(SGLANG), ["fail"]),
        (roles, pair(TRTLLM), ["fail"]),
        # a pool behind another graph
        (frontend, pool("dynamo.router"), []),
        (frontend, pool("dynamo.global_planner"), []),
        (frontend, pool("dynamo.global_router"), []),
        (frontend, graph({**engine(), "globalDynamoNamespace": True}, front=False), ["unjudged"]),
        (frontend, graph({**engine(), "globalDynamoNamespace": False}, front=False), ["fail"]),
        (both_sides, pool("dynamo.router"), ["unjudged"]),
        (both_sides, pool("dynamo.global_planner"), ["unjudged"]),
        (both_sides, graph(PREFILL, DECODE), []),
        (both_sides, half("1.3.0"), ["fail"]),  # nothing registers as the decode worker that it waits for
        (both_sides, half("1.4.0-kimi-k3-dev.1"), ["fail"]),
        (both_sides, half("1.2.1"), []),
        (both_sides, half("mine"), ["warn"]),
        (both_sides, half("0.9.1"), []),
        (both_sides, half("1.3.0", role="decode"), ["fail"]),
        (both_sides, half("1.2.1", role="decode"), []),
        (both_sides, graph(engine(MODE, "prefill", name="p", role="prefill")), ["fail"]),
        (both_sides, graph(DECODE), ["fail"]),
        (both_sides, graph(engine(MODE, "decode", name="d", image=f"{RUNTIME}:1.2.1")), ["warn"]),
        (both_sides, graph(engine(MODE, "decode", name="d", module=SGLANG)), ["fail"]),
        (both_sides, graph(engine(name="d", role="decode")), []),
        (both_sides, graph(SGLANG_PREFILL, engine(name="d", module=SGLANG)), ["fail"]),
        (both_sides, graph(PREFILL, SOMEWHERE), ["unjudged"]),
        (both_sides, graph({**PREFILL, "globalDynamoNamespace": True}), ["unjudged"]),
        (both_sides, graph({**PREFILL, "dynamoNamespace": "shared"}), ["unjudged"]),
        (both_sides, graph({**PREFILL, "dynamoNamespace": "g"}), ["fail"]),  # its own name
        (both_sides, graph(engine()), ["skip"]),
    ],
)
def test_roles(tmp_path: Path, check: Check, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(check, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize(
    ("key", "own", "other", "expected"),
    [
        ("globalDynamoNamespace", True, True, []),
        ("dynamoNamespace", "a", "a", []),
        ("dynamoNamespace", "entry", "entry", []),
        ("dynamoNamespace", "a", "dynamo", []),  # which watches every namespace
        ("dynamoNamespace", "a", "b", ["fail"]),
    ],
)
def test_a_frontend_serves_the_graphs_of_its_namespace(
    tmp_path: Path, key: str, own: object, other: object, expected: list[str]
) -> None:
    workers = graph({**engine(), key: own}, name="workers", front=False)
    entry = graph({**FRONTEND, key: other}, name="entry", front=False)
    assert judge(frontend, deploy(tmp_path, workers, entry)) == expected


def test_no_frontend(tmp_path: Path) -> None:
    (finding,) = run_check(frontend, deploy(tmp_path, graph(engine(), front=False)))
    assert (finding.outcome, finding.evidence) == ("fail", {"components": {"w": "worker"}})


def test_a_component_with_the_frontends_name_is_to_become_one(tmp_path: Path) -> None:
    named = {key: value for key, value in FRONTEND.items() if key != "type"}
    (finding,) = run_check(frontend, deploy(tmp_path, graph(engine(), named, front=False)))
    assert finding.fix == f"set spec.components[{FRONTEND['name']}].type: frontend"


@pytest.mark.parametrize(
    ("release", "args", "fix"),
    [
        ("1.3.0", [], f"add {MODE} prefill"),
        ("1.3.0", [MODE, "agg"], f"set {MODE} prefill"),
        ("0.8.0", [], "add --is-prefill-worker"),
        ("1.1.0", ["--is-decode-worker"], f"replace --is-decode-worker with {MODE} prefill"),
        ("0.8.0", ["--is-decode-worker"], "replace --is-decode-worker with --is-prefill-worker"),
    ],
)
def test_the_mode_is_set_by_the_flag_of_the_release(
    tmp_path: Path, release: str, args: list[str], fix: str
) -> None:
    worker = engine(*args, role="prefill", image=f"{RUNTIME}:{release}")
    (finding,) = run_check(roles, deploy(tmp_path, graph(worker)))
    assert (finding.fix or "").partition("   #")[0] == fix


def test_the_contradiction_is_told_where_the_engine_starts(tmp_path: Path) -> None:
    given = deploy(tmp_path, split("prefill", VLLM, MODE, "decode"))
    assert read_lines(roles, given) == [f"- {MODE}"]


# graph.engine-agrees, graph.images-pinned, graph.one-release


@pytest.mark.parametrize(("image", "line"), [("r.example/mine:1.0.0", f"- {SGLANG}"), (VLLM_IMAGE, "image:")])
def test_a_worker_of_another_engine_than_its_siblings_is_told_there(
    tmp_path: Path, image: str, line: str
) -> None:
    odd = engine(name="d", module=SGLANG, image=image)
    given = deploy(tmp_path, graph(engine(), odd, backendFramework="vllm"))
    (found,) = read_lines(engine_agrees, given)
    assert found.startswith(line)


@pytest.mark.parametrize(
    ("images", "line"),
    [
        ([VLLM_IMAGE, VLLM_IMAGE], None),
        ([VLLM_IMAGE, "r.example/mine:1.0.0"], None),
        ([VLLM_IMAGE, SGLANG_IMAGE], "image:"),
        ([SGLANG_IMAGE, SGLANG_IMAGE], "backendFramework:"),
    ],
)
def test_images_are_compared_with_the_framework_where_no_program_can_be_read(
    tmp_path: Path, images: list[str], line: str | None
) -> None:
    claimed = {"claims": [{"name": "gpu"}]}  # how many GPUs that is can be anything
    main = {"command": ["./start.sh"], "args": [], "resources": claimed}
    workers = [engine(name=f"w{i}", image=image, main=main) for i, image in enumerate(images)]
    given = deploy(tmp_path, graph(*workers, backendFramework="vllm"))
    assert judge(engine_agrees, given) == (["fail"] if line else [])
    assert all(found.startswith(line or "") for found in read_lines(engine_agrees, given))


def run(image: str, *images: str, **more: Any) -> dict[str, Any]:
    """A graph of workers w0, w1 ... of these images, or of a worker w."""
    if not images:
        return graph(engine(image=image, **more))
    return graph(*(engine(name=f"w{i}", image=each) for i, each in enumerate((image, *images))))


def beside(image: str) -> dict[str, Any]:
    """A graph with a sidecar."""
    one = engine()
    one["podTemplate"]["spec"]["containers"].append({"name": "side", "image": image})
    return graph(one)


def after(image: str) -> dict[str, Any]:
    """A graph with a worker that starts after another container."""
    return graph(engine(pod={"initContainers": [{"name": "first", "image": image}]}))


@pytest.mark.parametrize(
    ("check", "one", "expected"),
    [
        (engine_agrees, graph(engine(), backendFramework="vllm"), []),
        (engine_agrees, graph(engine()), []),
        (engine_agrees, graph(engine(), backendFramework="sglang"), ["fail"]),
        (engine_agrees, run(SGLANG_IMAGE), ["fail"]),
        (engine_agrees, graph(engine(image=SGLANG_IMAGE), backendFramework="sglang"), ["fail", "fail"]),
        (engine_agrees, graph(engine(image="r.example/mine:1.0.0"), backendFramework="vllm"), []),
        (engine_agrees, run("registry.example/vllm-runtime:1.3.0", module=SGLANG), ["fail"]),
        (engine_agrees, run("r.example/mine:1.0.0", module="dynamo.vlm"), ["fail"]),
        (engine_agrees, run("r.example/mine:1.0.0", module="dynamo.VLLM"), ["fail"]),
        (engine_agrees, run("r.example/mine:1.0.0", module="dynamo.profiler"), []),
        (engine_agrees, run(SGLANG_IMAGE, module="dynamo.sglang.decode_worker"), ["fail"]),
        (engine_agrees, run(VLLM_IMAGE, module="dynamo.vllm.prefill_worker"), ["fail"]),
        (engine_agrees, run("r.example/mine:1.0.0", module="dynamo.sglang.worker"), ["warn"]),
        (engine_agrees, run(VLLM_IMAGE, module="dynamo.vllm.omni"), []),
        (images_pinned, run("r/vllm-runtime:1.3.0"), []),
        (images_pinned, run("r/vllm-runtime:v1.3.0-rc.1"), []),
        (images_pinned, run("r/vllm-runtime:1.5.0-nemotron-dev.1"), []),
        (images_pinned, run("https://r/vllm-runtime:1.3.0"), ["fail"]),
        (images_pinned, run("nvcr.io/nvidia/AI-dynamo/vllm-runtime:1.3.0"), ["fail"]),
        (images_pinned, run("nvcr.io/nvidia/ai-dynmo/vllm-runtime:1.3.0"), ["fail"]),
        (images_pinned, run("nvcr.io/nvidia/ai-dynamo/vllm-runtime:v1.3.0"), ["fail"]),
        (
            images_pinned,
            run("nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.9"),
            ["warn"],
        ),  # 1.3.0 and 1.3.1 are known
        (images_pinned, run("nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.1"), []),
        (
            images_pinned,
            run("nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.7.9"),
            [],
        ),  # may be newer than the table
        (images_pinned, run("r/vllm-runtime:1.3.9"), []),
        (images_pinned, run("r/vllm-runtime"), ["warn"]),
        (images_pinned, run("r:5000/vllm-runtime"), ["warn"]),
        (images_pinned, run("r/vllm-runtime:latest"), ["warn"]),
        (images_pinned, run("r/vllm-runtime:latest", runtimeVersionOverride="1.3.0"), ["warn"]),
        (images_pinned, run("r/vllm-runtime:mine"), ["warn"]),
        (images_pinned, run("r/vllm-runtime:mine", runtimeVersionOverride="1.3.0"), []),
        (images_pinned, run("r/vllm-runtime:my-tag"), []),
        (images_pinned, run("my-registry/vllm-runtime:latest"), []),
        (images_pinned, run(f"r/vllm-runtime@sha256:{'0' * 64}"), ["warn"]),
        (images_pinned, run(f"r/vllm-runtime:1.3.0@sha256:{'0' * 64}"), []),
        (images_pinned, run("r/vllm-runtime:<IMAGE_TAG>"), []),
        (images_pinned, run("${VLLM_IMAGE}"), []),
        (images_pinned, run("<your-registry>/vllm-runtime:latest"), []),
        # these need a tag and no version
        (images_pinned, graph(front("r/mine:jammy"), engine()), []),
        (images_pinned, graph(front("r/mine"), engine()), ["warn"]),
        (images_pinned, beside("r/tool:jammy"), []),
        (images_pinned, beside("r/tool:latest"), ["warn"]),
        (images_pinned, after("busybox:1.36"), []),
        (images_pinned, after("busybox"), ["warn"]),
        (images_pinned, job("true", main={"image": "python:latest"}), ["warn"]),
        (images_pinned, job("true", main={"image": "python:3.12"}), []),
        (images_pinned, job("true", main={"image": "<registry>/tool:latest"}), []),
        (images_pinned, serve("ghcr.io/Team/server:1.0.0"), ["fail"]),  # of any pod
        (images_pinned, serve("Registry.example/team/server:Tag"), ["skip"]),
        (images_pinned, serve("${REGISTRY}/Team/server:1.0.0"), ["skip"]),
        (one_release, run("r/vllm-runtime:1.3.0", "r/dynamo-frontend:1.3.1"), []),
        (one_release, run("r/vllm-runtime:1.3.0", "r/dynamo-frontend:1.1.1"), ["warn"]),
        (one_release, run("r/vllm-runtime:1.3.0", "r/mine:9.9.9"), ["unjudged"]),
        (one_release, run("r/vllm-runtime:1.3.0", "r/vllm-runtime:mine"), ["unjudged"]),
        (one_release, run("r/vllm-runtime:mine", "r/vllm-runtime:mine"), []),
        (one_release, run("r/vllm-runtime:mine", "own/frontend:mine"), []),
        (one_release, run("own/worker", "own/frontend"), ["unjudged"]),
        (one_release, run("${IMAGE}", "${IMAGE}"), []),
    ],
)
def test_images(tmp_path: Path, check: Check, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(check, deploy(tmp_path, one)) == expected


# graph.probes, graph.startup-budget


def probe(port: Any, path: str = "/live", env: dict[str, str] | None = None, **main: Any) -> dict[str, Any]:
    asked = {"httpGet": {"path": path, "port": port}}
    return engine(env=env, main={"startupProbe": asked, **main})


def listen(port: int, *args: str) -> dict[str, Any]:
    """A frontend with these arguments that is asked at this port."""
    return front("", *args, readinessProbe={"httpGet": {"path": "/health", "port": port}})


SCRIPT = "export DYN_SYSTEM_PORT=8081\nexec python3 -m dynamo.vllm --model m\n"
EXPORTED: dict[str, Any] = {"command": ["bash", "-c"], "args": [SCRIPT]}
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "server"}}
SYSTEM = [{"name": "system", "containerPort": 8081}]
SIDE = {"name": "side", "containerPort": 7000}
EXEC: dict[str, Any] = {name: {"exec": {"command": ["true"]}} for name in ("livenessProbe", "readinessProbe")}
OFF = {"DYN_SYSTEM_PORT": "-1"}
PORT, PATH = {"DYN_SYSTEM_PORT": "8081"}, {"DYN_SYSTEM_HEALTH_PATH": "/healthz"}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (probe(9090), []),
        (probe(9090, "/health"), []),
        (probe(8000), ["fail"]),
        (probe("system"), []),
        (probe("9090"), ["fail"]),
        (probe(8081, **EXPORTED), ["fail"]),  # the operator's other probes
        (probe(8081, **EXPORTED, ports=SYSTEM), []),
        (probe(9090, **EXPORTED), ["fail"]),
        (probe(8081, env=PORT), ["fail"]),
        (probe("system", env=PORT), ["fail"]),
        (probe(8081, env=PORT, ports=SYSTEM), []),
        (probe(9090, env=PORT), ["fail"]),
        (probe(9090, env=OFF), ["fail"]),
        (engine(env=OFF), ["fail"]),
        (engine(env={"DYN_SYSTEM_ENABLED": "false"}), []),  # read by no release since 0.7
        (probe(7000, ports=[SIDE, {"name": "system", "containerPort": 9090}]), []),
        (probe(7000, ports=[SIDE]), ["fail"]),
        (probe("side", ports=[{"name": "system", "containerPort": 9090}]), ["fail"]),
        (engine(main={"ports": [SIDE]}), ["fail"]),
        (engine(main={"ports": []}), []),
        (engine(env={"DYN_SYSTEM_PORT": "$PORT"}), []),
        (engine(main={"ports": [SIDE], **EXEC}), ["fail"]),  # the operator's startupProbe
        (probe(7000, ports=[SIDE], **EXEC), []),
        (engine(main={"ports": [SIDE]}, extraPodSpecMergeStrategy="strategic"), []),
        (probe(9090, "/healthz"), ["fail"]),
        (probe(9090, "/healthz", env=PATH), []),
        (probe(1234, command=["./start.sh"], args=[]), ["unjudged"]),
        # a frontend answers on two ports
        (listen(8000), []),
        (listen(9090), []),
        (listen(8080), ["fail"]),
        (listen(8080, "--http-port", "8080"), ["fail"]),  # the operator's livenessProbe
        (front("", "--http-port", "8080", ports=[{"name": "http", "containerPort": 8080}]), []),
        (front("", ports=[{"name": "web", "containerPort": 8000}]), ["fail"]),
        (listen(8000, "--http-port=8080"), ["fail"]),
    ],
)
def test_probes(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    workers = [engine()] if one["name"] == "Frontend" else []
    assert judge(probes, deploy(tmp_path, graph(one, *workers))) == expected


def probe_at(port: int | str, *ports: dict[str, Any]) -> dict[str, Any]:
    """A Pod whose only container is asked at this port and lists these ports."""
    asked = {"readinessProbe": {"httpGet": {"path": "/health", "port": port}}}
    container = {"name": "engine", "image": "registry.example/server:1", "ports": list(ports), **asked}
    return {**POD, "spec": {"containers": [container]}}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (probe_at("side", SIDE), []),
        (probe_at("http", SIDE), ["fail"]),
        (probe_at("http"), ["fail"]),
        (probe_at(8000), ["skip"]),
    ],
)
def test_probes_of_other_pods(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(probes, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize(
    ("times", "nodes", "model", "speed", "expected"),
    [
        ({"failureThreshold": 60}, 1, MODEL, 1.0, []),
        ({"failureThreshold": 6}, 1, MODEL, 1.0, ["warn"]),
        ({"failureThreshold": 6, "initialDelaySeconds": 60}, 1, MODEL, 1.0, []),
        ({"failureThreshold": 6}, 2, MODEL, 1.0, []),
        ({}, 1, MODEL, 1.0, ["warn"]),
        ({"failureThreshold": 6}, 2, MODEL, 0.25, ["warn"]),
        ({"failureThreshold": 6}, 1, MODEL, 2.0, []),
        ({}, 1, "org/unheard-of", 1.0, ["unjudged"]),
    ],
)
def test_time_to_start(
    tmp_path: Path, times: dict[str, int], nodes: int, model: str, speed: float, expected: list[str]
) -> None:
    """Qwen3-32B is 65 GB, so that 66 s are needed at least where a pod reads 1 GB in a second."""
    held = {"startupProbe": {"httpGet": {"path": "/live", "port": 9090}, "periodSeconds": 10, **times}}
    given = deploy(tmp_path, graph(engine(model=model, main=held, multinode={"nodeCount": nodes})))
    assert judge(startup_budget, given, Settings(read_gigabytes=speed)) == expected


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


def old_worker(**pod: Any) -> dict[str, Any]:
    """A graph of the old API with a worker that prefills."""
    main = {"image": "i:1.0.0", "command": ["python3", "-m", "dynamo.vllm"]}
    types = {"componentType": "worker", "subComponentType": "prefill"}
    services = {"P": {**types, "extraPodSpec": {**pod, "mainContainer": main}}}
    return graph() | {"apiVersion": "nvidia.com/v1alpha1", "spec": {"services": services}}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({NAME: "g", "component": "Frontend"}, []),
        ({NAME: "g", "component-type": "worker"}, []),
        ({NAME: "g", "component": "Frontned"}, ["fail"]),
        ({NAME: "other", "component": "Frontend"}, ["skip"]),
        ({"component": "Frontned"}, ["skip"]),
    ],
)
def test_services(tmp_path: Path, labels: dict[str, str], expected: list[str]) -> None:
    selector = {f"nvidia.com/dynamo-{key}": value for key, value in labels.items()}
    spec = {"selector": selector, "ports": [{"port": 80, "targetPort": 8000}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}
    assert judge(placement, deploy(tmp_path, graph(engine()), service)) == expected


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
    assert judge(placement, deploy(tmp_path, graph(engine(pod=pod)))) == expected


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        ("NVIDIA-H200", []),
        ("NVIDA-H200", ["warn"]),
        ("H200", ["warn"]),
        ("B200-SHARED", ["warn"]),
        ("A100-SXM4-80GB", []),  # the name that drivers before 470 give
        ("NVIDIA-H100-SXM4-80GB", []),
        ("Mine", []),
        ("${GPU}", []),
    ],
)
@pytest.mark.parametrize("selected", [True, False], ids=["selected", "required"])
def test_a_misspelt_gpu_product(tmp_path: Path, product: str, expected: list[str], *, selected: bool) -> None:
    label = "nvidia.com/gpu.product"
    expressions = [{"key": label, "operator": "In", "values": [product]}]
    terms = {"nodeSelectorTerms": [{"matchExpressions": expressions}]}
    required = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    pod = {"nodeSelector": {label: product}} if selected else {"affinity": required}
    found = outcomes(placement, deploy(tmp_path, graph(engine(pod=pod))))
    assert [outcome for outcome in found if outcome != "skip"] == expected


@pytest.mark.parametrize(
    ("hosts", "replicas", "expected"),
    [
        (("gpu-17", "gpu-17"), 1, ["warn", "warn"]),  # 8 GPUs in all
        (("gpu-17", "gpu-17"), 2, ["warn", "warn", "warn"]),
        (("gpu-17", "gpu-18"), 2, ["warn", "warn"]),
        (("<node>", "<node>"), 9, []),
    ],
)
def test_one_node_has_only_so_many_gpus(
    tmp_path: Path, hosts: tuple[str, str], replicas: int, expected: list[str]
) -> None:
    workers = [
        engine(
            name=f"w{i}", gpus=4, replicas=replicas, pod={"nodeSelector": {"kubernetes.io/hostname": host}}
        )
        for i, host in enumerate(hosts)
    ]
    found = sorted(outcomes(placement, deploy(tmp_path, graph(*workers))))
    assert [outcome for outcome in found if outcome != "skip"] == expected


@pytest.mark.parametrize(("host", "expected"), [("gpu-17", ["warn"]), ("<node>", []), ("${NODE}", [])])
@pytest.mark.parametrize("how", ["nodeSelector", "In", "NotIn"])
def test_the_name_of_a_node_is_of_one_cluster(
    tmp_path: Path, host: str, expected: list[str], how: str
) -> None:
    label = "kubernetes.io/hostname"
    terms = {"nodeSelectorTerms": [{"matchExpressions": [{"key": label, "operator": how, "values": [host]}]}]}
    required = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    pod = {how: {label: host}} if how == "nodeSelector" else {"affinity": required}
    assert judge(placement, deploy(tmp_path, graph(engine(pod=pod)))) == expected


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        # workers beside an endpoint picker have a class
        ([graph(PICKER, engine(pod=near(component_class="worker")))], []),
        # a worker of the old API may have either type
        ([old_worker(**rule("podAffinity", "preferred", {"component-type": "worker"}))], []),
        ([graph(engine()), job("aiperf", pod=near(component_type="frontend"))], []),
        ([graph(engine()), job("aiperf", pod=near(component_type="planner"))], ["fail"]),
    ],
)
def test_placement_of_others(tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]) -> None:
    assert judge(placement, deploy(tmp_path, *objects)) == expected


def test_a_benchmark_alone_is_not_judged_by_graphs_it_does_not_see(tmp_path: Path) -> None:
    alone = dump_objects(job("aiperf", pod=near(component_type="frontend")))
    assert judge(placement, recipes(tmp_path, perf=alone)) == ["skip"]


def test_a_job_without_a_name_is_told_by_its_prefix(tmp_path: Path) -> None:
    one = job("true", main={"image": "busybox"}) | {"metadata": {"generateName": "get-"}}
    (finding,) = run_check(images_pinned, deploy(tmp_path, one))
    assert finding.message.startswith("Job get- runs busybox")
