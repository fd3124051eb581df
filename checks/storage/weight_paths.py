"""Checks of whether workers load weights from where the recipe downloads them."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, mentions, warn
from dynocheck.checks.engine._coverage import describe_unjudged
from dynocheck.core.fixes import remove, set_variable
from dynocheck.data.images import parse_image
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.facts import (
    Component,
    Container,
    Download,
    Graph,
    Recipe,
    Recipes,
    Value,
    Word,
    index_containers,
    list_pod_templates,
)

_FETCHES = re.compile(r"download|\b(cp|mv|ln|aws|az|gsutil|gcloud|rclone|s5cmd|wget|curl|git|tar)\b")
# The folder of the hub cache behind the value of each variable that sets it, the first of which wins.
_HUB_VARIABLES = {"HF_HUB_CACHE": "", "HUGGINGFACE_HUB_CACHE": "", "HF_HOME": "/hub"}
_CACHE_MOUNT = re.compile(r"/\.cache(/huggingface(/hub)?)?/?$")
_MOVES = re.compile(r"\b(mv|cp|ln|rsync|tar|unzip|quantize)\b")


def list_engines(recipe: Recipe) -> list[EngineInstance]:
    """The engines of all graphs of a recipe, and those without Dynamo."""
    return [engine for graph in recipe.deployments for engine in find_instances(graph)]


@check("storage.read-only", title="No model is downloaded to a read-only mount")
def read_only(recipes: Recipes) -> Iterator[Finding]:
    """A download Job that mounts its claim read-only fails at its first file. So does an engine whose hub
    cache is read-only and whose model no Job downloads.

    Fix: leave readOnly out of the mount
    """
    has_targets = False
    for recipe in recipes:
        for download in recipe.downloads:
            has_targets = True
            yield from _check_download_mounts(download)
        downloaded = {download.model for download in recipe.downloads}
        for engine in list_engines(recipe):
            home, model = find_hf_home(engine), engine.model
            mount = engine.container.find_mount(home) if home else None
            if mount is None or model is None or not is_hub_id(model):
                continue
            has_targets = True
            if mount.read_only and downloaded and None not in downloaded and model not in downloaded:
                yield fail(
                    f"{engine.component.name} downloads {model} to {home}, which is mounted read-only; "
                    "no Job downloads it",
                    fix=remove("readOnly", f"or download {model} first"),
                    location=Location(engine.graph.file, mount.line, mount.column),
                )
    if not has_targets:
        raise Skip("nothing is downloaded to a claim")


def _check_download_mounts(download: Download) -> Iterator[Finding]:
    claim = (find_download_target(download) or "").partition(":")[0]
    for mount in download.container.mounts:
        if mount.source == "claim" and mount.read_only and mount.name == claim:
            yield fail(
                f"{download.model or 'a model'} is downloaded to {mount.path}, which is mounted read-only",
                fix=remove("readOnly"),
                location=Location(download.file, mount.line, mount.column),
            )


def is_hub_id(model: str) -> bool:
    """Whether an engine takes this for the id of a model of the Hugging Face hub."""
    return model.count("/") == 1 and not model.startswith(("/", ".", "~"))


def find_hf_home(owner: Container | EngineInstance) -> str | None:
    """The folder that holds the hub cache `hub`, by HF_HUB_CACHE or HF_HOME of a container, or of the script
    around an engine; None when neither is set or its value is unknown.
    """
    hub, home = owner.find_variable("HF_HUB_CACHE"), owner.find_variable("HF_HOME")
    if hub is not None:
        return posixpath.dirname(hub.value.rstrip("/")) if hub.value else None
    return home.value if home is not None and (home.value or "").startswith("/") else None


@check(
    "storage.model-path",
    title="Workers load models from where they are downloaded",
    explained_by={"storage.claim-declared": mentions("claim")},
)
def model_path(recipes: Recipes) -> Iterator[Result]:
    """A worker that does not find its model where a Job downloaded it downloads the model again to its own
    disk, for hours, or ends at once when it was given a path.

    Paths are compared on the claim, so that mount paths may differ. For a hub id the caches are compared:
    HF_HOME or HF_HUB_CACHE of the Job and of the worker. Not judged are caches that neither sets. A cache
    beside the worker's claim, on no mount, is lost with the pod. Claims that another workload may write to,
    vLLM's --download-dir, and workers with a ModelExpress server are left out. Dynamo's own images contain no
    model, and its frontend exits at a --model-path that is no folder.

    Fix: set the same HF_HOME on the claim in the Job and in every worker
    """
    workers = [
        (recipe, engine)
        for recipe in recipes
        for engine in list_engines(recipe)
        if recipe.downloads or (engine.model or "").startswith("/") or _misses_claim(engine)
    ]
    named = [found for recipe in recipes for found in _find_frontend_paths(recipe)]
    if not workers and not named:
        raise Skip("no Job downloads a worker's model, and no worker loads a path")
    for graph, component, container, word in named:
        yield judged(1, "frontends")
        yield from _check_frontend(graph, component, container, word)
    for recipe, engine in workers:
        why = _explain_unjudged(recipe, engine)
        if engine.model is None or why:
            yield describe_unjudged(
                [engine],
                engine.model or "model",
                why=why or "its model cannot be read from the recipe",
                needs="HF_HOME of the Job and of the worker" if why else "a literal model name",
            )
        else:
            yield judged(1, "workers")
            yield from _check_model(recipe, engine, engine.model)


def _find_frontend_paths(recipe: Recipe) -> Iterator[tuple[Graph, Component, Container, Word]]:
    """The folders that frontends are told to read their model's tokenizer from."""
    for graph in recipe.graphs:
        for component in graph.components:
            for container in component.containers:
                for launch in (each for each in container.launches if each.module == "dynamo.frontend"):
                    for flag, value in pairwise((*launch.words, Word("", 0, 0))):
                        name, joined, inline = (flag.text or "").partition("=")
                        word = Word(inline, flag.line, flag.column) if joined else value
                        path = word.text or ""
                        if name == "--model-path" and (path.startswith("/") or is_hub_id(path)):
                            yield graph, component, container, word


def _check_frontend(
    graph: Graph, component: Component, container: Container, word: Word
) -> Iterator[Finding]:
    """Dynamo's frontend ends at a --model-path that is no folder (components/src/dynamo/frontend)."""
    path, made = word.text or "", (each.text or "" for words in container.commands for each in words)
    location = Location(graph.file, word.line, word.column)
    if is_hub_id(path):
        at = (word.line, word.column)
        others = (words for words in container.commands if at not in ((w.line, w.column) for w in words))
        if not any(path in (each.text or "") for words in others for each in words):  # else one may make it
            yield fail(
                f"{component.name}: --model-path takes a folder of the container, {path} is a model of the "
                "hub: the frontend exits",
                fix=remove("--model-path", "the frontend asks the workers"),
                location=location,
            )
        return
    if container.find_mount(path) is not None or not parse_image(container.image or "").dynamo_name:
        return
    if sum(path in text for text in made) <= 1:  # else the script may make it
        yield fail(
            f"{component.name} reads its tokenizer from {path}, where nothing is mounted: it exits",
            fix="mount the claim that holds the model",
            evidence={"mounts": sorted(m.path for m in container.mounts)},
            location=location,
        )


def _explain_unjudged(recipe: Recipe, engine: EngineInstance) -> str:
    """Why it is unknown whether a worker finds the model that the recipe downloads; empty if it is known."""
    downloads = [download for download in recipe.downloads if download.model == engine.model]
    if not downloads or engine.model is None or not is_hub_id(engine.model) or _bypasses_cache(engine):
        return ""
    if find_hf_home(engine) is None:
        return "where the worker has its hub cache is unknown"
    unknown = any(download.cached and find_hf_home(download.container) is None for download in downloads)
    return "where the Job has its hub cache is unknown" if unknown else ""


def _bypasses_cache(engine: EngineInstance) -> bool:
    return bool(engine.given.get("download-dir") or engine.find_variable("MODEL_EXPRESS_URL"))


def _check_model(recipe: Recipe, engine: EngineInstance, model: str) -> Iterator[Finding]:
    if model.startswith("/"):
        flag = engine.given.get(*engine.engine.model_flags) or engine.launch
        yield from _check_path(recipe, engine, model, Location(engine.graph.file, flag.line, flag.column))
    elif is_hub_id(model):
        variable = engine.find_variable("HF_HUB_CACHE") or engine.find_variable("HF_HOME")
        place = variable or engine.launch
        yield from _check_cache(recipe, engine, model, Location(engine.graph.file, place.line, place.column))


def _check_path(recipe: Recipe, engine: EngineInstance, model: str, location: Location) -> Iterator[Finding]:
    name, container = engine.component.name, engine.container
    mount, path = container.find_mount(model), container.resolve_on_claim(model)
    if mount is None and parse_image(container.image or "").dynamo_name and not _fetches(recipe, engine):
        yield fail(
            f"{name} loads {model}, where nothing is mounted, and the image contains no model",
            fix="mount the claim that holds it",
            evidence={"mounts": sorted(m.path for m in container.mounts)},
            location=location,
        )
    if path is None:
        return
    claim = path.partition(":")[0]
    targets = [_find_load_path(download) for download in recipe.downloads]
    on_claim = {target for target in targets if target is not None and target.partition(":")[0] == claim}
    if not on_claim or None in targets or any(_overlaps(path, target) for target in on_claim):
        return
    if not _has_other_writer(recipe, claim):
        yield fail(
            f"{name} loads {model} ({path}); the recipe downloads to {', '.join(sorted(on_claim))}",
            fix="load the folder that the download Job writes",
            location=location,
        )


def find_download_target(download: Download) -> str | None:
    """The folder or hub cache that a download goes to, as CLAIM:PATH; None when unknown or on no claim."""
    if not download.cached:
        return download.folder
    home = find_hf_home(download.container)
    return download.container.resolve_on_claim(home) if home else None


def _fetches(recipe: Recipe, engine: EngineInstance) -> bool:
    """Whether the script around an engine may download or copy the model itself."""
    container = engine.container
    place = (engine.graph.file, container.line, container.column)
    _, source = index_containers(recipe).get(place, (None, None))
    return source is not None and any(_FETCHES.search(text) for text in _get_texts(source))


def _has_other_writer(recipe: Recipe, claim: str) -> bool:
    """Whether another workload may write to a claim, or a download that moves its files."""
    benchmarks = {(benchmark.file, benchmark.name) for benchmark in recipe.benchmarks}
    downloads = {download.file for download in recipe.downloads}
    for template in list_pod_templates(recipe):
        manifest = template.manifest
        volumes = template.spec.get("volumes")
        mounts = volumes is not None and any(name.text == claim for name in volumes.find_all("claimName"))
        if template.of_graph or not mounts or (manifest.file, manifest.name) in benchmarks:
            continue
        script = " ".join(text for container in template.containers for text in _get_texts(container))
        if manifest.file not in downloads or _MOVES.search(script):
            return True
    return False


def _get_texts(container: Value) -> Iterator[str]:
    for key in ("command", "args"):
        words = container.get(key)
        yield from (word.text for word in (words.sequence if words else ()) if word.text)


def find_cache(engine: EngineInstance) -> str | None:
    """The hub cache that a worker downloads its model to, as CLAIM:PATH; None when on no claim or unknown."""
    home = find_hf_home(engine)
    if home is None or not is_hub_id(engine.model or "") or _bypasses_cache(engine):
        return None
    return engine.container.resolve_on_claim(home)


def _find_load_path(download: Download) -> str | None:
    """The folder on a claim below which a path can load the download, as CLAIM:PATH."""
    target = find_download_target(download)
    if not download.cached or target is None:
        return target
    claim, _, home = target.partition(":")
    return f"{claim}:{posixpath.normpath(posixpath.join(home, 'hub'))}"


def _overlaps(path: str, target: str) -> bool:
    """Whether one of two folders on a claim contains the other."""
    claim, _, folder = target.partition(":")
    inside = path.removeprefix(f"{claim}:")
    return folder == "." or f"{inside}/".startswith(f"{folder}/") or f"{folder}/".startswith(f"{inside}/")


def _check_cache(recipe: Recipe, engine: EngineInstance, model: str, location: Location) -> Iterator[Finding]:
    if not recipe.downloads and _misses_claim(engine) and not _bypasses_cache(engine):
        claims = [mount for mount in engine.container.mounts if mount.source == "claim"]
        variable = next(name for name in _HUB_VARIABLES if engine.find_variable(name) is not None)
        value = engine.find_variable(variable)
        yield warn(
            f"{engine.component.name} has its hub cache {value.value if value else ''} on no mount: each pod "
            f"downloads {model} anew",
            fix=set_variable(variable, claims[0].path),
            evidence={"claims": {mount.name: mount.path for mount in claims}},
            location=location,
        )
        return
    home = find_hf_home(engine)
    if home is None or _bypasses_cache(engine):
        return
    cache = engine.container.resolve_on_claim(home)
    targets = _find_other_targets(recipe, model, cache)
    where = f"its hub cache is {cache}" if cache else f"its hub cache {home} is on no claim"
    fix = "load the folder that was downloaded, or download without --local-dir"
    if any(download.cached for download in recipe.downloads if download.model == model):
        fix = _suggest_home(engine, targets)
    if targets:
        yield warn(
            f"{engine.component.name} loads {model}, and {where}; the recipe downloads it to "
            f"{', '.join(targets)}: each pod downloads its own copy",
            fix=fix,
            location=location,
        )


def _misses_claim(engine: EngineInstance) -> bool:
    """Whether a worker mounts a claim, and its hub cache is set to a folder on no mount."""
    folder, container = _find_hub_folder(engine), engine.container
    claims = [mount for mount in container.mounts if mount.source == "claim" and not mount.read_only]
    if not engine.graph.of_dynamo:  # any other claim may be for anything
        claims = [mount for mount in claims if _CACHE_MOUNT.search(mount.path)]
    return folder is not None and container.find_mount(folder) is None and bool(claims)


def _find_hub_folder(engine: EngineInstance) -> str | None:
    """The folder of an engine's hub cache itself; None if no variable sets it, or its value is unknown."""
    for name, below in _HUB_VARIABLES.items():
        variable = engine.find_variable(name)
        if variable is not None:
            value = variable.value or ""
            return value.rstrip("/") + below if value.startswith("/") else None
    return None


def _suggest_home(engine: EngineInstance, targets: Iterable[str]) -> str:
    """The fix for a worker whose hub cache is not that of the download."""
    for claim, _, folder in (target.partition(":") for target in targets):
        mount = next((m for m in engine.container.mounts if (m.source, m.name) == ("claim", claim)), None)
        if mount is not None and not mount.sub_path:
            home = posixpath.normpath(posixpath.join(mount.path, folder))
            if engine.find_variable("HF_HUB_CACHE") is not None:
                return set_variable("HF_HUB_CACHE", f"{home}/hub")
            return set_variable("HF_HOME", home)
    return "set HF_HOME to the folder of the download on the same claim"


def _find_other_targets(recipe: Recipe, model: str, cache: str | None) -> list[str]:
    """Where the recipe downloads a model to, as CLAIM:PATH; empty when that is, or may be, this cache."""
    downloads = [download for download in recipe.downloads if download.model == model]
    caches = {find_download_target(download) for download in downloads if download.cached}
    if None in caches or cache in caches:
        return []
    if not caches and any(download.model is None for download in recipe.downloads):
        return []  # one of these may fill the cache
    targets = sorted({target for d in downloads if (target := find_download_target(d)) is not None})
    declared = {claim.name for claim in recipe.claims}
    if declared and not any(target.partition(":")[0] in declared for target in targets):
        return []  # these Jobs never start, which storage.claim-declared reports
    return targets
