"""Plug-ins: installed modules, and files in directories of custom checks. Faults in them are exceptions."""

import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from dynocheck.core.declarations import Check, Declaration, Probe, is_id
from dynocheck.core.errors import RegistryError
from dynocheck.facts import Access, Fact

GROUPS = ("dynocheck.checks", "dynocheck.probes")

Declared = Declaration | Probe


@dataclass(frozen=True)
class Plugin:
    """Something that declares checks or probes.

    :param name: of the entry point, or of the file without its suffix.
    :param source: the distribution with its version, or the directory.
    :param label: the entry point or the file, for messages.
    :param folder: where its code lies, if that is known.
    """

    name: str
    source: str
    label: str
    folder: Path | None
    load_modules: Callable[[], list[ModuleType]]

    def load(self) -> list[Declared]:
        """Import it, and list what it declares.

        :raises BaseException: whatever its code raises.
        """
        return [value for module in self.load_modules() for value in list_declared(module)]


def list_declared(module: ModuleType) -> list[Declared]:
    """The checks, tables, charts and probes among a module's values."""
    return [value for value in vars(module).values() if isinstance(value, Declaration | Probe)]


def import_package(name: str) -> list[ModuleType]:
    """A package and its modules, except those whose name begins with _."""
    package = importlib.import_module(name)
    modules = [package]
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        if not info.name.startswith("_"):
            full = f"{name}.{info.name}"
            modules.extend(import_package(full) if info.ispkg else [importlib.import_module(full)])
    return modules


def find_installed() -> Iterator[Plugin]:
    """The plug-ins that installed distributions name as entry points."""
    installed = entry_points()
    for group in GROUPS:
        for entry in installed.select(group=group):
            dist = entry.dist
            source = f"{dist.name} {dist.version}" if dist else entry.name
            label = f"{source}: entry point {entry.name} = {entry.value}"
            yield Plugin(entry.name, source, label, _find_folder(entry.value), partial(_load_entry, entry))


def find_in_folder(folder: Path) -> Iterator[Plugin]:
    """Each file of a directory with custom checks, as a plug-in.

    :raises RegistryError: there is no such directory, or no module in it.
    """
    for path in list_files(folder):
        yield Plugin(path.stem, str(folder), str(path), folder, partial(_load_file, path))


def list_files(folder: Path) -> list[Path]:
    """The modules in a directory with custom checks.

    :raises RegistryError: there is no such directory, or no module in it.
    """
    if not folder.is_dir():
        raise RegistryError(f"{folder}: no such directory")
    if files := sorted(folder.glob("*.py")):
        return files
    raise RegistryError(f"{folder}: no custom checks in it: no *.py file")


def require_valid(declared: Declared) -> None:
    """Require that what a plug-in declares can be used in a run.

    :raises RegistryError: it cannot; the message says why.
    """
    if isinstance(declared, Probe):
        return _require_valid_probe(declared)
    if not inspect.isfunction(inspect.unwrap(declared.function)):
        kind = type(declared.function).__name__
        raise RegistryError(f"{declared.id}: the decorator is for a function, not for a {kind}")
    if not isinstance(declared.title, str) or not declared.title.strip():
        raise RegistryError(f"{declared.id}: the title {declared.title!r} is not a text")
    if wrong := [alias for alias in declared.aliases if not is_id(alias)]:
        raise RegistryError(f"{declared.id}: the alias {wrong[0]!r} is not of the form area.kebab-name")
    if isinstance(declared, Check) and not all(map(callable, dict(declared.explained_by).values())):
        raise RegistryError(f"{declared.id}: explained_by is not a mapping from check ids to relations")
    _ = declared.needs
    return None


def _require_valid_probe(probe: Probe) -> None:
    if not is_plugin_type(probe.provides):
        raise RegistryError(f"probe {probe.name}: provides {probe.provides.__name__}, which is not its own")
    if not all(isinstance(access, Access) for access in probe.access):
        raise RegistryError(f"probe {probe.name}: access {list(probe.access)!r} is not a list of Access")
    for parameter in probe.parameters:
        kind: Any = probe.sources.get(parameter)
        if not isinstance(kind, type) or (is_plugin_type(kind) and not issubclass(kind, Fact)):
            raise RegistryError(f"probe {probe.name}: parameter {parameter} is not typed as a source or fact")


def is_plugin_type(kind: type) -> bool:
    """Whether a type is not one of dynocheck's."""
    return not kind.__module__.startswith("dynocheck.")


def _load_entry(entry: EntryPoint) -> list[ModuleType]:
    loaded = entry.load()
    if not isinstance(loaded, ModuleType):
        raise RegistryError(f"names a {type(loaded).__name__}, not a module")
    modules = import_package(loaded.__name__) if hasattr(loaded, "__path__") else [loaded]
    if not any(map(list_declared, modules)):
        raise RegistryError("declares no check and no probe")
    return modules


def _find_folder(entry: str) -> Path | None:
    """The folder of the package, or of the module, that an entry point names; imports nothing."""
    try:
        spec = importlib.util.find_spec(re.split(r"[.:\s]", entry)[0])
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(spec.origin).parent if spec and spec.origin else None


def _load_file(path: Path) -> list[ModuleType]:
    spec = importlib.util.spec_from_file_location(f"dynocheck_local_{path.stem}", path)
    assert spec is not None and spec.loader is not None  # noqa: PT018  (it has the .py suffix)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return [module]
