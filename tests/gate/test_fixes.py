"""Fixes that people paste into a shell: hostile names in them are words, not commands."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

from tests.command import ROOT, CommandResult, run_inside

HOSTILE = "x'; touch `id`; $(id) \"y & z"
_NAMES = ("name", "namespace", "configuration", "node", "storage_class")


def poison(value: Any) -> Any:
    """Facts with hostile names, which a forged recording may have."""
    if isinstance(value, dict):
        return {
            key: f"{HOSTILE}{item[-3:]}"
            if key in _NAMES and isinstance(item, str) and "." not in item
            else poison(item)
            for key, item in value.items()
        }
    return [poison(item) for item in value] if isinstance(value, list) else value


def list_commands(ended: CommandResult) -> list[str]:
    findings = [f for verdict in ended.report["verdicts"] for f in verdict["findings"]]
    return [f["fix"] for f in findings if re.match(r"(kubectl|helm|hf|git|curl|dynocheck) ", f["fix"] or "")]


def test_commands_quote_hostile_names(tmp_path: Path) -> None:
    recorded = json.loads((ROOT / "dynocheck/data/demo.json").read_text())
    (tmp_path / "c.json").write_text(json.dumps(recorded | {"facts": poison(recorded["facts"])}))
    deploy = (ROOT / "recipes/qwen3-32b/vllm/agg-round-robin/deploy.yaml").read_text()
    hostile = re.sub(r"(\b(?:name|claimName): )[\w.-]+", lambda match: match[1] + json.dumps(HOSTILE), deploy)
    (tmp_path / "a b;c.yaml").write_text(hostile)
    commands = list_commands(run_inside("preflight", "--snapshot", tmp_path / "c.json", "-o", "json"))
    commands += list_commands(run_inside("recipe", tmp_path / "a b;c.yaml", "-o", "json"))
    assert sum("touch" in command for command in commands) >= 2
    for command in commands:
        done = subprocess.run(["bash", "-n"], input=command, text=True, capture_output=True)
        assert done.returncode == 0, command
        words = shlex.split(command, comments=True)
        assert all(HOSTILE in word for word in words if "touch" in word), command
