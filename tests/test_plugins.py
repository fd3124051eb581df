"""Installed plug-ins: the example package, built, installed and run; and plug-ins that are broken."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest
import yaml

from dynocheck.facts import Access
from tests.command import ROOT, CommandResult, dynocheck
from tests.controlplane.server import ControlPlane

EXAMPLE = ROOT / "examples" / "plugin"
RECIPE = ROOT / "recipes" / "qwen3-32b"


def call(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "80", "UV_OFFLINE": "1"}
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the example's wheel beside the packages of this one."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(EXAMPLE, folder / "source")
    building = (sys.executable, "-m", "build", "--wheel", "--no-isolation")
    built = call(*building, "--outdir", folder, folder / "source")
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("*.whl")
    uv = (sys.executable, "-m", "uv")
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    (packages,) = (folder / "venv" / "lib").glob("*/site-packages")
    (packages / "shared.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    installed = call(*uv, "pip", "install", "--python", python, "--no-deps", wheel)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return python


def run(python: Path, *arguments: str | Path) -> CommandResult:
    done = call(python, "-m", "dynocheck", *arguments, cwd=python.parent)
    return CommandResult(done.returncode, done.stdout, done.stderr)


def test_the_example_is_installed_and_runs(environment: Path) -> None:
    listed = json.loads(run(environment, "checks", "--select", "acme", "-o", "json").out)
    ids = ["acme.graph-names", "acme.namespace-owner", "acme.priority-class"]
    assert [row["id"] for row in listed] == ids
    assert "The on-call engineer" in run(environment, "explain", "acme.namespace-owner").out
    judged = run(environment, "recipe", RECIPE, "-o", "json")
    assert judged.outcomes["acme.graph-names"] == "pass"
    assert judged.report["target"]["plugins"] == ["dynocheck-acme 1.0"]
    (rule,) = yaml.safe_load(run(environment, "rbac", "--select", "acme.priority-class").out)["rules"]
    assert rule["resources"] == ["priorityclasses"]


def test_the_example_looks_at_a_cluster(environment: Path, controlplane: ControlPlane) -> None:
    config = controlplane.kubeconfig()
    asked = ("preflight", "--kubeconfig", config, "--select", "acme", "-o", "json")
    first = run(environment, *asked)
    assert first.outcomes == {"acme.namespace-owner": "warn", "acme.priority-class": "fail"}
    manifest = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000000}
    controlplane.apply({**manifest, "metadata": {"name": "acme-serving"}})
    assert run(environment, *asked).outcomes["acme.priority-class"] == "pass"


def test_without_plugins_there_are_none(environment: Path) -> None:
    assert "acme" not in run(environment, "checks", "--no-plugins").out
    judged = run(environment, "recipe", RECIPE, "--no-plugins", "-o", "json")
    assert "plugins" not in judged.report["target"]
    assert not [check for check in judged.outcomes if check.startswith("acme.")]


def test_the_tests_of_the_example_pass(environment: Path) -> None:
    done = call(
        environment,
        "-m",
        "pytest",
        "-q",
        "-c",
        "/dev/null",
        "-p",
        "no:cacheprovider",
        EXAMPLE,
        cwd=environment.parent,
    )
    assert done.returncode == 0, done.stdout


# Broken plug-ins

GOOD = """
from dynocheck import Finding, Location, Subject, check, fail, probe, unknown
from dynocheck.facts import Access, Fact, Recipes

class Weather(Fact, frozen=True):
    sky: str

@probe()
def weather() -> Weather:
    return Weather("blue")

@check("house.sunny", title="The sun shines")
def sunny(weather: Weather):
    if weather.sky != "blue":
        yield fail("no sun")
"""


TAKEN, GIVEN = "(weather: Weather)", "() -> Weather"


def installed(folder: Path, text: str, entry: str = "bad_plugin") -> dict[str, str]:
    """The environment variables of a Python that has a plug-in of this text."""
    info = folder / "bad_plugin-2.0.dist-info"
    info.mkdir()
    (folder / "bad_plugin.py").write_text(textwrap.dedent(text))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-plugin\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(f"[dynocheck.checks]\nbad = {entry}\n")
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


@pytest.fixture(scope="module")
def graphs_alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The outcomes of the checks of graphs, where a broken plug-in is left out."""
    env = installed(tmp_path_factory.mktemp("bad"), "import no_such_module")
    ended = dynocheck("recipe", RECIPE, "-o", "json", "--select", "graph", "--no-plugins", env=env)
    assert ended.code == 0
    return ended.outcomes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import no_such_module", r"ModuleNotFoundError: No module .* \(.*bad_plugin\.py:1\)"),
        ("x = 1\ndef broken(:", r"SyntaxError: .* \(.*bad_plugin\.py:2\)"),
        ("1 / 0", r"ZeroDivisionError: division by zero \(.*bad_plugin\.py:1\)"),
        ("import sys\nsys.exit(0)", r"SystemExit: 0 \(.*bad_plugin\.py:2\)"),
        ("raise ValueError('password=hunter2hunter2')", r"ValueError: password=\[hidden\] \(.*:1\)"),
        ("import os\nos._exit(0)", r"loading it ended its process before it had an answer"),
        ("raise KeyboardInterrupt", r"KeyboardInterrupt \(.*bad_plugin\.py:1\)"),
        ("import json\njson.loads('{')", r"JSONDecodeError: .* \(.*bad_plugin\.py:2\)"),
        ("", r"declares no check and no probe"),
        ("import dynocheck\nx = dynocheck.check('a.b', title='T')(5)", r"is for a function, not for a int"),
        (GOOD.replace("house.sunny", "Sunny"), r"'Sunny' is not of the form area\.kebab-name \(.*:12\)"),
        (GOOD.replace("house.sunny", "storage.default-class"), r"two checks .* storage\.default-class"),
        (GOOD.replace(TAKEN, "(weather: int)"), r"house\.sunny: parameter weather .* \(.*:12\)"),
        (GOOD.replace(TAKEN, "(weather: 'Wether')"), r"house\.sunny: name 'Wether' is not defined"),
        (GOOD.replace(GIVEN, "() -> int"), r"probe weather: its return type is not a fact"),
        (GOOD.replace(GIVEN, "(town: str) -> Weather"), r"probe weather: parameter town"),
        (GOOD.replace(GIVEN, "(weather: Weather) -> Weather"), r"no probe can provide Weather"),
        (GOOD.replace("@probe()", ""), r"house\.sunny: no probe can provide Weather"),
        (GOOD.replace("@probe()", "@probe(access=['list pods'])"), r"'list pods'.* is not a list of Access"),
        (GOOD.replace('"The sun shines"', "None"), r"house\.sunny: the title None"),
        (GOOD.replace('shines")', 'shines", aliases="house.fair")'), r"the alias 'h'"),
    ],
)  # fmt: skip
def test_a_plugin_that_cannot_be_used_is_named_and_leaves_the_rest_alone(
    tmp_path: Path, graphs_alone: dict[str, str], text: str, says: str
) -> None:
    env = installed(tmp_path, text)
    ended = dynocheck("recipe", RECIPE, "-o", "json", "--select", "graph", env=env)
    assert (ended.code, ended.outcomes) == (3, {**graphs_alone, "plugins.1-bad": "error"})
    (finding,) = ended.findings("plugins.1-bad")
    assert finding["message"].startswith("bad-plugin 2.0: entry point bad = bad_plugin: ")
    assert re.search(says, finding["message"]), finding["message"]
    listed = dynocheck("checks", "--select", "graph", env=env)
    assert listed.code == 0
    assert re.search(says, listed.err)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("yield 'rain'", r"the check yielded 'rain', not a finding \(.*bad_plugin\.py:15\)"),
        ("yield fail(None)", r"the check yielded Finding.*, not a valid finding \(.*:15\)"),
        ("yield fail('x', subject='node-1')", "not a valid finding"),
        ("yield fail('')", "not a valid finding"),
        ("raise type('E', (BaseException,), {})('boo')", r"crashed: E: boo \(.*:15\)"),
        ("yield fail('x', evidence=[1])", r"crashed: (TypeError|ValueError): .* \(.*:15\)"),
        ("yield fail('x', location=Location('a.yaml', '3'))", "not a valid finding"),
        ("return True", r"the check returned True, not findings \(.*:12\)"),
        ("return 'all well'", r"the check returned 'all well', not findings"),
        ("return fail('x')", r"the check returned Finding.*, not findings"),
        ("raise KeyError('sky')", r"crashed: KeyError: 'sky' \(.*bad_plugin\.py:15\)"),
        ("import json; json.loads('{')", r"crashed: JSONDecodeError: .* \(.*bad_plugin\.py:15\)"),
        ("raise SystemExit(0)", r"crashed: SystemExit: 0 \(.*:15\)"),
        ("raise KeyboardInterrupt", r"the check raised KeyboardInterrupt \(.*:12\)"),
        ("import os; os._exit(0)", r"the check ended its process before it had an answer \(.*:12\)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", r"the check ended its process"),
        ("while True: pass", r"the check did not end within 1 s \(.*:12\)"),
        ("yield fail('x', evidence={'x': b'\\xff', 'y': '\\udc80'})", r"cannot be encoded"),
        ("raise ValueError('hf_abcdefghijklmnopqrst api_key: 12')", r": \[hidden\] api_key: \[hidden\]"),
    ],
)  # fmt: skip
def test_a_check_that_yields_rubbish_is_an_error(tmp_path: Path, text: str, says: str) -> None:
    lines = GOOD.split("    if weather.sky")[0] + f"    pass\n    {text}\n"
    limit = ("--timeout", "1") if "while" in text else ()
    ended = dynocheck("recipe", RECIPE, "-o", "json", *limit, env=installed(tmp_path, lines))
    assert ended.code == 3
    assert ended.outcomes["house.sunny"] == "error"
    assert ended.outcomes["graph.frontend"] == "pass"
    (finding,) = ended.findings("house.sunny")
    assert re.search(says, finding["message"]), finding["message"]
    assert "DYNOCHECK_DEBUG" in finding["fix"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("return 'blue'", r"probe weather: returned str, not Weather \(.*bad_plugin\.py:8\)"),
        ("return None", r"probe weather: returned NoneType, not Weather"),
        ("return Recipes()", r"probe weather: returned Recipes, not Weather"),
        ("return [][1]", r"probe weather: crashed: IndexError: list index out of range \(.*:10\)"),
        ("raise SystemExit(0)", r"probe weather: crashed: SystemExit: 0"),
        ("import os; os._exit(0)", r"probe weather: called os._exit\(0\)"),
        ("import time; time.sleep(99)", r"its limit is nan, not seconds"),
    ],
)
def test_a_probe_that_is_at_fault_is_an_error(tmp_path: Path, text: str, says: str) -> None:
    code = GOOD.replace('return Weather("blue")', text)
    if "sleep" in text:
        code = code.replace("@probe()", "@probe(limit=lambda: float('nan'))")
    env = installed(tmp_path, code)
    ended = dynocheck("recipe", RECIPE, "-o", "json", env=env)
    assert ended.code == 3
    assert ended.outcomes["house.sunny"] == "error"
    assert ended.outcomes["graph.frontend"] == "pass"
    (finding,) = ended.findings("house.sunny")
    assert re.search(says, finding["message"]), finding["message"]


@pytest.mark.parametrize("text", ["import no_such_module", GOOD.replace('Weather("blue")', "1 / 0")])
def test_the_traceback_is_printed_for_debugging(tmp_path: Path, text: str) -> None:
    env = installed(tmp_path, text)
    assert "Traceback" not in dynocheck("recipe", RECIPE, env=env).err
    ended = dynocheck("recipe", RECIPE, "-o", "json", env={**env, "DYNOCHECK_DEBUG": "1"})
    assert "Traceback" in ended.err
    assert "bad_plugin.py" in ended.err
    assert ended.code == 3
    assert ended.report


def test_what_a_plugin_prints_does_not_spoil_the_report(tmp_path: Path) -> None:
    code = GOOD.replace("    if weather.sky", "    print('judging')\n    if weather.sky")
    code = "print('importing')\n" + code.replace(
        "    return Weather", "    print('looking')\n    return Weather"
    )
    ended = dynocheck("recipe", RECIPE, "-o", "json", env=installed(tmp_path, code))
    assert ended.outcomes["house.sunny"] == "pass"
    assert {"importing", "looking", "judging"} <= {*ended.err.split()}


@pytest.mark.parametrize(
    ("relation", "outcome"),
    [("1 / 0", "fail"), ("__import__('time').sleep(99)", "error"), ("__import__('os')._exit(0)", "error")],
)
def test_a_relation_that_crashes_or_hangs_explains_nothing(
    tmp_path: Path, relation: str, outcome: str
) -> None:
    code = (
        GOOD
        + f"""
@check("house.wet", title="It is dry", explained_by={{"house.rain": lambda cause, effect: {relation}}})
def wet(recipes: Recipes):
    yield fail("it is wet")

@check("house.rain", title="It does not rain")
def rain(recipes: Recipes):
    yield fail("it rains")
"""
    )
    words = ("--select", "house", "--timeout", "1", "-o", "json")
    ended = dynocheck("recipe", RECIPE, *words, env=installed(tmp_path, code))
    assert ended.outcomes == {"house.sunny": "pass", "house.wet": "fail", "house.rain": "fail"}
    told = [finding["outcome"] for finding in ended.findings("house.wet")]
    assert told == (["fail"] if outcome == "fail" else ["fail", "error"])


def test_an_entry_point_that_is_no_name_is_told(tmp_path: Path) -> None:
    env = installed(tmp_path, GOOD, entry="not a name!")
    ended = dynocheck("recipe", RECIPE, "-o", "json", env=env)
    assert ended.outcomes["plugins.1-bad"] == "error"
    assert ended.outcomes["graph.frontend"] == "pass"


def test_patterns_for_a_broken_plugin_do_not_stop_the_run(tmp_path: Path) -> None:
    env = installed(tmp_path, "import no_such_module")
    (tmp_path / "dynocheck.toml").write_text("[levels]\n'bad.*' = 'fail'\n")
    ended = dynocheck("recipe", RECIPE, "--skip", "bad.slow", "-o", "json", env=env, cwd=tmp_path)
    assert ended.outcomes["graph.frontend"] == "pass"
    assert ended.code == 3
    skipped = dynocheck("recipe", RECIPE, "--skip", "plugins", "-o", "json", env=env, cwd=tmp_path)
    assert skipped.code == 0


def test_the_paths_and_rights_of_the_documentation_are_true(controlplane: ControlPlane) -> None:
    """Each row of the table, asked by a user who has just this right."""
    page = (ROOT / "docs" / "writing-checks.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| `(/[^`]+)` \| `(Access\([^`]+\))` \|$", page, re.MULTILINE)
    assert len(rows) >= 6
    for number, (path, right) in enumerate(rows):
        access = eval(right, {"Access": Access})
        rule = {"apiGroups": [access.group], "resources": [access.resource], "verbs": [access.verb]}
        user = controlplane.user(f"row-{number}", rules=[rule], namespace="default" if access.local else None)
        asked = path.replace("{namespace}", "default").replace("{name}", "absent")
        status = controlplane.client(user).get(asked).status_code
        assert status == (404 if access.verb == "get" else 200), path
