"""Whether variables are set once, and named as what reads them calls them."""

from pathlib import Path

import pytest

from dynocheck.checks.manifest.environment import environment
from tests.checks.judging import deploy, judge, outcomes
from tests.checks.manifests import job


def _judge(tmp_path: Path, *env: dict[str, str], script: str = "true") -> list[str]:
    workload = job(script)
    workload["spec"]["template"]["spec"]["containers"][0]["env"] = list(env)
    return outcomes(environment, deploy(tmp_path, workload))


@pytest.mark.parametrize(
    ("name", "script", "expected"),
    [
        ("HF_HOME", "true", []),
        ("HF_HMOE", "true", ["warn"]),
        ("NCCL_SOCKET_IFNAM", "true", ["warn"]),
        ("HCCL_SOCKET_IFNAME", "true", []),
        ("DYN_SYSTEM_PROT", "true", ["warn"]),
        ("SGLANG_ENABLE_SPEC_V3", "true", []),
        ("HF_HOMES", 'echo "$HF_HOMES"', []),
        ("MODEL_HOME", "true", []),
    ],
)
def test_a_misspelt_variable_is_told(tmp_path: Path, name: str, script: str, expected: list[str]) -> None:
    assert _judge(tmp_path, {"name": name, "value": "/x"}, script=script) == expected


@pytest.mark.parametrize(("second", "expected"), [("/b", ["warn"]), ("/a", []), ("$(HF_HOME)/b", [])])
def test_a_variable_that_hides_an_earlier_one_is_told(
    tmp_path: Path, second: str, expected: list[str]
) -> None:
    entries = [{"name": "HF_HOME", "value": value} for value in ("/a", second)]
    assert _judge(tmp_path, *entries) == expected


def test_variables_of_a_program_of_its_own_are_not_misspelt(tmp_path: Path) -> None:
    assert _judge(tmp_path, {"name": "YLLM_PORT", "value": "80"}) == ["warn"]
    assert _judge(tmp_path, *({"name": f"YLLM_{each}", "value": "80"} for each in ("PORT", "MODEL"))) == []


@pytest.mark.parametrize(
    ("image", "expected"),
    [("registry.example/chat:1", ["unjudged"]), ("registry.example/vllm:1", ["warn"])],
)
def test_a_program_of_an_unknown_image_may_read_a_variable_of_any_name(
    tmp_path: Path, image: str, expected: list[str]
) -> None:
    workload = job("", main={"image": image}, env={"HUGGINGFACE_HUB_TOKEN": "x"})
    container = workload["spec"]["template"]["spec"]["containers"][0]
    del container["command"], container["args"]
    assert judge(environment, deploy(tmp_path, workload)) == expected


@pytest.mark.parametrize(("value", "expected"), [("/cache", []), ("cache", ["warn"]), ("${CACHE}", [])])
def test_a_cache_at_a_relative_path_is_told(tmp_path: Path, value: str, expected: list[str]) -> None:
    assert _judge(tmp_path, {"name": "HF_HOME", "value": value}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("DEBUG", []), ("info", []), ("DEBGU", ["warn"]), ("verbose", ["warn"]), ("$(LEVEL)", []), ("", [])],
)
def test_a_level_that_logging_does_not_know_is_told(tmp_path: Path, value: str, expected: list[str]) -> None:
    level = {"name": "VLLM_LOGGING_LEVEL", "value": value}
    assert _judge(tmp_path, level) == expected
    assert _judge(tmp_path, level, {"name": "VLLM_CONFIGURE_LOGGING", "value": "0"}) == []


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("run --model $MODEL_PATH", []),
        ("run --model $MODLE_PATH", ["warn"]),
        ("run --model ${MODEL_PAT}", ["warn"]),
        ("run --model ${MODEL_PAT:-x}", []),
        ("MODEL_PAT=x\nrun --model ${MODEL_PAT}", []),
        ("for MODEL_PATHS in a b; do run $MODEL_PATHS; done", []),
        ("read -r MODEL_PATHS && run $MODEL_PATHS", []),
        ("run --model $CHECKPOINT", []),  # like none that is set: the image may have it
        ("ROUNDS=3\nseq $ROUND", ["warn"]),
    ],
)
def test_a_misspelt_variable_of_a_script_is_told(tmp_path: Path, script: str, expected: list[str]) -> None:
    assert _judge(tmp_path, {"name": "MODEL_PATH", "value": "/x"}, script=script) == expected


@pytest.mark.parametrize(
    ("name", "file", "expected"),
    [
        ("HF_HMOE", "import os\nhome = os.environ['HF_HMOE']\n", []),
        ("HF_HMOE", "import os\n", ["warn"]),
        ("LLM_API_KEY", "import os\n", []),  # what clients call the key of whichever server they ask
    ],
)
def test_a_variable_that_a_script_in_a_config_map_reads(
    tmp_path: Path, name: str, file: str, expected: list[str]
) -> None:
    script = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"}, "data": {"app.py": file}}
    workload = job("python app.py")
    workload["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": name, "value": "/x"}]
    assert outcomes(environment, deploy(tmp_path, script, workload)) == expected
