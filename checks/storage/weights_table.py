"""What becomes of the weights that a recipe puts on claims, at a glance."""

from collections.abc import Iterable

from dynocheck import Row, table
from dynocheck.checks.storage.classes import resolve_class
from dynocheck.checks.storage.weight_paths import find_download_target, find_hf_home, is_hub_id
from dynocheck.engines import find_instances
from dynocheck.engines.model_lookup import resolve_downloaded
from dynocheck.facts import Recipes, StorageClasses
from dynocheck.facts.k8s.storage import PersistentVolumeClaim, PersistentVolumeClaims
from dynocheck.facts.recipe.recipes import Claim, Recipe


@table(
    "storage.weights",
    title="Where the recipe's weights go",
    note="reclaim: when the claim is deleted, Delete takes the weights with it; Retain leaves their volume, "
    "which costs what it did, and binds to no other claim before its claimRef is taken out. What the volume "
    "says counts: kubectl get pv. grows: a larger size may be asked for later.",
)
def weights(recipes: Recipes, classes: StorageClasses, claims: PersistentVolumeClaims) -> Iterable[Row]:
    """A row for each claim that a Job downloads a model to, or that an engine has its hub cache on."""
    rows: list[Row] = []
    for recipe in recipes:
        declared = {claim.name: claim for claim in recipe.claims}
        for name, models in _collect_models(recipe).items():
            row = _make_row(name, models, declared.get(name), claims.find(name), classes)
            if row not in rows:
                rows.append(row)
    return rows


def _make_row(
    name: str,
    models: set[str],
    declared: Claim | None,
    there: PersistentVolumeClaim | None,
    classes: StorageClasses,
) -> Row:
    """What is known of a claim: as it is in the namespace, else as the recipe declares it."""
    if there is not None:
        size, found = there.capacity or there.requested, classes.find(there.storage_class)
    elif declared is not None:
        size, found = declared.size or "", resolve_class(declared, classes)
    else:
        size, found = "", None
    return {
        "claim": name,
        "holds": tuple(sorted(models)),
        "size": size or "?",
        "class": found.name if found is not None else "?",
        "reclaim": found.reclaim_policy if found is not None else "?",
        "grows": ("yes" if found.allows_expansion else "no") if found is not None else "?",
    }


def _collect_models(recipe: Recipe) -> dict[str, set[str]]:
    """By claim, the models that are downloaded to it, each with what it takes where that is known."""
    found: dict[str, set[str]] = {}
    for download in recipe.downloads:
        if (target := find_download_target(download)) is not None:
            model = _format_model(recipe, download.model) if download.model else "a model"
            found.setdefault(target.partition(":")[0], set()).add(model)
    for engine in (engine for graph in recipe.graphs for engine in find_instances(graph)):
        home, name = find_hf_home(engine), engine.model
        there = engine.container.resolve_on_claim(home) if home else None
        if there is not None and name is not None and is_hub_id(name):
            found.setdefault(there.partition(":")[0], set()).add(_format_model(recipe, name))
    return found


def _format_model(recipe: Recipe, model: str) -> str:
    row = resolve_downloaded(recipe, model)
    return f"{model} {row.disk_bytes / 2**30:.0f}Gi" if row is not None else model
