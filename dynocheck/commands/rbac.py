"""`dynocheck rbac`: prints the minimal roles of a run, and their bindings."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click
import yaml

from dynocheck.commands._config import resolve_config
from dynocheck.core.errors import UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.core.planning import plan
from dynocheck.facts import Access, ClusterFact, DiagnosisFact, EndpointFact, Fact, RecipePaths, Settings
from dynocheck.kube import Cluster
from dynocheck.loadtest import manifests
from dynocheck.probes.endpoint._client import Target
from dynocheck.probes.endpoint.address import DNS, RIGHTS, address
from dynocheck.probes.endpoint.graph import DeploymentRef, rollout
from dynocheck.probes.endpoint.workload import RIGHTS as WORKLOAD_RIGHTS
from dynocheck.probes.symptom.objects import WATCHED, DiagnosisTarget

_API_GROUP = "rbac.authorization.k8s.io"
_NAME = re.compile(r"[^\s/%]+")  # as the API server takes it: a segment of a path
# The facts that each verb judges, and the sources that it has.
_PREFLIGHT: tuple[type[Fact], set[type]] = (ClusterFact, {Cluster, RecipePaths})
_SMOKE: tuple[type[Fact], set[type]] = (EndpointFact, {Cluster, DeploymentRef, Target})
_DIAGNOSE: tuple[type[Fact], set[type]] = (DiagnosisFact, {Cluster, DiagnosisTarget})
# What `kube.daemonsets` does in a namespace that exists.
_NODE_RIGHTS = (
    Access("list", "nodes"),
    *(Access(verb, "serviceaccounts", local=True) for verb in ("create", "get", "list", "delete")),
    *(Access(verb, "daemonsets", "apps", local=True) for verb in ("create", "get")),
    Access("list", "pods", local=True),
    Access("get", "pods/log", local=True),
    Access("list", "events", local=True),
)
_PICKERS = "gaie.epp"
_NOTE = f"# For {_PICKERS}, name the ConfigMap of each endpoint picker: dynocheck rbac --configmap NAME"
_FORMS = "user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME"


def run(
    options: CommonOptions,
    *,
    smoke: bool = False,
    load: bool = False,
    node: bool = False,
    diagnose: bool = False,
    via: str | None = None,
    workload: bool = False,
    bind: Sequence[str] = (),
    name: str = "dynocheck",
    configmaps: Sequence[str] = (),
) -> int:
    """Print the roles that preflight's selected checks need, as YAML.

    :param name: of the roles; those of their bindings begin with it.
    :param configmaps: names of ConfigMaps that may be read besides those of the default installation.
    :param bind: those to whom bindings give the roles, each as _FORMS says.
    :param smoke: the roles for smoke on a deployment instead.
    :param load: the roles for `load --in-cluster --apply` instead, which creates and deletes a Job.
    :param node: the roles for `node --cluster --apply` in a namespace instead.
    :param diagnose: the roles for diagnose instead.
    :param via: the way by which smoke reaches the deployment; None for any.
    :param workload: the rights of smoke on a workload without Dynamo, instead of those on a graph.
    :raises UsageError: two options cannot be combined.
    """
    if smoke + load + node + diagnose > 1:
        raise UsageError("--smoke, --load, --node and --diagnose: give one")
    if via and not smoke:
        raise UsageError("--via: only with --smoke")
    if workload and (via or not smoke):
        raise UsageError("--workload: only with --smoke, and without --via")
    if not _NAME.fullmatch(name):
        raise UsageError(f"--name {name}: not a name of a role")
    subjects = [_parse_subject(text) for text in bind]
    if load:
        return _print_roles(name, [*manifests.RIGHTS, *RIGHTS[DNS]], subjects)
    if node:
        return _print_roles(name, _NODE_RIGHTS, subjects)
    config = resolve_config(options)
    kinds, sources = _SMOKE if smoke else _DIAGNOSE if diagnose else _PREFLIGHT
    checks = config.select_checks(options, kinds)
    planned = plan(checks, config.registry.probes, sources, {Settings})
    others = {*address.access, *rollout.access} - {*_list_ways(via, workload=workload)} if smoke else set()
    if not configmaps and any(check.id == _PICKERS for check in checks):
        click.echo(_NOTE)
    named = [Access("get", "configmaps", names=tuple(configmaps))] if configmaps else []
    watched = _list_watches() if diagnose else ()
    rights = [*(right for right in planned.access if right not in others), *named, *watched]
    return _print_roles(name, rights, subjects)


def _list_ways(via: str | None, *, workload: bool) -> Iterator[Access]:
    """The rights to reach a workload, or a graph in this way or any."""
    if workload:
        yield from WORKLOAD_RIGHTS
        return
    for way, rights in RIGHTS.items():
        if via in (None, way):
            yield from rights


def _list_watches() -> Iterator[Access]:
    """The rights by which diagnose --watch follows a rollout."""
    for path, resource in WATCHED:
        _, _, api = path.partition("/apis/")
        yield Access("watch", resource, api.rpartition("/")[0], local=True)


def _print_roles(name: str, access: Iterable[Access], subjects: Sequence[dict[str, str]]) -> int:
    roles = make_roles(access, name)
    bindings = [_make_binding(role["kind"], name, subject) for role in roles for subject in subjects]
    click.echo(yaml.safe_dump_all([*roles, *bindings], sort_keys=False), nl=False)
    return 0


def _parse_subject(text: str) -> dict[str, str]:
    """The subject of a binding.

    :raises UsageError: the text is of another form.
    """
    kind, _, name = text.partition(":")
    match kind.lower(), name:
        case "user" | "group", str() if name:
            return {"kind": kind.capitalize(), "apiGroup": _API_GROUP, "name": name}
        case "serviceaccount" | "sa", str():
            namespace, _, account = name.replace("/", ":", 1).partition(":")
            if namespace and account and not {":", "/"} & {*account}:
                return {"kind": "ServiceAccount", "namespace": namespace, "name": account}
    raise UsageError(f"--bind {text}: not of the form {_FORMS}")


def make_roles(access: Iterable[Access], name: str = "dynocheck") -> list[dict[str, Any]]:
    """A ClusterRole of these rights, and a Role of those needed in one namespace only; empty roles are left
    out.
    """
    all_rights = list(access)
    local = [right for right in all_rights if right.local]
    wide = [right for right in all_rights if not right.local]
    return [
        _make_role(kind, name, rights) for kind, rights in (("ClusterRole", wide), ("Role", local)) if rights
    ]


def _make_binding(kind: str, role: str, subject: dict[str, str]) -> dict[str, Any]:
    """The binding of a role of this kind, whose name is the subject's: another one leaves it alone."""
    name = ":".join(subject[part] for part in ("kind", "namespace", "name") if part in subject)
    return {
        "apiVersion": f"{_API_GROUP}/v1",
        "kind": f"{kind}Binding",
        "metadata": {"name": f"{role}:{re.sub('[/%]', '-', name)}"},
        "roleRef": {"apiGroup": _API_GROUP, "kind": kind, "name": role},
        "subjects": [subject],
    }


def _make_role(kind: str, name: str, access: Iterable[Access]) -> dict[str, Any]:
    """A role of exactly these rights, with one rule for the resources of a group that have the same verbs."""
    verbs: dict[tuple[str, str], set[str]] = defaultdict(set)
    named: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for right in access:
        if right.names:
            named[right.group, right.resource, right.verb].update(right.names)
        else:
            verbs[right.group, right.resource].add(right.verb)
    rules: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource), allowed in sorted(verbs.items()):
        rules[group, tuple(sorted(allowed))].append(resource)
    return {
        "apiVersion": f"{_API_GROUP}/v1",
        "kind": kind,
        "metadata": {"name": name},
        "rules": [
            *(
                {"apiGroups": [group], "resources": resources, "verbs": list(allowed)}
                for (group, allowed), resources in rules.items()
            ),
            *(
                {
                    "apiGroups": [group],
                    "resources": [resource],
                    "verbs": [verb],
                    "resourceNames": sorted(names),
                }
                for (group, resource, verb), names in sorted(named.items())
            ),
        ],
    }
