"""Checks the revision of downloaded models and the token for gated ones."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.engine._coverage import describe_incomplete
from dynocheck.checks.storage.weight_paths import find_hf_home, is_hub_id
from dynocheck.core.fixes import add_flag, import_secret, replace_words, set_argument
from dynocheck.data.gated import gated_models
from dynocheck.data.models import find_model
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.facts import (
    Container,
    Download,
    HubModels,
    PodTemplate,
    Recipe,
    Recipes,
    Value,
    index_containers,
    list_pod_templates,
)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SNAPSHOT = re.compile(r"(?:^|/)models--([^/]+?)--([^/]+)/snapshots/([\w.-]+)/?$")
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN", "HF_TOKEN_PATH")
_SOURCES = {*_TOKENS, "HF_ENDPOINT"}
_TOKEN_MENTION = re.compile(r"token(?!s|i[zs])|\blogin\b", re.IGNORECASE)  # not the tokens of a model
_PARTLY_GATED = ("mistralai/", "google/")  # some of their models, so that the table of models does not tell
_ROOT_CACHE = "/root/.cache/huggingface"  # of engines' own images, which run as root
_TOKEN_SECRET = re.compile(r"(^|[-_.])(hf|hugging-?face)([-_.]|$)", re.IGNORECASE)


@check("model.revision", title="Workers load the downloaded revision")
def revision(recipes: Recipes) -> Iterator[Result]:
    """Only a download of `main` records the commit of `main` in the hub cache (in `refs/`); a download of a
    commit does not. A worker without a revision then asks the hub for `main`: once that has moved, each pod
    downloads other weights than the Job did. Offline (HF_HUB_OFFLINE) it finds nothing.

    Judged are workers that load a model by hub id, or from a snapshot in the hub cache, if the recipe
    downloads it at a revision. Without a revision, both use main. A worker with another revision downloads
    that one.

    Fix: --revision REVISION for vLLM and SGLang, revision: REVISION in TensorRT-LLM's YAML, or download main
    """
    applies = False
    for recipe in recipes:
        for model, downloads in _group_cached(recipe).items():
            engines = [e for g in recipe.deployments for e in find_instances(g) if _find_model(e) == model]
            if not all(download.revision for download in downloads):
                engines = [engine for engine in engines if _find_revision(engine) not in (None, "main")]
            applies = applies or bool(engines)
            yield from _check_revisions(engines, downloads)
    if not applies:
        raise Skip("no worker loads a model of the hub at another revision than main, nor is one downloaded")


def _check_revisions(engines: list[EngineInstance], downloads: list[Download]) -> Iterator[Result]:
    """Compares the revisions of a model that its workers load with those that are downloaded."""
    fetched = sorted({download.revision or "" for download in downloads})
    on_main = []
    for engine in engines:
        requested, wanted = engine.given.get("revision"), _find_revision(engine)
        if not engine.given.complete or (requested is not None and not requested.known):
            yield describe_incomplete(engine, what="revision")
            continue
        if wanted not in (None, *fetched) and not all(map(_COMMIT.fullmatch, fetched)):
            yield unjudged(
                f"{engine.name}: revision {wanted}",
                why=f"the recipe downloads {fetched[0] or 'main'}, which may be the same",
                needs=f"--revision {wanted} where it is downloaded",
                location=Location(*engine.locate("revision", *engine.engine.model_flags)),
            )
            continue
        yield judged(1, "engines")
        if wanted is None and not engine.is_offline:
            on_main.append(engine)
        elif wanted not in fetched:
            yield from _report_missing(engine, wanted, fetched)
    if on_main and all(_COMMIT.fullmatch(revision) for revision in fetched):
        yield _report_drift(downloads[0], on_main)


def _group_cached(recipe: Recipe) -> dict[str, list[Download]]:
    """The downloads to a hub cache by model."""
    cached: dict[str, list[Download]] = {}
    for download in recipe.downloads:
        if download.model is not None and download.cached:
            cached.setdefault(download.model, []).append(download)
    return cached


def _find_model(engine: EngineInstance) -> str | None:
    """The model of the hub that an engine loads, by its id or as a folder of the hub cache."""
    snapshot = _SNAPSHOT.search(engine.model or "")
    return f"{snapshot[1]}/{snapshot[2]}" if snapshot else engine.model


def _find_revision(engine: EngineInstance) -> str | None:
    """The revision that an engine loads; None for main, or if unknown."""
    snapshot, requested = _SNAPSHOT.search(engine.model or ""), engine.given.get("revision")
    if snapshot:
        return snapshot[3]
    return str(requested.value) if requested is not None and requested.known else None


def _report_missing(engine: EngineInstance, wanted: str | None, fetched: list[str]) -> Iterator[Finding]:
    """The finding for a worker whose revision is not downloaded; none for main beside a branch."""
    if wanted is None and not all(map(_COMMIT.fullmatch, fetched)):
        return
    message = f"{engine.name} loads {f'revision {wanted}' if wanted else 'main'} of {_find_model(engine)}, "
    message += f"the recipe downloads {fetched[0]}"
    place = Location(engine.graph.file, engine.launch.line, engine.launch.column)
    fix = _suggest_revision(engine, fetched[0])
    if _SNAPSHOT.search(engine.model or ""):
        yield warn(f"{message}: only something else can have filled that folder", fix=fix, location=place)
    elif engine.is_offline:
        yield fail(f"{message}, and HF_HUB_OFFLINE is set: it finds nothing", fix=fix, location=place)
    else:
        yield warn(f"{message}: each pod downloads its own", fix=fix, location=place)


def _suggest_revision(engine: EngineInstance, revision: str) -> str:
    requested, snapshot = engine.given.get("revision"), _SNAPSHOT.search(engine.model or "")
    if snapshot:
        return replace_words(snapshot[3], revision)
    if requested is not None and requested.spelled:
        return set_argument(requested.spelled, revision)
    if engine.engine.name == "trtllm":
        return f"set revision: {revision} in the engine's YAML"
    return add_flag("--revision", revision)


def _report_drift(download: Download, engines: list[EngineInstance]) -> Finding:
    graphs = sorted({engine.graph.name for engine in engines})
    return warn(
        f"{download.model} is downloaded at {download.revision}, and workers of {', '.join(graphs)} "
        "load main: once main moves, each pod downloads other weights",
        fix=f"set --revision {download.revision} for the workers (revision: in TensorRT-LLM's YAML), "
        "or download main",
        evidence={"workers": len(engines)},
        location=Location(download.file, download.line, download.column),
    )


class _HubFetch(NamedTuple):
    """A container that downloads a model from the hub, and its pod.

    `source` is where it says that the model is gated, empty if it is not or that is unknown. `is_known` is
    whether a table or the hub tells that.
    """

    name: str
    model: str
    template: PodTemplate
    container: Value
    place: Location
    source: str
    is_known: bool
    tokenless_maps: frozenset[str]  # the ConfigMaps of the recipe without a token


@check("model.token", title="Gated models have one consistent token")
def token(recipes: Recipes, models: HubModels | None = None) -> Iterator[Result]:
    """The hub serves a gated model only with a token whose owner accepted its license. The download Job needs
    one, and each worker that downloads the model itself.

    Gated models are a table of prefixes with a source each (`dynocheck/data/gated.json`); with --hub, the hub
    tells it of every model. Otherwise a model that no table has is not judged, unless there is a token. A
    Secret in `envFrom`, a ConfigMap there that is not in the recipe, and a script that mentions a token or
    login count as a token; a mirror of the hub (HF_ENDPOINT) may need none. Two names for the token's Secret
    in one recipe mean two Secrets to create, or a typo.

    Fix: envFrom: [{secretRef: {name: hf-token-secret}}]
    """
    applies = False
    for recipe in recipes:
        for fetch in _find_fetches(recipe, models):
            tokened = _has_token(fetch)
            if not tokened and not fetch.is_known:
                applies = True
                yield unjudged(
                    f"{fetch.name}: {fetch.model}",
                    why="whether the hub gates the model is unknown, and there is no token",
                    needs="--hub, or a token, which a model that is not gated does without",
                    location=fetch.place,
                )
                continue
            if not tokened and not fetch.source:
                continue
            applies = True
            yield judged(1, "downloads")
            if not tokened:
                yield fail(
                    f"{fetch.name} downloads gated model {fetch.model} without a token",
                    fix=import_secret(fetch.template, fetch.container, "hf-token-secret"),
                    evidence={"source": fetch.source},
                    location=fetch.place,
                )
        secrets = _find_secrets(recipe)
        applies = applies or bool(secrets)
        if len(secrets) > 1:
            names = sorted(secrets)
            rare = min(names, key=lambda name: len(secrets[name]))
            yield warn(
                f"the token comes from {len(secrets)} Secrets: {', '.join(names)}",
                fix=replace_words(rare, next(name for name in names if name != rare)),
                location=secrets[rare][0],
            )
    if not applies:
        raise Skip("no download of a gated model, and no token")


def _find_fetches(recipe: Recipe, models: HubModels | None) -> Iterator[_HubFetch]:
    containers = index_containers(recipe)
    maps = [(m.name, m.root.get("data")) for m in recipe.manifests if m.kind == "ConfigMap"]
    tokenless = frozenset(name for name, data in maps if data is None or not _SOURCES & data.mapping.keys())

    def find_fetch(
        name: str, model: str, file: str, container: Container, place: Location
    ) -> Iterator[_HubFetch]:
        found = containers.get((file, container.line, container.column))
        if found is not None and not found[0].partial and is_hub_id(model):
            source = _find_gate(model, models)
            listed = find_model(model) is not None and not model.startswith(_PARTLY_GATED)
            known = source is not None or listed
            yield _HubFetch(name, model, *found, place, source or "", known, tokenless)

    for download in recipe.downloads:
        place = Location(download.file, download.line, download.column)
        yield from find_fetch("the download", download.model or "", download.file, download.container, place)
    fetched = {download.model for download in recipe.downloads}
    if None in fetched:
        return
    for graph in recipe.deployments:
        for engine in find_instances(graph):
            if engine.model in fetched:
                continue  # storage.model-path reports workers that cannot find it
            if _keeps_models(engine):
                continue  # the volume may contain the model
            place = Location(graph.file, engine.launch.line, engine.launch.column)
            yield from find_fetch(engine.name, engine.model or "", graph.file, engine.container, place)


def _keeps_models(engine: EngineInstance) -> bool:
    """Whether an engine's hub cache is on a volume that outlives its pod."""
    own = engine.given.get("download-dir") if not engine.graph.of_dynamo else None
    home = find_hf_home(engine) or ("" if engine.graph.of_dynamo else _ROOT_CACHE)
    mount = engine.container.find_mount(str(own.value) if own is not None else home)
    return mount is not None and mount.source in ("claim", "other")


def _find_gate(model: str, models: HubModels | None) -> str | None:
    """Where it says that a model is gated: empty if the hub says that it is not, None if nobody says."""
    asked = models.find(model) if models is not None else None
    if models is not None and asked is not None and asked.gated is not None:
        return f"{models.endpoint}/{model}" if asked.gated else ""
    row = gated_models(model)
    return row.source if row is not None else None


def _has_token(fetch: _HubFetch) -> bool:
    around, container, root = fetch.template.around, fetch.container, fetch.template.manifest.root
    variables = [*container.get_items("env"), *around.get_items("envs")]
    variables += [*root.get_items("spec", "env"), *root.get_items("spec", "envs")]
    names = {var.get_text("name") for var in variables if var.get_text("value") or var.get("valueFrom")}
    imported = any(
        source.get("secretRef") or source.get_text("configMapRef", "name") not in {"", *fetch.tokenless_maps}
        for source in container.get_items("envFrom")
    )
    words = [*container.get_items("command"), *container.get_items("args")]
    mentioned = any(_TOKEN_MENTION.search(word.text or "") for word in words)
    return bool(names & _SOURCES or imported or around.get("envFromSecret") or mentioned)


def _find_secrets(recipe: Recipe) -> dict[str, list[Location]]:
    """The Secrets from which hub tokens come, and every place that names them."""
    places: dict[str, list[Location]] = {}
    for template in list_pod_templates(recipe):
        for name in _list_secret_names(template):
            place = Location(template.manifest.file, name.line, name.column)
            places.setdefault(name.text or "", []).append(place)
    return places


def _list_secret_names(template: PodTemplate) -> Iterator[Value]:
    whole = template.around.get("envFromSecret")
    if whole is not None and _TOKEN_SECRET.search(whole.text or ""):
        yield whole
    for container in template.containers:
        for source in container.get_items("envFrom"):
            name = source.get("secretRef", "name")
            if name is not None and _TOKEN_SECRET.search(name.text or ""):
                yield name
        for variable in container.get_items("env"):
            name = variable.get("valueFrom", "secretKeyRef", "name")
            if name is not None and variable.get_text("name") in _TOKENS:
                yield name
