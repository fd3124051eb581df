"""Recipe folders."""

from dynocheck import probe
from dynocheck.facts import RecipePaths, Recipes


@probe()
def recipes(paths: RecipePaths) -> Recipes:
    from dynocheck.recipe.discover import load  # the reading of YAML, which no cluster needs

    return Recipes(load(paths.items))
