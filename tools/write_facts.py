"""Writes the exports of dynocheck.facts: every public name that its modules define.

python -m tools.write_facts
"""

import ast
import re
import textwrap
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "dynocheck" / "facts"
DOOR = FOLDER / "__init__.py"
_IMPORTS = re.compile(r"(?<=if TYPE_CHECKING:\n).*?(?=\n\n)", re.DOTALL)
_TABLE = re.compile(r"(?<=_NAMES = \{\n).*?(?=^\})", re.DOTALL | re.MULTILINE)
_WIDTH = 110


def list_modules() -> list[str]:
    """The modules of facts, such as `k8s.cluster`."""
    found = (path.relative_to(FOLDER).with_suffix("") for path in FOLDER.rglob("*.py"))
    return sorted(".".join(path.parts) for path in found if path.name != "__init__")


def list_public_names(module: str) -> list[str]:
    """The public classes, functions and constants that a module of facts defines."""
    names: set[str] = set()
    for node in ast.parse((FOLDER / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return sorted(name for name in names - {"T"} if not name.startswith("_"))


def render() -> str:
    """The package's own module as it should be."""
    modules = list_modules()
    imports = "\n".join(f"    from dynocheck.facts.{module} import *" for module in modules)
    table = "".join(_render_row(module, " ".join(list_public_names(module))) for module in modules)
    text = _IMPORTS.sub(lambda _: imports, DOOR.read_text(encoding="utf-8"), count=1)
    return _TABLE.sub(lambda _: table, text, count=1)


def _render_row(module: str, names: str) -> str:
    row = f'    "{module}": "{names}",\n'
    if len(row) <= _WIDTH + 1:
        return row
    block = textwrap.fill(names, _WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return f'    "{module}": """\n{block}\n    """,\n'


if __name__ == "__main__":
    DOOR.write_text(render(), encoding="utf-8")
