"""The namespace of the run, and the priority and runtime classes that pods name."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Result, Skip, Subject, check, fail, unjudged, warn
from dynocheck.facts import (
    Namespace,
    PodClasses,
    PodTemplate,
    Recipe,
    Recipes,
    RuntimeRule,
    Value,
    list_pod_templates,
)


@check("platform.namespace", title="The namespace exists and is not being deleted")
def namespace(found: Namespace, recipes: Recipes | None) -> Iterator[Finding]:
    """Nothing can be created in a namespace that is being deleted. In one that does not exist, perhaps
    because of a typing error, no quota, policy or claim can be checked.

    This is the namespace of the run (`-n`, or the context's). It may be missing if the recipe creates it.

    Fix: kubectl create namespace NAME
    """
    subject = Subject("Namespace", found.name)
    if found.deleting:
        yield fail(
            "is being deleted; nothing can be created in it",
            fix=f"kubectl get namespace {found.name} -o yaml   # see its conditions",
            subject=subject,
        )
    elif not found.exists and not any(
        _has_manifest(recipe, "Namespace", found.name) for recipe in recipes or ()
    ):
        yield warn(
            "does not exist, so nothing in it was checked",
            fix=f"kubectl create namespace {found.name}",
            subject=subject,
        )


@check("platform.pod-classes", title="Priority and runtime classes exist")
def pod_classes(found: PodClasses, recipes: Recipes) -> Iterator[Result]:
    """A pod whose PriorityClass or RuntimeClass does not exist, or whose RuntimeClass selects other nodes
    than its nodeSelector, is rejected: it is not Pending but absent, and only events of its owner show why.

    Classes that the recipe creates are not judged. On k3s and RKE2, GPUs may need the RuntimeClass nvidia,
    which other clusters often do not have or need.

    Fix: kubectl get priorityclasses,runtimeclasses, and use one of them
    """
    classes = {
        "PriorityClass": ("priorityClassName", found.priorities),
        "RuntimeClass": ("runtimeClassName", found.runtimes),
    }
    named = [
        (kind, recipe, template, value, names)
        for recipe in recipes
        for template in list_pod_templates(recipe)
        for kind, (field, names) in classes.items()
        if (value := template.spec.get(field)) is not None and value.text
    ]
    if not named:
        raise Skip("no pod of the recipe names a priority or runtime class")
    for kind, recipe, template, value, names in named:
        if value.text not in names and not _has_manifest(recipe, kind, value.text or ""):
            yield _report_missing(kind, template, value, names)
        elif found.adds_unknown(value.text or "") and template.spec.get("nodeSelector") is not None:
            yield unjudged(
                f"{template.owner} with RuntimeClass {value.text}",
                why="the recording does not say which nodes the class selects",
                needs="a recording by this release of dynocheck",
                location=Location(template.manifest.file, value.line, value.column),
            )
        elif kind == "RuntimeClass" and value.text in found.rules:
            yield from _report_conflict(found.rules[value.text], template, value)


def _report_conflict(rule: RuntimeRule, template: PodTemplate, value: Value) -> Iterator[Finding]:
    """A failure for a pod that selects nodes otherwise than its RuntimeClass."""
    selector = template.spec.get("nodeSelector")
    selected = selector.plain if selector is not None and isinstance(selector.plain, dict) else {}
    for key, wanted in rule.node_selector.items():
        if selected.get(key, wanted) != wanted:
            yield fail(
                f"{template.owner} selects nodes with {key}={selected[key]}, and its RuntimeClass "
                f"{value.text} those with {key}={wanted}; its pods are rejected",
                fix=f"kubectl get runtimeclass {value.text} -o yaml   # and select nodes as it does",
                location=Location(template.manifest.file, value.line, value.column),
            )


def _report_missing(kind: str, template: PodTemplate, value: Value, names: tuple[str, ...]) -> Finding:
    choice = f"use one of: {', '.join(names)}, or none" if names else "use none"
    return fail(
        f"{template.owner} uses {kind} {value.text}, which does not exist; its pods are rejected",
        fix=f"{choice}, or create it (kubectl get {kind.lower()}es)",
        evidence={"there are": list(names)},
        location=Location(template.manifest.file, value.line, value.column),
    )


def _has_manifest(recipe: Recipe, kind: str, name: str) -> bool:
    return any((manifest.kind, manifest.name) == (kind, name) for manifest in recipe.manifests)
