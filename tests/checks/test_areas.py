"""Where checks and probes lie."""

import importlib
import pkgutil

import pytest

from dynocheck import checks, probes
from dynocheck.core.declarations import Declaration, Probe
from dynocheck.core.registry import load


def test_a_check_lies_in_the_folder_of_its_area() -> None:
    registry = load()
    for found in (*registry.checks, *registry.tables):
        package, area = found.function.__module__.split(".")[1:3]
        assert (package, area) == ("checks", found.area), found.id


@pytest.mark.parametrize("package", [checks, probes], ids=lambda package: package.__name__)
def test_a_helper_declares_nothing(package: object) -> None:
    """The registry passes over modules whose name begins with an underscore."""
    modules = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")  # type: ignore[attr-defined]
    names = [found.name for found in modules if found.name.rpartition(".")[2].startswith("_")]
    assert names
    for name in names:
        module = importlib.import_module(name)
        declared = [each for each in vars(module).values() if isinstance(each, (Declaration, Probe))]
        assert not declared, name
