"""Writes what the documents repeat: docs/checks.md from the checks themselves, and the README's table.

python -m tools.write_docs
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from dynocheck.core.declarations import Check
from dynocheck.core.registry import load

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "checks.md"
README = ROOT / "README.md"
TABLE = re.compile(r"(?<=```console\n\$ dynocheck preflight\n).*?(?=\n```)", re.DOTALL)
_HEAD = """# Checks

One section a check; `dynocheck explain ID` shows the same. This page is made by `make renew`.
"""


def render_checks() -> str:
    """The page as it should be."""
    parts = [_HEAD]
    area = ""
    for check in load().checks:
        if check.area != area:
            area = check.area
            parts.append(f"## {area}\n")
        parts.append(_render_section(check))
    return "\n".join(parts)


def _render_section(check: Check) -> str:
    facts = ", ".join(f"`{need.fact.__name__}`" for need in check.needs)
    why, _, fix = check.documentation.partition("\nFix: ")
    parts = [
        f"### {check.id}",
        f"**{check.title}.** {why.strip()}",
        "Fix:",
        f"```text\n{fix.strip()}\n```",
        f"Looks at {facts}.\n",
    ]
    return "\n\n".join(parts)


def render_table() -> str:
    """What preflight says of the recorded cluster, 100 columns wide."""
    command = [sys.executable, "-m", "dynocheck", "preflight", "--snapshot", "dynocheck/data/demo.json"]
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main() -> None:
    TARGET.write_text(render_checks(), encoding="utf-8")
    README.write_text(
        TABLE.sub(lambda _: render_table(), README.read_text(encoding="utf-8")), encoding="utf-8"
    )
    print(TARGET, README)


if __name__ == "__main__":
    main()
