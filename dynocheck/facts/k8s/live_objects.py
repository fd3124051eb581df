"""The objects of a namespace, read as a recipe is."""

from dynocheck.facts.k8s.cluster import ClusterFact
from dynocheck.facts.recipe.recipes import Recipe


class LiveObjects(ClusterFact, frozen=True):
    """What serves in the namespace of the run and what belongs to it, as the manifests of a recipe.

    Objects that a controller made are left out, and so are monitors and rules of other namespaces that are
    about something else. `unseen` are the kinds that the user may not list.
    """

    namespace: str
    recipe: Recipe
    unseen: tuple[str, ...] = ()
