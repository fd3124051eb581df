"""Keys of engines' files and JSON, with one mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.engine import config_keys, flags
from dynocheck.facts import Recipes
from tests.checks.judging import (
    FRONTEND,
    GRAPH,
    get_coverage,
    get_skip_reason,
    list_messages,
    make_component,
    outcomes,
    places,
    recipes,
    run_check,
)

SGLANG = ("dynamo.sglang", "sglang-runtime:1.3.0")
VLLM = ("dynamo.vllm", "vllm-runtime:1.3.0")
TRTLLM = ("dynamo.trtllm", "tensorrtllm-runtime:1.3.0")
CONFIG = ("--config", "/etc/engine/worker.yaml")
_MOUNTED = """\
          volumeMounts: [{name: engine, mountPath: /etc/engine}]
        volumes: [{name: engine, configMap: {name: engine}}]
"""


def launched(folder: Path, program: tuple[str, str], *args: str, file: str = "") -> Recipes:
    """The recipe of a worker that is started with these arguments, and a file that it may read."""
    indented = "".join(f"    {line}\n" for line in file.splitlines())
    module, image = program
    component = make_component(*args, module=module, image=image, more=_MOUNTED)
    config = (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: engine\ndata:\n  worker.yaml: |\n{indented}"
    )
    return recipes(folder, deploy=GRAPH + FRONTEND + component, config=config)


@pytest.mark.parametrize(
    ("program", "args", "file"),
    [
        (
            SGLANG,
            CONFIG,
            "tp-size: 2\nmodel-path: m\nenable-dp-attention: true\ntrust_remote_code: false\ntp: 2",
        ),
        (SGLANG, ["--disagg-config", CONFIG[1], "--disagg-config-key", "p"], "p: {tp: 2}\ndecode: {typo: 3}"),
        (
            VLLM,
            CONFIG,
            "tensor_parallel_size: 2\nenforce-eager: false\ntensor-para: 2\nno-enforce-eager: true",
        ),
        (
            VLLM,
            CONFIG,
            "compilation-config: {mode: 3, pass_config: {fuse_norm_quant: true}}\nserved-model-name: []",
        ),
        (VLLM, CONFIG, "compilation-config.mode: 3"),
        (VLLM, ["--kv-transfer-config", '{"kv_connector": "NixlConnector", "kv_role": "kv_both"}'], ""),
        (VLLM, ["--kv-transfer-config", '{"kv_connector_extra_config": {"anything": {"at": "all"}}}'], ""),
        (VLLM, ["--kv-transfer-config.kv_role", "kv_both", "-cc.pass_config.fuse_norm_quant=true"], ""),
        (
            VLLM,
            ["--speculative-config", '{"method": "eagle3", "model": "m", "num_speculative_tokens": 3}'],
            "",
        ),
        (VLLM, ["--kv-transfer-config", "$KV", "--compilation-config", "no JSON"], ""),
    ],
)
def test_keys_that_engines_take(tmp_path: Path, program: tuple[str, str], args: list[str], file: str) -> None:
    given = launched(tmp_path, program, *args, file=file)
    assert list_messages(config_keys.config_keys, given) == []
    assert list_messages(flags.values, given) == []


@pytest.mark.parametrize(
    ("program", "file", "message", "fix"),
    [
        (
            SGLANG,
            "tensor-paralel-size: 2",
            "SGLang 0.5.14 has no tensor-paralel-size",
            "tensor-parallel-size",
        ),
        (SGLANG, "tp_size: 2", "SGLang 0.5.14 has no tp_size", "tp-size"),
        (
            SGLANG,
            "enable-dp-atention: false",
            "SGLang 0.5.14 has no enable-dp-atention",
            "enable-dp-attention",
        ),
        (
            SGLANG,
            "disaggregation-mode: prefill\nendpoint: dyn://a.b.c",
            "SGLang 0.5.14 has no endpoint",
            None,
        ),
        (VLLM, "max-modle-len: 2", "vLLM 0.23.0 has no max-modle-len", "max-model-len"),
        (VLLM, "enable-e: true", "enable-e could be enable-elastic-ep or", None),
        (
            VLLM,
            "seed: 1\ncompilation-config:\n  pass_config:\n    fuse_norm_quantt: true",
            "vLLM 0.23.0 has no key pass_config.fuse_norm_quantt in compilation-config",
            "fuse_norm_quant",
        ),
    ],
)
def test_keys_that_end_an_engine(
    tmp_path: Path, program: tuple[str, str], file: str, message: str, fix: str | None
) -> None:
    (finding,) = run_check(config_keys.config_keys, launched(tmp_path, program, *CONFIG, file=file))
    assert str(finding.outcome) == "fail"
    assert finding.message.startswith(f"w: {message}")
    assert fix is None or finding.fix == f"write {fix}"
    assert finding.location is not None
    assert finding.location.file.endswith("config.yaml")
    assert finding.location.line == 6 + len(file.splitlines())


def test_a_key_that_an_engine_does_not_even_mention(tmp_path: Path) -> None:
    given = launched(tmp_path, VLLM, *CONFIG, file="enforce-eagre: false")
    ((outcome, message),) = list_messages(config_keys.config_keys, given)
    assert outcome == "warn"
    assert message == "w: vLLM 0.23.0 has no enforce-eagre and ignores it silently"


@pytest.mark.parametrize(
    ("args", "message", "fix"),
    [
        (
            ["--kv-transfer-config", '{"kv_conector": "NixlConnector"}'],
            "has no key kv_conector in --kv-transfer-config",
            "write kv_connector",
        ),
        (['--kv_events_config={"publisherr": "zmq"}'], "has no key publisherr in", "write publisher"),
        (["--kv-events-config.publisherr", "zmq"], "has no key publisherr in", "write publisher"),
        (["-cc.pass_config.fuse_norm_quantt=true"], "has no key pass_config.fuse_norm_quantt in -cc", None),
        (["--speculative-config", '{"methd": "ngram"}'], "has no key methd in --speculative-config", None),
    ],
)
def test_keys_in_json(tmp_path: Path, args: list[str], message: str, fix: str | None) -> None:
    (finding,) = run_check(config_keys.config_keys, launched(tmp_path, VLLM, *args))
    assert str(finding.outcome) == "fail"
    assert message in finding.message
    assert fix is None or finding.fix == fix
    assert finding.location is not None
    assert finding.location.file.endswith("deploy.yaml")


@pytest.mark.parametrize(("program", "expected"), [(SGLANG, "warn"), (VLLM, "fail")])
def test_a_file_that_no_engine_reads(tmp_path: Path, program: tuple[str, str], expected: str) -> None:
    given = launched(tmp_path, program, f"--config={CONFIG[1]}", file="typo: 1")
    ((outcome, message),) = list_messages(config_keys.config_keys, given)
    assert outcome == expected
    assert "does not read the file of --config=/etc/engine/worker.yaml" in message


def test_keys_are_those_of_the_release(tmp_path: Path) -> None:
    for release, message in {
        "1.0.0": None,
        "1.1.0": "w: vLLM 0.19.0 has no key level in --compilation-config",
        "1.6.1": "w: vLLM 0.31.0 has no key speculative_token_tree in --speculative-config; "
        "vLLM 0.16.0 to vLLM 0.20.1 have it",
    }.items():
        program = ("dynamo.vllm", f"vllm-runtime:{release}")
        gone = ["--compilation-config", '{"level": 3}'] if release != "1.6.1" else []
        tree = ["--speculative-config", '{"speculative_token_tree": "[(0,)]"}']
        given = launched(tmp_path / release, program, *gone, *tree)
        assert list_messages(config_keys.config_keys, given) == ([("fail", message)] if message else [])


@pytest.mark.parametrize(
    ("program", "file", "problem"),
    [
        (SGLANG, "tp-size: two", "--tp-size is two, not a whole number"),
        (SGLANG, "disaggregation-mode: prefil", "--disaggregation-mode is prefil; it takes"),
        (
            SGLANG,
            "enable-dp-attention: 'true'",
            "--enable-dp-attention takes no value, but is followed by true",
        ),
        (VLLM, "gpu-memory-utilization: 90", "--gpu-memory-utilization is 90; it must be"),
        (VLLM, "enforce-eager: 'yes'", "--enforce-eager takes no value, but is followed by yes"),
        (VLLM, "max-model-len: true", "--max-model-len has no value"),
    ],
)
def test_values_in_a_file(tmp_path: Path, program: tuple[str, str], file: str, problem: str) -> None:
    (finding,) = run_check(flags.values, launched(tmp_path, program, *CONFIG, file=file))
    assert problem in finding.message
    assert finding.location is not None
    assert finding.location.file.endswith("config.yaml")
    assert finding.location.line == 7


def test_what_is_not_judged(tmp_path: Path) -> None:
    trtllm = launched(tmp_path / "a", TRTLLM, "--extra-engine-args", CONFIG[1], file="typo: 1")
    assert get_coverage(config_keys.config_keys, trtllm) == (0, [f"w: engine configuration {CONFIG[1]}"])
    elsewhere = launched(tmp_path / "b", VLLM, "--config", "/else.yaml", file="typo: 1")
    assert get_coverage(config_keys.config_keys, elsewhere) == (
        0,
        ["w: engine configuration /else.yaml"],
    )
    for name, file in (("c", "- a"), ("d", "a: ["), ("e", "")):
        broken = launched(tmp_path / name, VLLM, *CONFIG, file=file)
        assert "no engine has" in get_skip_reason(config_keys.config_keys, broken)


OWN = ("dynamo.vllm", "my-image:mine")


def test_keys_in_an_image_of_unknown_release_are_judged_by_every_release(tmp_path: Path) -> None:
    never = launched(tmp_path / "a", OWN, *CONFIG, file="tensor-paralel-size: 2")
    assert places(config_keys.config_keys, never) == [("warn", "config.yaml:7")]
    nested = launched(tmp_path / "b", OWN, "--kv-transfer-config", '{"kv_conector": "NixlConnector"}')
    assert outcomes(config_keys.config_keys, nested) == ["warn"]
    always = launched(tmp_path / "c", OWN, *CONFIG, file="tensor-parallel-size: 2")
    assert get_coverage(config_keys.config_keys, always) == (1, [])
    near = launched(tmp_path / "d", ("dynamo.vllm", "vllm-runtime:1.4.0-dev.1"), *CONFIG, file="typo: 2")
    assert places(config_keys.config_keys, near) == [("fail", "config.yaml:7")]
