"""Whether the claims that are there already serve the pods that will mount them."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.checks.storage.classes import list_declared_claims, list_mounted_claims
from dynocheck.facts import Recipes, StorageClass, StorageClasses
from dynocheck.facts.k8s.quantity import parse_quantity
from dynocheck.facts.k8s.storage import PersistentVolumeClaim, PersistentVolumeClaims
from dynocheck.facts.recipe.recipes import Manifest, Recipe

_CLAIM = "PersistentVolumeClaim"


def _is_elsewhere(manifest: Manifest, namespace: str) -> bool:
    """Whether an object says that it goes to another namespace than this."""
    named = manifest.root.get("metadata", "namespace")
    return named is not None and named.text != namespace


def _find_mounted_claims(recipe: Recipe, namespace: str) -> Iterator[tuple[str, Location]]:
    """The claims that pods of a recipe mount in this namespace."""
    others = {manifest.file for manifest in recipe.manifests if _is_elsewhere(manifest, namespace)}
    return ((name, where) for name, where in list_mounted_claims(recipe) if where.file not in others)


def _make_subject(claim: PersistentVolumeClaim, claims: PersistentVolumeClaims) -> Subject:
    return Subject(_CLAIM, claim.name, claims.namespace)


@check("storage.claims-bound", title="Every claim in the namespace is bound, or waits for its first pod")
def claims_bound(
    claims: PersistentVolumeClaims, classes: StorageClasses, recipes: Recipes | None
) -> Iterator[Finding]:
    """A pod whose claim has no volume stays Pending; why the claim has none, its own events tell.

    It looks at the namespace of the run (`-n`), with a recipe at the claims that the recipe declares or
    mounts. A claim of a class that binds with its first pod is Pending until then: nothing is wrong.

    Fix: kubectl describe pvc NAME
    """
    wanted = None
    if recipes is not None:
        wanted = {claim.name for claim in list_declared_claims(recipes)}
        wanted |= {name for recipe in recipes for name, _ in _find_mounted_claims(recipe, claims.namespace)}
    judged = [claim for claim in claims if wanted is None or claim.name in wanted]
    if not judged:
        which = "claim" if wanted is None else "claim of the recipe"
        raise Skip(f"no {which} is in namespace {claims.namespace} yet")
    for claim in judged:
        if (finding := _check_state(claim, claims, classes)) is not None:
            yield finding


def _check_state(
    claim: PersistentVolumeClaim, claims: PersistentVolumeClaims, classes: StorageClasses
) -> Finding | None:
    subject = _make_subject(claim, claims)
    describe = f"kubectl describe pvc {claim.name} -n {claims.namespace}"
    if claim.deleting:
        return warn(
            "is being deleted: no new pod that mounts it is given a node",
            fix=f"wait for the pods in: {describe}",
            subject=subject,
        )
    match claim.phase:
        case "Lost":
            return fail(
                f"has lost its volume: PersistentVolume {claim.volume} is gone",
                fix=f"kubectl delete pvc {claim.name} -n {claims.namespace}   # then apply it again",
                subject=subject,
            )
        case "Pending":
            return _check_pending(claim, subject, describe, classes)
    return None


def _check_pending(
    claim: PersistentVolumeClaim, subject: Subject, describe: str, classes: StorageClasses
) -> Finding | None:
    found = classes.find(claim.storage_class)
    evidence = {"class": claim.storage_class}
    if claim.events:
        last = claim.events[-1]
        evidence |= {"event": last.reason, "at": last.last}
    troubles = [event for event in claim.events if event.kind == "Warning"]
    if found is None and not claim.volume:
        lacks = {
            None: "it names no StorageClass, and none is the default",
            "": "it asks for no StorageClass, and no PersistentVolume fits it",
        }.get(claim.storage_class, f"StorageClass {claim.storage_class} does not exist")
        return fail(
            f"Pending: {lacks}", fix="kubectl get storageclass,pv", evidence=evidence, subject=subject
        )
    if troubles:
        return fail(
            f"Pending: {troubles[-1].reason}: {troubles[-1].message}",
            fix=describe,
            evidence=evidence,
            subject=subject,
        )
    waits = found is not None and found.binding_mode == "WaitForFirstConsumer"
    if waits and not claim.selected_node and not claim.volume:
        return None
    told = claim.events[-1].message if claim.events else "no event tells why"
    return warn(f"Pending: {told}", fix=describe, evidence=evidence, subject=subject)


@check("storage.claim-exists", title="Every claim that is mounted but not declared is in the namespace")
def claim_exists(claims: PersistentVolumeClaims, recipes: Recipes) -> Iterator[Finding]:
    """A recipe may rely on a claim that others made; when it is not there, its pods stay Pending.

    It looks in the namespace of the run (`-n`).

    Fix: make the claim, or name the namespace that has it: -n NAMESPACE
    """
    relied = False
    for recipe in recipes:
        declared = {claim.name for claim in recipe.claims}
        for name, where in _find_mounted_claims(recipe, claims.namespace):
            if name in declared:
                continue
            relied = True
            if claims.find(name) is None:
                yield fail(
                    f"claim {name} is mounted, not declared, and not in namespace {claims.namespace}",
                    fix=f"kubectl get pvc -A --field-selector metadata.name={name}",
                    evidence={"claims": [claim.name for claim in claims]},
                    location=where,
                )
    if not relied:
        raise Skip("the recipe declares every claim that it mounts")


@check("storage.claim-matches", title="A claim that is there already is as the recipe declares it")
def claim_matches(
    claims: PersistentVolumeClaims, classes: StorageClasses, recipes: Recipes
) -> Iterator[Finding]:
    """A claim cannot be changed once it is made: the API server refuses to apply one with another class or
    other access modes, a smaller size, or a bigger one unless its class allows volumes to grow.

    A claim that names no class leaves the class as it is, unless `kubectl apply` wrote that class. What
    becomes of a claim's weights when it is deleted, the table storage.weights tells.

    Fix: declare the claim as it is, or choose another name, or delete the claim and what it holds.
    """
    judged = False
    for recipe in recipes:
        for manifest in recipe.manifests:
            there = claims.find(manifest.name) if manifest.kind == _CLAIM else None
            if there is None or _is_elsewhere(manifest, claims.namespace):
                continue
            judged = True
            found = classes.find(there.storage_class)
            as_it_is = f"kubectl get pvc {there.name} -n {claims.namespace} -o yaml   # and declare it so"
            for difference, fix in _find_differences(manifest, there, found):
                place = manifest.root.get("metadata", "name") or manifest.root
                yield fail(
                    f"claim {there.name} cannot be applied: {difference}",
                    fix=fix or as_it_is,
                    subject=_make_subject(there, claims),
                    location=Location(manifest.file, place.line, place.column),
                )
    if not judged:
        raise Skip(f"no claim that the recipe declares is in namespace {claims.namespace} yet")


def _find_differences(
    manifest: Manifest, there: PersistentVolumeClaim, found: StorageClass | None
) -> Iterator[tuple[str, str]]:
    """What would have to change and cannot, with what to do where that is more than to look."""
    named = manifest.root.get("spec", "storageClassName")
    if named is None and there.class_applied:
        yield f"it names no class, and the one that is there was applied with {there.storage_class!r}", ""
    elif named is not None and there.storage_class is not None and named.text != there.storage_class:
        yield f"it names class {named.text!r}, and the one that is there has {there.storage_class!r}", ""
    declared = manifest.root.get("spec", "accessModes")
    modes = tuple(str(mode.plain) for mode in declared.sequence) if declared else ()
    if modes and modes != there.access_modes:
        has = ", ".join(there.access_modes)
        yield f"it asks for {', '.join(modes)}, and the one that is there has {has}", ""
    size = manifest.root.get("spec", "resources", "requests", "storage")
    if size is not None:
        yield from _compare_sizes(str(size.plain), there, found)


def _compare_sizes(
    size: str, there: PersistentVolumeClaim, found: StorageClass | None
) -> Iterator[tuple[str, str]]:
    wanted, has = parse_quantity(size), parse_quantity(there.requested)
    if wanted is None or has is None or wanted == has:
        return
    asks = f"it asks for {size}, and the one that is there for {there.requested}"
    keep = f"declare {there.requested}, or a claim of another name"
    if there.phase != "Bound":
        yield f"{asks}: a claim that is not bound cannot change", keep
    elif wanted < min(has, parse_quantity(there.capacity) or has):
        yield f"{asks}: a claim does not shrink", keep
    elif wanted > has and found is None:
        yield f"{asks}: without a class no claim grows", f"it cannot be expanded: {keep}"
    elif wanted > has and found is not None and not found.allows_expansion:
        allow = f"kubectl patch storageclass {found.name} -p '{{\"allowVolumeExpansion\": true}}'"
        yield (
            f"{asks}: class {found.name} lets no claim grow",
            f"it cannot be expanded: {keep}; or, if {found.provisioner} can expand volumes: {allow}",
        )
