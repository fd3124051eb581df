"""Command lines that mean something else, and files that contradict them."""

from pathlib import Path

import pytest

from dynocheck.checks.engine import conflicting_args
from dynocheck.checks.engine.shell_quoting import shell_quoting
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import deploy, judge, outcomes, read_lines
from tests.checks.manifests import FRONTEND, config_map, engine, graph, job, mount_config

VLLM = ["python3", "-m", "dynamo.vllm", "--model", "m"]
SECRET = {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
ENV = [{"name": "MODEL", "value": "m"}, {"name": "UNKNOWN", **SECRET}]
SH = ["sh", "-c"]
CACHE = "kv_cache_config: {free_gpu_memory_fraction"


def start(folder: Path, command: list[str], *args: str) -> Recipes:
    """The recipe of a worker with this command and these arguments."""
    main = {"command": command, "args": list(args), "env": ENV}
    return deploy(folder, graph(engine(image="", main=main)))


# engine.shell-quoting


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        (VLLM, ["--tensor-parallel-size", "2", "--max-model-len=8192"], []),
        (VLLM, ["--model", "$(MODEL)"], []),
        (VLLM, ["--served-model-name", "$(UNKNOWN)"], []),
        (SH, ["python3 -m dynamo.vllm --model $MODEL"], []),
        (["/bin/bash", "-lc"], ['python3 -m dynamo.vllm --model "${MODEL}"'], []),
        ([*SH, 'exec python3 -m dynamo.vllm "$@"', "worker"], ["--model", "m"], []),
        ([*SH, "python3 -m dynamo.vllm --model $1"], ["worker", "m"], []),
        (["bash", "/script.sh"], ["--model", "m"], []),
        (["/bin/bash", "-lc", "--"], ["python3 -m dynamo.vllm --model $MODEL"], []),
        ([*SH, "-e"], ["python3 -m dynamo.vllm --model $MODEL"], []),
        (VLLM, ['--kv-transfer-config={"kv_connector":"NixlConnector"}'], []),
        (VLLM, ["--compilation-config", "3"], []),
        (VLLM, ['--speculative-config={"max_model_len": 16k}'], []),
        (VLLM, ["--chat-template={% if a $b %}"], []),
        (VLLM, ["--served-model-name", "a b"], []),
        (VLLM, ["--served-model-name", "a-$OTHER"], []),
        (VLLM, ["--served-model-name", "a$"], []),
        # what looks right and is not
        (SH, ["python3 -m dynamo.vllm", "--model", "m"], ["fail"]),
        (["/bin/bash", "-lc", "python3 -m dynamo.vllm"], ["--model"], ["fail"]),
        ([*SH, "--"], ["python3 -m dynamo.vllm", "--model", "m"], ["fail"]),
        (VLLM, ["--tensor-parallel-size 2"], ["fail"]),
        (SH, ['python3 -m dynamo.vllm "--model m"'], ["fail"]),
        (VLLM, ["--served-model-name", "$(NOWHERE)"], ["fail"]),
        (VLLM, ["--served-model-name", "$MODEL"], ["fail"]),
        (VLLM, ["--served-model-name=${MODEL}"], ["fail"]),
        (SH, ["python3 -m dynamo.vllm --model '$MODEL'"], ["fail"]),
        (SH, ['python3 -m dynamo.vllm --kv-transfer-config {"kv_connector":"NixlConnector"}'], ["fail"]),
        (SH, ['python3 -m dynamo.vllm --kv-transfer-config {"kv_connector":"A","kv_role":"b"}'], ["fail"]),
        (VLLM, ["--kv-events-config={'publisher': 'zmq'}"], ["fail"]),
        (VLLM, ["--limit-mm-per-prompt={image:2}"], ["fail"]),
    ],
)
def test_what_is_meant(tmp_path: Path, command: list[str], args: list[str], expected: list[str]) -> None:
    given = start(tmp_path, command, *args)
    assert judge(shell_quoting, given) == expected
    assert all(args[-1][:6] in line for line in read_lines(shell_quoting, given))


@pytest.mark.parametrize("word", ["$OTHER", "${OTHER}"])
def test_a_variable_that_the_container_has_not(tmp_path: Path, word: str) -> None:
    given = start(tmp_path, VLLM, "--served-model-name", word)
    assert judge(shell_quoting, given) == ["warn"]
    (tmp_path / "README.md").write_text("```sh\nenvsubst < deploy.yaml | kubectl apply -f -\n```\n")
    assert judge(shell_quoting, Recipes(load_recipes([str(tmp_path)]))) == []


def test_json_in_a_configuration_file(tmp_path: Path) -> None:
    worker = engine("--config", "/config/e.yaml", **mount_config("c"))
    broken = config_map("c", e="""kv-transfer-config: '{"kv_connector": "NixlConnector",'""")
    assert read_lines(shell_quoting, deploy(tmp_path, broken, graph(worker))) == [
        """kv-transfer-config: '{"kv_connector": "NixlConnector",'"""
    ]


def test_jobs_have_shells_too(tmp_path: Path) -> None:
    once = job("aiperf profile", main={"command": SH, "args": ["aiperf profile", "--url", "x"]})
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"}}
    nightly = {**cron, "spec": {"jobTemplate": {"spec": once["spec"]}}}
    for folder, each in (("once", once), ("nightly", nightly)):
        given = deploy(tmp_path / folder, each, graph(FRONTEND))
        assert judge(shell_quoting, given) == ["fail"]
        assert read_lines(shell_quoting, given) == ["- --url"]


# engine.cli-vs-yaml


@pytest.mark.parametrize(
    ("module", "file", "args", "expected"),
    [
        ("trtllm", "max_batch_size: 8", ["--max-batch-size", "8"], []),
        ("trtllm", "max_batch_size: 8", ["--max-batch-size", "16"], ["warn"]),
        ("trtllm", "tensor_parallel_size: 4", ["--tensor-parallel-size=2"], ["warn"]),
        ("trtllm", f"{CACHE}: 0.7}}", ["--free-gpu-memory-fraction", "0.90"], ["warn"]),
        ("trtllm", f"{CACHE}: 0.9}}", ["--free-gpu-memory-fraction", "0.90"], []),
        ("sglang", "tensor-parallel-size: 4", ["--tp", "8"], ["warn"]),
        ("sglang", "tensor-parallel-size: 4", ["--tp", "4"], []),
        ("vllm", "max-model-len: 4096", ["--max-model-len=8192"], ["warn"]),
        ("vllm", "max-model-len: 4096", ["--max-model-len=$(UNKNOWN)"], ["unjudged"]),
        ("vllm", "enforce-eager: true", ["--enforce-eager"], []),
    ],
)
def test_one_place(tmp_path: Path, module: str, file: str, args: list[str], expected: list[str]) -> None:
    flag = "--extra-engine-args" if module == "trtllm" else "--config"
    mounted = mount_config("config")
    mounted["main"] |= {"args": [flag, "/config/engine.yaml", *args], "env": ENV}
    worker = engine(module=f"dynamo.{module}", **mounted)
    given = deploy(tmp_path, config_map("config", engine=file), graph(worker))
    assert judge(conflicting_args.cli_vs_yaml, given) == expected


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("--block-size 64 --block-size 128", ["warn"]),
        ("--tensor-parallel-size 2 -tp 4", ["warn"]),
        ("--block-size 64 --block-size 64", []),
        ("--block-size 64 --max-num-seqs 128", []),
        ("--block-size $(A) --block-size 128", []),
        ("--block-size --block-size 128", []),  # engine.values tells of it
    ],
)
def test_a_number_that_is_given_twice(tmp_path: Path, args: str, expected: list[str]) -> None:
    given = deploy(tmp_path, graph(engine(*args.split())))
    assert outcomes(conflicting_args.cli_vs_yaml, given) == expected


def test_there_may_be_no_engine(tmp_path: Path) -> None:
    assert judge(conflicting_args.cli_vs_yaml, deploy(tmp_path, graph(FRONTEND))) == ["skip"]


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_json_that_loses_its_quotes_and_its_braces(tmp_path: Path, shell: str) -> None:
    script = 'python3 -m dynamo.vllm --model m --kv-transfer-config {"kv_connector":"A","kv_role":"kv_both"}'
    given = start(tmp_path, [shell, "-c", script])
    assert outcomes(shell_quoting, given) == ["fail"]
