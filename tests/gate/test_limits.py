"""Ordinary limits of a machine, by verb: neither a traceback nor a verdict that is not true."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT
from tests.gate.test_faults import JUDGING
from tests.gate.test_unreachable import serve_badly

URL = "http://127.0.0.1:1"
# A verb, and its exit code without limits.
VERBS = {
    f"recipe {ROOT}/recipes/qwen3-32b -q": 0,
    "preflight --kubeconfig {config} -q": 3,
    f"preflight --snapshot {ROOT}/dynocheck/data/demo.json -q": 1,
    f"smoke --url {URL} --timeout 1 -q": 1,
    f"load --url {URL} --requests 2 -q": 3,
    "snapshot /dev/null --kubeconfig {config}": 3,
    "checks": 0,
    "rbac": 0,
    "explain gpu": 0,
}
LIMITS = {
    "100 MB": "ulimit -v 100000",
    "200 MB": "ulimit -v 200000",
    "400 MB": "ulimit -v 400000",
    "16 files": "ulimit -n 16",
    "no working folder": "mkdir gone; cd gone; rmdir ../gone",
    "a home that cannot be written": "export HOME=/proc",
    "no home": "unset HOME",
    "no folder for temporary files": "export TMPDIR=/nowhere",
    "C locale": "export LANG=C LC_ALL=C PYTHONUTF8=0",
    "no standard input": "exec <&-",
}
OFTEN = {("100 MB", 3), ("200 MB", 3), ("200 MB", 0), ("16 files", 1), ("no working folder", 0)}


def list_cases() -> list[object]:
    seen: set[tuple[str, int]] = set()
    cases: list[object] = []
    for limit in LIMITS:
        for verb, code in VERBS.items():
            is_often = (limit, code) in OFTEN - seen
            seen.add((limit, code))
            cases.append(pytest.param(limit, verb, marks=() if is_often else pytest.mark.verify))
    return cases


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v is of Linux")
@pytest.mark.parametrize(("limit", "verb"), list_cases())
def test_a_limit_changes_no_verdict(tmp_path: Path, limit: str, verb: str) -> None:
    with serve_badly("nobody listens", tmp_path) as server:
        config = server.kubeconfig(tmp_path)
    command = f"{LIMITS[limit]}; exec {sys.executable} -m dynocheck {verb.format(config=config)}"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    is_lost = limit == "no working folder" and verb.split()[0] in JUDGING
    assert done.returncode == (2 if is_lost else VERBS[verb]), done.stderr
    assert "Traceback" not in done.stderr
    assert "bug in dynocheck" not in done.stdout + done.stderr
