"""Whether the namespace lets in pods that do what the recipe's pods do."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.data.podsecurity import (
    BASELINE_CAPABILITIES,
    HOST_NAMESPACES,
    RESTRICTED_CAPABILITIES,
    RESTRICTED_VOLUMES,
    SECCOMP,
)
from dynocheck.facts import CustomResourceDefinitions, Recipes
from dynocheck.facts.k8s.namespace_policy import Namespace
from dynocheck.facts.k8s.pods import PodTemplate, list_pod_templates
from dynocheck.facts.recipe.recipes import Value

_ENFORCE = "pod-security.kubernetes.io/enforce"
_CONSTRAINTS = "securitycontextconstraints.security.openshift.io"


@check("platform.pod-security", title="The namespace's pod security level admits the recipe's pods")
def pod_security(
    namespace: Namespace, definitions: CustomResourceDefinitions, recipes: Recipes
) -> Iterator[Finding]:
    """A namespace that enforces a Pod Security Standard refuses pods that ask for more. RDMA and shared
    memory make workers ask for IPC_LOCK, hostIPC or host paths, which `baseline` already refuses.

    Only what a manifest says is judged. What `restricted` wants said and is not is a warning for pods of a
    graph, which the operator completes. Whom an administrator exempted is not to be seen. On OpenShift what
    its constraint restricted-v2 refuses is a warning: which others a service account may use is not seen.

    Fix: kubectl label namespace NAMESPACE pod-security.kubernetes.io/enforce=privileged --overwrite
    """
    level = namespace.labels.get(_ENFORCE, "privileged")
    constrained = definitions.find(_CONSTRAINTS) is not None
    enforced = level in ("baseline", "restricted")
    if not enforced and not constrained:
        raise Skip("the namespace enforces no level that refuses anything")
    for recipe in recipes:
        for template in list_pod_templates(recipe):
            place = template.manifest.root.get("metadata", "namespace")
            if place is not None and place.text != namespace.name:
                continue
            if enforced:
                yield from _check_standard(template, namespace.name, level)
            if constrained:
                yield from _check_constraints(template, namespace.name)


def _check_standard(template: PodTemplate, name: str, level: str) -> Iterator[Finding]:
    asked = list(dict.fromkeys(_list_forbidden(template, level)))
    unsaid = list(dict.fromkeys(_list_missing(template))) if level == "restricted" else []
    fix = f"kubectl label namespace {name} {_ENFORCE}=privileged --overwrite"
    where = Location(template.manifest.file, template.spec.line, template.spec.column)
    if asked or (unsaid and not template.of_graph):
        yield fail(
            f"{template.owner} has {', '.join(asked or unsaid)}, which level {level} refuses",
            fix=fix,
            evidence={"level": level},
            subject=Subject("Namespace", name),
            location=where,
        )
    elif unsaid:
        yield warn(
            f"{template.owner} has {', '.join(unsaid)}, which level {level} refuses "
            "unless the operator mends it",
            fix=fix,
            evidence={"level": level},
            subject=Subject("Namespace", name),
            location=where,
        )


def _check_constraints(template: PodTemplate, name: str) -> Iterator[Finding]:
    asked = [*_list_forbidden(template, "restricted"), *_list_users(template)]
    if asked:
        account = template.spec.get("serviceAccountName")
        who = (account.text if account else None) or "SERVICEACCOUNT"
        yield warn(
            f"{template.owner} has {', '.join(dict.fromkeys(asked))}, which OpenShift refuses unless its "
            "service account may use more than the constraint restricted-v2",
            fix=f"oc adm policy add-scc-to-user privileged -z {who} -n {name}",
            subject=Subject("Namespace", name),
            location=Location(template.manifest.file, template.spec.line, template.spec.column),
        )


def _list_users(template: PodTemplate) -> Iterator[str]:
    """The users that a pod names: OpenShift gives each namespace a range of its own."""
    for holder in (template.spec, *template.containers):
        user = holder.get("securityContext", "runAsUser")
        if user is not None and user.data not in (None, 0):
            yield f"runAsUser {user.plain}"


def _list_forbidden(template: PodTemplate, level: str) -> Iterator[str]:
    """What a pod says that the level forbids."""
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
    """What the security context of a pod or a container says that the level forbids."""
    context = holder.get("securityContext")
    if context is None:
        return
    if _is_true(context.get("privileged")):
        yield "a privileged container"
    allowed = RESTRICTED_CAPABILITIES if level == "restricted" else BASELINE_CAPABILITIES
    added = [each.text for each in _get_items(context, "capabilities", "add")]
    yield from (f"capability {name}" for name in added if name not in allowed)
    profile = context.get("seccompProfile", "type")
    if profile is not None and profile.text == "Unconfined":
        yield "seccompProfile Unconfined"
    if level == "restricted":
        if _is_true(context.get("allowPrivilegeEscalation")):
            yield "allowPrivilegeEscalation"
        any_user = context.get("runAsNonRoot")
        if any_user is not None and any_user.data is False:
            yield "runAsNonRoot: false"
        user = context.get("runAsUser")
        if user is not None and user.data == 0 and user.data is not False:
            yield "runAsUser 0"


def _list_missing(template: PodTemplate) -> Iterator[str]:
    """What `restricted` wants a pod to say and it does not."""
    outer = template.spec.get("securityContext")
    for container in template.containers:
        own = container.get("securityContext")
        if not any(_is_true(context.get("runAsNonRoot")) for context in (own, outer) if context):
            yield "no runAsNonRoot"
        escalation = own.get("allowPrivilegeEscalation") if own else None
        if escalation is None:
            yield "no allowPrivilegeEscalation: false"
        dropped = [each.text for each in _get_items(own, "capabilities", "drop")] if own else []
        if "ALL" not in dropped:
            yield "capabilities not dropped"
        kinds = [
            kind.text
            for context in (own, outer)
            if context and (kind := context.get("seccompProfile", "type")) is not None
        ]
        if not any(kind in SECCOMP for kind in kinds):
            yield "no seccompProfile"


def _is_true(value: Value | None) -> bool:
    return value is not None and value.data is True


def _is_host_port(port: Value) -> bool:
    host = port.get("hostPort")
    return host is not None and host.data != 0


def _get_items(value: Value, *path: str) -> list[Value]:
    found = value.get(*path)
    return found.sequence if found else []
