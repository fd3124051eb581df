"""The number of GPUs that an engine's arguments use, from flags, variables and files."""

import pytest

from dynocheck.engines import detect_engine
from tests.engines.launches import CONFIG, Env, Line, launch, read_engine

EXTERNAL = "data-parallel-external-lb: true\n"


def gpus(module: str, line: Line, file: str | None = None, env: Env | None = None) -> int | None:
    engine, given = read_engine(module, line, file, env)
    split = engine.parallelism(given)
    return None if split is None else split.gpus


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ([], 1),
        (["--tensor-parallel-size", "8"], 8),
        (["--tensor_parallel_size=8"], 8),
        (["--tensor-parallel", "8"], 8),
        (["-tp", "8", "-pp", "2"], 16),
        (["-tp=4", "-dp=2", "-pcp", "2"], 16),
        (["-tp", "4", "-tp", "8"], 8),
        (["-tp", "4", "-dcp", "4", "-ep"], 4),
        (["-tp", "1", "--data-parallel-size", "16", "--data-parallel-hybrid-lb", "-ep"], 16),
        (["-tp", "2", "-dp", "8", "--data-parallel-rank", "3"], 2),
        (["-tp", "2", "-dp", "8", "-dpn", None], 2),
        (["-tp", "2", "-dp", "8", "--data-parallel-external-lb"], 2),
        (["-tp", "2", "-dp", "8", "--no-data-parallel-external-lb"], 16),
        (["-dp", "8", "--data-parallel-size-local", "8"], 8),
        (["-tp", "+8"], 8),
        # Not known: what only the container could tell, what runs in other pods, what the engine refuses.
        (["-tp", None], None),
        (["-tp", "eight"], None),
        (["-tp", "8.0"], None),
        (["-tp", "0"], None),
        (["-tp", "-8"], None),
        (["-tp"], None),
        (["-tp", "8", None], None),
        (["--trust-remote-code", None], None),
        (["--data-parallel", "2"], None),
        (["-dp", "16", "-dpl", "8", "--data-parallel-start-rank", "8"], None),
        (["-tp", "16", "--nnodes", "2"], None),
        (["-tp", "16", "-n", "2", "-r", "1"], None),
        (["-dp", "8", "--data-parallel-multi-port-external-lb"], None),
        (["--config", CONFIG], None),
        (["--engine-config-json", CONFIG], None),
    ],
)
def test_vllm(line: Line, expected: int | None) -> None:
    assert gpus("dynamo.vllm", line) == expected


@pytest.mark.parametrize(
    ("line", "file", "expected"),
    [
        (["--config", CONFIG], "tensor-parallel-size: 4\npipeline_parallel_size: 2\n", 8),
        (["--config", CONFIG, "-tp", "2"], "tensor-parallel-size: 4\npipeline-parallel-size: 2\n", 4),
        (["-tp", "2", f"--config={CONFIG}"], "pipeline-parallel-size: 2\n", 2),
        (["-tp", "2", "--config", CONFIG], "tensor-parallel-size: 4\n", 2),
        (["--config", CONFIG], f"tensor-parallel-size: '4'\n{EXTERNAL}data-parallel-size: 8\n", 4),
        (["--config", CONFIG], "tensor-parallel-size: null\n", None),
        (["--config", CONFIG], "- a\n", None),
        (["--config", CONFIG], "a: [\n", None),
        (["--config", "/elsewhere.yaml"], "tensor-parallel-size: 4\n", None),
        (["--config", None], "tensor-parallel-size: 4\n", None),
        (["--config", "/etc/../etc/engine.yaml"], "tensor-parallel-size: 4\n", 4),
        (["--engine-config-json", CONFIG], '{"tensor_parallel_size": 4, "data_parallel_size": 2}', 8),
        (["--engine-config-json", CONFIG, "-tp", "8"], '{"tensor_parallel_size": 4}', 8),
        (["--engine-config-json", CONFIG], '["x"]', None),
    ],
)
def test_vllm_with_a_file(line: Line, file: str, expected: int | None) -> None:
    assert gpus("dynamo.vllm", line, file) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ([], 1),
        (["--tp", "16", "--ep-size", "16"], 16),
        (["--tp-size=8", "--pp-size=2"], 16),
        (["--tensor-parallel-size", "8"], 8),
        (["--tp", "8", "--dp", "2"], 16),
        (["--tp", "16", "--dp", "16", "--enable-dp-attention"], 16),
        (["--tp", "16", "--dp-size", "8", "--enable-dp-attention", "--ep", "16"], 16),
        (["--tp", "8", "--model", "m"], 8),
        (["--tp", None], None),
        (["--tp", "8", "--dp", None], None),
        (["--tp", "8", "--enable-dp-attention", None], None),
        (["--pp", "2"], None),  # the beginning of two options: SGLang refuses it
        (["--tp", "16", "--nnodes", "2"], None),
        (["--tp", "16", "--nnodes", "1"], 16),
        (["--config", CONFIG], None),
        (["--disagg-config", CONFIG, "--disagg-config-key", "prefill"], None),
        (["--disagg-config", CONFIG], 1),
    ],
)
def test_sglang(line: Line, expected: int | None) -> None:
    assert gpus("dynamo.sglang", line) == expected


SECTIONS = "prefill:\n  tp-size: 4\ndecode:\n  tp-size: 16\n  dp-size: 16\n  enable-dp-attention: true\n"


@pytest.mark.parametrize(
    ("line", "file", "env", "expected"),
    [
        (["--config", CONFIG], "tensor-parallel-size: 4\ndp-size: 2\n", {}, 8),
        (["--config", CONFIG], "tp_size: 4\nenable_dp_attention: true\ndp_size: 4\n", {}, 4),
        (["--config", CONFIG], "tp: 4\nenable-dp-attention: false\ndp: 2\n", {}, 8),
        (["--tp", "8", "--config", CONFIG], "tensor-parallel-size: 4\n", {}, 8),
        (["--tp", "8", f"--config={CONFIG}"], "pipeline-parallel-size: 2\n", {}, 8),
        (["--config", CONFIG], "[1]\n", {}, None),
        (["--disagg-config", CONFIG, "--disagg-config-key", "decode"], SECTIONS, {}, 16),
        (["--disagg-config", CONFIG, "--disagg-config-key", "prefill", "--config", "/none"], SECTIONS, {}, 4),
        (["--disagg-config", CONFIG, "--disagg-config-key", "none"], SECTIONS, {}, None),
        (["--disagg-config", CONFIG, "--disagg-config-key", None], SECTIONS, {}, None),
        ([], SECTIONS, {"DYN_SGL_DISAGG_CONFIG": CONFIG, "DYN_SGL_DISAGG_CONFIG_KEY": "prefill"}, 4),
        ([], SECTIONS, {"DYN_SGL_DISAGG_CONFIG": CONFIG, "DYN_SGL_DISAGG_CONFIG_KEY": None}, None),
    ],
)
def test_sglang_with_a_file(line: Line, file: str, env: Env, expected: int | None) -> None:
    assert gpus("dynamo.sglang", line, file, env) == expected


OVERRIDES = '{"tensor_parallel_size": 8, "x": false, "y": null}'
EXTRA = ["--extra-engine-args", CONFIG]


@pytest.mark.parametrize(
    ("line", "file", "env", "expected"),
    [
        ([], None, {}, 1),
        (["--tensor-parallel-size", "4", "--pipeline-parallel-size", "2"], None, {}, 8),
        (["--tensor-parallel", "4"], None, {}, 4),
        (
            ["--tensor-parallel-size", "4", "--expert-parallel-size", "4", "--enable-attention-dp"],
            None,
            {},
            4,
        ),
        (EXTRA, "tensor_parallel_size: 4\nmoe_expert_parallel_size: 4\nenable_attention_dp: true\n", {}, 4),
        (EXTRA, "tensor_parallel_size: 4\ncontext_parallel_size: 2\npipeline_parallel_size: 2\n", {}, 16),
        ([*EXTRA, "--tensor-parallel-size", "2"], "tensor_parallel_size: 4\n", {}, 4),
        (["--tensor-parallel-size", "2", *EXTRA], "kv_cache_config: {dtype: fp8}\n", {}, 2),
        ([*EXTRA, "--override-engine-args", OVERRIDES], "tensor_parallel_size: 4\n", {}, 8),
        (["--override-engine-args", '{"kv_cache_config": {"dtype": "fp8"}}'], None, {}, 1),
        (["--trtllm.tensor_parallel_size", "8", "--trtllm.kv_cache_config.dtype", "fp8"], None, {}, 8),
        ([], None, {"DYN_TRTLLM_TENSOR_PARALLEL_SIZE": "4"}, 4),
        (["--tensor-parallel-size", "2"], None, {"DYN_TRTLLM_TENSOR_PARALLEL_SIZE": "4"}, 2),
        ([], "tensor_parallel_size: 8\n", {"DYN_TRTLLM_EXTRA_ENGINE_ARGS": CONFIG}, 8),
        ([], None, {"DYN_TRTLLM_OVERRIDE_ENGINE_ARGS": '{"tensor_parallel_size": 8}'}, 8),
        (["--extra-engine-args", ""], None, {"DYN_TRTLLM_EXTRA_ENGINE_ARGS": CONFIG}, 1),
        # Not known.
        (EXTRA, None, {}, None),
        (EXTRA, "a: [\n", {}, None),
        (EXTRA, "- 1\n", {}, None),
        (EXTRA, "tensor_parallel_size: null\n", {}, None),
        (EXTRA, "tensor_parallel_size: true\n", {}, None),
        (EXTRA, "tensor_parallel_size: 4.5\n", {}, None),
        (["--extra-engine-args", None], None, {}, None),
        (["--override-engine-args", "{'tensor_parallel_size': 8}"], None, {}, None),  # Python, no JSON
        (["--override-engine-args", "[8]"], None, {}, None),
        (["--override-engine-args", None], None, {}, None),
        (["--trtllm.tensor_parallel_size", None], None, {}, None),
        ([], None, {"DYN_TRTLLM_TENSOR_PARALLEL_SIZE": None}, None),
        ([], None, {"DYN_TRTLLM_TENSOR_PARALLEL_SIZE": ""}, None),
        ([], None, {"DYN_TRTLLM_EXTRA_ENGINE_ARGS": None}, None),
        ([None], None, {}, None),
    ],
)
def test_trtllm(line: Line, file: str | None, env: Env, expected: int | None) -> None:
    assert gpus("dynamo.trtllm", line, file, env) == expected


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
    engine, given = read_engine("dynamo.trtllm", EXTRA, "model: ignored\n", {"DYN_TRTLLM_MODEL": "org/m"})
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
