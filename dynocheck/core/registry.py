"""Finds checks and probes: built in, by entry point, or in a folder that the user names."""

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

from dynocheck.core.declarations import ChartMaker, Check, Declaration, Probe, RegistryError, TableMaker
from dynocheck.facts import Fact

__all__ = [
    "ChartMaker",
    "Check",
    "Declaration",
    "DeclarationT",
    "Probe",
    "Registry",
    "RegistryError",
    "TableMaker",
    "filter_matching",
    "load",
    "select",
]

CHECKS_GROUP = "dynocheck.checks"
PROBES_GROUP = "dynocheck.probes"

DeclarationT = TypeVar("DeclarationT", bound=Declaration)


@dataclass(frozen=True)
class Registry:
    """All that was found; `tables` has the charts too."""

    checks: tuple[Check, ...]
    probes: tuple[Probe, ...]
    tables: tuple[TableMaker | ChartMaker, ...] = ()
    by_id: dict[str, Check] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_id: dict[str, Check] = {}
        taken: set[str] = set()
        for found in (*self.checks, *self.tables):
            for name in (found.id, *found.aliases):
                if name in taken:
                    raise RegistryError(f"two checks are called {name}")
                taken.add(name)
                if isinstance(found, Check):
                    by_id[name] = found
        object.__setattr__(self, "by_id", by_id)
        provided: dict[type[Fact], Probe] = {}
        for prober in self.probes:
            other = provided.setdefault(prober.provides, prober)
            if other is not prober:
                raise RegistryError(
                    f"probes {other.name} and {prober.name} both provide {prober.provides.__name__}"
                )


def load(checks_dirs: Iterable[Path] = ()) -> Registry:
    """Everything that is built in, installed or lies in these folders.

    :raises RegistryError: a module cannot be imported, or two things have one name.
    """
    modules = [*_import_package("dynocheck.checks"), *_import_package("dynocheck.probes")]
    installed = entry_points()
    for group in (CHECKS_GROUP, PROBES_GROUP):
        for entry in installed.select(group=group):
            loaded = _load_guarded(entry.load, f"entry point {entry.name} of {group}")
            modules.extend(_import_package(loaded.__name__) if hasattr(loaded, "__path__") else [loaded])
    for folder in checks_dirs:
        modules.extend(_import_folder(folder))
    things = (thing for module in modules for thing in vars(module).values())
    found = list(dict.fromkeys(thing for thing in things if isinstance(thing, (Declaration, Probe))))
    return Registry(
        checks=tuple(sorted((c for c in found if isinstance(c, Check)), key=lambda c: c.id)),
        probes=tuple(p for p in found if isinstance(p, Probe)),
        tables=tuple(t for t in found if isinstance(t, (TableMaker, ChartMaker))),
    )


def filter_matching(
    checks: Sequence[DeclarationT], only: Sequence[str], without: Sequence[str]
) -> tuple[DeclarationT, ...]:
    """The checks or tables that match one of `only`, or all when it is empty, and none of `without`."""
    kept = (c for c in checks if not only or any(c.matches(pattern) for pattern in only))
    return tuple(c for c in kept if not any(c.matches(pattern) for pattern in without))


def select(
    checks: Sequence[DeclarationT], only: Sequence[str], without: Sequence[str]
) -> tuple[DeclarationT, ...]:
    """The same, of patterns that must each mean something.

    :raises RegistryError: an id or glob matches no check.
    """
    for pattern in (*only, *without):
        if not any(c.matches(pattern) for c in checks):
            raise RegistryError(f"no check here matches {pattern!r}; `dynocheck checks` lists them all")
    return filter_matching(checks, only, without)


def _import_package(name: str) -> list[types.ModuleType]:
    """A package and all its public modules; a name that begins with _ is a helper's."""
    package = importlib.import_module(name)
    modules = [package]
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        if not info.name.startswith("_"):
            full = f"{name}.{info.name}"
            modules.extend(_import_package(full) if info.ispkg else [importlib.import_module(full)])
    return modules


def _import_folder(folder: Path) -> Iterator[types.ModuleType]:
    if not folder.is_dir():
        raise RegistryError(f"{folder}: no such folder of checks")
    for path in sorted(folder.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"dynocheck_local_{path.stem}", path)
        assert spec is not None and spec.loader is not None  # noqa: PT018  (it has the .py suffix)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        _load_guarded(partial(spec.loader.exec_module, module), str(path))
        yield module


def _load_guarded(load_it: Callable[[], Any], what: str) -> Any:
    try:
        return load_it()
    except Exception as error:
        raise RegistryError(f"{what}: {type(error).__name__}: {error}") from error
