"""The command line: usage errors, exit codes and outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from tests.command import ROOT, dynocheck, run_inside, usage_error

VERBS = ["preflight", "recipe", "smoke", "load", "checks", "explain", "snapshot", "rbac", "demo"]
RECIPE = ["recipe", "recipes/qwen3-32b"]


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """A kubeconfig of a cluster that does not exist."""
    path = tmp_path / "kubeconfig"
    path.write_text(
        """
current-context: here
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: "sesame-open-wide"}}]
contexts: [{name: here, context: {cluster: c, user: u}}]
"""
    )
    return path


def test_help_and_version() -> None:
    for verb in VERBS:
        ended = run_inside(verb, "--help")
        assert (ended.code, ended.out.startswith(f"Usage: dynocheck {verb}")) == (0, True)
    ended = dynocheck()
    assert (ended.code, [verb for verb in VERBS if verb not in ended.out]) == (0, [])
    ended = dynocheck("--version")
    assert (ended.code, ended.out.startswith("dynocheck ")) == (0, True)


# Bad input: one line that says what and where


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: [1, 2", "file.yaml:2:1: not YAML"),
        (b"\x00\x01\x02", "not YAML"),
        (b"\xff\xfe\xff", "file.yaml:1: not YAML: not UTF-8 text"),
        (b"just words", "no Kubernetes object in it"),
        (b"", "no Kubernetes object in it"),
        (b"a:\n\t- b", "file.yaml:2"),
    ],
)
def test_a_file_that_is_not_a_manifest(tmp_path: Path, content: bytes, says: str) -> None:
    said = usage_error("recipe", written(tmp_path / "file.yaml", content))
    assert says in said
    assert "file.yaml" in said


def test_paths_without_a_recipe(tmp_path: Path) -> None:
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    (other / "deeper").mkdir(parents=True)
    (other / "deeper" / "notes.txt").write_text("no recipe")
    missing, none = "No such file or directory", "no recipe in it"
    for path, says in ((tmp_path / "missing", missing), (empty, none), (other, none)):
        said = usage_error("recipe", path)
        assert said.startswith(f"error: {path}: ")
        assert says in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["recipe"], "no recipe given"),
        ([*RECIPE, "--select", "no.such-check"], "no check here matches 'no.such-check'"),
        ([*RECIPE, "--skip", "nothing.*"], "no check here matches 'nothing.*'"),
        ([*RECIPE, "--select", "gpu.operator"], "no check here matches 'gpu.operator'"),
        ([*RECIPE, "--select", "storage.rwx-class"], "add --cluster"),
        ([*RECIPE, "-o", "xml"], "unknown format"),
        ([*RECIPE, "-o", "junit="], "no file after the ="),
        ([*RECIPE, "-o", "junit=no/such/folder/x.xml"], "no such directory: no/such/folder"),
        ([*RECIPE, "-o", "json", "-o", "table"], "two formats"),
        ([*RECIPE, "--config", "no.toml"], "no.toml: No such file"),
        ([*RECIPE, "--checks-dir", "no-dir"], "no-dir: no such directory"),
        ([*RECIPE, "--snapshot", "no.json"], "no.json: No such file"),
        ([*RECIPE, "--timeout", "0"], "--timeout"),
        (["explain", "storage.default-clas"], "did you mean storage.default-class?"),
        (["preflight", "--no-such-option"], "--no-such-option"),
        (["no-such-verb"], "no-such-verb"),
        (["preflight", "--kubeconfig", "no-config"], "no kubeconfig at no-config"),
    ],
)
def test_wrong_usage(arguments: list[str], says: str) -> None:
    assert says in usage_error(*arguments)


def test_a_kubeconfig_that_cannot_be_used(tmp_path: Path, kubeconfig: Path) -> None:
    broken = written(tmp_path / "broken", b"{clusters: [")
    assert f"{broken}: not a kubeconfig" in usage_error("preflight", "--kubeconfig", broken)
    said = usage_error("preflight", "--kubeconfig", kubeconfig, "--context", "there")
    assert f"{kubeconfig}: no context 'there'" in said


def test_an_unreachable_cluster_is_exit_code_3(kubeconfig: Path) -> None:
    ended = dynocheck("preflight", "--kubeconfig", kubeconfig)
    assert ended.code == 3
    assert "sesame" not in ended.out + ended.err


def test_hostile_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    said = usage_error("recipe", tmp_path / "\x1b[31mred\nblue.yaml")
    assert "\x1b" not in said
    assert "\\x1b[31mred" in said


# What it writes


def test_several_reports_of_one_run(tmp_path: Path) -> None:
    junit, data = tmp_path / "report.xml", tmp_path / "report.json"
    ended = dynocheck(*RECIPE, "-o", "table", "-o", f"junit={junit}", "-o", f"json={data}")
    assert ended.code == 0
    assert "graph.frontend" in ended.out
    assert junit.read_text().startswith("<?xml")
    assert json.loads(data.read_text())["schema"] == "dynocheck.report/v1"


def test_an_unwritable_report_does_not_affect_others(tmp_path: Path) -> None:
    ended = dynocheck(*RECIPE, "-o", f"junit={tmp_path}", "-o", "table")
    assert "graph.frontend" in ended.out
    assert ended.code == 2
    assert f"cannot write {tmp_path}: Is a directory" in ended.err


def test_a_closed_pipe_is_not_a_crash() -> None:
    command = f"{sys.executable} -m dynocheck recipe recipes/qwen3-32b -o json | head -c 1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "{"
    assert done.stderr == ""


def test_checks_lists_the_catalogue_and_explain_prints_each() -> None:
    rows = json.loads(dynocheck("checks", "-o", "json").out)
    title = "Exactly one StorageClass is the default"
    assert {"id": "storage.default-class", "title": title, "area": "storage"} in rows
    listed = run_inside("checks").out
    for row in rows:
        assert row["id"] in listed
        assert row["title"] in listed
        shown = run_inside("explain", row["id"]).out
        assert row["title"] in shown
        assert "\nFix: " in shown


@pytest.mark.parametrize(("command", "schema"), [(["checks"], "checks"), (RECIPE, "report")])
def test_what_is_printed_fits_its_schema(command: list[str], schema: str) -> None:
    stated = json.loads((ROOT / f"dynocheck/data/{schema}.schema.json").read_text())
    jsonschema.Draft202012Validator(stated).validate(dynocheck(*command, "-o", "json").report)


def test_output_in_any_encoding() -> None:
    ended = dynocheck(*RECIPE, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert ended.code == 0
    assert ended.out.isascii()


def test_demo_judges_a_cluster_a_recipe_and_an_engine() -> None:
    ended = dynocheck("demo")
    assert (ended.code, "Traceback" in ended.err) == (0, False)
    for check in ("gpu.allocatable", "parallelism.gpus-match", "endpoint.every-worker"):
        assert check in ended.out
    assert "engine simulated: no model, no GPU" in " ".join(ended.out.split())


def test_a_crash_prints_one_line(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import dynocheck.commands._run as r\n"
        "def broken(*a, **k): raise RuntimeError('hf_secretsecretsecret')\n"
        "r.plan = broken\n"
    )
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    ended = dynocheck(*RECIPE, env=env)
    assert ended.code == 3
    assert ended.err.startswith("error: crashed: RuntimeError in sitecustomize.py, line 2")
    assert "secret" not in ended.err.replace("sitecustomize", "")
    assert ended.err.count("\n") == 1
