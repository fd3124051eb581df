"""`dynocheck rbac`: the least ClusterRole under which a run can look at everything."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import click
import yaml

from dynocheck import runner
from dynocheck.commands.judging import Choices, Setting
from dynocheck.facts import Access, ClusterFact, RecipePaths, Settings
from dynocheck.kube import Cluster


def run(choices: Choices) -> int:
    """Print the role that the chosen checks need, as YAML."""
    setting = Setting.of(choices)
    checks = setting.checks(choices, ClusterFact)
    plan = runner.plan(checks, setting.registry.probes, {Cluster, RecipePaths}, {Settings})
    click.echo(yaml.safe_dump(role(plan.access), sort_keys=False), nl=False)
    return 0


def role(access: Iterable[Access]) -> dict[str, Any]:
    """The ClusterRole that grants these rights and no other, resources of a group and its verbs together."""
    verbs: dict[tuple[str, str], set[str]] = defaultdict(set)
    for right in access:
        verbs[right.group, right.resource].add(right.verb)
    rules: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource), allowed in sorted(verbs.items()):
        rules[group, tuple(sorted(allowed))].append(resource)
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "dynocheck"},
        "rules": [
            {"apiGroups": [group], "resources": resources, "verbs": list(allowed)}
            for (group, allowed), resources in rules.items()
        ],
    }
