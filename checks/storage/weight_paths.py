"""Whether a recipe's weights lie where its workers look for them."""

import posixpath
import re
from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.data.images import parse_image
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.facts import Recipes
from dynocheck.facts.k8s.pods import list_pod_templates
from dynocheck.facts.recipe.recipes import Container, Download, Recipe, Value

_FETCHES = re.compile(r"download|\b(cp|mv|ln|aws|az|gsutil|gcloud|rclone|s5cmd|wget|curl|git|tar)\b")
_MOVES = re.compile(r"\b(mv|cp|ln|rsync|tar|unzip|quantize)\b")


@check("storage.read-only", title="Nothing is to be written to a read-only mount")
def read_only(recipes: Recipes) -> Iterator[Finding]:
    """A download Job that mounts its claim read-only fails at its first file. An engine whose hub cache is
    read-only, and which loads a model that no Job downloads, does too.

    Fix: leave readOnly out of the mount
    """
    judged = False
    for recipe in recipes:
        for download in recipe.downloads:
            judged = True
            target = find_download_target(download) or ""
            for mount in download.container.mounts:
                if mount.source == "claim" and mount.read_only and mount.name == target.partition(":")[0]:
                    yield fail(
                        f"{download.model or 'a model'} is downloaded to {mount.path}, "
                        "which is mounted read-only",
                        fix="leave readOnly out of the mount",
                        location=Location(download.file, mount.line, mount.column),
                    )
        fetched = {download.model for download in recipe.downloads}
        for engine in (engine for graph in recipe.graphs for engine in find_instances(graph)):
            home, model = find_hf_home(engine), engine.model
            found = engine.container.find_mount(home) if home else None
            if found is None or model is None or not is_hub_id(model):
                continue
            judged = True
            if found.read_only and fetched and None not in fetched and model not in fetched:
                yield fail(
                    f"{engine.component.name} fetches {model} to {home}, which is mounted read-only, "
                    "and no Job downloads it",
                    fix=f"download {model} first, or leave readOnly out of the mount",
                    location=Location(engine.graph.file, found.line, found.column),
                )
    if not judged:
        raise Skip("nothing is downloaded to a claim")


def is_hub_id(model: str) -> bool:
    """Whether an engine would take this for a model of the hub."""
    return model.count("/") == 1 and not model.startswith(("/", ".", "~"))


def find_hf_home(where: Container | EngineInstance) -> str | None:
    """The folder of the Hugging Face cache, as the variables of a container say, or those of a script around
    an engine; None when none says or it is not known.
    """
    hub, home = where.find_variable("HF_HUB_CACHE"), where.find_variable("HF_HOME")
    if hub is not None:
        return posixpath.dirname(hub.value.rstrip("/")) if hub.value else None
    return home.value if home is not None and (home.value or "").startswith("/") else None


@check("storage.model-path", title="Workers look for their model where it was downloaded")
def model_path(recipes: Recipes) -> Iterator[Finding]:
    """Weights that a Job put on the claim, and that workers look for elsewhere, are fetched again by each pod
    to its own disk, for hours; a path where nothing is ends the engine at once.

    A path in a container is compared by the claim it lies on, so that mounts may differ. Of a hub id the
    cache counts: HF_HOME, or HF_HUB_CACHE, of the Job and of the worker. Where either is not said, or another
    workload could have put it there, nothing is judged, nor with vLLM's --download-dir or a ModelExpress
    server. Dynamo's own images bring no model.

    Fix: set the same HF_HOME on the claim in the Job and in every worker
    """
    judged = False
    for recipe in recipes:
        for engine in (engine for graph in recipe.graphs for engine in find_instances(graph)):
            if engine.model is not None and (recipe.downloads or engine.model.startswith("/")):
                judged = True
                yield from _check_model(recipe, engine, engine.model)
    if not judged:
        raise Skip("no Job downloads what a worker loads, and none loads a path")


def _check_model(recipe: Recipe, engine: EngineInstance, model: str) -> Iterator[Finding]:
    if model.startswith("/"):
        named = engine.given.get(*engine.engine.model_flags) or engine.launch
        yield from _check_path(recipe, engine, model, Location(engine.graph.file, named.line, named.column))
    elif is_hub_id(model):
        said = engine.find_variable("HF_HUB_CACHE") or engine.find_variable("HF_HOME")
        place = said or engine.launch
        yield from _check_cache(recipe, engine, model, Location(engine.graph.file, place.line, place.column))


def _check_path(recipe: Recipe, engine: EngineInstance, model: str, place: Location) -> Iterator[Finding]:
    name, container = engine.component.name, engine.container
    mount, there = container.find_mount(model), container.resolve_on_claim(model)
    if mount is None and parse_image(container.image or "").dynamo_name and not _fetches(recipe, engine):
        yield fail(
            f"{name} loads {model}, where nothing is mounted, and the image brings no model",
            fix="mount the claim that holds it",
            evidence={"mounts": sorted(each.path for each in container.mounts)},
            location=place,
        )
    if there is None:
        return
    filled = [_find_load_path(download) for download in recipe.downloads]
    claim = there.partition(":")[0]
    here = [target for target in filled if target is not None and target.partition(":")[0] == claim]
    if not here or None in filled or any(_overlaps(there, target) for target in here):
        return
    if _has_other_writer(recipe, claim):
        return
    yield fail(
        f"{name} loads {model} ({there}), the recipe downloads to {', '.join(sorted(set(here)))}",
        fix="load the folder that the download Job writes",
        location=place,
    )


def find_download_target(download: Download) -> str | None:
    """Where a download goes: a folder on a claim, or a hub cache there; None when it is not known."""
    if not download.cached:
        return download.folder
    home = find_hf_home(download.container)
    return download.container.resolve_on_claim(home) if home else None


def _fetches(recipe: Recipe, engine: EngineInstance) -> bool:
    """Whether the script around an engine may put the model there itself."""
    here = (engine.graph.file, engine.container.line, engine.container.column)
    for template in list_pod_templates(recipe):
        for each in template.containers:
            if (template.manifest.file, each.line, each.column) == here:
                return any(_FETCHES.search(text) for text in _get_texts(each))
    return False


def _has_other_writer(recipe: Recipe, claim: str) -> bool:
    """Whether something else may write to a claim: another workload, or a download that moves its files."""
    benchmarks = {(benchmark.file, benchmark.name) for benchmark in recipe.benchmarks}
    downloads = {download.file for download in recipe.downloads}
    for template in list_pod_templates(recipe):
        manifest = template.manifest
        volumes = template.spec.get("volumes")
        mounts = volumes is not None and any(name.text == claim for name in volumes.find_all("claimName"))
        if template.of_graph or not mounts or (manifest.file, manifest.name) in benchmarks:
            continue
        script = " ".join(text for each in template.containers for text in _get_texts(each))
        if manifest.file not in downloads or _MOVES.search(script):
            return True
    return False


def _get_texts(container: Value) -> Iterator[str]:
    for key in ("command", "args"):
        found = container.get(key)
        yield from (each.text for each in (found.sequence if found else ()) if each.text)


def _find_load_path(download: Download) -> str | None:
    """The folder on a claim under which a download can be loaded by its path."""
    target = find_download_target(download)
    if not download.cached or target is None:
        return target
    claim, _, home = target.partition(":")
    return f"{claim}:{posixpath.normpath(posixpath.join(home, 'hub'))}"


def _overlaps(path: str, target: str) -> bool:
    """Whether one of two folders on a claim holds the other."""
    claim, _, folder = target.partition(":")
    inside = path.removeprefix(f"{claim}:")
    return folder == "." or f"{inside}/".startswith(f"{folder}/") or f"{folder}/".startswith(f"{inside}/")


def _check_cache(recipe: Recipe, engine: EngineInstance, model: str, place: Location) -> Iterator[Finding]:
    fetched = [d for d in recipe.downloads if d.model == model]
    home = find_hf_home(engine)
    elsewhere = engine.given.get("download-dir") or engine.find_variable("MODEL_EXPRESS_URL")
    if not fetched or home is None or elsewhere is not None:
        return
    there = engine.container.resolve_on_claim(home)
    cached = {find_download_target(download) for download in fetched if download.cached}
    if None in cached or there in cached:
        return
    if not cached and any(download.model is None for download in recipe.downloads):
        return  # of which one may fill the cache
    targets = sorted({target for each in fetched if (target := find_download_target(each)) is not None})
    declared = {claim.name for claim in recipe.claims}
    if declared and not any(target.partition(":")[0] in declared for target in targets):
        return  # storage.claim-declared tells: those Jobs never start
    where = f"its hub cache is {there}" if there else f"its hub cache {home} is on no claim"
    if targets:
        yield warn(
            f"{engine.component.name} loads {model}, and {where}; the recipe downloads it to "
            f"{', '.join(targets)}: each pod fetches its own",
            fix="set HF_HOME to the folder of the download on the same claim"
            if cached
            else "load the folder that was downloaded, or download without --local-dir",
            location=place,
        )
