"""Checks of the claims that exist in the namespace of the run."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.checks.storage._claims import list_declared_claims, list_mounted_claims
from dynocheck.facts import (
    Manifest,
    PersistentVolumeClaim,
    PersistentVolumeClaims,
    Recipe,
    Recipes,
    StorageClass,
    StorageClasses,
    parse_quantity,
)

_CLAIM = "PersistentVolumeClaim"


def _is_elsewhere(manifest: Manifest, namespace: str) -> bool:
    """Whether an object names another namespace than this."""
    named = manifest.root.get("metadata", "namespace")
    return named is not None and named.text != namespace


def _find_mounted_claims(recipe: Recipe, namespace: str) -> Iterator[tuple[str, Location]]:
    """The claims that pods of a recipe mount in this namespace."""
    elsewhere = {manifest.file for manifest in recipe.manifests if _is_elsewhere(manifest, namespace)}
    mounted = list_mounted_claims(recipe)
    return ((name, location) for name, location in mounted if location.file not in elsewhere)


def _is_of_driver(cause: Finding, effect: Finding) -> bool:
    """The claim is Pending because its class names a CSI driver that is not installed."""
    storage_class = cause.subject.name if cause.subject and cause.subject.kind == "StorageClass" else None
    return storage_class is not None and effect.evidence.get("class") == storage_class


@check(
    "storage.claims-bound",
    title="Claims in the namespace are bound or wait for their first pod",
    explained_by={"storage.csi-driver": _is_of_driver},
)
def claims_bound(
    claims: PersistentVolumeClaims, classes: StorageClasses, recipes: Recipes | None
) -> Iterator[Finding]:
    """A pod whose claim has no volume stays Pending; the claim's events say why it has none.

    Checked are the claims in the namespace of the run (`-n`); with a recipe, those of them that it declares
    or mounts. A claim whose class binds with the first pod (WaitForFirstConsumer) is rightly Pending until
    then.

    Fix: kubectl describe pvc NAME
    """
    if recipes is None:
        selected = list(claims)
    else:
        names = {claim.name for claim in list_declared_claims(recipes)}
        names |= {name for recipe in recipes for name, _ in _find_mounted_claims(recipe, claims.namespace)}
        selected = [claim for claim in claims if claim.name in names]
    if not selected:
        which = "claim" if recipes is None else "claim of the recipe"
        raise Skip(f"no {which} exists in namespace {claims.namespace}")
    for claim in selected:
        if (finding := _check_phase(claim, claims, classes)) is not None:
            yield finding


def _check_phase(
    claim: PersistentVolumeClaim, claims: PersistentVolumeClaims, classes: StorageClasses
) -> Finding | None:
    subject = Subject(_CLAIM, claim.name, claims.namespace)
    describe = f"kubectl describe pvc {claim.name} -n {claims.namespace}"
    if claim.deleting:
        return warn(
            "is being deleted: no new pod that mounts it is scheduled",
            fix=f"wait for the pods in: {describe}",
            subject=subject,
        )
    match claim.phase:
        case "Lost":
            return fail(
                f"lost its volume: PersistentVolume {claim.volume} is gone",
                fix=f"kubectl delete pvc {claim.name} -n {claims.namespace}   # then apply it again",
                subject=subject,
            )
        case "Pending":
            return _check_pending(claim, subject, describe, classes)
    return None


def _check_pending(
    claim: PersistentVolumeClaim, subject: Subject, describe: str, classes: StorageClasses
) -> Finding | None:
    storage_class = classes.find(claim.storage_class)
    evidence = {"class": claim.storage_class}
    if claim.events:
        evidence |= {"event": claim.events[-1].reason, "at": claim.events[-1].last}
    if storage_class is None and not claim.volume:
        problem = {
            None: "names no StorageClass, and none is the default",
            "": "asks for no StorageClass, and no PersistentVolume fits",
        }.get(claim.storage_class, f"StorageClass {claim.storage_class} does not exist")
        return fail(
            f"Pending: {problem}", fix="kubectl get storageclass,pv", evidence=evidence, subject=subject
        )
    warnings = [event for event in claim.events if event.kind == "Warning"]
    if warnings:
        return fail(
            f"Pending: {warnings[-1].reason}: {warnings[-1].message}",
            fix=describe,
            evidence=evidence,
            subject=subject,
        )
    waits_for_pod = storage_class is not None and storage_class.binding_mode == "WaitForFirstConsumer"
    if waits_for_pod and not claim.selected_node and not claim.volume:
        return None
    reason = claim.events[-1].message if claim.events else "no event says why"
    return warn(f"Pending: {reason}", fix=describe, evidence=evidence, subject=subject)


@check("storage.claim-exists", title="Mounted claims that the recipe does not declare exist")
def claim_exists(claims: PersistentVolumeClaims, recipes: Recipes) -> Iterator[Finding]:
    """A recipe may rely on an existing claim; without it, the pods that mount it stay Pending.

    Checked is the namespace of the run (`-n`).

    Fix: create the claim, or name the namespace that has it: -n NAMESPACE
    """
    relies_on_existing = False
    for recipe in recipes:
        declared = {claim.name for claim in recipe.claims}
        for name, location in _find_mounted_claims(recipe, claims.namespace):
            if name in declared:
                continue
            relies_on_existing = True
            if claims.find(name) is None:
                yield fail(
                    f"claim {name} is mounted but neither declared nor in namespace {claims.namespace}",
                    fix=f"kubectl get pvc -A --field-selector metadata.name={name}",
                    evidence={"claims": [claim.name for claim in claims]},
                    location=location,
                )
    if not relies_on_existing:
        raise Skip("the recipe declares every claim that it mounts")


@check("storage.claim-matches", title="Existing claims match the recipe")
def claim_matches(
    claims: PersistentVolumeClaims, classes: StorageClasses, recipes: Recipes
) -> Iterator[Finding]:
    """The API server refuses to apply a claim over an existing one with another class, other access modes, a
    smaller size, or a larger size unless its class allows volume expansion.

    A claim that names no class keeps the class that it has, unless `kubectl apply` wrote that class. The
    table storage.weights shows what happens to the weights when a claim is deleted.

    Fix: declare the claim as it is, or choose another name, or delete the claim and what it holds.
    """
    has_existing = False
    for recipe in recipes:
        for manifest in recipe.manifests:
            existing = claims.find(manifest.name) if manifest.kind == _CLAIM else None
            if existing is None or _is_elsewhere(manifest, claims.namespace):
                continue
            has_existing = True
            place = manifest.root.get("metadata", "name") or manifest.root
            storage_class = classes.find(existing.storage_class)
            view = f"kubectl get pvc {existing.name} -n {claims.namespace} -o yaml   # and declare it so"
            for difference, fix in _find_differences(manifest, existing, storage_class):
                yield fail(
                    f"claim {existing.name} cannot be applied: {difference}",
                    fix=fix or view,
                    subject=Subject(_CLAIM, existing.name, claims.namespace),
                    location=Location(manifest.file, place.line, place.column),
                )
    if not has_existing:
        raise Skip(f"no claim of the recipe exists in namespace {claims.namespace}")


def _find_differences(
    manifest: Manifest, existing: PersistentVolumeClaim, storage_class: StorageClass | None
) -> Iterator[tuple[str, str]]:
    """Each difference that cannot be applied, with its fix; empty where there is none but to look at it."""
    named = manifest.root.get("spec", "storageClassName")
    if named is None and existing.class_applied:
        yield f"it names no class; the existing claim was applied with {existing.storage_class!r}", ""
    elif named is not None and existing.storage_class is not None and named.text != existing.storage_class:
        yield f"it names class {named.text!r}; the existing claim has {existing.storage_class!r}", ""
    declared = manifest.root.get("spec", "accessModes")
    modes = tuple(str(mode.plain) for mode in declared.sequence) if declared else ()
    if modes and modes != existing.access_modes:
        yield f"it is {', '.join(modes)}; the existing claim is {', '.join(existing.access_modes)}", ""
    size = manifest.root.get("spec", "resources", "requests", "storage")
    if size is not None:
        yield from _compare_sizes(str(size.plain), existing, storage_class)


def _compare_sizes(
    size: str, existing: PersistentVolumeClaim, storage_class: StorageClass | None
) -> Iterator[tuple[str, str]]:
    declared, requested = parse_quantity(size), parse_quantity(existing.requested)
    if declared is None or requested is None or declared == requested:
        return
    sizes = f"it requests {size}; the existing claim requests {existing.requested}"
    keep = f"declare {existing.requested}, or a claim of another name"
    if existing.phase != "Bound":
        yield f"{sizes}, and an unbound claim cannot change", keep
    elif declared < min(requested, parse_quantity(existing.capacity) or requested):
        yield f"{sizes}, and a claim cannot shrink", keep
    elif declared > requested and storage_class is None:
        yield f"{sizes}, and a claim without a class cannot grow", f"it cannot be expanded: {keep}"
    elif declared > requested and storage_class is not None and not storage_class.allows_expansion:
        allow = f"kubectl patch storageclass {storage_class.name} -p '{{\"allowVolumeExpansion\": true}}'"
        yield (
            f"{sizes}, and class {storage_class.name} does not allow expansion",
            f"it cannot be expanded: {keep}; or, if {storage_class.provisioner} can expand volumes: {allow}",
        )
