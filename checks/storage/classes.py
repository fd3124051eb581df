"""Checks of StorageClasses, and of the claims that rely on them."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from dynocheck import (
    Finding,
    Location,
    Result,
    Skip,
    Subject,
    check,
    fail,
    mentions,
    same_place,
    unjudged,
    warn,
)
from dynocheck.checks.storage._claims import (
    find_default_class,
    list_declared_claims,
    list_mounted_claims,
    locate_claim,
    resolve_class,
)
from dynocheck.core.fixes import replace_words
from dynocheck.data import provisioner
from dynocheck.facts import (
    Claim,
    PersistentVolume,
    PersistentVolumeClaims,
    PersistentVolumes,
    Recipe,
    Recipes,
    StorageClass,
    StorageClasses,
    find_implied_claims,
    list_pod_templates,
    parse_quantity,
)

_MOST_LISTED = 3  # claims in a message
# Groups of objects that make no claim of their own accord for a pod that mounts one.
_MAKE_NO_CLAIMS = ("k8s.io", "nvidia.com", "serving.kserve.io", "ray.io")


def _is_bound(claim: Claim, claims: PersistentVolumeClaims) -> bool:
    """Whether the claim exists and has a volume, so that its class no longer matters."""
    existing = claims.find(claim.name)
    return existing is not None and existing.phase == "Bound"


def _find_only_class(classes: StorageClasses) -> Subject | None:
    return Subject("StorageClass", classes.items[0].name) if len(classes) == 1 else None


@check("storage.default-class", title="Exactly one StorageClass is the default")
def default_class(
    classes: StorageClasses, recipes: Recipes | None, claims: PersistentVolumeClaims
) -> Iterator[Finding]:
    """Without a default StorageClass, a claim that names no class stays Pending.

    With several defaults Kubernetes takes the newest, so the class of new claims changes when a class is
    created again. The check fails only for a recipe's claims that name no class and are not bound yet.

    Fix: kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true
    """
    defaults = [c.name for c in classes if c.is_default]
    default = find_default_class(classes)
    if default is not None:
        if len(defaults) > 1:
            others = " ".join(name for name in defaults if name != default.name)
            yield warn(
                f"{len(defaults)} StorageClasses are default; claims without a class get the newest, "
                f"{default.name}",
                fix=f"kubectl annotate storageclass {others} storageclass.kubernetes.io/is-default-class-",
                evidence={"defaults": defaults},
                subject=Subject("StorageClass", default.name),
            )
        return
    only = _find_only_class(classes)
    name = only.name if only else "NAME"
    fix = f"kubectl annotate storageclass {name} storageclass.kubernetes.io/is-default-class=true"
    evidence = {"classes": [c.name for c in classes]}
    unbound = [claim for claim in list_declared_claims(recipes) if not _is_bound(claim, claims)]
    relying = [claim for claim in unbound if claim.storage_class is None]
    for claim in relying:
        yield fail(
            f"claim {claim.name} names no StorageClass, and the cluster has no default",
            fix=fix,
            evidence=evidence,
            location=locate_claim(claim),
        )
    if not relying:
        yield warn(
            "no default StorageClass: claims without a class stay Pending",
            fix=fix if len(classes) else "install a storage driver and a StorageClass for it",
            evidence=evidence,
            subject=only,
        )


@check("storage.rwx-class", title="A StorageClass supports ReadWriteMany")
def rwx_class(classes: StorageClasses, recipes: Recipes | None) -> Iterator[Result]:
    """A model cache is written once and read by pods on many nodes, so its claim is ReadWriteMany.

    Block storage does not support ReadWriteMany filesystems: the claim or its pods stay Pending. Provisioners
    are looked up in a table (`dynocheck/data/provisioners.json`) with a source per row. One whose support
    depends on its configuration gives a warning; one that is not in the table is not judged.

    Fix: install a shared file system's driver (NFS, CephFS, Lustre, EFS, Filestore, Azure Files) and
    name its StorageClass in the claim.
    """
    shared = [c for c in list_declared_claims(recipes) if "ReadWriteMany" in c.access_modes]
    if shared:
        for claim in shared:
            claimed = resolve_class(claim, classes)
            if claimed is not None:  # storage.default-class or storage.class-exists reports a missing one
                yield from _check_claim(claim, claimed)
        return
    rows = [provisioner(c.provisioner) for c in classes]
    if any(row is not None and row.rwx == "yes" for row in rows):
        return
    doubts = [doubt for c in classes if (doubt := _check_rwx_support(c)) is not None]
    yield from doubts
    if not doubts:
        yield warn(
            "no StorageClass supports ReadWriteMany, which a model cache shared by nodes needs",
            fix="install a shared file system's driver, such as csi-driver-nfs, and a StorageClass for it",
            evidence={c.name: c.provisioner for c in classes},
            subject=_find_only_class(classes),
        )


def _check_rwx_support(storage_class: StorageClass) -> Result | None:
    """What there is to say where the table does not tell if a class supports ReadWriteMany."""
    name, row = storage_class.provisioner, provisioner(storage_class.provisioner)
    subject = Subject("StorageClass", storage_class.name)
    if row is None:
        return unjudged(
            f"{subject}: {name}",
            why="its provisioner is not in the table",
            needs="its access modes in its documentation, or a ReadWriteMany claim that is bound to try",
            subject=subject,
        )
    if row.rwx == "depends":
        message, fix = f"ReadWriteMany support of {name} depends {row.note}", f"see {row.source}"
        return warn(message, fix=fix, subject=subject)
    return None


def _check_claim(claim: Claim, claimed: StorageClass) -> Iterator[Result]:
    row = provisioner(claimed.provisioner)
    if row is not None and row.rwx == "no":
        yield fail(
            f"claim {claim.name} is ReadWriteMany, which StorageClass {claimed.name} "
            f"({claimed.provisioner}) does not support: {row.note}",
            fix="name a class of a shared file system in the claim (kubectl get storageclass)",
            evidence={"source": row.source},
            subject=Subject("StorageClass", claimed.name),
            location=locate_claim(claim),
        )
    elif (doubt := _check_rwx_support(claimed)) is not None:
        yield doubt


@check(
    "storage.class-exists",
    title="StorageClasses that claims name exist",
    explained_by={"manifest.placeholders": mentions("placeholder")},
)
def class_exists(
    classes: StorageClasses, recipes: Recipes, claims: PersistentVolumeClaims, volumes: PersistentVolumes
) -> Iterator[Finding]:
    """A claim that names a missing StorageClass stays Pending, unless an administrator created a volume with
    that class name that it can bind to.

    Fix: name one of the classes that `kubectl get storageclass` lists.
    """
    naming = [claim for claim in list_declared_claims(recipes) if claim.storage_class]
    if not naming:
        raise Skip("no claim of the recipe names a class")
    existing = sorted(c.name for c in classes)
    for claim in naming:
        if claim.storage_class in existing or _is_bound(claim, claims):
            continue
        candidates = [volume for volume in volumes if volume.storage_class == claim.storage_class]
        if any(_can_bind(claim, volume, claims.namespace) for volume in candidates):
            continue
        unfit = f", and none of its {len(candidates)} volumes is free and fits" if candidates else ""
        evidence = {"classes": existing}
        if candidates:
            evidence["volumes"] = [volume.name for volume in candidates]
        yield fail(
            f"claim {claim.name} names StorageClass {claim.storage_class}, which does not exist{unfit}",
            fix=f"name one of: {', '.join(existing)}" if existing else "kubectl get storageclass,pv",
            evidence=evidence,
            location=locate_claim(claim),
        )


def _can_bind(claim: Claim, volume: PersistentVolume, namespace: str) -> bool:
    """Whether Kubernetes may bind a claim to a volume of the class that the claim names."""
    requested, capacity = parse_quantity(claim.size or "0"), parse_quantity(volume.capacity)
    is_free = volume.phase == "Available" and volume.claim in ("", f"{namespace}/{claim.name}")
    is_large_enough = requested is None or capacity is None or capacity >= requested
    return is_free and is_large_enough and set(claim.access_modes) <= set(volume.access_modes)


def _suggest_claim(recipe: Recipe, name: str, declared: Sequence[str]) -> str:
    """The fix for a claim that its recipe does not declare."""
    close = get_close_matches(name, declared, n=1)
    if close and sum(value.data == name for m in recipe.manifests for value in m.root.walk()) == 1:
        return replace_words(name, close[0], f"or declare a PersistentVolumeClaim {name}")
    if len(declared) == 1:
        return f"declare a PersistentVolumeClaim {name}, or mount {declared[0]}"
    if declared:
        return f"declare a PersistentVolumeClaim {name}, or mount one that is declared"
    return f"declare a PersistentVolumeClaim {name}, or create it once in the namespace"


@check(
    "storage.claim-declared",
    title="Mounted claims are declared in the recipe",
    explained_by={"manifest.placeholders": same_place},
)
def claim_declared(recipes: Recipes) -> Iterator[Finding]:
    """A pod that mounts a missing claim stays Pending.

    A recipe declares its claims in `model-cache/`, or has the operator create them (`create: true` in a
    v1alpha1 graph). The check fails where a recipe declares other claims but not the mounted one, or a graph
    lists only others under `pvcs`, as after a rename in one place only. In a folder of several deployments
    only the claims of the same file and of a `model-cache/` around it count. The operator needs the claims
    that a graph lists there without `create: true`, mounted or not. A recipe that declares none, or whose
    README or comment mentions the claim, relies on existing claims and gets a warning, as does a claim with
    `storageClassName: ""`, which only binds to a volume that was made before, and a mount in an
    object of another operator, which may make the claim.

    For a mount of a component's main container without a volume, the operator mounts the claim of that name.
    The check fails where the pod has a volume that no container mounts, whose name it may be.

    Fix: declare the claim, or mount the one that is declared.
    """
    has_mounts = False
    for recipe in recipes:
        yield from _check_classless(recipe)
        joined = recipe.shape == "model" or len(recipe.deployments) < 2
        announced = {(file.path, name) for file in recipe.files for name in file.announced}
        listed = {
            (manifest.file, pvc.get_text("name"))
            for manifest in recipe.manifests
            for pvc in manifest.root.get_items("spec", "pvcs")
        }
        mounted = list(list_mounted_claims(recipe))
        implied = dict(_list_implied(recipe))
        for name, location in [*mounted, *_list_expected(recipe, mounted)]:
            has_mounts = True
            if "${" in name:
                continue  # manifest.placeholders tells it, or that its template is not filled in
            if all(claim.name != name for claim in recipe.claims):
                beside = sorted(pvc for file, pvc in listed if file == location.file)
                declared = sorted({c.name for c in recipe.claims if joined or _is_beside(c, location)})
                others = declared or ([] if name in beside else beside)
                if (location.file, name) in announced or _is_of_operator(recipe, location):
                    others = []
                use = "mounted" if (name, location) in mounted else "listed in pvcs"
                if location in implied:
                    yield _report_implied(name, implied[location], others, location)
                else:
                    yield _report_undeclared(recipe, name, others, location, use)
    if not has_mounts:
        raise Skip("the recipe mounts no claim")


def _is_of_operator(recipe: Recipe, mount: Location) -> bool:
    """Whether a mount stands in an object whose operator, which is not known, may make claims itself."""
    line = mount.line or 0
    before = [m for m in recipe.manifests if m.file == mount.file and (m.root.line or 0) <= line]
    group = max(before, key=lambda manifest: manifest.root.line or 0).group if before else ""
    return "." in group and not group.endswith(_MAKE_NO_CLAIMS)


def _is_beside(claim: Claim, mount: Location) -> bool:
    """Whether a claim is made in the file that mounts one, or in the cache of the folder around that."""
    folder, _, cache = claim.file.rpartition("/")[0].rpartition("/")
    return claim.file == mount.file or (cache == "model-cache" and mount.file.startswith(f"{folder}/"))


def _check_classless(recipe: Recipe) -> Iterator[Finding]:
    """Reports claims for which nothing makes a volume, unless the recipe has or names one."""
    volumes = any(manifest.kind == "PersistentVolume" for manifest in recipe.manifests)
    named = {(m.file, m.name) for m in recipe.manifests if m.root.get("spec", "volumeName") is not None}
    for claim in recipe.claims:
        if claim.storage_class == "" and not volumes and (claim.file, claim.name) not in named:
            yield warn(
                f'claim {claim.name} has storageClassName "": it waits for a volume that somebody makes',
                fix="remove storageClassName for the default class, or name a class",
                location=locate_claim(claim),
            )


def _list_expected(recipe: Recipe, known: Iterable[tuple[str, Location]]) -> Iterator[tuple[str, Location]]:
    """The claims that graphs list without having them created, but do not mount."""
    mounted = {(location.file, name) for name, location in known}
    for manifest in recipe.own_manifests:
        for pvc in manifest.root.get_items("spec", "pvcs"):
            name, create = pvc.get("name"), pvc.get("create")
            if name is None or not name.text or (create is not None and create.data is True):
                continue
            if (manifest.file, name.text) not in mounted:
                yield name.text, Location(manifest.file, name.line, name.column)


def _list_implied(recipe: Recipe) -> Iterator[tuple[Location, list[str]]]:
    """The mounts for which the operator adds a claim, with the volumes of their pod that nothing mounts."""
    for template in list_pod_templates(recipe):
        names = find_implied_claims(template.spec, template.main) if template.main is not None else ()
        mounts = [each for c in template.containers for each in c.get_items("volumeMounts")] if names else []
        used = {mount.get_text("name") for mount in mounts}
        volumes = [volume.get_text("name") for volume in template.spec.get_items("volumes")]
        for name in names:
            place = Location(template.manifest.file, name.line, name.column)
            yield place, [volume for volume in volumes if volume not in used]


def _report_implied(name: str, unused: Sequence[str], others: Sequence[str], location: Location) -> Finding:
    """The finding for a mount without a volume, whose claim the recipe does not make."""
    near = list(dict.fromkeys((*unused, *others)))
    listed = f"{', '.join(near[:_MOST_LISTED])} may be meant" if near else "it must already exist"
    close = next(iter(get_close_matches(name, near, n=1)), near[0] if near else None)
    return (fail if near else warn)(
        f"no volume is called {name}, so the operator mounts the claim of that name: {listed}",
        fix=replace_words(name, close) if close else f"add a volume {name}, or create the claim {name}",
        evidence={"claim": name},
        location=location,
    )


def _report_undeclared(
    recipe: Recipe, name: str, others: Sequence[str], location: Location, use: str
) -> Finding:
    """The finding for a claim that the recipe does not make.

    :param others: the claims that it makes, of which one may be meant.
    """
    listed = "it must already exist in the namespace"
    if others:
        more = f" and {len(others) - _MOST_LISTED} more" if len(others) > _MOST_LISTED else ""
        listed = f"the recipe declares {', '.join(others[:_MOST_LISTED])}{more}"
    return (fail if others else warn)(
        f"claim {name} is {use} but not declared; {listed}",
        fix=_suggest_claim(recipe, name, others),
        evidence={"claim": name},
        location=location,
    )
