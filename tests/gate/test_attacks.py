"""What a pull request can put into the judged tree, and what that does to the verdict."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from dynocheck.reports import FORMATS
from tests.checks.judging import FRONTEND, GRAPH, worker
from tests.command import ROOT, CommandResult, run_inside

TOKEN = "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"
IMAGE = "image: registry.example/vllm-runtime:1.3.0"
TOP = GRAPH + FRONTEND.replace(
    "frontend}", f"frontend, podTemplate: {{spec: {{containers: [{{name: main, {IMAGE}}}]}}}}}}"
)
GOOD = TOP.replace("name: g", "name: good") + worker()
BAD = TOP + worker(args='--tensor-parallel-size, "4"')  # parallelism.gpus-match fails
SECRET = TOP + worker().replace(
    IMAGE, f"{IMAGE}\n          env: [{{name: HF_TOKEN, value: {TOKEN}}}]"
)  # security.secrets fails
DEPLOY, CONFIG = "vllm/deploy.yaml", "dynocheck.toml"
EXIT = "import os\nos._exit(0)\n"
ONLY = "only the operator"


class Attack(NamedTuple):
    """What lies in the tree, what more stands in the command line, how it ends, and what is told."""

    files: dict[str, str]
    options: str
    code: int
    told: str


def secret(told: str, options: str = "", **files: str) -> Attack:
    """An attack on a tree with a secret, which fails in any case."""
    return Attack({DEPLOY: SECRET, **name_files(files)}, options, 1, told)


def bad(code: int, told: str, options: str = "", **files: str) -> Attack:
    return Attack({DEPLOY: BAD, **name_files(files)}, options, code, told)


def name_files(files: dict[str, str]) -> dict[str, str]:
    """Files by names in which `__` stands for a slash and `_` for a dot."""
    return {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}


def baseline(check: str, message: str) -> str:
    finding = {"check": check, "message": message, "file": DEPLOY}
    return json.dumps({"schema": "dynocheck.baseline/v1", "findings": [finding]})


KNOWN_SECRET = baseline("security.secrets", "HF_TOKEN is a secret, and spelled out")
KNOWN_BAD = baseline("parallelism.gpus-match", "w: TP 4 needs 4 GPUs, a replica is given 1")
SKIP_SECURITY = 'skip = ["security"]'
SKIP_BAD = 'skip = ["parallelism"]'
RESOURCE = "kind: Kustomization\nresources: [deploy.yaml]\n"

LOWER_BAD = 'levels = {"parallelism.gpus-match" = "warn"}'
ONLY_GRAPH = 'select = ["graph"]'

ATTACKS = {
    "skip an area": secret("skip not applied to security", dynocheck_toml=SKIP_SECURITY),
    "skip an id": secret(ONLY, dynocheck_toml='skip = ["security.secrets"]'),
    "skip all": secret(ONLY, dynocheck_toml='skip = ["*"]'),
    "select others": secret("select not applied to security", dynocheck_toml=ONLY_GRAPH),
    "lower a level": secret("levels not applied", dynocheck_toml='levels = {"security.*" = "warn"}'),
    "lower all levels": secret("levels not applied", dynocheck_toml='levels = {"*" = "warn"}'),
    "skip in pyproject.toml": secret(ONLY, pyproject_toml=f"[tool.dynocheck]\n{SKIP_SECURITY}"),
    "skip in a folder": secret("", vllm__dynocheck_toml=SKIP_SECURITY),
    "allow oneself": secret(
        "allow-silencing of dynocheck.toml not applied",
        dynocheck_toml=f'allow-silencing = ["security"]\n{SKIP_SECURITY}',
    ),
    "ignore a line": Attack(
        {DEPLOY: SECRET.replace("  - name: w", "  - name: w  # dynocheck: ignore-file[security.secrets] r")},
        "",
        1,
        "ignore[security.secrets] not applied",
    ),
    "ignore a file": Attack({DEPLOY: f"# dynocheck: ignore-file[security] r\n{SECRET}"}, "", 1, ONLY),
    "ignore all": Attack({DEPLOY: f"# dynocheck: ignore-file[*] r\n{SECRET}"}, "", 1, ONLY),
    "baseline of a secret": secret(ONLY, "--baseline old.json", old_json=KNOWN_SECRET),
    "skip, with --strict": secret(ONLY, "--strict", dynocheck_toml=SKIP_SECURITY),
    "unknown as skipped": secret("junit-unknown", dynocheck_toml='junit-unknown = "skipped"'),
    "skip what the tree may": bad(0, "leaves out parallelism", dynocheck_toml=SKIP_BAD),
    "select what the tree may": bad(0, 'select = ["graph"] leaves out', dynocheck_toml=ONLY_GRAPH),
    "lower what the tree may": bad(0, "for parallelism.gpus-match", dynocheck_toml=LOWER_BAD),
    "lower it, with --strict": bad(
        1,
        "for parallelism.gpus-match",
        "--strict",
        dynocheck_toml=LOWER_BAD,
    ),
    "ignore what the tree may": Attack(
        {DEPLOY: f"# dynocheck: ignore-file[parallelism] r\n{BAD}"},
        "",
        0,
        "ignored by vllm/deploy.yaml:1",
    ),
    "baseline of what the tree may": bad(
        0, "in the baseline old.json", "--baseline old.json", old_json=KNOWN_BAD
    ),
    "isolated: skip": bad(1, "", "--isolated", dynocheck_toml=SKIP_BAD),
    "isolated: select": bad(1, "", "--isolated", dynocheck_toml=ONLY_GRAPH),
    "isolated: levels": bad(1, "", "--isolated", dynocheck_toml='levels = {"*" = "warn"}'),
    "isolated: pyproject.toml": bad(1, "", "--isolated", pyproject_toml=f"[tool.dynocheck]\n{SKIP_BAD}"),
    "isolated: comment": Attack(
        {DEPLOY: f"# dynocheck: ignore-file[*] r\n{BAD}"}, "--isolated", 1, "not applied: --isolated"
    ),
    "isolated: baseline": bad(
        2, "--isolated leaves out", "--isolated --baseline old.json", old_json=KNOWN_BAD
    ),
    "isolated: config": bad(2, "--isolated leaves out", "--isolated --config x.toml", x_toml=SKIP_BAD),
    "isolated: code": bad(2, "--isolated leaves out", "--isolated --checks-dir ops", ops__x_py=EXIT),
    "isolated: a broken configuration": bad(1, "", "--isolated", dynocheck_toml="skip = ["),
    "code by dynocheck.toml": bad(1, "not loaded", dynocheck_toml='checks-dirs = ["ops"]', ops__x_py=EXIT),
    "code by pyproject.toml": bad(
        1, "not loaded", pyproject_toml='[tool.dynocheck]\nchecks-dirs = ["ops"]', ops__x_py=EXIT
    ),
    "code that exits": bad(1, "ended its process", "--checks-dir ops", ops__x_py=EXIT),
    "code that raises SystemExit": bad(1, "SystemExit", "--checks-dir ops", ops__x_py="raise SystemExit(0)"),
    "a configuration that is broken": bad(2, "not TOML", dynocheck_toml="skip = ["),
    "a configuration of unknown keys": bad(2, "unknown key", dynocheck_toml="quiet = true"),
    "a configuration of 2 MiB": bad(2, "larger than 1 MiB", dynocheck_toml="#" * (2 << 20)),
    "a kustomization that names nothing": bad(1, "", vllm__kustomization_yaml="kind: Kustomization\n"),
    "a kustomization that names it": bad(3, "kustomize was not judged", vllm__kustomization_yaml=RESOURCE),
    "a kustomization beside a good graph": bad(
        0, "not read: graph g", vllm__kustomization_yaml=RESOURCE, vllm__good__deploy_yaml=GOOD
    ),
    "the same, with --strict": bad(
        1, "not read: graph g", "--strict", vllm__kustomization_yaml=RESOURCE, vllm__good__deploy_yaml=GOOD
    ),
    "a folder named kustomize": Attack({"kustomize/vllm/deploy.yaml": BAD}, "", 1, ""),
}


def plant(tree: Path, files: dict[str, str]) -> None:
    (tree / ".git").mkdir(parents=True)
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)


def judge(tree: Path, *options: str) -> CommandResult:
    return run_inside("recipe", ".", *options, cwd=tree)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_the_gate(tmp_path: Path, name: str) -> None:
    attack = ATTACKS[name]
    plant(tmp_path, attack.files)
    ended = judge(tmp_path, "-o", "json", *attack.options.split())
    assert ended.code == attack.code, ended.err
    assert attack.told in " ".join((ended.out + ended.err).replace('\\"', '"').split())
    assert TOKEN not in ended.out + ended.err


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_tells_what_the_tree_changes(tmp_path: Path, format: str) -> None:  # noqa: A002
    silenced = f"# dynocheck: ignore-file[parallelism] agreed\n{BAD}"
    plant(tmp_path, {DEPLOY: silenced, CONFIG: 'skip = ["gaie", "security"]\nlevels = {"graph.*" = "warn"}'})
    ended = judge(tmp_path, "-o", format)
    assert ended.code == 0
    text = " ".join(ended.out.split())
    for told in (
        "dynocheck.toml",
        "leaves out gaie.",
        "skip not applied to security.",
        "agreed",
        f"{DEPLOY}",
    ):
        assert told in text, told


def test_the_operators_own_file_may_allow_it(tmp_path: Path) -> None:
    plant(tmp_path / "tree", {DEPLOY: f"# dynocheck: ignore-file[security.secrets] r\n{SECRET}"})
    (tmp_path / "own.toml").write_text('allow-silencing = ["security.secrets"]')
    assert judge(tmp_path / "tree", "--config", "../own.toml").code == 0
    (tmp_path / "own.toml").write_text(SKIP_SECURITY)
    assert judge(tmp_path / "tree", "--config", "../own.toml").code == 0


def test_what_is_not_judged_can_be_accepted(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "recipes" / "qwen3-32b", tmp_path, dirs_exist_ok=True)  # names no GPU
    (tmp_path / "README.md").unlink(missing_ok=True)
    strict = judge(tmp_path, "--strict", "-o", "json")
    assert any(verdict["unjudged"] for verdict in strict.report["verdicts"])
    assert (strict.code, strict.report["summary"]["warn"]) == (3, 0)
    assert judge(tmp_path, "--strict", "--write-baseline", "old.json").code == 0
    accepted = judge(tmp_path, "--strict", "--baseline", "old.json", "-o", "json")
    assert accepted.code == 0
    assert {u["accepted"] for v in accepted.report["verdicts"] for u in v["unjudged"]} == {"old.json"}
    assert "accepted in the baseline old.json" in judge(tmp_path, "--baseline", "old.json").out


def test_nothing_is_imported_from_the_working_folder(tmp_path: Path) -> None:
    plant(tmp_path, {DEPLOY: BAD, **{f"{name}.py": EXIT for name in ("yaml", "click", "msgspec", "typing")}})
    done = subprocess.run(
        [sys.executable, "-m", "dynocheck", "recipe", ".", "-q"], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 1
