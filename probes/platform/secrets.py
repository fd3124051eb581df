"""Reads the existence, types and keys of the Secrets that recipes name."""

from functools import partial

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, NamedSecret, NamedSecrets, RecipePaths, Recipes, find_secret_references
from dynocheck.kube import Cluster, NotFound, run_parallel
from dynocheck.probes._limits import READING_LIMIT_S


class _Secret(msgspec.Struct):
    """A Secret whose values stay undecoded and are dropped with it; only their keys are kept."""

    type: str = ""
    data: dict[str, msgspec.Raw] | None = None


@probe(access=[Access("get", "secrets", local=True)], limit=lambda cluster, paths: READING_LIMIT_S)
def named_secrets(cluster: Cluster, paths: RecipePaths) -> NamedSecrets:
    """Gets each Secret by name, because its metadata has no keys. Secrets are never listed."""
    from dynocheck.recipe.discover import load_recipes  # imports YAML, which few runs need

    default = cluster.connection.namespace
    references = find_secret_references(Recipes(load_recipes(*paths)))
    names = sorted({(r.namespace or default, r.name) for r in references})
    return NamedSecrets(tuple(run_parallel([partial(_get_secret, cluster, *name) for name in names])))


def _get_secret(cluster: Cluster, namespace: str, name: str) -> NamedSecret:
    try:
        secret = cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{name}", _Secret)
    except NotFound:
        return NamedSecret(namespace, name, exists=False)
    return NamedSecret(namespace, name, type=secret.type, keys=tuple(sorted(secret.data or {})))
