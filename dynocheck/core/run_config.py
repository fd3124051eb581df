"""The configuration of a run: the site's files, the registry, and the checks that a verb selects."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dynocheck.core.config import SiteConfig, format_key, format_value
from dynocheck.core.config_files import ConfigFiles, find_config
from dynocheck.core.declarations import ChartMaker, Check, Declaration, TableMaker
from dynocheck.core.errors import RegistryError, UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.core.outcomes import Outcome
from dynocheck.core.plugins import list_files
from dynocheck.core.registry import DeclarationT, Registry, filter_matching, load, select
from dynocheck.core.trust import ONLY_OPERATOR, Trust, find_roots
from dynocheck.facts import (
    ClusterFact,
    DiagnosisFact,
    EndpointFact,
    Fact,
    LoadFact,
    LoadLimits,
    NodeFact,
    RecipeFact,
    ServedKinds,
    parse_limits,
)

FactKinds = type[Fact] | tuple[type[Fact], ...]  # a verb judges the checks that need a fact of these kinds
_MOST_NAMES = 8
_AREAS = ("symptom",)  # of what a diagnosis of a cluster can judge
_NO_TREE = Trust()
_KINDS = (ClusterFact, DiagnosisFact, RecipeFact, EndpointFact, LoadFact, NodeFact, ServedKinds)


@dataclass(frozen=True)
class RunConfig:
    """The configuration of a run.

    `limits` are those of the site's files, `trust` what the judged tree may silence.
    """

    files: ConfigFiles
    registry: Registry
    limits: LoadLimits
    no_plugins: bool = False
    trust: Trust = _NO_TREE

    @classmethod
    def resolve(
        cls, options: CommonOptions, judged: Sequence[str] = (), kinds: FactKinds | None = None
    ) -> "RunConfig":
        """Read the site's files and load every check and probe, or only those of one kind of fact if nothing
        can name another one.

        :param judged: the paths that are judged.
        :param kinds: of the facts that the checks of the run need.
        :raises UsageError: a file, a check or a probe cannot be used.
        """
        trust = Trust(find_roots(judged), options.isolated)
        trust.require_outside("--config", [options.config])
        trust.require_outside("--checks-dir", options.checks_dirs)
        trust.require_outside("--baseline", [options.baseline])
        files = find_config(judged, options.config, trusted=options.trust_config, isolated=options.isolated)
        trust = replace(trust, allowed=files.site.allow_silencing)
        limits = parse_limits(files.site.limits, f"limits of {files.get_file('limits')}")
        if not options.no_plugins:
            _require_folders(files)
        folders = (*(() if options.no_plugins else files.site.checks_dirs), *options.checks_dirs)
        named = files.files or options.select or options.skip or options.baseline or options.snapshot
        areas = _AREAS if kinds is DiagnosisFact and not named else ()
        registry = load(dict.fromkeys(map(Path, folders)), installed=not options.no_plugins, areas=areas)
        return cls(files, registry, require_valid_limits(limits), options.no_plugins, trust)

    @property
    def site(self) -> SiteConfig:
        """The values of the site's files that hold."""
        return self.files.site

    def select_checks(
        self, options: CommonOptions, kinds: FactKinds | None = None, *, all_requested: bool = False
    ) -> tuple[Check, ...]:
        """The checks of these kinds that the site's files and the command line select.

        --select on the command line replaces the files' select and skip. Files of the judged tree leave out
        no protected check.

        :param all_requested: whether checks on request count without a select that names them.
        :raises UsageError: a pattern of the files matches no check at all, or one of the command line none of
            these kinds.
        """
        self.require_matches()
        candidates = _filter_kinds(self.registry.checks, kinds)
        others = (*_filter_kinds(self.registry.tables, kinds), *self.registry.broken)
        if not self.registry.broken:  # a pattern may be for what could not be loaded
            select((*candidates, *others), (), options.skip)
            select(candidates, options.select, ())
        if options.select:
            selected = filter_matching(candidates, options.select, ())
        else:
            left_out = {*self._list_left_out(candidates, "select"), *self._list_left_out(candidates, "skip")}
            requested = all_requested or bool(self.site.select)
            wanted = (check for check in candidates if requested or not check.on_request)
            selected = tuple(check for check in wanted if check not in left_out)
        return filter_matching(selected, (), options.skip)

    def _list_left_out(self, checks: Sequence[Check], key: Literal["select", "skip"]) -> list[Check]:
        """The checks that `select` or `skip` of the site's files leaves out."""
        if key == "select":
            matching = {*filter_matching(checks, self.site.select, ())}
        else:
            matching = {*filter_matching(checks, (), self.site.skip)}
        trusted = self.files.is_trusted(key)
        return [c for c in checks if c not in matching and (trusted or not self.trust.protects(c.id))]

    def select_broken(self, options: CommonOptions) -> tuple[Check, ...]:
        """The checks that say why plug-ins could not be loaded; only --skip leaves them out."""
        return filter_matching(self.registry.broken, (), options.skip)

    def require_matches(self) -> None:
        """Require that every pattern of the site's files matches a check, one of `skip` a check or a table.

        Those that may be for custom checks which are not loaded may match none.

        :raises UsageError: one matches none.
        """
        if self.registry.broken or self.no_plugins:
            return
        checks, tables = self.registry.checks, self.registry.tables
        lenient = {file.path for file, _ in self.files.unloaded_dirs}
        patterns = [("select", pattern) for pattern in self.site.select]
        patterns += [("skip", pattern) for pattern in self.site.skip]
        patterns += [("levels", pattern) for pattern in self.site.levels]
        patterns += [("allow-silencing", pattern) for pattern in self.site.allow_silencing]
        for key, pattern in patterns:
            file = self.files.get_file(key, pattern) if key == "levels" else self.files.get_file(key)
            if file not in lenient:
                select((*checks, *tables) if key == "skip" else checks, (pattern,), (), f"{file}: {key}: ")

    def describe(self, options: CommonOptions) -> dict[str, Any]:
        """The configuration files, what they change, and the plug-ins, for the target of a report."""
        described = self.files.describe()
        described["config notes"] = [*described.get("config notes", ()), *self._describe_changes(options)]
        described["plugins"] = list(self.registry.plugins)
        return {name: value for name, value in described.items() if value}

    def _describe_changes(self, options: CommonOptions) -> Iterator[str]:
        """What each value of the site's files changes, and the protected checks that it does not."""
        checks = self.registry.checks
        for (key, *entry), (value, file) in self.files.merged.items():
            name = format_key(f"{key}.", entry[0]) if entry else key
            text = f"{file}: {name} = {format_value(value)}"
            if key in ("select", "skip") and options.select:
                yield f"{text} replaced by --select"
                continue
            if key in ("select", "skip"):
                left_out = self._list_left_out(checks, "select" if key == "select" else "skip")
                text += f" leaves out {_name_checks(left_out)}"
            elif key == "levels":
                text += f" for {_name_checks(filter_matching(checks, entry, ()))}"
            yield text
            yield from self._describe_kept(key, entry, value, file)

    def _describe_kept(self, key: str, entry: Sequence[str], value: Any, file: Path) -> Iterator[str]:
        protected = [c for c in self.registry.checks if self.trust.protects(c.id)]
        if key not in ("select", "skip", "levels") or self.files.is_trusted(key, *entry):
            return
        match key:
            case "select":
                kept = [c for c in protected if c not in filter_matching(protected, value, ())]
            case "skip":
                kept = [c for c in protected if c not in filter_matching(protected, (), value)]
            case _:
                kept = [*filter_matching(protected, entry, ())] if value == Outcome.WARN else []
        if kept:
            yield f"{file}: {key} not applied to {_name_checks(kept)}: {ONLY_OPERATOR}"

    def select_tables(self, options: CommonOptions, kinds: FactKinds) -> tuple[TableMaker | ChartMaker, ...]:
        """The tables and charts of these kinds that the same patterns select."""
        candidates = _filter_kinds(self.registry.tables, kinds)
        if not options.select:
            candidates = filter_matching(candidates, self.site.select, self.site.skip)
        return filter_matching(candidates, options.select, options.skip)

    @property
    def levels(self) -> dict[str, Outcome]:
        """The outcome of a check's warnings and failures, by id; the last matching pattern decides.

        Files of the judged tree do not lower protected checks.
        """
        return {
            check.id: Outcome(level)
            for file in self.files.files
            for pattern, level in file.content.get("levels", {}).items()
            for check in filter_matching(self.registry.checks, (pattern,), ())
            if file.trusted or level == Outcome.FAIL or not self.trust.protects(check.id)
        }


def _name_checks(checks: Sequence[Check]) -> str:
    """The ids of some checks, or the first of many."""
    ids = [check.id for check in checks]
    more = f" and {len(ids) - _MOST_NAMES} more" if len(ids) > _MOST_NAMES else ""
    return (", ".join(ids[:_MOST_NAMES]) or "no check") + more


def require_valid_limits(limits: LoadLimits) -> LoadLimits:
    """The same limits.

    :raises UsageError: one cannot be parsed.
    """
    for misread in limits.misread:
        raise UsageError(str(misread))
    return limits


def _require_folders(files: ConfigFiles) -> None:
    """:raises UsageError: a directory that a file names under checks-dirs is missing, or has no modules."""
    for folder in files.site.checks_dirs:
        try:
            list_files(Path(folder))
        except RegistryError as error:
            raise UsageError(f"{files.get_file('checks-dirs')}: checks-dirs: {error}") from None


def _filter_kinds(candidates: Sequence[DeclarationT], kinds: FactKinds | None) -> tuple[DeclarationT, ...]:
    return tuple(candidate for candidate in candidates if kinds is None or _needs_kind(candidate, kinds))


def _needs_kind(candidate: Declaration, kinds: FactKinds) -> bool:
    """Whether it needs a fact of these kinds; one that needs a fact of no kind belongs to every verb."""
    facts = [need.fact for need in candidate.needs if issubclass(need.fact, _KINDS)]
    return not facts or any(issubclass(fact, kinds) for fact in facts)
