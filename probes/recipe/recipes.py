"""Recipe folders."""

from dynocheck import probe
from dynocheck.facts import RecipePaths, Recipes


@probe()
def recipes(paths: RecipePaths) -> Recipes:
    from dynocheck.recipe.discover import load_recipes  # the reading of YAML, which no cluster needs

    return Recipes(load_recipes(paths.items))
