"""The claims that recipes declare and mount, and the StorageClasses that they get."""

from collections.abc import Iterator

from dynocheck import Location, Skip
from dynocheck.facts import (
    Claim,
    PersistentVolumeClaim,
    PersistentVolumeClaims,
    Recipe,
    Recipes,
    StorageClass,
    StorageClasses,
)
from dynocheck.scheduling.graphs import resolve_namespace

_PVC = "pvc://"  # as ParsePvcURI reads it, in pkg/utils/storage.go of github.com/kserve/kserve
_URIS = ("storageUri", "uri")


def locate_claim(claim: Claim) -> Location:
    """The place where a recipe declares a claim."""
    return Location(claim.file, claim.line, claim.column)


def list_declared_claims(recipes: Recipes | None) -> list[Claim]:
    """The claims that the recipes declare; empty without a recipe."""
    return [claim for recipe in recipes or () for claim in recipe.claims]


def find_default_class(classes: StorageClasses) -> StorageClass | None:
    """The class of claims that name none: the newest default one, by name among equally old ones."""
    defaults = sorted((c for c in classes if c.is_default), key=lambda c: c.name)
    return max(defaults, key=lambda c: c.created, default=None)


def resolve_class(claim: Claim, classes: StorageClasses) -> StorageClass | None:
    """The class that a claim gets; None when the class is missing or the claim asks for no class."""
    if claim.storage_class is None:
        return find_default_class(classes)
    return classes.find(claim.storage_class)


def list_claimed_classes(
    classes: StorageClasses, recipes: Recipes | None, existing: PersistentVolumeClaims | None = None
) -> list[StorageClass]:
    """The distinct classes that the recipes' claims get; without a recipe the default class.

    :param existing: claims of the namespace; what the recipes mount of them counts too.
    :raises Skip: there are none.
    """
    if recipes is None:
        resolved = [find_default_class(classes)]
    else:
        resolved = [resolve_class(claim, classes) for claim in list_declared_claims(recipes)]
        mounted = _find_existing(recipes, existing) if existing is not None else ()
        resolved += [classes.find(claim.storage_class) for claim in mounted]
    by_name = {c.name: c for c in resolved if c is not None}
    if not by_name:
        raise Skip("no claim of the recipe gets a StorageClass" if recipes else "no default StorageClass")
    return list(by_name.values())


def _find_existing(recipes: Recipes, existing: PersistentVolumeClaims) -> Iterator[PersistentVolumeClaim]:
    """The existing claims that components of the recipes mount."""
    for recipe in recipes:
        for graph in recipe.graphs:
            if resolve_namespace(recipe, graph, existing.namespace) == existing.namespace:
                names = {mount.name for component in graph.components for mount in component.claims}
                yield from (claim for claim in existing if claim.name in names)


def list_mounted_claims(recipe: Recipe) -> Iterator[tuple[str, Location]]:
    """The name of each claim that a file mounts, with its first place in that file."""
    seen = set()
    for name, location in _find_mounts(recipe):
        if (name, location.file) not in seen:
            seen.add((name, location.file))
            yield name, location


def _find_mounts(recipe: Recipe) -> Iterator[tuple[str, Location]]:
    for graph in recipe.graphs:
        for component in graph.components:
            for mount in component.claims:
                yield mount.name, Location(graph.file, mount.line, mount.column)
    for manifest in recipe.manifests:
        for volume in manifest.root.find_all("persistentVolumeClaim"):
            name = volume.get("claimName")
            if name is not None and name.text:
                yield name.text, Location(manifest.file, name.line, name.column)
        for _, uri in manifest.root.find_entries(_URIS) if manifest.group == "serving.kserve.io" else ():
            if (uri.text or "").startswith(_PVC):
                name_of_claim = (uri.text or "").removeprefix(_PVC).partition("/")[0]
                yield name_of_claim, Location(manifest.file, uri.line, uri.column)
