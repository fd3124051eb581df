"""Whether the namespace of the run is there, and whether the cluster has the classes that pods name."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import Recipes
from dynocheck.facts.k8s.namespace_policy import Namespace, PodClasses
from dynocheck.facts.k8s.pods import PodTemplate, list_pod_templates
from dynocheck.facts.recipe.recipes import Recipe, Value


@check("platform.namespace", title="The namespace is there and takes new objects")
def namespace(found: Namespace, recipes: Recipes | None) -> Iterator[Finding]:
    """In a namespace that is being deleted nothing can be made, and of one that is not there nothing can be
    judged: no quota, no policy, no claim. It may be a slip of the pen.

    It is the namespace of the run (`-n`, or the context's). One that a recipe at hand brings may be missing.

    Fix: kubectl create namespace NAME
    """
    subject = Subject("Namespace", found.name)
    if found.deleting:
        yield fail(
            "is being deleted: nothing can be made in it",
            fix=f"kubectl get namespace {found.name} -o yaml   # its conditions say what it waits for",
            subject=subject,
        )
    elif not found.exists and not any(_brings(recipe, "Namespace", found.name) for recipe in recipes or ()):
        yield warn(
            "does not exist, so nothing in it was looked at",
            fix=f"kubectl create namespace {found.name}",
            subject=subject,
        )


@check("platform.pod-classes", title="The priority and runtime classes that the recipe's pods name exist")
def pod_classes(found: PodClasses, recipes: Recipes) -> Iterator[Finding]:
    """A pod that names a PriorityClass or a RuntimeClass which does not exist is refused when it is made: no
    pod is Pending, there is none, and only the events of its owner say so.

    Those that the recipe brings are left out. On k3s and RKE2 GPUs may need the RuntimeClass nvidia, which
    elsewhere is often not there and not needed.

    Fix: kubectl get priorityclasses,runtimeclasses, and name one of them
    """
    have = {
        "PriorityClass": ("priorityClassName", found.priorities),
        "RuntimeClass": ("runtimeClassName", found.runtimes),
    }
    named = [
        (kind, recipe, template, value, names)
        for recipe in recipes
        for template in list_pod_templates(recipe)
        for kind, (field, names) in have.items()
        if (value := template.spec.get(field)) is not None and value.text
    ]
    if not named:
        raise Skip("no pod of the recipe names a priority or runtime class")
    for kind, recipe, template, value, names in named:
        if value.text not in names and not _brings(recipe, kind, value.text or ""):
            yield _report_absent(kind, template, value, names)


def _report_absent(kind: str, template: PodTemplate, value: Value, names: tuple[str, ...]) -> Finding:
    one_of = f"name one of: {', '.join(names)}, or none" if names else "name none"
    return fail(
        f"{template.owner} names {kind} {value.text}, which does not exist: its pods are refused",
        fix=f"{one_of}, or make it (kubectl get {kind.lower()}es)",
        evidence={"there are": list(names)},
        location=Location(template.manifest.file, value.line, value.column),
    )


def _brings(recipe: Recipe, kind: str, name: str) -> bool:
    return any((manifest.kind, manifest.name) == (kind, name) for manifest in recipe.manifests)
