"""platform.pod-security: Pod Security Standards and OpenShift's constraints against the recipe's pods."""

import re
from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.data.podsecurity import (
    BASELINE_CAPABILITIES,
    HOST_NAMESPACES,
    RESTRICTED_CAPABILITIES,
    RESTRICTED_VOLUMES,
    SECCOMP,
)
from dynocheck.facts import (
    CustomResourceDefinitions,
    Namespace,
    PodTemplate,
    Recipes,
    Value,
    list_pod_templates,
)

_ENFORCE = "pod-security.kubernetes.io/enforce"
_CONSTRAINTS = "securitycontextconstraints.security.openshift.io"
_GROUP = 1000  # that the operator gives volumes of graphs: DefaultSecurityContextFSGroup of internal/consts
_BLOCK = re.compile(r"(\d{1,12})([/-])(\d{1,12})")


@check("platform.pod-security", title="The namespace's Pod Security level admits the pods")
def pod_security(
    namespace: Namespace, definitions: CustomResourceDefinitions, recipes: Recipes
) -> Iterator[Finding]:
    """A namespace that enforces a Pod Security Standard rejects pods that violate it. For RDMA and shared
    memory, workers use IPC_LOCK, hostIPC or host paths, which `baseline` already forbids.

    Only the manifests are judged; exemptions by an administrator are not visible. Of what `restricted`
    requires the operator adds nothing: its default is a group for volumes (`applyDefaultSecurityContext` in
    `internal/dynamo/graph.go`). On OpenShift, violations of
    restricted-v2 are a warning: which other constraints a service account may use is not visible. The user of
    a pod must be of the namespace's range there, and its group for volumes the first of the namespace's; the
    operator's is 1000.

    Fix: kubectl label namespace NAMESPACE pod-security.kubernetes.io/enforce=privileged --overwrite
    """
    level = namespace.labels.get(_ENFORCE, "privileged")
    constrained = definitions.find(_CONSTRAINTS) is not None
    enforced = level in ("baseline", "restricted")
    if not enforced and not constrained:
        raise Skip("the namespace enforces no restricting level")
    for recipe in recipes:
        for template in list_pod_templates(recipe):
            declared = template.manifest.root.get("metadata", "namespace")
            if declared is not None and declared.text != namespace.name:
                continue
            if enforced:
                yield from _check_standard(template, namespace.name, level)
            if constrained:
                yield from _check_constraints(template, namespace)


def _check_standard(template: PodTemplate, name: str, level: str) -> Iterator[Finding]:
    forbidden = list(dict.fromkeys(_list_forbidden(template, level)))
    missing = list(dict.fromkeys(_list_missing(template))) if level == "restricted" else []
    if not forbidden and not missing:
        return
    yield fail(
        f"{template.owner} has {', '.join(forbidden or missing)}, which level {level} rejects",
        fix=f"kubectl label namespace {name} {_ENFORCE}=privileged --overwrite",
        evidence={"level": level},
        subject=Subject("Namespace", name),
        location=_locate(template),
    )


def _check_constraints(template: PodTemplate, namespace: Namespace) -> Iterator[Finding]:
    ids = [*_list_users(template, namespace), *_list_groups(template, namespace)]
    privileges = [each for each in _list_forbidden(template, "restricted") if each not in ids]
    if ids or privileges:
        value = template.spec.get("serviceAccountName")
        account = (value.text if value else None) or "SERVICEACCOUNT"
        wider = "privileged" if privileges else "anyuid"
        found = ", ".join(dict.fromkeys((*privileges, *ids)))
        yield warn(
            f"{template.owner} has {found}, which OpenShift rejects unless its service account may use a "
            "wider constraint than restricted-v2",
            fix=f"oc adm policy add-scc-to-user {wider} -z {account} -n {namespace.name}",
            subject=Subject("Namespace", namespace.name),
            location=_locate(template),
        )


def _locate(template: PodTemplate) -> Location:
    return Location(template.manifest.file, template.spec.line, template.spec.column)


def _list_users(template: PodTemplate, namespace: Namespace) -> Iterator[str]:
    """The user ids of a pod that are not of the range which OpenShift assigned to its namespace."""
    first, last = _parse_block(namespace.id_ranges.get("uid-range", ""))
    for holder in (template.spec, *template.containers):
        user = holder.get("securityContext", "runAsUser")
        if user is not None and isinstance(user.data, int) and not first <= user.data <= last:
            yield f"runAsUser {user.plain}"


def _list_groups(template: PodTemplate, namespace: Namespace) -> Iterator[str]:
    """The group of a pod's volumes, its own or else the operator's, if not the namespace's first one."""
    ranges = namespace.id_ranges
    first, _ = _parse_block(ranges.get("supplemental-groups") or ranges.get("uid-range", ""))
    group = template.spec.get("securityContext", "fsGroup")
    if group is not None and isinstance(group.data, int):
        if group.data != first:
            yield f"fsGroup {group.plain}"
    elif template.of_graph:
        yield f"the operator's fsGroup {_GROUP}"


def _parse_block(text: str) -> tuple[int, int]:
    """The first and last id of an annotation's first block, FIRST/SIZE or FIRST-LAST; 0 and -1 for none."""
    match = _BLOCK.fullmatch(text.partition(",")[0].strip())
    if match is None:
        return 0, -1
    first, number = int(match[1]), int(match[3])
    return first, first + number - 1 if match[2] == "/" else number


def _list_forbidden(template: PodTemplate, level: str) -> Iterator[str]:
    """The settings of a pod that the level forbids."""
    spec = template.spec
    yield from (name for name in HOST_NAMESPACES if _is_true(spec.get(name)))
    for volume in _get_items(spec, "volumes"):
        kinds = [kind for kind in volume.mapping if kind != "name"]
        if "hostPath" in kinds:
            yield "a hostPath volume"
        elif level == "restricted":
            yield from (f"a volume of kind {kind}" for kind in kinds if kind not in RESTRICTED_VOLUMES)
    for holder in (spec, *template.containers):
        yield from _check_context(holder, level)
    for container in template.containers:
        if any(_is_host_port(port) for port in _get_items(container, "ports")):
            yield "a hostPort"


def _check_context(holder: Value, level: str) -> Iterator[str]:
    """The settings in the security context of a pod or a container that the level forbids."""
    context = holder.get("securityContext")
    if context is None:
        return
    if _is_true(context.get("privileged")):
        yield "a privileged container"
    allowed = RESTRICTED_CAPABILITIES if level == "restricted" else BASELINE_CAPABILITIES
    added = [item.text for item in _get_items(context, "capabilities", "add")]
    yield from (f"capability {name}" for name in added if name not in allowed)
    profile = context.get("seccompProfile", "type")
    if profile is not None and profile.text == "Unconfined":
        yield "seccompProfile Unconfined"
    if level == "restricted":
        if _is_true(context.get("allowPrivilegeEscalation")):
            yield "allowPrivilegeEscalation"
        non_root = context.get("runAsNonRoot")
        if non_root is not None and non_root.data is False:
            yield "runAsNonRoot: false"
        user = context.get("runAsUser")
        if user is not None and user.data == 0 and user.data is not False:
            yield "runAsUser 0"


def _list_missing(template: PodTemplate) -> Iterator[str]:
    """The settings that `restricted` requires and a pod lacks."""
    outer = template.spec.get("securityContext")
    for container in template.containers:
        own = container.get("securityContext")
        if not any(_is_true(context.get("runAsNonRoot")) for context in (own, outer) if context):
            yield "no runAsNonRoot"
        escalation = own.get("allowPrivilegeEscalation") if own else None
        if escalation is None:
            yield "no allowPrivilegeEscalation: false"
        dropped = [item.text for item in _get_items(own, "capabilities", "drop")] if own else []
        if "ALL" not in dropped:
            yield "capabilities not dropped"
        profiles = [context.get("seccompProfile", "type") for context in (own, outer) if context]
        if not any(profile is not None and profile.text in SECCOMP for profile in profiles):
            yield "no seccompProfile"


def _is_true(value: Value | None) -> bool:
    return value is not None and value.data is True


def _is_host_port(port: Value) -> bool:
    host = port.get("hostPort")
    return host is not None and host.data != 0


def _get_items(value: Value, *path: str) -> list[Value]:
    items = value.get(*path)
    return items.sequence if items else []
