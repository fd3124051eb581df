"""`dynocheck rbac`: the least roles under which a run can look at everything."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import click
import yaml

from dynocheck.commands._settings import CommonOptions, RunSettings
from dynocheck.core import runner
from dynocheck.core.errors import UsageError
from dynocheck.facts import Access, ClusterFact, RecipePaths, Settings
from dynocheck.facts.endpoint.answers import EndpointFact
from dynocheck.kube import Cluster
from dynocheck.loadtest import manifests
from dynocheck.probes.endpoint._client import Target
from dynocheck.probes.endpoint.address import DNS, RIGHTS, address
from dynocheck.probes.endpoint.graph import DeploymentRef


def run(choices: CommonOptions, *, smoke: bool = False, load: bool = False, via: str | None = None) -> int:
    """Print the roles that the chosen checks need, as YAML; those of smoke instead of preflight's.

    :param load: instead, what a load by a Job's pods needs: it makes and deletes.
    :param via: the way to the deployment that smoke is to take; any, unless given.
    :raises UsageError: what is asked for does not go together.
    """
    if smoke and load:
        raise UsageError("--smoke and --load: give one")
    if via and not smoke:
        raise UsageError("--via: only with --smoke")
    if load:
        return _print_roles([*manifests.RIGHTS, *RIGHTS[DNS]])
    setting = RunSettings.resolve(choices)
    checks = setting.select_checks(choices, EndpointFact if smoke else ClusterFact)
    sources: set[type] = {Cluster, DeploymentRef, Target} if smoke else {Cluster, RecipePaths}
    plan = runner.plan(checks, setting.registry.probes, sources, {Settings})
    others = {*address.access} - {*RIGHTS[via]} if via else set()
    return _print_roles(right for right in plan.access if right not in others)


def _print_roles(access: Iterable[Access]) -> int:
    click.echo(yaml.safe_dump_all(make_roles(access), sort_keys=False), nl=False)
    return 0


def make_roles(access: Iterable[Access]) -> list[dict[str, Any]]:
    """A ClusterRole that grants these rights, and a Role for those that are needed in one namespace only;
    neither where it would grant nothing.
    """
    rights = list(access)
    local = [right for right in rights if right.local]
    wide = [right for right in rights if not right.local]
    return [_make_role(kind, found) for kind, found in (("ClusterRole", wide), ("Role", local)) if found]


def _make_role(kind: str, access: Iterable[Access]) -> dict[str, Any]:
    """The role that grants these rights and no other, resources of a group and its verbs together."""
    verbs: dict[tuple[str, str], set[str]] = defaultdict(set)
    for right in access:
        verbs[right.group, right.resource].add(right.verb)
    rules: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource), allowed in sorted(verbs.items()):
        rules[group, tuple(sorted(allowed))].append(resource)
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": "dynocheck"},
        "rules": [
            {"apiGroups": [group], "resources": resources, "verbs": list(allowed)}
            for (group, allowed), resources in rules.items()
        ],
    }
