"""The package dynocheck.facts: every public name, from one place, without slowing down start-up."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from dynocheck import facts

ROOT = Path(__file__).parents[2]
MODULES = [
    info.name.removeprefix("dynocheck.facts.")
    for info in pkgutil.walk_packages(facts.__path__, "dynocheck.facts.")
    if not info.ispkg
]


def list_public_names(module: str) -> set[str]:
    """The public classes, functions and constants that a module of facts defines."""
    path = ROOT / "dynocheck" / "facts" / f"{module.replace('.', '/')}.py"
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return {name for name in names if not name.startswith("_")} - {"T"}


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_exported(module: str) -> None:
    source = importlib.import_module(f"dynocheck.facts.{module}")
    for name in list_public_names(module):
        assert name in facts.__all__
        assert getattr(facts, name) is getattr(source, name)


def test_nothing_else_is_exported() -> None:
    assert set(facts.__all__) == {name for module in MODULES for name in list_public_names(module)}
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        facts.Nothing  # type: ignore[attr-defined] # noqa: B018


def test_every_fact_class_is_exported() -> None:
    pending, classes = [facts.Fact], set()
    while pending:
        current = pending.pop()
        pending.extend(current.__subclasses__())
        classes.add(current)
    own = {cls.__name__ for cls in classes if cls.__module__.startswith("dynocheck.facts")}
    assert own <= set(facts.__all__)


def test_type_checkers_see_every_module() -> None:
    tree = ast.parse(Path(facts.__file__).read_text())
    stars = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert {f"dynocheck.facts.{module}" for module in MODULES} <= stars


def test_everything_imports_facts_from_the_package() -> None:
    files = [
        path
        for folder in ("checks", "probes", "dynocheck", "tests")
        for path in (ROOT / folder).rglob("*.py")
    ]
    outside = [path for path in files if not path.is_relative_to(ROOT / "dynocheck" / "facts")]
    bad = [path for path in outside if "\nfrom dynocheck.facts." in path.read_text()]
    assert bad == []


def test_import_dynocheck_loads_few_facts() -> None:
    code = "import dynocheck, sys; print(*[m for m in sys.modules if m.startswith('dynocheck.facts.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    few = {f"dynocheck.facts.{name}" for name in ("base", "k8s", "k8s.cluster")}
    assert set(done.stdout.split()) <= few
