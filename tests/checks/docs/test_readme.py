"""What READMEs tell, each with one mistake."""

from pathlib import Path

import pytest
import yaml

from dynocheck.checks.docs import readme
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import get_skip_reason, outcomes, places, recipes, run_check
from tests.checks.manifests import claim, dump_objects, engine, graph, job


def describe(folder: Path, text: str, *, at: str = "README.md") -> Recipes:
    """A model of one variant, of 8 GPUs, with this README."""
    model = folder / "recipes" / "qwen"
    recipes(
        model,
        model_cache__model_cache=dump_objects(claim()),
        model_cache__model_download=dump_objects(job("hf download m", name="model-download")),
        vllm__agg__deploy=dump_objects(graph(engine(gpus=8))),
    )
    (model / at).write_text(text)
    return Recipes(load_recipes([str((model / at).parent)]))


def shell(*lines: str, language: str = "bash") -> str:
    return "\n".join(("# Qwen", "", f"```{language}", *lines, "```", ""))


# docs.commands

SETTING = shell("export MODE=agg", "SKU=h200")


COMMANDS = yaml.safe_load(Path(__file__).with_name("commands.yaml").read_text())


@pytest.mark.parametrize("command", [*COMMANDS["bad"], *COMMANDS["good"]])
def test_commands(tmp_path: Path, command: str) -> None:
    given = describe(tmp_path, shell("kubectl get nodes", *command.split("\n")))
    assert places(readme.commands, given) == [("warn", "README.md:5")] * (command in COMMANDS["bad"])


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        (SETTING + shell("kubectl apply -f vllm/$MODE-${SKU}/deploy.yaml"), "README.md", ["warn"]),
        # a page of a variant is read from there
        (shell("kubectl apply -f deploy.yaml", "kubectl apply -f perf.yaml"), "vllm/agg/README.md", ["warn"]),
        # only shell in READMEs is read
        (shell("kubectl apply -f gone.yaml", language="text"), "README.md", ["skip"]),
        (shell("kubectl apply -f gone.yaml"), "NOTES.md", ["skip"]),
    ],
)
def test_which_commands_are_read(tmp_path: Path, text: str, at: str, expected: list[str]) -> None:
    assert outcomes(readme.commands, describe(tmp_path, text, at=at)) == expected


def test_a_token_in_a_command_is_not_kept(tmp_path: Path) -> None:
    token = "hf_" + "abcdefghijklmnopqrstuvwx"
    assert token not in repr(describe(tmp_path, shell(f"export HF_TOKEN={token}", f"echo {token}")))


# docs.gpus


def table(header: str, *cells: str) -> str:
    return f"| variant | {header} |\n|---|---|\n" + "".join(f"| {cell} |\n" for cell in cells)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        (table("GPUs total", "`vllm/agg` | 16"), "GPUs total"),
        (table("GPUs", "[**vllm/agg**](vllm/agg/) | 4x H100/H200"), "GPUs"),
        (table("# GPUs", "[agg](vllm/agg/) | 16 GPUs"), "# GPUs"),
        (table("GPUs", "[agg](./vllm/agg/deploy.yaml) | 16"), "GPUs"),
        ("| GPUs | Total GPUs | of |\n|---|---|---|\n| 8 | 16 | `vllm/agg` |", "Total GPUs"),
    ],
)
def test_a_number_that_is_not_the_graphs(tmp_path: Path, text: str, column: str) -> None:
    given = describe(tmp_path, text)
    (finding,) = run_check(readme.gpus, given)
    assert f"write 8 in the column {column}," in (finding.fix or "")
    assert places(readme.gpus, given) == [("warn", "README.md:3")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (table("GPUs total", "`vllm/agg` | 8"), []),
        (table("GPUs", "[**vllm/agg**](vllm/agg/) | 8x H200"), []),
        (table("GPUs", "`vllm/agg` | 2x4 H200"), []),
        (table("GPUs", "`vllm/agg` | 8 B200"), []),
        (table("GPUs", "`vllm/agg` | 1x XPU + 1x GPU"), ["skip"]),
        # a row that may mean something else
        (table("GPUs per worker", "`vllm/agg` | 4"), ["skip"]),
        (table("GPUs", "`vllm/disagg` | 4"), ["skip"]),
        (table("GPUs", "aggregated | 4"), ["skip"]),
        (table("GPUs", "`vllm/agg` | 1 to 4"), ["skip"]),
        (table("GPU", "`vllm/agg` | H100"), ["skip"]),
        ("GPUs: 4", ["skip"]),
    ],
)
def test_other_rows(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert outcomes(readme.gpus, describe(tmp_path, text)) == expected


# docs.links


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see [perf](perf/README.md)", ["warn"]),
        ("see\n[here](#set-up)\n\n# Setup", ["warn"]),
        ("![picture](picture.png)", ["warn"]),
        ("[agg](vllm/agg/) [file](vllm/agg/deploy.yaml) [a](<vllm/agg>)", []),
        ("[here](#gpus--memory-h200)\n\n## GPUs & `memory` (H200)", []),
        ("[again](#test-1)\n\n# Test\n\n# Test", []),
        ('[there](#there)\n\n<a name="there"></a>', []),
        ("[self](README.md#top)\n\n# Top", []),
        ("[code](vllm/agg/deploy.yaml#L3)", []),
        # a link out of the recipe is not followed
        ("[docs](../../docs/guide.md)", ["skip"]),
        ("[web](https://example.com)", ["skip"]),
        ("[mail](mailto:a@b.c)", ["skip"]),
        ("[root](/docs)", ["skip"]),
    ],
)
def test_links(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert outcomes(readme.links, describe(tmp_path, text)) == expected


def test_a_page_that_is_no_text_says_nothing(tmp_path: Path) -> None:
    describe(tmp_path, "")
    model = tmp_path / "recipes" / "qwen"
    (model / "README.md").write_bytes(b"\xff\xfe\x00[a](b)")
    assert "no README" in get_skip_reason(readme.links, Recipes(load_recipes([str(model)])))


# pages beside the models of a folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (shell("kubectl apply -f qwen/vllm/agg/deploy.yaml", "kubectl wait job/model-download"), []),
        (shell("kubectl apply -f qwen/vllm/disagg/deploy.yaml"), ["warn"]),
        (shell("kubectl wait --for=condition=Complete job/download"), ["warn"]),
        ("| Model | GPUs |\n|---|---|\n| [Qwen](qwen/vllm/agg/) | 8x H100 |\n", []),
        ("| Model | GPUs |\n|---|---|\n| [Qwen](qwen/vllm/agg/) | 4x H100 |\n", ["warn"]),
        ("[Qwen](qwen3/)\n", ["warn"]),
    ],
)
def test_a_page_beside_the_models(tmp_path: Path, text: str, expected: list[str]) -> None:
    describe(tmp_path, "# Qwen\n")
    (tmp_path / "recipes" / "README.md").write_text(f"# Recipes\n\n{text}")
    given = Recipes(load_recipes([str(tmp_path / "recipes")]))
    checks = (readme.commands, readme.gpus, readme.links)
    assert [found for check in checks for found in outcomes(check, given) if found != "skip"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (shell("kubectl apply -f ../qwen/vllm/agg/deploy.yaml"), []),
        (shell("kubectl apply -f ../qwen/vllm/disagg/deploy.yaml"), ["warn"]),
        ("[Qwen](../qwen/)\n", []),
        ("[Qwen](../qwen3/)\n", ["warn"]),
    ],
)
def test_a_page_in_a_folder_beside_the_models(tmp_path: Path, text: str, expected: list[str]) -> None:
    describe(tmp_path, "# Qwen\n")
    (tmp_path / "recipes" / "container").mkdir()
    (tmp_path / "recipes" / "container" / "README.md").write_text(f"# The image\n\n{text}")
    given = Recipes(load_recipes([str(tmp_path / "recipes")]))
    checks = (readme.commands, readme.links)
    assert [found for check in checks for found in outcomes(check, given) if found != "skip"] == expected
