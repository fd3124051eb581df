"""Writes docs/checks.md, the page of every check, from the checks themselves.

python -m tools.write_docs
"""

from pathlib import Path

from dynocheck.registry import Check, load

TARGET = Path(__file__).parent.parent / "docs" / "checks.md"
_HEAD = """# Checks

One section a check; `dynocheck explain ID` shows the same. This page is made by `make docs`.
"""


def text() -> str:
    """The page as it should be."""
    parts = [_HEAD]
    area = ""
    for check in load().checks:
        if check.area != area:
            area = check.area
            parts.append(f"## {area}\n")
        parts.append(_section(check))
    return "\n".join(parts)


def _section(check: Check) -> str:
    facts = ", ".join(f"`{need.fact.__name__}`" for need in check.needs)
    why, _, fix = check.page.partition("\nFix: ")
    parts = [
        f"### {check.id}",
        f"**{check.title}.** {why.strip()}",
        "Fix:",
        f"```text\n{fix.strip()}\n```",
        f"Looks at {facts}.\n",
    ]
    return "\n\n".join(parts)


def main() -> None:
    TARGET.write_text(text(), encoding="utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
