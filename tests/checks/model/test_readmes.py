"""The models that READMEs ask for, beside those that are served."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.model import names
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import list_messages, run_check
from tests.checks.manifests import dump_objects, engine, graph

SMALL, LARGE = "Qwen/Qwen3-0.6B", "Qwen/Qwen3-32B"
ASK = """curl localhost:8000/v1/chat/completions -H 'Content-Type: application/json' -d '{
  "model": "%s",
  "messages": [{"role": "user", "content": "hello"}]
}'"""


def page(*commands: str) -> str:
    return "\n".join(("# Qwen", "", "```bash", *commands, "```", ""))


def judged(folder: Path, text: str, at: str = "README.md", **more: str) -> Recipes:
    """A model with a small and a large variant; the large one is served as `big`."""
    small = dump_objects(graph(engine(model=SMALL)))
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
    assert list_messages(names.same_everywhere, judged(tmp_path, page(command))) == []


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
    (finding,) = run_check(names.same_everywhere, judged(tmp_path, page(command)))
    assert str(finding.outcome) == "warn"
    assert finding.message == f"the README requests Qwen/Qwen3-32b, its graphs serve {SMALL}, big"
    assert finding.location is not None
    assert finding.location.file == str(tmp_path / "README.md")
    assert finding.location.line == 4 + command.startswith("M=")


def test_a_page_of_a_variant_is_about_that_variant(tmp_path: Path) -> None:
    ((_, message),) = list_messages(
        names.same_everywhere, judged(tmp_path, page(ASK % SMALL), "vllm/large/README.md")
    )
    assert message == f"the README requests {SMALL}, its graphs serve big"


def test_what_may_serve_something_else(tmp_path: Path) -> None:
    adapter = (
        "apiVersion: nvidia.com/v1alpha1\nkind: DynamoModel\nmetadata: {name: a}\nspec: {modelName: a}\n"
    )
    given = judged(tmp_path, page(ASK % "a"), **{"vllm/small/adapter.yaml": adapter})
    assert list_messages(names.same_everywhere, given) == []


def test_a_worker_whose_model_is_not_known(tmp_path: Path) -> None:
    other = dump_objects(graph(engine(model=None, env={"ARGS": "x"}), name="i"))
    given = judged(tmp_path, page(ASK % "x"), **{"vllm/other/deploy.yaml": other})
    assert list_messages(names.same_everywhere, given) == []
