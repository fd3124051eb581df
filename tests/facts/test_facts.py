"""The package dynocheck.facts: every public name, from one place, without slowing down start-up."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from dynocheck import facts
from tools import write_facts

ROOT = Path(__file__).parents[2]


def test_what_is_exported_is_written_anew() -> None:
    assert Path(facts.__file__).read_text() == write_facts.render()


@pytest.mark.parametrize("module", write_facts.list_modules())
def test_every_public_name_is_exported(module: str) -> None:
    source = importlib.import_module(f"dynocheck.facts.{module}")
    for name in write_facts.list_public_names(module):
        assert name in facts.__all__
        assert getattr(facts, name) is getattr(source, name)


def test_a_name_that_there_is_not() -> None:
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
