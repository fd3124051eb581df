"""Faults of the input and around dynocheck, by verb and format: the exit code and the message."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dynocheck.core import pipeline
from dynocheck.core.declarations import Check
from dynocheck.core.results import Results, collect_results
from dynocheck.facts import Fact
from dynocheck.reports import FORMATS
from tests.command import ROOT, interrupt, run_inside, start

RECIPE, DEMO = "recipes/qwen3-32b", "dynocheck/data/demo.json"
URL = "http://127.0.0.1:1"
VERBS = {
    "recipe": f"recipe {RECIPE}",
    "preflight": f"preflight --snapshot {DEMO}",
    "smoke": f"smoke --url {URL}",
    "load": f"load --url {URL}",
    "checks": "checks",
    "config": "config",
    "explain": "explain gpu",
    "rbac": "rbac",
    "snapshot": "snapshot -",
    "node": "node",
    "diagnose": "diagnose --kubeconfig {t}/refused.yaml",
    "node --cluster": "node --cluster --image i --apply --kubeconfig {t}/refused.yaml",
    "smoke KIND/NAME": "smoke deployment/vllm --kubeconfig {t}/refused.yaml",
    "snapshot --node": "snapshot - --node",
}
REFUSED = f"""
clusters: [{{cluster: {{server: "{URL}"}}, name: c}}]
users: [{{name: u, user: {{}}}}]
contexts: [{{context: {{cluster: c, user: u}}, name: x}}]
current-context: x
"""
JUDGING = ("recipe", "preflight", "smoke", "load", "node", "diagnose")
OUTPUT_VERBS = ("recipe", "preflight", "node", "diagnose")
# Options and the message. {t} is a folder with the files of `given`.
CONFIGURATION = {
    "--config {t}/nowhere": "No such file",
    "--config {t}": "Is a directory",
    "--config /dev/zero": "larger than 1 MiB",
    "--config {t}/binary": "not TOML",
    "--config {t}/text": "not TOML",
    "--config {t}/unknown.toml": "unknown key colour",
    "--checks-dir {t}/nowhere": "no such directory",
    "--checks-dir {t}/empty": "no custom checks in it",
}
OUTPUTS = {
    "-o nonsense": "unknown format",
    "-o json=": "no file after the =",
    "-o json={t}/nowhere/x": "no such directory",
    "-o json -o table": "two formats for standard output",
    "-o json={t}": "Is a directory",
    "-o json=/dev/full": "No space left",
    "--select no.such": "no check here matches",
    "--skip no.such": "no check here matches",
}
CLUSTER = "node --cluster --image registry.example/dynocheck"
WITH = (f"preflight --snapshot {DEMO}", f"recipe {RECIPE} --snapshot {DEMO}")
NO_NODES = {
    "{t}/nowhere": "No such file",
    "{t}/text": "not a snapshot",
    "{t}/binary": "not a snapshot",
    "{t}/other.json": "not a snapshot",
    "/dev/zero": "larger than 512 MiB",
    DEMO: "holds no GPU nodes",
}
ON_WORKLOADS = [
    f"{verb} --kubeconfig {{t}}/refused.yaml" for verb in ("smoke", "load --in-cluster --image i")
]
NO_WORKLOADS = ("nonsense/vllm", "deployment/", "/vllm", "deployment/a/b")
ONE_VERB = {
    "recipe": "no recipe given",
    "recipe {t}/nowhere": "No such file",
    "recipe -": "standard input is not read",
    "recipe /dev/zero": "not a regular file",
    "recipe {t}/empty": "no recipe in it",
    f"recipe {RECIPE} --env-file {{t}}/nowhere": "No such file",
    f"recipe {RECIPE} --env-file /dev/zero": "larger than 1 MiB",
    f"recipe {RECIPE} --crds /dev/zero": "not a file",
    f"recipe {RECIPE} --crds {{t}}/nowhere": "No such file",
    f"recipe {RECIPE} --set x": "write NAME=VALUE",
    f"recipe {RECIPE} --baseline {{t}}/nowhere": "No such file",
    f"recipe {RECIPE} --baseline {{t}}/text": "not a baseline",
    f"recipe {RECIPE} --baseline {{t}}/other.json": "of schema 'x/v9'",
    f"recipe {RECIPE} --write-baseline {{t}}": "Is a directory",
    f"recipe {RECIPE} --write-baseline /dev/full": "No space left",
    f"recipe {RECIPE} --diff no-such-revision": "no-such-revision",
    "preflight --snapshot {t}/nowhere": "No such file",
    "preflight --snapshot {t}/text": "not a snapshot",
    "preflight --snapshot {t}/binary": "not a snapshot",
    "preflight --snapshot {t}/other.json": "not a snapshot",
    "preflight --kubeconfig {t}/nowhere": "no kubeconfig at",
    "preflight --kubeconfig {t}": "Is a directory",
    "preflight --kubeconfig /dev/zero": "larger than 64 MiB",
    "preflight --kubeconfig {t}/binary": "not a kubeconfig",
    "preflight --kubeconfig {t}/twice.yaml": "two users are named 'u'",
    "preflight --kubeconfig /dev/null": "empty kubeconfig",
    f"smoke --url {URL} --api-key-file {{t}}/nowhere": "No such file",
    f"smoke --url {URL} --api-key-file /dev/zero": "larger than 1 MiB",
    f"smoke --url {URL} --api-key-file {{t}}/binary": "not text",
    f"smoke --url {URL} --api-key-env NO_SUCH_VARIABLE": "contains no key",
    "smoke --url https://127.0.0.1:1 --ca-file {t}/nowhere": "No such file",
    "smoke --url https://127.0.0.1:1 --ca-file {t}/text": "no PEM certificate",
    "smoke --url https://127.0.0.1:1 --ca-file /dev/zero": "larger than 1 MiB",
    "load": "no endpoint",
    f"load --url {URL} --prompts {{t}}/nowhere": "No such file",
    f"load --url {URL} --prompts /dev/null": "contains no prompt",
    "load --from {t}/nowhere": "No such file",
    "load --from {t}/text": "not a snapshot",
    f"load --url {URL} --save {{t}}": "not a file in an existing directory",
    "explain no.such": "no check here matches",
    "snapshot {t} --kubeconfig {t}/nowhere": "no kubeconfig at",
    "snapshot {t}/nowhere/x --node": "No such file",
    "snapshot /dev/full --node": "No space left",
    "snapshot - --bundle": "name a file",
    "snapshot {t}/x.tar.gz --bundle --kubeconfig {t}/nowhere": "no kubeconfig at",
    "snapshot {t}/x --node --bundle": "--node",
    "snapshot {t}/x --node --workloads": "--node",
    f"snapshot {{t}}/x --node --recipe {RECIPE}": "--node",
    "node --snapshot {t}/nowhere": "No such file",
    "node --snapshot {t}/text": "not a snapshot",
    "node --snapshot {t}/binary": "not a snapshot",
    "node --snapshot /dev/zero": "larger than 512 MiB",
    "node --release 0.0.1": "--release 0.0.1",
    "node --expect-gpu -1": "--expect-gpu",
    "node --expect-gpu many": "--expect-gpu",
    "node --timeout 0": "--timeout",
    "node --baseline {t}/text": "not a baseline",
    "node --write-baseline {t}": "Is a directory",
    "node --apply": "only with --cluster",
    "node --record {t}/x": "only with --cluster",
    "node --cluster": "--image",
    f"{CLUSTER} --record {{t}}/x": "only with --apply",
    f"{CLUSTER} --exercise": "not with --cluster",
    f"{CLUSTER} --pull-secret s": "-n",
    f"{CLUSTER} --node-selector gpu": "KEY=VALUE",
    f"{CLUSTER} --tolerate a:b": "KEY[=VALUE]",
    f"{CLUSTER} --wait soon": "--wait",
    f"{CLUSTER} --apply --record {{t}}/nowhere/x": "not a file in an existing directory",
    f"{CLUSTER} --apply --record {{t}}": "not a file in an existing directory",
    f"{CLUSTER} --apply --kubeconfig {{t}}/nowhere": "no kubeconfig at",
    f"{CLUSTER} --apply --snapshot {{t}}/text": "not with --apply",
    "node --cluster --snapshot {t}/nowhere": "No such file",
    "node --cluster --snapshot {t}/text": "not a snapshot",
    "node --cluster --snapshot {t}/binary": "not a snapshot",
    "node --cluster --snapshot {t}/other.json": "not a snapshot",
    f"node --cluster --snapshot {DEMO}": "holds no GPU nodes",
    "node --cluster --snapshot /dev/zero": "larger than 512 MiB",
    **{f"{verb} --with {file}": says for verb in WITH for file, says in NO_NODES.items()},
    f"recipe {RECIPE} --with {DEMO}": "only with --cluster or --snapshot",
    "diagnose --snapshot {t}/nowhere": "No such file",
    "diagnose --snapshot {t}/text": "not a snapshot",
    "diagnose --snapshot {t}/binary": "not a snapshot",
    f"diagnose --snapshot {DEMO} --wait 5s": "--wait",
    "diagnose --kubeconfig {t}/nowhere": "no kubeconfig at",
    "diagnose --kubeconfig {t}/binary": "not a kubeconfig",
    "diagnose --kubeconfig /dev/zero": "larger than 64 MiB",
    "diagnose --wait soon": "--wait",
    f"diagnose --snapshot {DEMO} --watch": "--watch",
    f"diagnose --snapshot {DEMO} --prometheus {URL}": "--prometheus",
    "diagnose --watch --wait soon": "--wait",
    "diagnose --watch --kubeconfig {t}/nowhere": "no kubeconfig at",
    "diagnose --prometheus nonsense": "not a URL",
    "diagnose --prometheus ftp://x": "not a URL",
    "diagnose --prometheus-token-env HOME": "only with --prometheus",
    f"diagnose --prometheus {URL} --prometheus-token-env NO_SUCH_VARIABLE": "contains no key",
    "diagnose --compare {t}/nowhere": "No such file",
    "diagnose --compare {t}/text": "not a snapshot",
    "diagnose --compare {t}/binary": "not a snapshot",
    "diagnose --compare {t}/other.json": "not a snapshot",
    "diagnose --compare /dev/zero": "larger than 512 MiB",
    f"diagnose --compare {DEMO}": "holds no workloads",
    f"diagnose --compare {DEMO} --since 2h": "give one",
    "diagnose --since soon": "neither a time",
    **{f"{verb} {name}": "KIND/NAME" for verb in ON_WORKLOADS for name in NO_WORKLOADS},
    f"smoke deployment/vllm --url {URL}": "not with a deployment",
    "smoke deployment/vllm --kubeconfig {t}/nowhere": "no kubeconfig at",
    "smoke deployment/vllm --via nothing": "--via",
    "load deployment/vllm": "only with --in-cluster",
    "explain": "ID",
    "config -o xml": "xml",
    "rbac --bind x": "not of the form",
    "rbac --smoke --diagnose": "give one",
    "rbac --workload": "only with --smoke",
    "config {t}/nowhere": "no such file",
}
USAGE = [
    *((f"{VERBS[verb]} {options}", says) for options, says in CONFIGURATION.items() for verb in VERBS),
    *((f"{VERBS[verb]} {options}", says) for options, says in OUTPUTS.items() for verb in OUTPUT_VERBS),
    *((f"{VERBS['recipe']} -o {name}=/dev/full", "No space left") for name in FORMATS if name != "github"),
    *ONE_VERB.items(),
]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    (folder / "empty").mkdir()
    (folder / "binary").write_bytes(bytes(range(256)) * 4)
    (folder / "text").write_text("this is: [no\n")
    (folder / "unknown.toml").write_text("colour = 1\n")
    (folder / "other.json").write_text('{"schema": "x/v9", "findings": []}')
    (folder / "refused.yaml").write_text(REFUSED)
    (folder / "twice.yaml").write_text("users: [{name: u}, {name: u}]\n")
    return folder


@pytest.mark.parametrize(("words", "says"), USAGE)
def test_a_fault_of_the_input_ends_with_2_and_names_it(given: Path, words: str, says: str) -> None:
    ended = run_inside(*(word.format(t=given) for word in words.split()))
    assert ended.code == 2
    message = ended.err.splitlines()[-1]
    assert message.startswith("error: ")
    assert says.lower() in message.lower()
    assert "a bug in dynocheck" not in message


@pytest.mark.parametrize("option", ["--config", "--env-file", "--baseline"])
def test_a_pipe_without_a_writer_has_a_limit(
    tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dynocheck.core.files.LIMIT_S", 0.2)
    os.mkfifo(tmp_path / "pipe")
    ended = run_inside("recipe", RECIPE, option, tmp_path / "pipe")
    assert ended.code == 2
    assert "no end of it within 0.2 s" in ended.err


# Standard output and error. The fit recipe ends with 0 wherever its report can be written.
STREAMS = {
    ">&-": (2, "cannot write to standard output: it is closed"),
    ">/dev/full": (2, "No space left"),
    "| true": (2, ""),
    "2>&- >/dev/null": (0, ""),
    "2>/dev/full >/dev/null": (0, ""),
    "<&- >/dev/null": (0, ""),
    ">&- 2>&-": (2, ""),
}


@pytest.mark.parametrize("redirection", STREAMS)
@pytest.mark.parametrize("verb", ["recipe", "checks"])
def test_an_output_that_is_closed_or_full(redirection: str, verb: str) -> None:
    code, says = STREAMS[redirection]
    command = f"{sys.executable} -m dynocheck {VERBS[verb]} {redirection}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert (says if verb == "recipe" else says.rpartition(": ")[2]) in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("verb", ["preflight", "smoke", "load"])
def test_an_interrupted_run_reports_what_it_knows(
    tmp_path: Path, silent: socket.socket, verb: str, by: signal.Signals
) -> None:
    url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    server = f"{{cluster: {{server: '{url}'}}, name: c}}"
    context = "{context: {cluster: c, user: u}, name: x}"
    (tmp_path / "config").write_text(
        f"clusters: [{server}]\nusers: [{{name: u, user: {{}}}}]\ncontexts: [{context}]\ncurrent-context: x\n"
    )
    words = {
        "preflight": ("--kubeconfig", tmp_path / "config", "--timeout", "60"),
        "smoke": ("--url", url),
        "load": ("--url", url),
    }
    with start(verb, *words[verb], "-o", "json") as process:
        connection, _ = silent.accept()
        with connection:
            ended = interrupt(process, by)
    assert ended.report["command"] == verb
    assert "interrupted" in ended.err


def test_interrupted_while_it_judges_it_reports_what_it_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[Results] = []

    def collect(check: Check, facts: Mapping[str, Fact | None], limit_s: float) -> Results:
        if len(judged) == 20:
            raise KeyboardInterrupt
        judged.append(collect_results(check, facts, limit_s))
        return judged[-1]

    monkeypatch.setattr(pipeline, "collect_results", collect)
    ended = run_inside("recipe", "recipes/llama-3-70b", "-o", "json")
    whole = [outcome for outcome in ended.outcomes.values() if outcome != "unknown"]
    assert (ended.code, len(judged), len(whole)) == (130, 20, 20)
    assert ended.err.endswith("interrupted: what was not judged by then is unknown\n")
