"""The Secrets that a recipe names: that they are there, of which type and with which keys."""

from functools import partial

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, NamedSecret, NamedSecrets, RecipePaths, Recipes, find_secret_references
from dynocheck.kube import Cluster, NotFound, run_parallel


class _Secret(msgspec.Struct):
    """The values stay undecoded, and go with this: only their keys are taken."""

    type: str = ""
    data: dict[str, msgspec.Raw] | None = None


@probe(access=[Access("get", "secrets", local=True)])
def named_secrets(cluster: Cluster, paths: RecipePaths) -> NamedSecrets:
    """Metadata alone has no keys, so each is asked for by its name; lists of Secrets are never read."""
    from dynocheck.recipe.discover import load_recipes  # the reading of YAML, which no cluster needs

    here = cluster.connection.namespace
    references = find_secret_references(Recipes(load_recipes(*paths)))
    names = sorted({(r.namespace or here, r.name) for r in references})
    return NamedSecrets(tuple(run_parallel([partial(_get_secret, cluster, *each) for each in names])))


def _get_secret(cluster: Cluster, namespace: str, name: str) -> NamedSecret:
    try:
        found = cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{name}", _Secret)
    except NotFound:
        return NamedSecret(namespace, name, exists=False)
    return NamedSecret(namespace, name, type=found.type, keys=tuple(sorted(found.data or {})))
