"""Collects checks and probes: built in, installed as plug-ins, or in directories of custom checks."""

import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dynocheck.core.bounded import refuse_exit, run_bounded
from dynocheck.core.crashes import describe_failed_import
from dynocheck.core.declarations import ChartMaker, Check, Declaration, Probe, TableMaker
from dynocheck.core.errors import PluginError, RegistryError
from dynocheck.core.plugins import (
    Declared,
    Plugin,
    find_in_folder,
    find_installed,
    import_package,
    is_plugin_type,
    list_declared,
    require_valid,
)
from dynocheck.core.results import locate
from dynocheck.core.suggestions import suggest
from dynocheck.facts import Fact

_LOAD_S = 30.0  # to import a plug-in

DeclarationT = TypeVar("DeclarationT", bound=Declaration)


@dataclass(frozen=True)
class Registry:
    """All checks and probes. `tables` holds the charts too; `by_id` knows a check by its aliases too.

    `broken` has a check for each plug-in that could not be loaded, or a part of which could not: it ends as
    an error that says why. `plugins` are the distributions and directories of the plug-ins.

    :raises RegistryError: two have one id, or two probes provide one fact.
    """

    checks: tuple[Check, ...]
    probes: tuple[Probe, ...]
    tables: tuple[TableMaker | ChartMaker, ...] = ()
    broken: tuple[Check, ...] = ()
    plugins: tuple[str, ...] = ()
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


def load(checks_dirs: Iterable[Path] = (), *, installed: bool = True, areas: Sequence[str] = ()) -> Registry:
    """Load every check and probe that is built in, installed, or in these directories.

    :param installed: whether to load the plug-ins that are installed.
    :param areas: the only areas of what is built in, to save time; with plug-ins, which may need any fact, or
        without areas, all are loaded.
    :raises RegistryError: a directory is missing, or has no modules.
    """
    collection = _Collection()
    plugins = [*(find_installed() if installed else ())]
    plugins += [plugin for folder in checks_dirs for plugin in find_in_folder(folder)]
    ends = [""] if plugins or not areas else [f".{area}" for area in areas]
    packages = (f"dynocheck.{kind}{end}" for kind in ("checks", "probes") for end in ends)
    for module in (module for package in packages for module in import_package(package)):
        for declared in list_declared(module):
            collection.add(declared)
    if plugins:
        refuse_exit()
    for plugin in plugins:
        collection.add_plugin(plugin)
    collection.drop_unfounded()
    return collection.make_registry(dict.fromkeys(plugin.source for plugin in plugins))


class _Collection:
    """Declarations that go together, and the reasons why others of the plug-ins do not."""

    def __init__(self) -> None:
        self._declared: dict[Declared, Plugin | None] = {}
        self._ids: set[str] = set()
        self._provided: dict[type[Fact], Probe] = {}
        self._faults: dict[Plugin, list[str]] = defaultdict(list)

    def add(self, declared: Declared, plugin: Plugin | None = None) -> None:
        """Add a declaration, unless it is known under this name from another module.

        :raises RegistryError: an id or a fact of it is taken.
        """
        if declared in self._declared:
            return
        if isinstance(declared, Probe):
            other = self._provided.setdefault(declared.provides, declared)
            if other is not declared:
                raise RegistryError(
                    f"probes {other.name} and {declared.name} both provide {declared.provides.__name__}"
                )
        else:
            names = {declared.id, *declared.aliases}
            if taken := sorted(names & self._ids):
                raise RegistryError(f"two checks have the id {taken[0]}")
            self._ids |= names
        self._declared[declared] = plugin

    def add_plugin(self, plugin: Plugin) -> None:
        """Add what a plug-in declares; what cannot be used becomes a fault of it."""
        try:
            fault = run_bounded(lambda: _try_load(plugin), _LOAD_S).decode()
        except PluginError as error:
            fault = f"loading it {error}"
        if fault:
            self._faults[plugin].append(fault)
            return
        with redirect_stdout(sys.stderr):  # standard output is the report's
            values = plugin.load()
        for declared in values:
            try:
                require_valid(declared)
                self.add(declared, plugin)
            except Exception as error:
                self._report(plugin, declared, error)

    def drop_unfounded(self) -> None:
        """Drop the declarations of plug-ins that need a fact which no probe can provide."""
        own = {value: plugin for value, plugin in self._declared.items() if plugin is not None}
        provided: set[type] = set()
        probes = [value for value in own if isinstance(value, Probe)]
        while ready := [each for each in probes if not _list_unfounded(each, provided)]:
            provided |= {each.provides for each in ready}
            probes = [each for each in probes if each not in ready]
        for declared, plugin in own.items():
            if unfounded := _list_unfounded(declared, provided):
                del self._declared[declared]
                reason = f"no probe can provide {unfounded[0].__name__}"
                self._report(plugin, declared, RegistryError(reason))

    def make_registry(self, plugins: Iterable[str]) -> Registry:
        checks = [value for value in self._declared if isinstance(value, Check)]
        return Registry(
            checks=tuple(sorted(checks, key=lambda check: check.id)),
            probes=tuple(value for value in self._declared if isinstance(value, Probe)),
            tables=tuple(value for value in self._declared if isinstance(value, TableMaker | ChartMaker)),
            broken=tuple(_make_broken(i, *fault) for i, fault in enumerate(self._faults.items(), 1)),
            plugins=tuple(plugins),
        )

    def _report(self, plugin: Plugin, declared: Declared, error: Exception) -> None:
        function = declared.look if isinstance(declared, Probe) else declared.function
        name = declared.name if isinstance(declared, Probe) else declared.id
        reason = str(error) if isinstance(error, RegistryError) else f"{type(error).__name__}: {error}"
        named = reason if name in reason else f"{name}: {reason}"
        self._faults[plugin].append(f"{named} ({locate(function)})")


def _try_load(plugin: Plugin) -> bytes:
    """Import a plug-in in a child of this process: what is wrong with it; empty if nothing."""
    try:
        with redirect_stdout(io.StringIO()):
            plugin.load()
    except BaseException as error:
        return describe_failed_import(error, plugin.folder).encode(errors="backslashreplace")
    return b""


def _list_unfounded(declared: Declared, provided: set[type]) -> list[type]:
    """The facts of plug-ins that it must have, except those that are provided."""
    if isinstance(declared, Probe):
        kinds: list[type] = [*declared.sources.values()]
    else:
        kinds = [need.fact for need in declared.needs if not need.optional]
    return [kind for kind in kinds if is_plugin_type(kind) and kind not in provided]


def _make_broken(number: int, plugin: Plugin, faults: Sequence[str]) -> Check:
    """A check that ends as an error, with the faults of a plug-in."""

    def judge() -> None:
        raise PluginError(f"{plugin.label}: {'; '.join(faults)}")

    name = re.sub("[^a-z0-9]+", "-", plugin.name.lower()).strip("-")
    return Check(f"plugins.{number}-{name}", f"Plug-in {plugin.label} can be used", judge)


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
