"""The ways to start an engine, each read as the same program with the same flags."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.facts import Container
from tests.checks.judging import deploy
from tests.checks.manifests import config_map, engine, graph, mount_config

FLAGS = ["--model", "a/b", "--tensor-parallel-size", "2"]
WORDS = ["python3", "-m", "dynamo.vllm", *FLAGS]
LINE = " ".join(WORDS)
BASH = ["bash", "-c"]


def read_main(folder: Path, main: dict[str, Any], *others: dict[str, Any], **pod: Any) -> Container:
    worker = engine(main={"args": [], **main}, pod=pod)
    (recipe,) = deploy(folder, graph(worker, front=False), *others)
    container = recipe.graphs[0].components[0].main
    assert container is not None
    return container


def read_mounting(folder: Path, command: list[str], file: str, text: str) -> Container:
    """The same of a worker that mounts this file from a ConfigMap."""
    where, _, name = file.rpartition("/")
    mounted = mount_config("c", where)
    held = config_map("c") | {"data": {name: text}}
    return read_main(folder, {"command": command, **mounted["main"]}, held, **mounted["pod"])


def list_starts(container: Container) -> list[tuple[str, list[str | None]]]:
    return [(launch.module, [word.text for word in launch.words]) for launch in container.launches]


@pytest.mark.parametrize(
    "command",
    [
        WORDS,
        ["python", "-u", "-m", "dynamo.vllm", *FLAGS],
        ["python3", "-um", "dynamo.vllm", *FLAGS],
        ["python3", "-mdynamo.vllm", *FLAGS],
        ["tini", "--", *WORDS],
        ["env", "A=1", *WORDS],
        ["numactl", "--cpunodebind=0", *WORDS],
        ["torchrun", "--nproc-per-node", "2", "-m", "dynamo.vllm", *FLAGS],
        ["sh", "-lc", LINE],
        ["tini", "-g", "--", "bash", "-c", LINE],
        [*BASH, f"set -euo pipefail; exec {LINE}"],
        [*BASH, f"A=1 nohup {LINE} > /tmp/log 2>&1 &\nwait $!"],
        [*BASH, f"timeout 3600 {LINE} | tee /tmp/log"],
        [*BASH, f"mpirun -n 4 --allow-run-as-root trtllm-llmapi-launch {LINE}"],
        [*BASH, f"uv run {LINE}"],
        [*BASH, f"start() {{\n  {LINE}\n}}\nstart"],
        [*BASH, f'run() {{ echo "$@"; "$@"; }}\nrun {LINE}'],
        [*BASH, f"while true; do {LINE}; sleep 5; done"],
        [*BASH, f"case $ROLE in\n  a) echo a ;;&\n  *) {LINE} ;;\nesac"],
        [*BASH, f"cat > /tmp/x.sh <<'EOF'\n{LINE}\nEOF\nchmod +x /tmp/x.sh\n/tmp/x.sh"],
        [*BASH, f"M=a/b\nbash <<EOF\n{LINE.replace('a/b', '$M')}\nEOF"],
        [*BASH, f'set -- {" ".join(FLAGS)}\nexec python3 -m dynamo.vllm "$@"'],
        [*BASH, 'exec python3 -m dynamo.vllm "$@"', "--", *FLAGS],
        [*BASH, 'exec "$0" "$@"', *WORDS],
        [*BASH, f'END=$(( $(date "+%s") + 30 ))\n{LINE}'],
        [*BASH, f"N=$[1 + 2]\n{LINE}"],
        [*BASH, f"OUT=$({LINE})"],
    ],
)
def test_ways_to_start_an_engine(tmp_path: Path, command: list[str]) -> None:
    assert list_starts(read_main(tmp_path, {"command": command})) == [("dynamo.vllm", FLAGS)]


def test_an_engine_started_by_args_alone(tmp_path: Path) -> None:
    found = read_main(tmp_path, {"command": None, "args": [LINE]})  # the operator puts sh -c before them
    assert list_starts(found) == [("dynamo.vllm", FLAGS)]


def test_a_mounted_file_that_is_an_argument_is_no_script(tmp_path: Path) -> None:
    found = read_mounting(tmp_path, [*BASH, f"exec {LINE} --config /etc/a.yaml"], "/etc/a.yaml", "tp: 2")
    assert list_starts(found) == [("dynamo.vllm", [*FLAGS, "--config", "/etc/a.yaml"])]


def test_a_mounted_file_behind_a_flag_that_is_run_as_a_command_is_no_script(tmp_path: Path) -> None:
    script = "exec python3 -m dynamo.vllm \\\n  # tuned\n  --config /etc/a.yaml \\\n  --model a/b\n"
    found = read_mounting(tmp_path, [*BASH, script], "/etc/a.yaml", "tp: 2")
    last = [word.text for word in found.commands[-1]]
    assert last == ["--config", "/etc/a.yaml", "--model", "a/b"]


@pytest.mark.parametrize(
    "command",
    [
        ["bash", "/scripts/run.sh", "2"],
        ["/scripts/run.sh", "2"],
        [*BASH, "cd /tmp\nexec /scripts/run.sh 2"],
        [*BASH, "set -- 2\n. /scripts/run.sh"],
    ],
)
def test_a_script_in_a_config_map(tmp_path: Path, command: list[str]) -> None:
    script = "#!/bin/bash\npython3 -m dynamo.vllm --model a/b \\\n  --tensor-parallel-size $1\n"
    found = read_mounting(tmp_path, command, "/scripts/run.sh", script)
    assert list_starts(found) == [("dynamo.vllm", FLAGS)]


def test_only_the_unknown_word_of_a_command_is_unknown(tmp_path: Path) -> None:
    command = [*BASH, f"{LINE} --max-model-len $(( $(cat '/a') + 30 )) --port 1"]
    (found,) = list_starts(read_main(tmp_path, {"command": command}))
    assert found == ("dynamo.vllm", [*FLAGS, "--max-model-len", None, "--port", "1"])
