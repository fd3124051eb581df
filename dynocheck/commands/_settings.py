"""What a run was told: the command line, the configuration, and the checks that they leave."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dynocheck.core import config
from dynocheck.core.errors import UsageError
from dynocheck.core.outcomes import Outcome
from dynocheck.core.registry import (
    ChartMaker,
    Check,
    Declaration,
    DeclarationT,
    Registry,
    TableMaker,
    filter_matching,
    load,
    select,
)
from dynocheck.facts import ClusterFact, Fact, RecipeFact
from dynocheck.facts.endpoint.answers import EndpointFact
from dynocheck.facts.load import limits as load_limits
from dynocheck.facts.load.run import LoadFact, LoadLimits
from dynocheck.suppression.pipeline import SuppressionOptions

FactScope = type[Fact] | tuple[type[Fact], ...]  # a verb's: of these facts its checks need one
_SCOPES = (ClusterFact, RecipeFact, EndpointFact, LoadFact)


@dataclass(frozen=True)
class CommonOptions:
    """What the command line says that all judging verbs share; `timeout_s` is in seconds for each probe."""

    outputs: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    strict: bool = False
    config: str | None = None
    checks_dirs: tuple[str, ...] = ()
    timeout_s: float = 10.0
    snapshot: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    aside: SuppressionOptions = field(default_factory=SuppressionOptions)


@dataclass(frozen=True)
class RunSettings:
    """The registry and the configuration that the choices lead to; `limits` are those of its file."""

    configuration: config.SiteConfig
    registry: Registry
    limits: LoadLimits

    @classmethod
    def resolve(cls, choices: CommonOptions) -> "RunSettings":
        """Read the configuration and load every check and probe.

        :raises UsageError: the one or the other cannot be used.
        """
        file = config.find(choices.config)
        configuration = config.read(file) if file is not None else config.SiteConfig()
        limits = require_valid_limits(load_limits.parse_limits(configuration.limits, f"limits of {file}"))
        folders = (*configuration.checks_dirs, *choices.checks_dirs)
        return cls(configuration, load(Path(folder) for folder in folders), limits)

    def select_checks(self, choices: CommonOptions, scope: FactScope | None = None) -> tuple[Check, ...]:
        """The checks of this scope that configuration and command line leave.

        :raises UsageError: an id or glob matches nothing: in the file no check at all, on the command line
            none that this verb can judge.
        """
        everything, tables = self.registry.checks, self.registry.tables
        select(everything, self.configuration.select, ())
        select((*everything, *tables), (), self.configuration.skip)
        for pattern in self.configuration.levels:
            select(everything, (pattern,), ())
        inside = _filter_in_scope(everything, scope)
        select((*inside, *_filter_in_scope(tables, scope)), (), choices.skip)
        if choices.select:  # what is asked for now counts more than what was decided once
            left = select(inside, choices.select, ())
        else:
            left = filter_matching(inside, self.configuration.select, self.configuration.skip)
        return filter_matching(left, (), choices.skip)

    def select_tables(self, choices: CommonOptions, scope: FactScope) -> tuple[TableMaker | ChartMaker, ...]:
        """The tables and charts of this scope; where checks are selected, those that the patterns match."""
        inside = _filter_in_scope(self.registry.tables, scope)
        if not choices.select:
            inside = filter_matching(inside, self.configuration.select, self.configuration.skip)
        return filter_matching(inside, choices.select, choices.skip)

    @property
    def levels(self) -> dict[str, Outcome]:
        """What the findings of a check count as, by its id; the last pattern that matches decides."""
        return {
            found.id: Outcome(level)
            for pattern, level in self.configuration.levels.items()
            for found in filter_matching(self.registry.checks, (pattern,), ())
        }


def require_valid_limits(limits: LoadLimits) -> LoadLimits:
    """The limits, all of which the user can mend here and now.

    :raises UsageError: one cannot be understood.
    """
    for misread in limits.misread:
        raise UsageError(str(misread))
    return limits


def _filter_in_scope(candidates: Sequence[DeclarationT], scope: FactScope | None) -> tuple[DeclarationT, ...]:
    return tuple(each for each in candidates if scope is None or _is_in_scope(each, scope))


def _is_in_scope(candidate: Declaration, scope: FactScope) -> bool:
    """Whether it needs a fact of this scope; what needs none of any scope belongs to every scope."""
    facts = [need.fact for need in candidate.needs]
    scoped = [fact for fact in facts if issubclass(fact, _SCOPES)]
    return not scoped or any(issubclass(fact, scope) for fact in scoped)
