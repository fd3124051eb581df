"""Whether the Gateway API Inference Extension is installed as its release ships it."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.data import NEWEST_GAIE, gaie_definitions, numbers
from dynocheck.facts import CustomResourceDefinition, CustomResourceDefinitions, Recipes

_BUNDLE = "inference.networking.k8s.io/bundle-version"
_POOL = "inferencepools.inference.networking.k8s.io"
_GROUPS = ("inference.networking.k8s.io", "inference.networking.x-k8s.io")
_MANIFESTS = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/releases/download"


def _wanted(recipes: Recipes | None) -> bool:
    """Whether a recipe routes through an inference pool."""
    return any(
        any(component.role == "epp" for graph in recipe.graphs for component in graph.components)
        or any(manifest.group in _GROUPS for manifest in recipe.manifests)
        for recipe in recipes or ()
    )


def _install(release: str) -> str:
    return f"kubectl apply -f {_MANIFESTS}/{release}/manifests.yaml"


@check("gaie.crds", title="The inference extension's resource types are those of its release")
def crds(definitions: CustomResourceDefinitions, recipes: Recipes | None) -> Iterator[Finding]:
    """Releases ship different sets: what must be there follows from the bundle version that the definitions
    state, not from a fixed list. A half-installed or half-upgraded set breaks the endpoint picker, which
    watches all types of its release.

    A cluster that has none of them, and is asked for none, does not need them.

    Fix: kubectl apply -f URL-OF-THE-RELEASE/manifests.yaml
    """
    found = [d for d in definitions if d.group in _GROUPS]
    if not found:
        if not _wanted(recipes):
            raise Skip(
                "no type of the Gateway API Inference Extension is installed, and nothing asks for one"
            )
        yield fail("no type of the Gateway API Inference Extension is installed", fix=_install("v1.2.1"))
        return
    for definition in found:
        if not definition.established:
            yield fail(
                f"exists but is not established: {definition.reason}",
                fix=f"kubectl describe crd {definition.name}",
                subject=_subject(definition.name),
            )
    yield from _complete(found)


def _complete(found: list[CustomResourceDefinition]) -> Iterator[Finding]:
    bundles = {definition.name: definition.annotations.get(_BUNDLE, "") for definition in found}
    stated = bundles.get(_POOL) or max(bundles.values(), key=_release)
    release = _release(stated)
    if release == (0, 0):
        yield warn(
            "no definition states the bundle version it belongs to, so the set cannot be told to be whole",
            fix="kubectl get crd -o custom-columns="
            "NAME:.metadata.name,BUNDLE:.metadata.annotations.inference\\.networking\\.k8s\\.io/bundle-version",
            evidence={"definitions": sorted(bundles)},
        )
    elif release > NEWEST_GAIE:
        yield warn(
            f"bundle {stated} is newer than the releases this version of dynocheck knows the sets of",
            fix="pip install --upgrade dynocheck",
        )
    wanted = [row.definition for row in gaie_definitions() if row.brought_by(release)] or [_POOL]
    for name in wanted:
        if name not in bundles:
            missing = f"bundle {stated} brings it, and it does not exist" if stated else "does not exist"
            yield fail(missing, fix=_install(stated or "v1.2.1"), subject=_subject(name))
        elif bundles[name] != stated and release != (0, 0):
            yield warn(
                f"is of bundle {bundles[name] or 'unknown'}, others are of {stated}: an unfinished upgrade",
                fix=_install(stated),
                subject=_subject(name),
            )


def _release(bundle: str) -> tuple[int, int]:
    try:
        return numbers(bundle)
    except ValueError:
        return 0, 0


def _subject(name: str) -> Subject:
    return Subject("CustomResourceDefinition", name)
