"""Command lines that mean something else, and files that contradict them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.engine import conflicting_args, shell_quoting
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check


def started(
    folder: Path, command: str, args: str = "[]", env: str = "", more: str = "", head: str = ""
) -> Recipes:
    """The recipe of a worker with this command and these arguments, as YAML."""
    text = f"""
  - name: w
    type: worker
    podTemplate:
      spec:
        containers:
        - name: main
          command: {command}
          args: {args}
          env: [{env}]
          resources: {{limits: {{nvidia.com/gpu: "1"}}}}
{more}"""
    return recipes(folder, deploy=head + GRAPH + FRONTEND + text)


VLLM = "[python3, -m, dynamo.vllm, --model, m]"
MODEL = "{name: MODEL, value: m}, {name: UNKNOWN, valueFrom: {secretKeyRef: {name: s, key: k}}}"


# engine.shell-quoting


@pytest.mark.parametrize(
    ("command", "args"),
    [
        (VLLM, '[--tensor-parallel-size, "2", --max-model-len=8192]'),
        (VLLM, "[--model, $(MODEL)]"),
        (VLLM, "[--served-model-name, $(UNKNOWN)]"),
        ("[sh, -c]", '["python3 -m dynamo.vllm --model $MODEL"]'),
        ("[/bin/bash, -lc]", '["python3 -m dynamo.vllm --model \\"${MODEL}\\""]'),
        ("[sh, -c, 'exec python3 -m dynamo.vllm \"$@\"', worker]", "[--model, m]"),
        ("[sh, -c, 'python3 -m dynamo.vllm --model $1']", "[worker, m]"),
        ("[bash, /script.sh]", "[--model, m]"),
        (VLLM, """['--kv-transfer-config={"kv_connector":"NixlConnector"}']"""),
        (VLLM, """[--compilation-config, "3"]"""),
        (VLLM, """['--speculative-config={"max_model_len": 16k}']"""),
        (VLLM, """['--chat-template={% if a $b %}']"""),
        (VLLM, "[--served-model-name, 'a b']"),
    ],
)
def test_what_is_meant(tmp_path: Path, command: str, args: str) -> None:
    assert list_messages(shell_quoting.shell_quoting, started(tmp_path, command, args, MODEL)) == []


@pytest.mark.parametrize(
    ("command", "args", "message"),
    [
        (
            "[sh, -c]",
            "[python3 -m dynamo.vllm, --model, m]",
            "--model and later words are not part of the script of sh -c",
        ),
        ("[/bin/bash, -lc, python3 -m dynamo.vllm]", "[--model]", "--model and later words are not part"),
        (VLLM, "[--tensor-parallel-size 2]", "--tensor-parallel-size and its value are one word"),
        (
            "[sh, -c]",
            """['python3 -m dynamo.vllm "--model m"']""",
            "--model and its value are one word",
        ),
        (VLLM, "[--served-model-name, $(NOWHERE)]", "$(NOWHERE) reaches dynamo.vllm unexpanded"),
        (VLLM, "[--served-model-name, $MODEL]", "$MODEL reaches dynamo.vllm unexpanded"),
        (VLLM, "['--served-model-name=${MODEL}']", "$MODEL reaches dynamo.vllm unexpanded"),
        ("[sh, -c]", """["python3 -m dynamo.vllm --model '$MODEL'"]""", "$MODEL reaches dynamo.vllm"),
        (
            "[sh, -c]",
            """['python3 -m dynamo.vllm --kv-transfer-config {"kv_connector":"NixlConnector"}']""",
            "--kv-transfer-config is not valid JSON after the shell: {kv_connector:NixlConnector}",
        ),
        (VLLM, """[--kv-events-config, "{'publisher': 'zmq'}"]""", "--kv-events-config is not valid JSON"),
        (VLLM, "['--limit-mm-per-prompt={image:2}']", "--limit-mm-per-prompt is not valid JSON"),
    ],
)
def test_what_looks_right_and_is_not(tmp_path: Path, command: str, args: str, message: str) -> None:
    (finding,) = run_check(shell_quoting.shell_quoting, started(tmp_path, command, args, MODEL))
    assert str(finding.outcome) == "fail"
    assert message in finding.message
    assert finding.location is not None
    assert finding.location.line


@pytest.mark.parametrize(
    ("word", "outcomes"), [("$OTHER", ["warn"]), ("${OTHER}", ["warn"]), ("a-$OTHER", []), ("a$", [])]
)
def test_a_variable_that_the_container_has_not(tmp_path: Path, word: str, outcomes: list[str]) -> None:
    given = started(tmp_path, VLLM, f"[--served-model-name, '{word}']", MODEL)
    assert [outcome for outcome, _ in list_messages(shell_quoting.shell_quoting, given)] == outcomes
    (tmp_path / "README.md").write_text("```sh\nenvsubst < deploy.yaml | kubectl apply -f -\n```\n")
    assert list_messages(shell_quoting.shell_quoting, Recipes(load_recipes([str(tmp_path)]))) == []


def test_jobs_have_shells_too(tmp_path: Path) -> None:
    job = """
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: c, image: i, command: [sh, -c, aiperf profile], args: [--url, x]}]
"""
    spec = job.partition("spec:\n")[2]
    nightly = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c}\nspec:\n  jobTemplate:\n    spec:\n"
    nightly += "".join(f"    {line}\n" for line in spec.splitlines())
    alone = recipes(tmp_path / "nightly", job=nightly, deploy=GRAPH + FRONTEND)
    assert [outcome for outcome, _ in list_messages(shell_quoting.shell_quoting, alone)] == ["fail"]
    given = recipes(tmp_path / "once", job=job, deploy=GRAPH + FRONTEND)
    assert [outcome for outcome, _ in list_messages(shell_quoting.shell_quoting, given)] == ["fail"]


# engine.cli-vs-yaml

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data:
  engine.yaml: |
    LINES
---"""
MOUNT = """          volumeMounts: [{name: config, mountPath: /config}]
        volumes: [{name: config, configMap: {name: config}}]
"""


@pytest.mark.parametrize(
    ("module", "flag", "lines", "args", "told"),
    [
        ("trtllm", "--extra-engine-args", "max_batch_size: 8", '--max-batch-size, "8"', None),
        (
            "trtllm",
            "--extra-engine-args",
            "max_batch_size: 8",
            '--max-batch-size, "16"',
            "is 16 here and 8 at",
        ),
        (
            "trtllm",
            "--extra-engine-args",
            "tensor_parallel_size: 4",
            "--tensor-parallel-size=2",
            "is 2 here and 4",
        ),
        (
            "trtllm",
            "--extra-engine-args",
            "kv_cache_config: {free_gpu_memory_fraction: 0.7}",
            '--free-gpu-memory-fraction, "0.90"',
            "free-gpu-memory-fraction is 0.90 here and 0.7 at",
        ),
        (
            "trtllm",
            "--extra-engine-args",
            "kv_cache_config: {free_gpu_memory_fraction: 0.9}",
            '--free-gpu-memory-fraction, "0.90"',
            None,
        ),
        ("sglang", "--config", "tensor-parallel-size: 4", '--tp, "8"', "is 4 here and 8 at"),
        ("sglang", "--config", "tensor-parallel-size: 4", '--tp, "4"', None),
        ("vllm", "--config", "max-model-len: 4096", "--max-model-len=8192", "is 4096 here and 8192 at"),
        ("vllm", "--config", "max-model-len: 4096", "--max-model-len=$(UNKNOWN)", None),
        ("vllm", "--config", "enforce-eager: true", "--enforce-eager", None),
    ],
)
def test_one_place_is_enough(
    tmp_path: Path, module: str, flag: str, lines: str, args: str, told: str | None
) -> None:
    command = f"[python3, -m, dynamo.{module}]"
    given = started(
        tmp_path,
        command,
        f"[{flag}, /config/engine.yaml, {args}]",
        "{name: UNKNOWN, valueFrom: {secretKeyRef: {name: s, key: k}}}",
        more=MOUNT,
        head=CONFIG.replace("LINES", lines),
    )
    outcomes = list_messages(conflicting_args.cli_vs_yaml, given)
    if told is None:
        assert outcomes == []
    else:
        ((outcome, message),) = outcomes
        assert outcome == "warn"
        assert told in message


def test_there_may_be_no_engine(tmp_path: Path) -> None:
    assert (
        get_skip_reason(conflicting_args.cli_vs_yaml, recipes(tmp_path, deploy=GRAPH + FRONTEND))
        == "no engine"
    )
