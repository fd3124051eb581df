"""What becomes of the weights that a recipe puts on claims, at a glance."""

from collections.abc import Iterable

from dynocheck import Row, table
from dynocheck.checks.storage.classes import class_of
from dynocheck.checks.storage.weight_paths import home_of, is_hub_id, place_of
from dynocheck.engines import running
from dynocheck.engines.model_lookup import downloaded
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
        for name, models in _held(recipe).items():
            row = _row(name, models, declared.get(name), claims.named(name), classes)
            if row not in rows:
                rows.append(row)
    return rows


def _row(
    name: str,
    models: set[str],
    declared: Claim | None,
    there: PersistentVolumeClaim | None,
    classes: StorageClasses,
) -> Row:
    """What is known of a claim: as it is in the namespace, else as the recipe declares it."""
    if there is not None:
        size, found = there.capacity or there.requested, classes.named(there.storage_class)
    elif declared is not None:
        size, found = declared.size or "", class_of(declared, classes)
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


def _held(recipe: Recipe) -> dict[str, set[str]]:
    """By claim, the models that are downloaded to it, each with what it takes where that is known."""
    found: dict[str, set[str]] = {}
    for download in recipe.downloads:
        if (target := place_of(download)) is not None:
            model = _sized(recipe, download.model) if download.model else "a model"
            found.setdefault(target.partition(":")[0], set()).add(model)
    for engine in (engine for graph in recipe.graphs for engine in running(graph)):
        home, name = home_of(engine), engine.model
        there = engine.container.on_claim(home) if home else None
        if there is not None and name is not None and is_hub_id(name):
            found.setdefault(there.partition(":")[0], set()).add(_sized(recipe, name))
    return found


def _sized(recipe: Recipe, model: str) -> str:
    row = downloaded(recipe, model)
    return f"{model} {row.disk_bytes / 2**30:.0f}Gi" if row is not None else model
