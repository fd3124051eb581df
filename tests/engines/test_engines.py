"""The number of GPUs that an engine's arguments use, from flags, variables and files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dynocheck.engines import detect_engine
from tests.engines.launches import CONFIG, Line, launch, read_engine

GPUS = yaml.safe_load(Path(__file__).with_name("gpus.yaml").read_text())
ROWS = [pytest.param(name, row, id=f"{name} {row['line']}") for name, rows in GPUS.items() for row in rows]


@pytest.mark.parametrize(("engine", "row"), ROWS)
def test_gpus(engine: str, row: dict[str, Any]) -> None:
    found, given = read_engine(f"dynamo.{engine}", row["line"], row.get("file"), row.get("env"))
    split = found.parallelism(given)
    assert (None if split is None else split.gpus) == row["gpus"]


@pytest.mark.parametrize(
    ("module", "line", "model", "name"),
    [
        ("dynamo.vllm", ["--model", "org/m"], "org/m", "org/m"),
        ("dynamo.vllm", ["--model", "org/m", "--served-model-name", "a", "b"], "org/m", "a"),
        ("dynamo.vllm", ["--model", None], None, None),
        ("dynamo.vllm", ["--model", None, "--served-model-name=n"], None, "n"),
        ("dynamo.vllm", ["--model", "org/m", "--served-model-name", None], "org/m", None),
        ("dynamo.vllm", [], None, None),
        ("dynamo.sglang", ["--model-path", "org/m"], "org/m", "org/m"),
        ("dynamo.sglang", ["--model", "org/m", "--served-model-name", "n"], "org/m", "n"),
        ("dynamo.trtllm", ["--model-path", "/m/m", "--served-model-name", "org/m"], "/m/m", "org/m"),
        ("dynamo.trtllm", ["--model", "org/m"], "org/m", "org/m"),
    ],
)
def test_the_model_and_its_name(module: str, line: Line, model: str | None, name: str | None) -> None:
    engine, given = read_engine(module, line)
    assert (engine.model(given), engine.served_name(given)) == (model, name)


def test_the_model_may_stand_in_a_file_or_a_variable() -> None:
    engine, given = read_engine(
        "dynamo.vllm", ["--config", CONFIG], "model: org/m\nserved-model-name: [a, b]\n"
    )
    assert (engine.model(given), engine.served_name(given)) == ("org/m", "a")
    engine, given = read_engine(
        "dynamo.trtllm", ["--extra-engine-args", CONFIG], "model: ignored\n", {"DYN_TRTLLM_MODEL": "org/m"}
    )
    assert (engine.model(given), engine.served_name(given)) == ("org/m", "org/m")


def test_an_argument_is_found_in_the_file_that_says_it() -> None:
    _, given = read_engine("dynamo.vllm", ["--config", CONFIG, "-pp", "2"], "tensor-parallel-size: 4\n")
    tensor, pipeline = given.get("tensor-parallel-size"), given.get("pipeline-parallel-size")
    assert tensor is not None
    assert pipeline is not None
    assert (tensor.file, tensor.line, pipeline.file) == ("engine.yaml", 3, "deploy.yaml")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (["-tp", "8"], "TP 8"),
        (["-tp", "8", "-pp", "2", "-dp", "2", "-pcp", "2"], "TP 8 x PP 2 x PCP 2 x DP 2"),
        (["-tp", "8", "-dp", "2", "-dpe"], "TP 8"),
    ],
)
def test_a_split_is_said_in_words(line: list[str], shown: str) -> None:
    engine, given = read_engine("dynamo.vllm", line)
    assert str(engine.parallelism(given)) == shown


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("dynamo.vllm", "vllm"),
        ("dynamo.vllm.main", "vllm"),
        ("dynamo.sglang", "sglang"),
        ("dynamo.trtllm", "trtllm"),
        ("dynamo.frontend", None),
        ("dynamo.vllmish", None),
        ("vllm.entrypoints.openai.api_server", None),
    ],
)
def test_which_engine_a_module_is(module: str, name: str | None) -> None:
    engine = detect_engine(launch(module, []))
    assert (engine.name if engine else None) == name
