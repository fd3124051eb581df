"""Finds checks and probes: built in, by entry point, or in a directory of custom checks."""

import importlib
import importlib.util
import pkgutil
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from dynocheck.core.declarations import ChartMaker, Check, Declaration, Probe, TableMaker
from dynocheck.core.errors import RegistryError
from dynocheck.core.suggestions import suggest
from dynocheck.facts import Fact

CHECKS_GROUP = "dynocheck.checks"
PROBES_GROUP = "dynocheck.probes"

DeclarationT = TypeVar("DeclarationT", bound=Declaration)


@dataclass(frozen=True)
class Registry:
    """All checks and probes. `tables` holds the charts too; `by_id` knows a check by its aliases too.

    :raises RegistryError: two have one id, or two probes provide one fact.
    """

    checks: tuple[Check, ...]
    probes: tuple[Probe, ...]
    tables: tuple[TableMaker | ChartMaker, ...] = ()
    by_id: dict[str, Check] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_id: dict[str, Check] = {}
        taken: set[str] = set()
        for declaration in (*self.checks, *self.tables):
            for name in (declaration.id, *declaration.aliases):
                if name in taken:
                    raise RegistryError(f"two checks have the id {name}")
                taken.add(name)
                if isinstance(declaration, Check):
                    by_id[name] = declaration
        object.__setattr__(self, "by_id", by_id)
        provided: dict[type[Fact], Probe] = {}
        for probe in self.probes:
            other = provided.setdefault(probe.provides, probe)
            if other is not probe:
                raise RegistryError(
                    f"probes {other.name} and {probe.name} both provide {probe.provides.__name__}"
                )


def load(checks_dirs: Iterable[Path] = ()) -> Registry:
    """Load every check and probe that is built in, installed, or in these directories.

    :raises RegistryError: a module cannot be imported, or two declarations have one id.
    """
    modules = [*_import_package("dynocheck.checks"), *_import_package("dynocheck.probes")]
    installed = entry_points()
    for group in (CHECKS_GROUP, PROBES_GROUP):
        for entry in installed.select(group=group):
            loaded = _load_guarded(entry.load, f"entry point {entry.name} of {group}")
            modules.extend(_import_package(loaded.__name__) if hasattr(loaded, "__path__") else [loaded])
    for folder in checks_dirs:
        modules.extend(_import_folder(folder))
    values = dict.fromkeys(
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, (Declaration, Probe))
    )
    return Registry(
        checks=tuple(sorted((value for value in values if isinstance(value, Check)), key=lambda c: c.id)),
        probes=tuple(value for value in values if isinstance(value, Probe)),
        tables=tuple(value for value in values if isinstance(value, (TableMaker, ChartMaker))),
    )


def filter_matching(
    checks: Sequence[DeclarationT], only: Sequence[str], without: Sequence[str]
) -> tuple[DeclarationT, ...]:
    """The checks or tables that match a pattern of `only` (empty: all) and none of `without`."""
    kept = (c for c in checks if not only or any(c.matches(pattern) for pattern in only))
    return tuple(c for c in kept if not any(c.matches(pattern) for pattern in without))


def select(
    checks: Sequence[DeclarationT], only: Sequence[str], without: Sequence[str], origin: str = ""
) -> tuple[DeclarationT, ...]:
    """The same, with patterns each of which must match.

    :param origin: where the patterns are from, for messages.
    :raises RegistryError: a pattern matches no check.
    """
    for pattern in (*only, *without):
        if not any(c.matches(pattern) for c in checks):
            names = {name for c in checks for name in (c.id, c.area)}
            hint = suggest(pattern, names, 0.8) or "; run `dynocheck checks` for the list"
            raise RegistryError(f"{origin}no check here matches {pattern!r}{hint}")
    return filter_matching(checks, only, without)


def _import_package(name: str) -> list[types.ModuleType]:
    """A package and its modules, except those whose name begins with _."""
    package = importlib.import_module(name)
    modules = [package]
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        if not info.name.startswith("_"):
            full = f"{name}.{info.name}"
            modules.extend(_import_package(full) if info.ispkg else [importlib.import_module(full)])
    return modules


def _import_folder(folder: Path) -> Iterator[types.ModuleType]:
    if not folder.is_dir():
        raise RegistryError(f"{folder}: no such directory")
    for path in sorted(folder.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"dynocheck_local_{path.stem}", path)
        assert spec is not None and spec.loader is not None  # noqa: PT018  (it has the .py suffix)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        _load_guarded(partial(spec.loader.exec_module, module), str(path))
        yield module


def _load_guarded(function: Callable[[], Any], what: str) -> Any:
    try:
        return function()
    except Exception as error:
        raise RegistryError(f"{what}: {type(error).__name__}: {error}") from error
