"""Whether the claims that a recipe brings let in those who mount them, and hold what is put there."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.checks.storage.weight_paths import find_download_target
from dynocheck.engines.model_lookup import resolve_downloaded
from dynocheck.facts import Recipes
from dynocheck.facts.k8s.pods import list_pod_templates
from dynocheck.facts.k8s.quantity import parse_quantity
from dynocheck.facts.recipe.recipes import Claim, Component, Graph, Recipe, Value

_ONE_NODE = {"ReadWriteOnce", "ReadWriteOncePod"}
_HOST = "kubernetes.io/hostname"


@check("storage.access-mode", title="Claims let in all the nodes that mount them")
def access_mode(recipes: Recipes) -> Iterator[Finding]:
    """A ReadWriteOnce volume is attached to one node: pods of a graph that land on another wait in
    ContainerCreating. ReadWriteOncePod lets in a single pod, and ReadOnlyMany no download.

    It fails where engines span nodes; where several pods mount such a claim it is a warning, as one node may
    hold them all, and nothing where a node selector or a required pod affinity says so. Judged are the claims
    that the recipe declares.

    Fix: accessModes: [ReadWriteMany], with a class that gives it
    """
    judged = False
    for recipe in recipes:
        for claim in recipe.claims:
            for graph in recipe.graphs:
                users = [c for c in graph.components if any(m.name == claim.name for m in c.claims)]
                if users:
                    judged = True
                    yield from _check_shared(recipe, claim, graph, users)
            yield from _check_download_target(recipe, claim)
    if not judged:
        raise Skip("no graph mounts a claim that its recipe declares")


def _locate(recipe: Recipe, claim: Claim, *path: str) -> Location:
    """Where a claim says something of its spec, or else where it is named."""
    same = (m.root for m in recipe.manifests if (m.file, m.name) == (claim.file, claim.name))
    value = next((value for root in same if (value := root.get("spec", *path))), claim)
    return Location(claim.file, value.line, value.column)


def _check_shared(recipe: Recipe, claim: Claim, graph: Graph, users: list[Component]) -> Iterator[Finding]:
    modes = set(claim.access_modes)
    if not modes or not modes <= _ONE_NODE:
        return
    place = _locate(recipe, claim, "accessModes")
    spanning = next((c for c in users if c.nodes > 1), None)
    pods = sum(c.replicas * c.nodes for c in users)
    fix = "set accessModes: [ReadWriteMany], and a class that gives it"
    evidence = {c.name: c.replicas * c.nodes for c in users}
    if spanning is not None:
        yield fail(
            f"claim {claim.name} is {', '.join(sorted(modes))}, and {spanning.name} of graph {graph.name} "
            f"mounts it on {spanning.nodes} nodes",
            fix=fix,
            location=place,
        )
    elif pods > 1 and modes == {"ReadWriteOncePod"}:
        yield fail(
            f"claim {claim.name} is ReadWriteOncePod, and {pods} pods of graph {graph.name} mount it",
            fix=fix,
            evidence=evidence,
            location=place,
        )
    elif pods > 1 and not _runs_on_one_node(recipe, graph, users):
        yield warn(
            f"claim {claim.name} is ReadWriteOnce, and {pods} pods of graph {graph.name} mount it: "
            "those on another node than the first wait for ever",
            fix=fix,
            evidence=evidence,
            location=place,
        )


def _runs_on_one_node(recipe: Recipe, graph: Graph, users: list[Component]) -> bool:
    """Whether all pods of these components are bound to one node."""
    specs = {
        (t.manifest.file, t.around.line, t.around.column): t.spec
        for t in list_pod_templates(recipe)
        if t.of_graph
    }
    found = [specs.get((graph.file, user.line, user.column)) for user in users]
    return all(spec is not None and _is_pinned(spec) for spec in found)


def _is_pinned(spec: Value) -> bool:
    selector = spec.get("nodeSelector")
    near = spec.get("affinity", "podAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    keys = near.find_all("topologyKey") if near is not None else ()
    return (selector is not None and _HOST in selector.mapping) or any(key.text == _HOST for key in keys)


def _check_download_target(recipe: Recipe, claim: Claim) -> Iterator[Finding]:
    """A claim that nobody may write to, and that a Job is to fill."""
    if not claim.access_modes or set(claim.access_modes) != {"ReadOnlyMany"}:
        return
    for download in recipe.downloads:
        if any(m.name == claim.name for m in download.container.mounts if m.source == "claim"):
            yield fail(
                f"claim {claim.name} is ReadOnlyMany, and {download.model or 'a model'} is downloaded to it",
                fix="set accessModes: [ReadWriteMany]",
                location=_locate(recipe, claim, "accessModes"),
            )
            return


@check("storage.size", title="Claims are as large as the weights that are downloaded to them")
def size(recipes: Recipes) -> Iterator[Finding]:
    """A download that fills its volume ends with "No space left on device", after hours. Classes of block
    storage and most file systems hold a claim to its size; NFS and EFS do not.

    What one file downloads is counted together; several files are alternatives. Models outside of the table
    (`dynocheck/data/models.json`) count as nothing.

    Fix: resources: {requests: {storage: SIZE}}
    """
    judged = False
    for recipe in recipes:
        sizes = {claim.name: (claim, parse_quantity(claim.size)) for claim in recipe.claims if claim.size}
        for (file, name), models in _collect_weights(recipe).items():
            claim, given = sizes.get(name, (None, None))
            if claim is None or given is None:
                continue
            judged = True
            needed = sum(models.values())
            if needed > given:
                yield warn(
                    f"claim {name} asks for {claim.size}, and {', '.join(sorted(models))} take "
                    f"{needed / 2**30:.0f}Gi on disk",
                    fix=f"ask for {-(-int(needed * 1.1) // 2**30)}Gi or more",
                    evidence={"downloaded by": file},
                    location=_locate(recipe, claim, "resources", "requests", "storage"),
                )
    if not judged:
        raise Skip("no model of known size is downloaded to a claim of the recipe")


def _collect_weights(recipe: Recipe) -> dict[tuple[str, str], dict[str, float]]:
    """The bytes of each model that a file downloads to a claim."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for download in recipe.downloads:
        target, row = (
            find_download_target(download),
            resolve_downloaded(recipe, download.model) if download.model else None,
        )
        if target is not None and row is not None and download.model is not None:
            claim = target.partition(":")[0]
            found.setdefault((download.file, claim), {})[download.model] = row.disk_bytes
    return found
