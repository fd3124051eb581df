"""The models that workers load, and those that downloads, benchmarks and READMEs name."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.model.names import same_everywhere
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import deploy, outcomes, places, read_lines
from tests.checks.manifests import dump_objects, engine, graph, job

SMALL, LARGE, FP8 = "Qwen/Qwen3-0.6B", "Qwen/Qwen3-32B", "Qwen/Qwen3-0.6B-FP8"
W, A = engine(model=SMALL), engine(name="a", model=SMALL)
P, D = (engine(name=role[0], role=role, model=SMALL) for role in ("prefill", "decode"))
TWO = [engine(name="p", model=SMALL), engine(name="q", model="Qwen/Qwen3-8B")]
OFFLINE = engine(model=SMALL, env={"HF_HUB_OFFLINE": "1"})


def fetch(model: str) -> dict[str, Any]:
    return job(f"hf download {model}", name="download")


def serve(served: str, **more: Any) -> dict[str, Any]:
    return engine("--served-model-name", served, model=SMALL, **more)


BENCHMARK = job("aiperf profile -m $MODEL_NAME", env={"MODEL_NAME": SMALL})


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([fetch(SMALL), graph(W), BENCHMARK], []),
        ([fetch(FP8), graph(W)], ["warn"]),
        ([fetch(FP8), graph(OFFLINE)], ["fail"]),
        ([fetch(FP8), graph(*TWO)], ["warn"] * 2),
        ([graph(P, D)], []),
        ([graph(P, serve("small", name="d", role="decode"))], ["fail"]),
        ([graph(A, serve("other", name="b"))], []),  # one graph, two models
        ([graph(serve("small")), BENCHMARK], ["fail"]),
    ],
)
def test_all_mean_the_same_model(tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]) -> None:
    assert outcomes(same_everywhere, deploy(tmp_path, *objects)) == expected


def test_a_job_that_downloads_what_nobody_loads_is_told_once(tmp_path: Path) -> None:
    given = deploy(tmp_path, fetch(FP8), graph(P, D))
    assert outcomes(same_everywhere, given) == ["warn"]
    assert read_lines(same_everywhere, given) == [f"- hf download {FP8}"]


def test_a_download_is_for_its_part_of_the_recipe(tmp_path: Path) -> None:
    adapters = engine("--enable-lora", model=SMALL)
    for path, objects in {
        "model-cache/download.yaml": [fetch(SMALL)],
        "vllm/agg/deploy.yaml": [graph(W)],
        "vllm/large/deploy.yaml": [fetch(LARGE), graph(engine(model=LARGE))],
        "vllm/lora/deploy.yaml": [fetch("org/adapter"), graph(adapters)],
    }.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(dump_objects(*objects))
    given = Recipes(load_recipes([str(tmp_path)]))
    assert outcomes(same_everywhere, given) == []


@pytest.mark.parametrize(("asked", "expected"), [("small", []), ("large", ["fail"]), ("$NAME", [])])
def test_a_benchmark_beside_no_graph_measures_the_one_that_it_names(
    tmp_path: Path, asked: str, expected: list[str]
) -> None:
    load = "aiperf profile -m $MODEL_NAME --url http://one-frontend:8000"
    given = {
        "small/vllm/agg/deploy.yaml": [graph(serve("small"), name="one")],
        "large/vllm/agg/deploy.yaml": [graph(serve("large"), name="two")],
        "perf/perf.yaml": [job(load, env={"MODEL_NAME": asked})],
    }
    for path, objects in given.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(dump_objects(*objects))
    assert outcomes(same_everywhere, Recipes(load_recipes([str(tmp_path)]))) == expected


# READMEs

ASK = """curl localhost:8000/v1/chat/completions -H 'Content-Type: application/json' -d '{
  "model": "%s",
  "messages": [{"role": "user", "content": "hello"}]
}'"""


def page(*commands: str) -> str:
    return "\n".join(("# Qwen", "", "```bash", *commands, "```", ""))


def describe(folder: Path, text: str, at: str = "README.md", **more: str) -> Recipes:
    """A model with a small and a large variant; the large one is served as `big`."""
    small = dump_objects(graph(W))
    large = dump_objects(graph(engine("--served-model-name", "big", "bigger", model=LARGE), name="h"))
    files = {"vllm/small/deploy.yaml": small, "vllm/large/deploy.yaml": large, at: text, **more}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Recipes(load_recipes([str(folder)]))


@pytest.mark.parametrize(
    "command",
    [
        ASK % SMALL,
        ASK % "big",
        ASK % "bigger",
        ASK % LARGE,  # an argument of the engine says it: whether it answers to it is not judged
        ASK % "<model>",
        ASK % "your-model-name",
        ASK % "$MODEL",
        f"MODEL={SMALL}\naiperf profile --model $MODEL --url http://localhost:8000",
        "aiperf profile --model $MODEL --url http://localhost:8000",
        "aiperf profile --model /models/x --tokenizer org/other",
        (ASK % "gpt-4o").replace("localhost:8000", "https://api.openai.com"),
        "hf download org/other",
        "python3 -m house.finetune --model org/other",
        "echo 'curl -d \"model\"'",
        'curl localhost:8000/v1/loras -d \'{"lora_name": "a"}\'\n' + ASK % "a",
    ],
)
def test_a_name_that_is_served_or_cannot_be_told(tmp_path: Path, command: str) -> None:
    assert outcomes(same_everywhere, describe(tmp_path, page(command))) == []


@pytest.mark.parametrize(
    "command",
    [
        ASK % "Qwen/Qwen3-32b",
        'kubectl exec client -- curl http://g-frontend:8000/v1/completions -d \'{"model":"Qwen/Qwen3-32b"}\'',
        'M=Qwen/Qwen3-32b\ncurl localhost:8000/v1/completions -d "{\\"model\\": \\"$M\\"}"',
        "aiperf profile --model Qwen/Qwen3-32b --url http://localhost:8000",
        "genai-perf profile --model=Qwen/Qwen3-32b",
    ],
)
def test_a_name_that_nobody_serves(tmp_path: Path, command: str) -> None:
    line = 4 + command.startswith("M=")
    given = describe(tmp_path, page(command))
    assert places(same_everywhere, given) == [("warn", f"README.md:{line}")]


ADAPTER = "apiVersion: nvidia.com/v1alpha1\nkind: DynamoModel\nmetadata: {name: a}\nspec: {modelName: a}\n"
UNKNOWN = dump_objects(graph(engine(model=None, env={"ARGS": "x"}), name="i"))


@pytest.mark.parametrize(
    ("asked", "at", "more", "expected"),
    [
        (SMALL, "vllm/large/README.md", {}, ["warn"]),  # a page of a variant is about that variant
        ("a", "README.md", {"vllm/small/adapter.yaml": ADAPTER}, []),
        ("x", "README.md", {"vllm/other/deploy.yaml": UNKNOWN}, []),  # a worker whose model is not known
    ],
)
def test_pages(tmp_path: Path, asked: str, at: str, more: dict[str, str], expected: list[str]) -> None:
    assert outcomes(same_everywhere, describe(tmp_path, page(ASK % asked), at, **more)) == expected


VLLM = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: vllm}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec:
      containers: [{name: vllm, image: "vllm/vllm-openai:v0.9.1", args: [--model, Qwen/Qwen3-8B]}]
"""
WEB = VLLM.replace("name: vllm", "name: ui").replace("vllm/vllm-openai:v0.9.1", "example/%s:1.0.0")


@pytest.mark.parametrize(
    ("asked", "others", "expected"),
    [
        ("qwen", "", ["warn"]),
        ("qwen", WEB % "web", ["warn"]),
        ("Qwen/Qwen3-8B", "", []),
        ("qwen", WEB % "litellm", []),  # which has names of its own
        ("qwen", VLLM.replace("vllm/vllm-openai:v0.9.1", "ghcr.io/ggml-org/llama.cpp:server"), []),
    ],
)
@pytest.mark.parametrize("name", ["README.md", "ask.sh"])
def test_what_a_client_asks_a_plain_engine_for(
    tmp_path: Path, name: str, asked: str, others: str, expected: list[str]
) -> None:
    (tmp_path / "vllm.yaml").write_text(VLLM)
    (tmp_path / "others.yaml").write_text(others or "{}")
    (tmp_path / name).write_text(page(ASK % asked) if name == "README.md" else f"#!/bin/sh\n{ASK % asked}\n")
    assert outcomes(same_everywhere, Recipes(load_recipes([str(tmp_path)]))) == expected
