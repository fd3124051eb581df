"""Whether the claims that recipes make can be bound."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.data import provisioner
from dynocheck.facts import Recipes, StorageClass, StorageClasses
from dynocheck.facts.k8s.quantity import parse_quantity
from dynocheck.facts.k8s.storage import PersistentVolume, PersistentVolumeClaims, PersistentVolumes
from dynocheck.facts.recipe.recipes import Claim, Recipe

_MANY = "ReadWriteMany"
_LIST = "kubectl get storageclass"


def locate_claim(claim: Claim) -> Location:
    """Where a recipe declares a claim."""
    return Location(claim.file, claim.line, claim.column)


def list_declared_claims(recipes: Recipes | None) -> list[Claim]:
    """Every claim that a recipe at hand declares."""
    return [claim for recipe in recipes or () for claim in recipe.claims]


def find_default_class(classes: StorageClasses) -> StorageClass | None:
    """The class that a claim gets which names none: the newest default, by name among equals."""
    defaults = sorted((c for c in classes if c.is_default), key=lambda c: c.name)
    return max(defaults, key=lambda c: c.created, default=None)


def resolve_class(claim: Claim, classes: StorageClasses) -> StorageClass | None:
    """The class that a claim gets; None when it is not there, or the claim asks for none."""
    if claim.storage_class is None:
        return find_default_class(classes)
    return classes.find(claim.storage_class)


def list_claimed_classes(classes: StorageClasses, recipes: Recipes | None) -> list[StorageClass]:
    """The classes that the claims of recipes get, each once; the default one without a recipe.

    :raises Skip: there are none.
    """
    if recipes is None:
        chosen = [find_default_class(classes)]
    else:
        chosen = [resolve_class(claim, classes) for claim in list_declared_claims(recipes)]
    found = {each.name: each for each in chosen if each is not None}
    if not found:
        raise Skip(
            "no claim of the recipe gets a StorageClass" if recipes else "no StorageClass is the default"
        )
    return list(found.values())


def _is_bound(claim: Claim, claims: PersistentVolumeClaims) -> bool:
    """Whether it has a volume already, so that nothing needs to be made of a class."""
    there = claims.find(claim.name)
    return there is not None and there.phase == "Bound"


def _find_only_class(classes: StorageClasses) -> Subject | None:
    return Subject("StorageClass", classes.items[0].name) if len(classes) == 1 else None


@check("storage.default-class", title="Exactly one StorageClass is the default")
def default_class(
    classes: StorageClasses, recipes: Recipes | None, claims: PersistentVolumeClaims
) -> Iterator[Finding]:
    """A claim that names no class stays Pending when no class is the default.

    With several defaults Kubernetes takes the newest, so what a claim gets changes when a class is
    made anew. It is a failure only where a recipe at hand has a claim that names no class and is not bound
    already.

    Fix: kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true
    """
    defaults = [c.name for c in classes if c.is_default]
    chosen = find_default_class(classes)
    if chosen is None:
        name = classes.items[0].name if len(classes) == 1 else "NAME"
        fix = f"kubectl annotate storageclass {name} storageclass.kubernetes.io/is-default-class=true"
        evidence = {"classes": [c.name for c in classes]}
        relying = [
            claim
            for claim in list_declared_claims(recipes)
            if claim.storage_class is None and not _is_bound(claim, claims)
        ]
        for claim in relying:
            yield fail(
                f"claim {claim.name} names no class, and no StorageClass is the default",
                fix=fix,
                evidence=evidence,
                location=locate_claim(claim),
            )
        if not relying:
            yield warn(
                "no StorageClass is the default: a claim that names none stays Pending",
                fix=fix if len(classes) else "install a storage driver and a StorageClass for it",
                evidence=evidence,
                subject=_find_only_class(classes),
            )
    elif len(defaults) > 1:
        yield warn(
            f"{len(defaults)} classes are default; a claim that names none gets {chosen.name}, the newest",
            fix=f"kubectl annotate storageclass {' '.join(name for name in defaults if name != chosen.name)} "
            "storageclass.kubernetes.io/is-default-class-",
            evidence={"defaults": defaults},
            subject=Subject("StorageClass", chosen.name),
        )


@check("storage.rwx-class", title="A StorageClass can give ReadWriteMany volumes")
def rwx_class(classes: StorageClasses, recipes: Recipes | None) -> Iterator[Finding]:
    """A model cache is written once and read by pods on many nodes: its claim is ReadWriteMany.

    Block storage cannot give that for a filesystem, and the claim then stays Pending or its pods do.
    Which provisioners can is a table (`dynocheck/data/provisioners.json`) with a source per row; what
    is outside the table, or depends on how it was set up, is a warning that says what would tell.

    Fix: install a shared file system's driver (NFS, CephFS, Lustre, EFS, Filestore, Azure Files) and
    name its StorageClass in the claim.
    """
    wanted = [claim for claim in list_declared_claims(recipes) if _MANY in claim.access_modes]
    if wanted:
        for claim in wanted:
            chosen = resolve_class(claim, classes)
            if chosen is not None:  # else storage.default-class or storage.class-exists says so
                yield from _check_claim(claim, chosen)
        return
    judged = {c.name: provisioner(c.provisioner) for c in classes}
    if any(row is not None and row.rwx == "yes" for row in judged.values()):
        return
    doubts = [warning for c in classes if (warning := _check_rwx_support(c)) is not None]
    yield from doubts
    if not doubts:
        yield warn(
            "no StorageClass can give ReadWriteMany volumes, which a model cache shared by nodes needs",
            fix="install a shared file system's driver, such as csi-driver-nfs, and a StorageClass for it",
            evidence={c.name: c.provisioner for c in classes},
            subject=_find_only_class(classes),
        )


def _check_rwx_support(found: StorageClass) -> Finding | None:
    """What would tell whether a class gives ReadWriteMany, when the table does not."""
    row = provisioner(found.provisioner)
    subject = Subject("StorageClass", found.name)
    if row is None:
        return warn(
            f"whether {found.provisioner} gives ReadWriteMany is not in the table of provisioners",
            fix="look at its documentation for supported access modes, or bind a ReadWriteMany claim to try",
            subject=subject,
        )
    if row.rwx == "depends":
        return warn(
            f"whether {found.provisioner} gives ReadWriteMany depends {row.note}",
            fix=f"see {row.source}",
            subject=subject,
        )
    return None


def _check_claim(claim: Claim, chosen: StorageClass) -> Iterator[Finding]:
    row = provisioner(chosen.provisioner)
    if row is not None and row.rwx == "no":
        yield fail(
            f"claim {claim.name} wants ReadWriteMany, which StorageClass {chosen.name} "
            f"({chosen.provisioner}) cannot give: {row.note}",
            fix=f"name a class of a shared file system in the claim ({_LIST})",
            evidence={"source": row.source},
            subject=Subject("StorageClass", chosen.name),
            location=locate_claim(claim),
        )
    elif (doubt := _check_rwx_support(chosen)) is not None:
        yield doubt


@check("storage.class-exists", title="Every StorageClass that a claim names exists")
def class_exists(
    classes: StorageClasses, recipes: Recipes, claims: PersistentVolumeClaims, volumes: PersistentVolumes
) -> Iterator[Finding]:
    """A claim that names a class which the cluster does not have stays Pending for ever, unless somebody made
    a volume that says it is of that class: there the name is only a name.

    Fix: name one of the classes that `kubectl get storageclass` lists.
    """
    naming = [claim for claim in list_declared_claims(recipes) if claim.storage_class]
    if not naming:
        raise Skip("no claim of the recipe names a class")
    have = sorted(c.name for c in classes)
    for claim in naming:
        if claim.storage_class in have or _is_bound(claim, claims):
            continue
        made = [volume for volume in volumes if volume.storage_class == claim.storage_class]
        if any(_can_bind(claim, volume, claims.namespace) for volume in made):
            continue
        but = (
            f", and none of the {len(made)} volumes that say they are of it is free and fits" if made else ""
        )
        yield fail(
            f"claim {claim.name} names StorageClass {claim.storage_class}, which does not exist{but}",
            fix=f"name one of: {', '.join(have)}" if have else f"{_LIST},pv",
            evidence={"classes": have} | ({"volumes": [volume.name for volume in made]} if made else {}),
            location=locate_claim(claim),
        )


def _can_bind(claim: Claim, volume: PersistentVolume, namespace: str) -> bool:
    """Whether Kubernetes may bind a claim to a volume of the class that it names."""
    wanted, has = parse_quantity(claim.size or "0"), parse_quantity(volume.capacity)
    free = volume.phase == "Available" and volume.claim in ("", f"{namespace}/{claim.name}")
    large = wanted is None or has is None or has >= wanted
    return free and large and set(claim.access_modes) <= set(volume.access_modes)


@check("storage.claim-declared", title="Every claim that is mounted is declared by the recipe")
def claim_declared(recipes: Recipes) -> Iterator[Finding]:
    """A pod that mounts a claim which nobody made stays Pending.

    A recipe brings its claims in `model-cache/`, or has the operator create them (`create: true` in a
    v1alpha1 graph). It fails where a recipe declares claims but not the one it mounts, as after a
    rename in one place only; a recipe that declares none relies on claims that are there already.

    Fix: declare the claim, or mount the one that is declared.
    """
    mounted = False
    for recipe in recipes:
        declared = sorted({claim.name for claim in recipe.claims})
        for name, where in list_mounted_claims(recipe):
            mounted = True
            if name not in declared:
                yield _report_undeclared(name, where, declared)
    if not mounted:
        raise Skip("nothing mounts a claim")


def list_mounted_claims(recipe: Recipe) -> Iterator[tuple[str, Location]]:
    """Each claim that a file mounts, once per file."""
    seen = set()
    for name, where in _find_mounts(recipe):
        if (name, where.file) not in seen:
            seen.add((name, where.file))
            yield name, where


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


def _report_undeclared(name: str, where: Location, declared: list[str]) -> Finding:
    if declared:
        return fail(
            f"claim {name} is mounted but not declared; the recipe declares {', '.join(declared)}",
            fix=f"declare a PersistentVolumeClaim {name}, or mount {declared[0]}",
            location=where,
        )
    return warn(
        f"claim {name} is mounted and no part of the recipe: it must be in the namespace already",
        fix=f"kubectl get pvc {name}",
        location=where,
    )
