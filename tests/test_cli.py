"""The command line: usage errors, exit codes and outputs."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import jsonschema
import pytest

from dynocheck.cli import cli, main
from tests.command import ROOT, dynocheck, run_inside, usage_error

VERBS = [
    "preflight",
    "recipe",
    "smoke",
    "node",
    "load",
    "checks",
    "explain",
    "config",
    "snapshot",
    "rbac",
    "demo",
]
RECIPE = ["recipe", "recipes/qwen3-32b"]


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_examples_that_can_be_typed(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = cli.commands[verb]
    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    examples = re.findall(
        r"^  (?:NO_COLOR=1 )?dynocheck (.*)$", shown.partition("Examples:")[2], re.MULTILINE
    )
    assert len(examples) >= 2
    for example in examples:
        name, *words = shlex.split(example.partition("|")[0])
        assert name == verb
        command.make_context(verb, words)


@pytest.mark.parametrize("verb", VERBS)
def test_help_groups_every_option(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    groups = dict(re.findall(r"^(\w[\w ]*):\n((?:  .*\n)+)", capsys.readouterr().out, re.MULTILINE))
    shown = {name: set(re.findall(r"--[a-z][a-z-]+", text)) for name, text in groups.items()}
    options = [
        each for each in cli.commands[verb].params if isinstance(each, click.Option) and not each.hidden
    ]
    listed = set().union(*(names for name, names in shown.items() if name != "Examples"))
    assert {option for each in options for option in each.opts if option.startswith("--")} <= listed
    assert shown["Other"] == {"--help"}
    if verb in ("preflight", "recipe", "smoke", "load"):
        assert {"--select", "--skip"} <= shown["What to check"]
        assert "--config" in shown["How to check"]
        assert "--kubeconfig" in shown["Cluster"]
        assert "--output" in shown["Output"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_gets_a_completion_script(shell: str) -> None:
    ended = dynocheck(env={"_DYNOCHECK_COMPLETE": f"{shell}_source"})
    assert ended.code == 0
    assert f"_DYNOCHECK_COMPLETE={shell}_complete" in ended.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [("pre", "preflight"), ("recipe --sel", "--select"), ("recipe --select storage.r", "storage.rwx-class")],
)
def test_the_shell_completes_verbs_options_and_checks(words: str, expected: str) -> None:
    env = {"COMP_WORDS": f"dynocheck {words}", "COMP_CWORD": str(len(words.split()))}
    ended = dynocheck(env={**env, "_DYNOCHECK_COMPLETE": "bash_complete"})
    assert f"plain,{expected}" in ended.out.split()


def test_help_and_version() -> None:
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
        (b"a: [1, 2", "file.yaml:1:4"),
        (b"\x00\x01\x02", "file.yaml:1"),
        (b"\xff\xfe\xff", "file.yaml:1"),
        (b"just words", "file.yaml"),
        (b"a: b", "file.yaml"),
        (b"", "file.yaml"),
        (b"a:\n\t- b", "file.yaml:2"),
    ],
)
def test_a_file_that_is_not_a_manifest(tmp_path: Path, content: bytes, says: str) -> None:
    good = written(tmp_path / "good.yaml", b"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}")
    ended = dynocheck("recipe", written(tmp_path / "file.yaml", content), good, "-o", "json")
    assert (ended.code, ended.err) == (1, "")
    (found,) = ended.findings("manifest.yaml")
    place = ":".join(str(part) for part in found["location"].values() if part)
    assert place.startswith(str(tmp_path / says))
    assert ended.outcomes["manifest.schema"] == "pass"


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


def test_hostile_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    said = usage_error("recipe", tmp_path / "\x1b[31mred\nblue.yaml")
    assert "\x1b" not in said
    assert "\\x1b[31mred" in said


# What it writes


def test_several_reports_of_one_run(tmp_path: Path) -> None:
    junit, data = tmp_path / "report.xml", tmp_path / "report.json"
    ended = dynocheck(*RECIPE, "-o", "table", "-o", f"junit={junit}", "-o", f"json={data}")
    assert ended.code == 0
    assert ended.out.startswith("✔ fit")
    assert junit.read_text().startswith("<?xml")
    assert json.loads(data.read_text())["schema"] == "dynocheck.report/v1"


def test_detail_is_chosen() -> None:
    quiet = dynocheck(*RECIPE, "-q", env={"COLUMNS": "120"})
    assert len(quiet.out.splitlines()) == 1
    assert quiet.out.startswith("✔ fit")
    verbose = dynocheck(*RECIPE, "--verbose")
    assert "graph.frontend" in verbose.out
    assert "graph.frontend" not in dynocheck(*RECIPE).out


def test_an_unwritable_report_does_not_affect_others(tmp_path: Path) -> None:
    ended = dynocheck(*RECIPE, "-o", f"junit={tmp_path}", "-o", "table")
    assert ended.out.startswith("✔ fit")
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
    listed, shown = run_inside("checks").out, run_inside("explain", "*").out
    for row in rows:
        assert row["id"] in listed
        assert row["title"] in listed
        assert row["title"] in shown
    assert shown.count("Fix: ") == len(rows)
    for row in rows[::8]:
        page = run_inside("explain", row["id"]).out
        assert row["title"] in page
        assert "\nFix: " in page


@pytest.mark.parametrize("pattern", ["storage", "storage.*", "s[t]orage.r*"])
def test_explain_takes_what_select_takes(pattern: str) -> None:
    listed = [row["id"] for row in json.loads(dynocheck("checks", "--select", pattern, "-o", "json").out)]
    shown = dynocheck("explain", pattern)
    assert shown.code == 0
    assert [check for check in listed if check not in shown.out] == []
    assert len(listed) > 1
    assert shown.out.count("Fix: ") == len(listed)


@pytest.mark.parametrize(("command", "schema"), [(["checks"], "checks"), (RECIPE, "report")])
def test_what_is_printed_fits_its_schema(command: list[str], schema: str) -> None:
    stated = json.loads((ROOT / f"dynocheck/data/{schema}.schema.json").read_text())
    jsonschema.Draft202012Validator(stated).validate(dynocheck(*command, "-o", "json").report)


def test_demo_judges_a_cluster_a_recipe_and_an_engine() -> None:
    ended = dynocheck("demo")
    assert (ended.code, "Traceback" in ended.err) == (0, False)
    assert "gpu.allocatable" in ended.out
    assert sum("checks passed" in line and "(exit " in line for line in ended.out.splitlines()) >= 3
    assert "engine simulated: no model, no GPU" in " ".join(ended.out.split())


def test_a_crash_prints_one_line(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import dynocheck.commands._run as r\n"
        "def broken(*a, **k): raise RuntimeError('hf_secretsecretsecret')\n"
        "r.plan = broken\n"
    )
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    ended = dynocheck(*RECIPE, env=env, fresh=True)
    assert ended.code == 3
    assert ended.err.startswith("error: crashed: RuntimeError in sitecustomize.py, line 2")
    assert "secret" not in ended.err.replace("sitecustomize", "")
    assert ended.err.count("\n") == 1
