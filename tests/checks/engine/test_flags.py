"""Flags and values, on command lines with one mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.engine import flags as engine
from dynocheck.data import flags, images
from dynocheck.facts import Recipes
from tests.checks.judging import (
    FRONTEND,
    GRAPH,
    get_coverage,
    list_messages,
    make_component,
    outcomes,
    recipes,
    run_check,
)


def launched(
    folder: Path, *args: str, module: str = "dynamo.vllm", image: str = "vllm-runtime:1.3.0", script: str = ""
) -> Recipes:
    """The recipe of a worker that is started with these arguments, or by a script."""
    component = make_component(*args, module=module, image=image, script=script)
    return recipes(folder, deploy=GRAPH + FRONTEND + component)


# engine.flags-known


@pytest.mark.parametrize(
    "args",
    [
        ["--model", "m", "--tensor-parallel-size", "2", "-tp=2", "-q", "fp8", "-tp", "2"],
        ["--no-enable-prefix-caching", "--enable-prefix-caching"],
        ["--tensor_parallel_size=2", "--gpu_memory_utilization", "0.9"],
        ["--tensor-para", "2"],
        ["--compilation-config.mode", "3", "-O2", "-cc.mode=3", "--compilation_config", "{}"],
        ["--disaggregation-mode", "prefill", "--no-durable-kv-events"],
        ["--seed", "-1", "--help", "-h"],
        ["--", "--anything"],
    ],
)
def test_vllm_knows_its_flags_in_every_spelling(tmp_path: Path, args: list[str]) -> None:
    assert list_messages(engine.flags_known, launched(tmp_path, *args)) == []


@pytest.mark.parametrize(
    ("args", "message", "fix"),
    [
        (["--tensor-paralel-size", "2"], "has no --tensor-paralel-size", "write --tensor-parallel-size"),
        (["--tp-size", "2"], "has no --tp-size", None),
        (["--no-model"], "has no --no-model", None),
        (["--disaggregation_mode", "prefill"], "has no --disaggregation_mode", "write --disaggregation-mode"),
        (["--disaggregation-mo", "prefill"], "has no --disaggregation-mo", "write --disaggregation-mode"),
        (["--enable-e", "x"], "--enable-e could be --enable-elastic-ep or", None),
        (["--max_num", "x"], "--max_num could be --max-num-batched-tokens or", None),
        (["--kv.a", "x"], "--kv.a could be --kv-cache-dtype or", None),
        (["--typo.mode", "3"], "has no --typo.mode", None),
    ],
)
def test_vllm_ends_over_what_it_does_not_know(
    tmp_path: Path, args: list[str], message: str, fix: str | None
) -> None:
    (finding,) = run_check(engine.flags_known, launched(tmp_path, *args))
    assert str(finding.outcome) == "fail"
    assert message in finding.message
    assert fix is None or finding.fix == fix
    assert finding.location is not None
    assert finding.location.line


def test_flags_are_those_of_the_release(tmp_path: Path) -> None:
    gone = launched(
        tmp_path / "a", "--prefill-round-robin-balance", module="dynamo.sglang", image="sglang-runtime:1.6.1"
    )
    ((_, message),) = list_messages(engine.flags_known, gone)
    assert "SGLang 0.5.21 has no --prefill-round-robin-balance" in message
    assert "SGLang 0.5.9 to SGLang 0.5.18 have it" in message
    there = launched(
        tmp_path / "b", "--prefill-round-robin-balance", module="dynamo.sglang", image="sglang-runtime:1.3.0"
    )
    assert list_messages(engine.flags_known, there) == []


@pytest.mark.parametrize(
    ("module", "image", "args", "known"),
    [
        (
            "dynamo.sglang",
            "sglang-runtime:1.3.0",
            ["--tp", "8", "--dp-size=8", "--enable-dp-attention"],
            True,
        ),
        ("dynamo.sglang", "sglang-runtime:1.3.0", ["--tensor_parallel_size", "8"], False),
        ("dynamo.trtllm", "tensorrtllm-runtime:1.3.0", ["--extra-engine-args", "x"], True),
        ("dynamo.trtllm", "tensorrtllm-runtime:1.3.0", ["--trtllm.kv_cache_config.dtype", "fp8"], True),
        ("dynamo.trtllm", "tensorrtllm-runtime:1.3.0", ["--tp-size", "8"], False),
        ("dynamo.frontend", "vllm-runtime:1.3.0", ["--router-mode", "kv", "--http-port=8000"], True),
        ("dynamo.frontend", "vllm-runtime:1.3.0", ["--router", "kv"], False),
        ("dynamo.frontend", "vllm-runtime:1.3.0", ["--tokenizer-mode=slow"], False),
        (
            "dynamo.frontend",
            "vllm-runtime:1.3.0",
            ["--dyn-chat-processor=vllm", "--tokenizer-mode=slow"],
            True,
        ),
        ("dynamo.mocker", "vllm-runtime:1.3.0", ["--model-path", "m"], True),
        ("dynamo.mocker", "vllm-runtime:1.3.0", ["--modelpath", "m"], False),
    ],
)
def test_every_program_is_judged(
    tmp_path: Path, module: str, image: str, args: list[str], known: bool
) -> None:
    given = launched(tmp_path, *args, module=module, image=image)
    assert [outcome for outcome, _ in list_messages(engine.flags_known, given)] == ([] if known else ["fail"])


NEAR = "vllm-runtime:1.5.0-nemotron-dev.1"
UNKNOWN = ("vllm-runtime:latest", "my-image:1.3.0", "vllm-runtime:9.0.0", "vllm-runtime@sha256:12")


@pytest.mark.parametrize(
    ("image", "outcome"),
    [(NEAR, "fail"), ("vllm-runtime:1.6.1-rc1", "fail"), *((i, "warn") for i in UNKNOWN)],
)
def test_what_no_release_takes_is_told_of_any_image(tmp_path: Path, image: str, outcome: str) -> None:
    typo = launched(tmp_path / "a", "--tensor-paralel-size", "2", image=image)
    assert outcomes(engine.flags_known, typo) == [outcome]
    assert get_coverage(engine.flags_known, typo) == (2, [])  # the frontend is one
    bound = launched(tmp_path / "b", "--gpu-memory-utilization", "90", image=image)
    assert outcomes(engine.values, bound) == [outcome]


def test_the_evidence_names_the_release_that_a_tag_is_near(tmp_path: Path) -> None:
    (finding,) = run_check(engine.flags_known, launched(tmp_path, "--typo", image=NEAR))
    assert finding.evidence["near"] == "1.5.0"


def test_what_every_release_takes_is_judged_in_any_image(tmp_path: Path) -> None:
    for number, image in enumerate((NEAR, *UNKNOWN)):
        known = launched(tmp_path / str(number), "--model", "m", "--tensor-parallel-size", "2", image=image)
        for check in (engine.flags_known, engine.values):
            assert outcomes(check, known) == []
            assert get_coverage(check, known) == (2, [])


def test_what_only_some_releases_take_is_judged_where_those_around_the_tag_agree(tmp_path: Path) -> None:
    for image, count in (("latest", 0), ("1.2.0-dev.1", 1), ("1.4.0-mine", 0), ("1.6.0-mine", 0)):
        given = launched(tmp_path / image, "--is-prefill-worker", image=f"vllm-runtime:{image}")
        assert outcomes(engine.flags_known, given) == []
        judged, unjudged = get_coverage(engine.flags_known, given)
        assert (judged, len(unjudged)) == (count + 1, 1 - count)
        assert all("--is-prefill-worker" in each for each in unjudged)


def test_an_image_that_is_older_than_every_list_is_not_judged(tmp_path: Path) -> None:
    given = launched(tmp_path, "--typo", image="vllm-runtime:0.9.1")
    assert outcomes(engine.flags_known, given) == []
    assert get_coverage(engine.flags_known, given) == (
        1,
        ["w: dynamo.vllm in nvcr.io/nvidia/ai-dynamo/vllm-runtime:0.9.1"],
    )


def test_a_program_without_a_list_of_flags_is_not_judged(tmp_path: Path) -> None:
    given = launched(tmp_path, "--typo", module="dynamo.planner")
    assert get_coverage(engine.flags_known, given) == (1, ["w: dynamo.planner"])


@pytest.mark.parametrize("tag", ["1.3.0-efa", "1.2.0-cuda13", "1.6.1", "1.6.1-efa", "1.3.0.post1"])
def test_every_tag_of_a_release_is_judged(tmp_path: Path, tag: str) -> None:
    assert (
        len(list_messages(engine.flags_known, launched(tmp_path, "--typo", image=f"vllm-runtime:{tag}"))) == 1
    )


def test_what_only_the_container_knows_is_not_judged(tmp_path: Path) -> None:
    script = 'python3 -m dynamo.vllm --model m $EXTRA "$@" --max-model-len $(cat /length)'
    given = launched(tmp_path, script=script)
    assert list_messages(engine.flags_known, given) == []
    assert list_messages(engine.values, given) == []


def test_images_and_packages_name_the_same_engines() -> None:
    names = {"vLLM": "vllm", "SGLang": "sglang", "TensorRT-LLM": "tensorrt-llm"}
    for image in images.engine_images():
        engine_name, _, version = image.engine.partition(" ")
        release = flags.dynamo_release(f"{image.image}:{image.tag}")
        if release is not None and engine_name in names:
            assert flags.engine_versions(release)[names[engine_name]] == version, image


# engine.values


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["--gpu-memory-utilization", "0.9"], None),
        (["--gpu-memory-utilization", "1.5"], "is 1.5; it must be at most 1"),
        (["--gpu-memory-utilization=0"], "is 0; it must be above 0"),
        (["--gpu-memory-utilization", "90%"], "is 90%, not a number"),
        (["--tensor-parallel-size", "two"], "is two, not a whole number"),
        (["--tensor-parallel-size"], "has no value"),
        (["--tensor-parallel-size", "--enforce-eager"], "has no value"),
        (["--tensor-parallel-size", "2", "4"], "takes one value, but is followed by 2 4"),
        (["--kv-cache-dtype", "fp8"], None),
        (["--kv-cache-dtype", "fp7"], "is fp7; it takes auto, float16"),
        (["--runner", "pooling", "--convert", "embed", "--spec-method", "eagle3"], None),
        (["--runner", "generat"], "is generat; it takes auto, generate"),
        (["--dtype", "bfloat16"], None),
        (["--dtype", "bf16"], "is bf16; it takes auto, half"),
        (["--enforce-eager", "true"], "takes no value, but is followed by true"),
        (["--enforce-eager=true"], "takes no value, but has true"),
        (["--max-model-len", "16k"], None),
        (["--max-model-len", "1M"], None),
        (["--max-model-len", "2.5k"], None),
        (["--max-model-len", "auto"], None),
        (["--max-model-len=-1"], None),
        (["--max-model-len", "2.5K"], "is 2.5K, not a whole number"),
        (["--max-model-len", "16ki"], "is 16ki, not a whole number"),
        (["--max-model-len", "many"], "is many, not a whole number"),
        (["--max-model-len=-2"], "is -2; it must be at least -1"),
        (["--max-num-batched-tokens", "8K"], None),
        (["--max-num-batched-tokens", "0k"], "is 0k; it must be at least 1"),
        (["--kv-cache-memory-bytes", "25.6G"], "is 25.6G, not a whole number"),
        (["--served-model-name", "a", "b"], None),
        (["--kv-transfer-config", "{}"], None),
        (["-O3"], None),
        (["--max-logprobs", "-1"], None),
    ],
)
def test_values(tmp_path: Path, args: list[str], problem: str | None) -> None:
    outcomes = list_messages(engine.values, launched(tmp_path, *args))
    if problem is None:
        assert outcomes == []
    else:
        ((outcome, message),) = outcomes
        assert outcome == "fail"
        assert problem in message


def test_values_of_the_frontend(tmp_path: Path) -> None:
    good = launched(tmp_path / "a", "--router-mode", "kv", module="dynamo.frontend")
    assert list_messages(engine.values, good) == []
    bad = launched(tmp_path / "b", "--router-mode", "kv-aware", module="dynamo.frontend")
    ((_, message),) = list_messages(engine.values, bad)
    assert "is kv-aware; it takes" in message
