"""Checks of the access modes and sizes of the claims that a recipe declares."""

import re
from collections.abc import Iterator

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.storage.weight_paths import find_cache, find_download_target, list_engines
from dynocheck.core.fixes import set_value
from dynocheck.engines.model_lookup import (
    CONFIG_FILES,
    DRAFTS,
    PARAMETERS,
    add_hub_configs,
    resolve_downloaded,
)
from dynocheck.facts import (
    Claim,
    Component,
    Graph,
    HubModels,
    Manifest,
    Recipe,
    Recipes,
    Value,
    find_server_template,
    parse_quantity,
    read_pod_templates,
)

_ONE_NODE = {"ReadWriteOnce", "ReadWriteOncePod"}
_HOST = "kubernetes.io/hostname"
_SHARED = re.compile(r"(?<![a-z])(?:efs|nfs)(?![a-z])", re.IGNORECASE)
_LOCAL = re.compile(r"local|host-?path|topolvm|lvm|zfs|microk8s", re.IGNORECASE)  # a volume stays on its node
_MOST = {"HorizontalPodAutoscaler": "maxReplicas", "ScaledObject": "maxReplicaCount"}
_LEAST_BYTES = 0.25  # of a parameter at two bits


@check("storage.access-mode", title="Access modes fit the mounting nodes")
def access_mode(recipes: Recipes) -> Iterator[Finding]:
    """A ReadWriteOnce volume is attached to one node: pods of a graph on other nodes stay in
    ContainerCreating. ReadWriteOncePod admits a single pod, and ReadOnlyMany no download.

    Checked are the claims that the recipe declares. The check fails where a component spans nodes. It warns
    where several pods mount the claim, as one node may hold them all, unless a node selector or a required
    pod affinity puts them on one node. Of an engine without Dynamo the most replicas of its autoscaler count,
    and a Deployment that starts its new pod before the old one ends: that waits for the volume on another
    node, unless a volume of its class stays on one node or is shared whatever its mode.

    Fix: accessModes: [ReadWriteMany], with a class that gives it
    """
    has_users = False
    for recipe in recipes:
        for claim in recipe.claims:
            for graph in recipe.graphs:
                users = [c for c in graph.components if any(m.name == claim.name for m in c.claims)]
                if users:
                    has_users = True
                    yield from _check_shared(recipe, claim, graph, users)
            for server in recipe.servers:
                if _find_claim(recipe, server, claim.name) is claim:
                    has_users = True
                    yield from _check_server(recipe, claim, server)
            for finding in _check_download_target(recipe, claim):
                has_users = True
                yield finding
    if not has_users:
        raise Skip("no graph and no engine mounts a claim that its recipe declares")


def _locate(recipe: Recipe, claim: Claim, *path: str) -> Location:
    """The place of a field of the claim's spec, or of the claim where it has no such field."""
    roots = (m.root for m in recipe.manifests if (m.file, m.name) == (claim.file, claim.name))
    place = next((field for root in roots if (field := root.get("spec", *path))), claim)
    return Location(claim.file, place.line, place.column)


def _is_of_graph(recipe: Recipe, claim: Claim) -> bool:
    """Whether the operator creates the claim, for a v1alpha1 graph."""
    files = {(m.file, m.name) for m in recipe.manifests if m.kind == "PersistentVolumeClaim"}
    return (claim.file, claim.name) not in files


def _suggest_mode(recipe: Recipe, claim: Claim) -> str:
    remark = "needs a class of a shared file system"
    if _is_of_graph(recipe, claim):
        return set_value("volumeAccessMode", "ReadWriteMany", remark)
    return set_value("spec.accessModes", ["ReadWriteMany"], remark)


def _check_shared(recipe: Recipe, claim: Claim, graph: Graph, users: list[Component]) -> Iterator[Finding]:
    modes = set(claim.access_modes)
    if not modes or not modes <= _ONE_NODE:
        return
    location = _locate(recipe, claim, "accessModes")
    spanning = next((c for c in users if c.nodes > 1), None)
    pods = sum(c.replicas * c.nodes for c in users)
    fix = _suggest_mode(recipe, claim)
    evidence = {c.name: c.replicas * c.nodes for c in users}
    if spanning is not None:
        yield fail(
            f"claim {claim.name} is {', '.join(sorted(modes))}, and {spanning.name} of graph {graph.name} "
            f"mounts it on {spanning.nodes} nodes",
            fix=fix,
            location=location,
        )
    elif pods > 1 and modes == {"ReadWriteOncePod"}:
        yield fail(
            f"claim {claim.name} is ReadWriteOncePod, and {pods} pods of graph {graph.name} mount it",
            fix=fix,
            evidence=evidence,
            location=location,
        )
    elif pods > 1 and not _runs_on_one_node(recipe, graph, users):
        yield warn(
            f"claim {claim.name} is ReadWriteOnce, and {pods} pods of graph {graph.name} mount it: "
            "only those on one node can start",
            fix=fix,
            evidence=evidence,
            location=location,
        )


def _runs_on_one_node(recipe: Recipe, graph: Graph, users: list[Component]) -> bool:
    """Whether all pods of these components must run on one node."""
    specs = {
        (template.around.line, template.around.column): template.spec
        for manifest in recipe.manifests
        if manifest.file == graph.file
        for template in read_pod_templates(manifest)
        if template.of_graph
    }
    user_specs = [specs.get((user.line, user.column)) for user in users]
    return all(spec is not None and _is_pinned(spec) for spec in user_specs)


def _find_claim(recipe: Recipe, server: Graph, name: str) -> Claim | None:
    """The claim of a name that an engine without Dynamo mounts: of its file, else the one of its folder."""
    if not any(mount.name == name for component in server.components for mount in component.claims):
        return None
    named = [each for each in recipe.claims if each.name == name]
    own = [each for each in named if each.file == server.file]
    folder = server.file.rpartition("/")[0]
    beside = own or [each for each in named if each.file.rpartition("/")[0] == folder]
    return beside[0] if len(beside) == 1 else None


def _check_server(recipe: Recipe, claim: Claim, server: Graph) -> Iterator[Finding]:
    component = server.components[0]
    template = find_server_template(recipe, server, component)
    modes = set(claim.access_modes)
    if template is None or not modes or not modes <= _ONE_NODE or _is_pinned(template.spec):
        return
    if _LOCAL.search(claim.storage_class or "") or _SHARED.search(claim.storage_class or ""):
        return
    most, scaler = _find_most(recipe, template.manifest)
    pods = max(component.replicas, most) * component.nodes
    mode, owner = min(modes), template.owner
    location = _locate(recipe, claim, "accessModes")
    if component.nodes > 1 or (pods > 1 and mode == "ReadWriteOncePod"):
        yield fail(
            f"claim {claim.name} is {mode}, and {pods} pods of {owner} mount it",
            fix=_suggest_mode(recipe, claim),
            location=location,
        )
    elif pods > 1:
        by = f", by {scaler.kind} {scaler.name}" if scaler is not None and most > component.replicas else ""
        yield warn(
            f"claim {claim.name} is {mode}, and {pods} pods of {owner} mount it{by}: only those on one node "
            "can start",
            fix=_suggest_mode(recipe, claim),
            location=location,
        )
    elif _starts_before_it_ends(template.manifest):
        root = template.manifest.root
        place = root.get("spec", "strategy") or root.get("spec") or root
        yield warn(
            f"{owner} starts its new pod before the old one ends, and claim {claim.name} is {mode}: on "
            "another node an update waits for ever",
            fix=set_value("spec.strategy", {"type": "Recreate"}),
            location=Location(template.manifest.file, place.line, place.column),
        )


def _find_most(recipe: Recipe, workload: Manifest) -> tuple[int, Manifest | None]:
    """The most replicas that an autoscaler of the recipe gives a workload, and the autoscaler."""
    for manifest in recipe.manifests:
        target = manifest.root.get("spec", "scaleTargetRef")
        field = _MOST.get(manifest.kind)
        if target is None or field is None or target.get_text("name") != workload.name:
            continue
        most = manifest.root.get("spec", field)
        near = manifest.file.rpartition("/")[0] == workload.file.rpartition("/")[0]
        if near and most is not None and isinstance(most.data, int):
            return most.data, manifest
    return 0, None


def _starts_before_it_ends(workload: Manifest) -> bool:
    """Whether a Deployment of one replica has two pods while it is updated."""
    replicas, strategy = workload.root.get("spec", "replicas"), workload.root.get("spec", "strategy")
    surge = strategy.get("rollingUpdate", "maxSurge") if strategy is not None else None
    recreates = strategy is not None and strategy.get_text("type") == "Recreate"
    none = surge is not None and str(surge.data) in ("0", "0%")
    stopped = replicas is not None and replicas.data == 0
    return workload.kind == "Deployment" and not recreates and not none and not stopped


def _is_pinned(spec: Value) -> bool:
    selector = spec.get("nodeSelector")
    affinity = spec.get("affinity", "podAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    keys = affinity.find_all("topologyKey") if affinity is not None else ()
    return (selector is not None and _HOST in selector.mapping) or any(key.text == _HOST for key in keys)


def _check_download_target(recipe: Recipe, claim: Claim) -> Iterator[Finding]:
    """A failure for the first Job that downloads to a claim that is only ReadOnlyMany."""
    if set(claim.access_modes) != {"ReadOnlyMany"}:
        return
    for download in recipe.downloads:
        if any(m.name == claim.name for m in download.container.mounts if m.source == "claim"):
            yield fail(
                f"claim {claim.name} is ReadOnlyMany, and {download.model or 'a model'} is downloaded to it",
                fix=_suggest_mode(recipe, claim),
                location=_locate(recipe, claim, "accessModes"),
            )
            return


@check("storage.size", title="Claims are large enough for the downloaded weights")
def size(recipes: Recipes, models: HubModels | None = None) -> Iterator[Result]:
    """A download that fills its volume ends with "No space left on device", often after hours. Classes of
    block storage and most file systems enforce the size of a claim; NFS and EFS do not, so that a claim of a
    class with such a name is not judged.

    Downloads of one file are added up; several files are alternatives. A model whose size is unknown is taken
    to have a quarter of a byte for each parameter in its name; a claim that is large enough for that is not
    judged.

    Fix: resources: {requests: {storage: SIZE}}
    """
    applies = False
    for recipe in add_hub_configs(recipes, models):
        claims = {claim.name: (claim, parse_quantity(claim.size)) for claim in recipe.claims if claim.size}
        for (file, name), sizes in _collect_weights(recipe).items():
            claim, capacity = claims.get(name, (None, None))
            if claim is None or capacity is None:
                continue
            applies = True
            needed = sum(_guess_least(model) if size is None else size for model, size in sizes.items())
            unknown = [model for model, size in sizes.items() if size is None]
            if needed <= capacity and unknown:
                yield unjudged(
                    f"claim {name}: {', '.join(unknown)}",
                    why="the size of the model is unknown",
                    needs=CONFIG_FILES,
                    location=_locate(recipe, claim, "resources", "requests", "storage"),
                )
                continue
            if needed > capacity and _SHARED.search(claim.storage_class or ""):
                yield unjudged(
                    f"claim {name}",
                    why=f"class {claim.storage_class} may be of NFS or EFS, which enforce no size",
                    needs="a claim of the size of its model",
                    location=_locate(recipe, claim, "resources", "requests", "storage"),
                )
                continue
            yield judged(1, "claims")
            if needed > capacity:
                yield warn(
                    f"claim {name} requests {claim.size}; {', '.join(sorted(sizes))} needs "
                    f"{needed / 2**30:.0f}Gi on disk{' at least, by its name' if unknown else ''}",
                    fix=set_value(
                        "size" if _is_of_graph(recipe, claim) else "spec.resources.requests.storage",
                        f"{-(-int(needed * 1.1) // 2**30)}Gi",
                    ),
                    evidence={"downloaded by": file},
                    location=_locate(recipe, claim, "resources", "requests", "storage"),
                )
    if not applies:
        raise Skip("no model is downloaded to a claim of the recipe")


def _guess_least(model: str) -> float:
    """The bytes that a model of unknown size has at least, by the parameters in its name; 0 if unknown.

    The parameters in the name of a draft model are those of the model that it serves.
    """
    billions = [float(count) for count in PARAMETERS.findall(model)]
    return max(billions, default=0) * 1e9 * _LEAST_BYTES if not DRAFTS.search(model) else 0


def _collect_weights(recipe: Recipe) -> dict[tuple[str, str], dict[str, float | None]]:
    """By file and claim, the models that are downloaded to the claim, with their bytes if known.

    Workers download the models of a claim that no Job fills.
    """
    weights: dict[tuple[str, str], dict[str, float | None]] = {}
    for download in recipe.downloads:
        target = find_download_target(download)
        row = resolve_downloaded(recipe, download.model) if download.model else None
        if target is not None:
            models = weights.setdefault((download.file, target.partition(":")[0]), {})
            models[download.model or "a model"] = row.disk_bytes if row is not None else None
    filled = {claim for _, claim in weights}
    for engine in list_engines(recipe):
        cache = find_cache(engine) or ""
        claim, model = cache.partition(":")[0], engine.model
        if model is not None and claim and claim not in filled:
            row = resolve_downloaded(recipe, model)
            models = weights.setdefault((engine.graph.file, claim), {})
            models[model] = row.disk_bytes if row is not None else None
    return weights
