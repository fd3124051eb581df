"""Whether the parts of a graph fit each other: each rule on a graph that breaks it, and on its exceptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.graph import components as graphs
from dynocheck.checks.graph import images as graph_images
from dynocheck.checks.graph import placement, probes
from dynocheck.facts import Settings
from tests.checks.judging import get_skip_reason, list_messages, recipes, run_check
from tests.checks.manifests import FRONTEND, dump_objects, engine, graph, job

NIXL = ("--kv-transfer-config", '{"kv_connector":"NixlConnector","kv_role":"kv_both"}')
MODE = "--disaggregation-mode"


def outcomes(check: Any, folder: Path, *objects: dict[str, Any]) -> list[str]:
    return [outcome for outcome, _ in list_messages(check, recipes(folder, deploy=dump_objects(*objects)))]


# graph.roles


@pytest.mark.parametrize(
    ("role", "module", "args", "env", "expected"),
    [
        ("prefill", "dynamo.vllm", (MODE, "prefill"), {}, []),
        ("prefill", "dynamo.vllm", (f"{MODE}=prefill",), {}, []),
        ("prefill", "dynamo.vllm", ("--is-prefill-worker",), {}, []),
        ("prefill", "dynamo.vllm", (), {"DYN_VLLM_DISAGGREGATION_MODE": "prefill"}, []),
        ("prefill", "dynamo.vllm", (), {"DYN_VLLM_IS_PREFILL_WORKER": "true"}, []),
        ("prefill", "dynamo.vllm", (), {}, ["fail"]),
        ("prefill", "dynamo.vllm", (MODE, "decode"), {}, ["fail"]),
        ("decode", "dynamo.vllm", (), {}, []),
        ("decode", "dynamo.vllm", ("--is-decode-worker",), {}, []),
        ("decode", "dynamo.vllm", (MODE, "prefill"), {}, ["fail"]),
        ("decode", "dynamo.sglang", (MODE, "decode"), {}, []),
        ("decode", "dynamo.sglang", (), {}, ["fail"]),
        ("decode", "dynamo.sglang", (MODE, "null"), {}, ["fail"]),
        ("decode", "dynamo.trtllm", (), {}, ["fail"]),
        ("prefill", "dynamo.trtllm", (), {"DYN_TRTLLM_DISAGGREGATION_MODE": "prefill"}, []),
    ],
)
def test_type_and_flag(
    tmp_path: Path, role: str, module: str, args: tuple[str, ...], env: dict[str, str], expected: list[str]
) -> None:
    one = engine(*args, role=role, module=module, env=env)
    assert outcomes(graphs.roles, tmp_path, graph(one)) == expected


def test_a_mode_that_comes_from_elsewhere_is_not_guessed(tmp_path: Path) -> None:
    unknown = engine(MODE, "$(DYN_MODE)", role="prefill")
    assert "no component" in get_skip_reason(
        graphs.roles, recipes(tmp_path, deploy=dump_objects(graph(unknown)))
    )


def test_a_plain_worker_is_what_its_flag_says(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=dump_objects(graph(engine(MODE, "prefill"), engine(name="d"))))
    assert "no component" in get_skip_reason(graphs.roles, given)


def test_the_contradiction_is_told_where_the_engine_starts(tmp_path: Path) -> None:
    text = dump_objects(graph(engine(MODE, "decode", role="prefill")))
    (finding,) = run_check(graphs.roles, recipes(tmp_path, deploy=text))
    assert finding.message == "w is of type prefill, but its engine runs in decode mode"
    assert finding.location is not None
    assert MODE in text.splitlines()[(finding.location.line or 0) - 1]


# graph.both-sides


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        ([engine(MODE, "prefill", name="p"), engine(MODE, "decode", name="d")], []),
        ([engine(MODE, "prefill", name="p"), engine(name="d")], []),
        ([engine(MODE, "prefill", name="p", role="prefill")], ["fail"]),
        ([engine(MODE, "decode", name="d")], ["warn"]),
        ([engine(MODE, "decode", name="d", module="dynamo.sglang")], ["fail"]),
        ([engine(name="d", role="decode")], []),
        (
            [
                engine(MODE, "prefill", name="p", module="dynamo.sglang"),
                engine(name="d", module="dynamo.sglang"),
            ],
            ["fail"],
        ),
        ([engine(MODE, "prefill", name="p"), engine(MODE, "$(DYN_MODE)", name="d")], []),
        ([engine(MODE, "prefill", name="p", globalDynamoNamespace=True)], None),
        ([engine()], None),
    ],
)
def test_both_sides(tmp_path: Path, components: list[dict[str, Any]], expected: list[str] | None) -> None:
    given = recipes(tmp_path, deploy=dump_objects(graph(*components)))
    if expected is None:
        assert "no graph separates" in get_skip_reason(graphs.both_sides, given)
    else:
        assert [outcome for outcome, _ in list_messages(graphs.both_sides, given)] == expected


# graph.engine-agrees


SGLANG = "nvcr.io/nvidia/ai-dynamo/sglang-runtime:1.3.0"


@pytest.mark.parametrize(
    ("one", "spec", "expected"),
    [
        (engine(), {"backendFramework": "vllm"}, []),
        (engine(), {}, []),
        (engine(), {"backendFramework": "sglang"}, ["fail"]),
        (engine(image=SGLANG), {}, ["fail"]),
        (engine(image=SGLANG), {"backendFramework": "sglang"}, ["fail", "fail"]),
        (engine(image="registry.example/mine:1.0.0"), {"backendFramework": "vllm"}, []),
        (engine(image="registry.example/vllm-runtime:1.3.0", module="dynamo.sglang"), {}, ["fail"]),
    ],
)
def test_engine_agrees(
    tmp_path: Path, one: dict[str, Any], spec: dict[str, Any], expected: list[str]
) -> None:
    assert outcomes(graph_images.engine_agrees, tmp_path, graph(one, **spec)) == expected


# graph.images-pinned, graph.one-release


@pytest.mark.parametrize(
    ("image", "more", "expected"),
    [
        ("r/vllm-runtime:1.3.0", {}, []),
        ("r/vllm-runtime:v1.3.0-rc.1", {}, []),
        ("r/vllm-runtime:1.5.0-nemotron-dev.1", {}, []),
        ("r/vllm-runtime", {}, ["warn"]),
        ("r:5000/vllm-runtime", {}, ["warn"]),
        ("r/vllm-runtime:latest", {}, ["warn"]),
        ("r/vllm-runtime:latest", {"runtimeVersionOverride": "1.3.0"}, ["warn"]),
        ("r/vllm-runtime:mine", {}, ["warn"]),
        ("r/vllm-runtime:mine", {"runtimeVersionOverride": "1.3.0"}, []),
        ("r/vllm-runtime:my-tag", {}, []),
        ("my-registry/vllm-runtime:latest", {}, []),
        (f"r/vllm-runtime@sha256:{'0' * 64}", {}, ["warn"]),
        (f"r/vllm-runtime:1.3.0@sha256:{'0' * 64}", {}, []),
        ("r/vllm-runtime:<IMAGE_TAG>", {}, []),
        ("${VLLM_IMAGE}", {}, []),
        ("<your-registry>/vllm-runtime:latest", {}, []),
    ],
)
def test_images_pinned(tmp_path: Path, image: str, more: dict[str, Any], expected: list[str]) -> None:
    assert outcomes(graph_images.images_pinned, tmp_path, graph(engine(image=image, **more))) == expected


def test_a_frontend_needs_a_tag_and_no_version(tmp_path: Path) -> None:
    def fronted(image: str) -> dict[str, Any]:
        main = {"name": "main", "image": image}
        return graph({**FRONTEND, "podTemplate": {"spec": {"containers": [main]}}}, engine())

    assert outcomes(graph_images.images_pinned, tmp_path / "a", fronted("r/mine:jammy")) == []
    assert outcomes(graph_images.images_pinned, tmp_path / "b", fronted("r/mine")) == ["warn"]


def test_a_sidecar_needs_no_version_but_a_tag(tmp_path: Path) -> None:
    def beside(image: str) -> dict[str, Any]:
        one = engine()
        one["podTemplate"]["spec"]["containers"].append({"name": "side", "image": image})
        return graph(one)

    assert outcomes(graph_images.images_pinned, tmp_path / "a", beside("r/tool:jammy")) == []
    assert outcomes(graph_images.images_pinned, tmp_path / "b", beside("r/tool:latest")) == ["warn"]


def test_what_runs_before_a_component_needs_a_tag(tmp_path: Path) -> None:
    for number, (image, expected) in enumerate([("busybox:1.36", []), ("busybox", ["warn"])]):
        first = engine(pod={"initContainers": [{"name": "first", "image": image}]})
        assert outcomes(graph_images.images_pinned, tmp_path / str(number), graph(first)) == expected


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (("r/vllm-runtime:1.3.0", "r/dynamo-frontend:1.3.1"), []),
        (("r/vllm-runtime:1.3.0", "r/dynamo-frontend:1.1.1"), ["warn"]),
        (("r/vllm-runtime:1.3.0", "r/mine:9.9.9"), []),
        (("r/vllm-runtime:1.3.0", "r/vllm-runtime:mine"), []),
    ],
)
def test_one_release(tmp_path: Path, images: tuple[str, str], expected: list[str]) -> None:
    both = [engine(name=f"w{i}", image=image) for i, image in enumerate(images)]
    assert outcomes(graph_images.one_release, tmp_path, graph(*both)) == expected


# graph.probes, graph.startup-budget


def probed(port: Any, path: str = "/live", env: dict[str, str] | None = None, **main: Any) -> dict[str, Any]:
    probe = {"httpGet": {"path": path, "port": port}}
    return engine(env=env, main={"startupProbe": probe, **main})


def scripted(line: str) -> dict[str, Any]:
    return {"command": ["bash", "-c"], "args": [f"{line}\nexec python3 -m dynamo.vllm --model m\n"]}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (probed(9090), []),
        (probed(9090, "/health"), []),
        (probed(8000), ["fail"]),
        (probed("system"), []),
        (probed("9090"), ["fail"]),
        (probed(8081, **scripted("export DYN_SYSTEM_PORT=8081")), []),
        (probed(9090, **scripted("export DYN_SYSTEM_PORT=8081")), ["fail"]),
        (probed(8081, env={"DYN_SYSTEM_PORT": "8081"}), []),
        (probed(9090, env={"DYN_SYSTEM_PORT": "8081"}), ["fail"]),
        (probed(7000, ports=[{"name": "side", "containerPort": 7000}]), []),
        (probed(9090, "/healthz"), ["fail"]),
        (probed(9090, "/healthz", env={"DYN_SYSTEM_HEALTH_PATH": "/healthz"}), []),
    ],
)
def test_probes(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert outcomes(probes.probes, tmp_path, graph(one)) == expected


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
    probe = {"httpGet": {"path": "/health", "port": port}}
    main = {"name": "main", "command": ["python3", "-m", "dynamo.frontend", *args], "readinessProbe": probe}
    front = {**FRONTEND, "podTemplate": {"spec": {"containers": [main]}}}
    assert outcomes(probes.probes, tmp_path, graph(front, engine())) == expected


def test_a_container_that_starts_something_else_is_not_judged(tmp_path: Path) -> None:
    other = probed(1234, command=["./start.sh"], args=[])
    assert "no component" in get_skip_reason(
        probes.probes, recipes(tmp_path, deploy=dump_objects(graph(other)))
    )


@pytest.mark.parametrize(
    ("probe", "nodes", "expected"),
    [
        ({"periodSeconds": 10, "failureThreshold": 60}, 1, []),
        ({"periodSeconds": 10, "failureThreshold": 6}, 1, ["warn"]),
        ({"periodSeconds": 10, "failureThreshold": 6, "initialDelaySeconds": 60}, 1, []),
        ({"periodSeconds": 10, "failureThreshold": 6}, 2, []),
        ({}, 1, ["warn"]),
    ],
)
def test_time_to_start(tmp_path: Path, probe: dict[str, int], nodes: int, expected: list[str]) -> None:
    """Qwen3-32B is 65 GB, so that 66 s are needed at least."""
    held = {"startupProbe": {"httpGet": {"path": "/live", "port": 9090}, **probe}}
    more: dict[str, Any] = {"multinode": {"nodeCount": nodes}} if nodes > 1 else {}
    given = recipes(tmp_path, deploy=dump_objects(graph(engine(main=held, **more))))
    assert [outcome for outcome, _ in list_messages(probes.startup_budget, given, Settings())] == expected


@pytest.mark.parametrize(
    ("speed", "nodes", "says"),
    [
        (1.0, 1, "takes 66 s at 1 GB/s"),
        (0.25, 2, "takes 131 s at 0.25 GB/s on each of 2 nodes"),
        (2.0, 1, None),
    ],
)
def test_a_site_says_how_fast_its_pods_read(
    tmp_path: Path, speed: float, nodes: int, says: str | None
) -> None:
    held = {"startupProbe": {"httpGet": {"path": "/live", "port": 9090}, "failureThreshold": 6}}
    given = recipes(tmp_path, deploy=dump_objects(graph(engine(main=held, multinode={"nodeCount": nodes}))))
    messages = [m for _, m in list_messages(probes.startup_budget, given, Settings(read_gigabytes=speed))]
    assert [says is not None and says in message for message in messages] == ([True] if says else [])


def test_the_time_of_a_model_that_is_not_known_is_not_guessed(tmp_path: Path) -> None:
    held = {"startupProbe": {"httpGet": {"path": "/live", "port": 9090}}}
    given = recipes(tmp_path, deploy=dump_objects(graph(engine(main=held, model="org/unheard-of"))))
    assert "weights of known size" in get_skip_reason(probes.startup_budget, given, Settings())


# graph.placement


def ruled(side: str, word: str, labels: dict[str, str], **term: Any) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {
            "matchLabels": {f"nvidia.com/dynamo-{key}": value for key, value in labels.items()}
        },
        **term,
    }
    if word == "preferred":
        rule = {"weight": 1, "podAffinityTerm": rule}
    return {"affinity": {side: {f"{word}DuringSchedulingIgnoredDuringExecution": [rule]}}}


NAME = "graph-deployment-name"


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (ruled("podAntiAffinity", "required", {NAME: "g"}), []),
        (ruled("podAntiAffinity", "required", {NAME: "g-frontend"}), ["warn"]),
        (ruled("podAffinity", "preferred", {NAME: "g-frontend"}), ["warn"]),
        (ruled("podAffinity", "required", {NAME: "g-frontend"}), ["fail"]),
        (ruled("podAffinity", "required", {NAME: "g", "component-type": "worker"}), []),
        (ruled("podAffinity", "required", {NAME: "g", "component-type": "prefill"}), ["fail"]),
        (ruled("podAffinity", "required", {NAME: "g", "component-class": "worker"}), ["fail"]),
        (ruled("podAffinity", "preferred", {"component-type": "wroker"}), ["warn"]),
        (ruled("podAffinity", "required", {"component": "Frontend"}), []),
        (ruled("podAntiAffinity", "required", {NAME: "another"}), []),
        (ruled("podAffinity", "required", {NAME: "g-x"}, namespaces=["other"]), None),
        (ruled("podAffinity", "required", {"worker-hash": "x"}), None),
    ],
)
def test_placement(tmp_path: Path, pod: dict[str, Any], expected: list[str] | None) -> None:
    given = recipes(tmp_path, deploy=dump_objects(graph(engine(pod=pod))))
    if expected is None:
        assert "no pod has an affinity rule" in get_skip_reason(placement.placement, given)
    else:
        assert [outcome for outcome, _ in list_messages(placement.placement, given)] == expected


def test_workers_beside_an_endpoint_picker_have_a_class(tmp_path: Path) -> None:
    near = ruled("podAffinity", "required", {NAME: "g", "component-class": "worker"})
    picker = {"name": "Epp", "type": "epp"}
    assert outcomes(placement.placement, tmp_path, graph(picker, engine(pod=near))) == []


def test_a_worker_of_the_old_api_may_have_either_type(tmp_path: Path) -> None:
    near = ruled("podAffinity", "preferred", {"component-type": "worker"})
    main = {"image": "i:1.0.0", "command": ["python3", "-m", "dynamo.vllm"]}
    service = {
        "componentType": "worker",
        "subComponentType": "prefill",
        "extraPodSpec": {**near, "mainContainer": main},
    }
    old = graph(name="g") | {"apiVersion": "nvidia.com/v1alpha1", "spec": {"services": {"P": service}}}
    assert outcomes(placement.placement, tmp_path, old) == []


def test_expressions_are_read_as_kubernetes_reads_them(tmp_path: Path) -> None:
    key = "nvidia.com/dynamo-graph-deployment-name"

    def rule(operator: str, *values: str) -> dict[str, Any]:
        selector = {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}
        return ruled("podAffinity", "required", {}, labelSelector=selector)

    for operator, values, expected in [
        ("In", ["g-w", "g"], []),
        ("In", ["g-w"], ["fail"]),
        ("NotIn", ["g"], ["fail"]),
        ("Exists", [], []),
    ]:
        one = graph(engine(pod=rule(operator, *values)))
        assert outcomes(placement.placement, tmp_path / operator / str(len(values)), one) == expected


def test_a_benchmark_beside_its_frontend(tmp_path: Path) -> None:
    near = ruled("podAffinity", "required", {NAME: "g", "component-type": "frontend"})
    away = ruled("podAffinity", "required", {NAME: "g", "component-type": "planner"})
    for pod, expected in [(near, []), (away, ["fail"])]:
        folder = tmp_path / str(len(expected))
        assert outcomes(placement.placement, folder, graph(engine()), job("aiperf", pod=pod)) == expected


def test_a_benchmark_alone_is_not_judged_by_graphs_it_does_not_see(tmp_path: Path) -> None:
    near = ruled("podAffinity", "required", {NAME: "g", "component-type": "frontend"})
    given = recipes(tmp_path, perf=dump_objects(job("aiperf", pod=near)))
    assert "no pod has an affinity rule" in get_skip_reason(placement.placement, given)
