"""Whether a recipe folder is laid out so that people and tools find what they look for."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.facts import Recipes
from dynocheck.facts.recipe import Recipe

_CACHE = "model-cache"


@check("structure.layout", title="The folder is laid out as a recipe")
def layout(recipes: Recipes) -> Iterator[Finding]:
    """A model's folder holds `model-cache/`, with the claim and the Job that fills it, and one folder per
    variant (`<framework>/<mode>/`) with a DynamoGraphDeployment in it.

    A folder in which nothing is ever deployed is no recipe. A model without a cache works, and downloads
    its weights again in every pod.

    Fix: put the graph in <framework>/<mode>/deploy.yaml, claim and download Job in model-cache/
    """
    folders = [recipe for recipe in recipes if recipe.shape != "manifests"]
    if not folders:
        raise Skip("single manifests have no layout")
    for recipe in folders:
        yield from _deploys(recipe)
        if recipe.shape == "model":
            yield from _cache(recipe)


def _deploys(recipe: Recipe) -> Iterator[Finding]:
    if any(file.problems for file in recipe.judged):
        return  # what cannot be read may be the graph that is missing
    kinds = {manifest.kind for manifest in recipe.manifests}
    served = {"DynamoGraphDeployment", "DynamoGraphDeploymentRequest", "Deployment", "StatefulSet"}
    if not kinds & served:
        yield fail(
            "nothing in it is deployed: no DynamoGraphDeployment in any of its files",
            fix="add a deploy.yaml in <framework>/<mode>/",
            location=Location(recipe.path),
        )


def _cache(recipe: Recipe) -> Iterator[Finding]:
    here = Location(recipe.path)
    if _CACHE not in recipe.folders:
        yield warn(
            f"no {_CACHE}/: every pod downloads the weights for itself",
            fix=f"add {_CACHE}/ with a PersistentVolumeClaim and a download Job",
            location=here,
        )
        return
    cache = Location(f"{recipe.path}/{_CACHE}")
    if not recipe.claims:
        yield warn(f"no PersistentVolumeClaim in {_CACHE}/", fix="add model-cache.yaml", location=cache)
    if not recipe.downloads:
        yield warn(
            f"no Job in {_CACHE}/ is seen to download a model",
            fix="add model-download.yaml",
            location=cache,
        )
