"""Checks the revision of downloaded models and the token for gated ones."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.checks.storage.weight_paths import find_hf_home
from dynocheck.data.gated import gated_models
from dynocheck.engines import Argument, EngineInstance, find_instances
from dynocheck.facts import (
    Container,
    Download,
    PodTemplate,
    Recipe,
    Recipes,
    Value,
    index_containers,
    list_pod_templates,
)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN", "HF_TOKEN_PATH")
_SOURCES = {*_TOKENS, "HF_ENDPOINT"}
_ON = ("1", "true", "yes", "on")
_TOKEN_MENTION = re.compile(r"token(?!s|i[zs])|\blogin\b", re.IGNORECASE)  # none of those that a model reads
_TOKEN_SECRET = re.compile(r"(^|[-_.])(hf|hugging-?face)([-_.]|$)", re.IGNORECASE)


@check("model.revision", title="Workers load the downloaded revision")
def revision(recipes: Recipes) -> Iterator[Finding]:
    """A hub cache finds `main` by a note that a download of `main` leaves in `refs/`; one of a commit leaves
    none. A worker that asks for no revision asks the hub what `main` is: once that has moved on, each pod
    fetches other weights than the Job did. Offline (HF_HUB_OFFLINE) it finds nothing at all.

    Judged are workers that load by its hub id a model which a Job fetches by a revision; one without is main
    on both sides, and a worker that is told another revision fetches it anew.

    Fix: --revision REVISION for vLLM and SGLang, revision: REVISION in TensorRT-LLM's YAML, or download main
    """
    judged = False
    for recipe in recipes:
        for model, downloads in _group_pinned(recipe).items():
            engines = [
                e for g in recipe.graphs for e in find_instances(g) if e.model == model and e.given.complete
            ]
            judged = judged or bool(engines)
            fetched = sorted({download.revision or "" for download in downloads})
            adrift = []
            for engine in engines:
                asked = engine.given.get("revision")
                if asked is None and not _is_offline(engine):
                    adrift.append(engine)
                elif asked is None or asked.value not in fetched:
                    yield from _report_missing(engine, asked, fetched)
            if adrift and all(_COMMIT.fullmatch(revision) for revision in fetched):
                yield _report_drift(downloads[0], adrift)
    if not judged:
        raise Skip("no worker loads by its hub id a model that is downloaded by a revision")


def _group_pinned(recipe: Recipe) -> dict[str, list[Download]]:
    """The models that go to a hub cache, each by a revision alone, with their downloads."""
    found: dict[str, list[Download]] = {}
    for download in recipe.downloads:
        if download.model is not None and download.cached:
            found.setdefault(download.model, []).append(download)
    return {model: each for model, each in found.items() if all(d.revision for d in each)}


def _is_offline(engine: EngineInstance) -> bool:
    variable = engine.find_variable("HF_HUB_OFFLINE")
    return variable is not None and (variable.value or "").lower() in _ON


def _report_missing(engine: EngineInstance, asked: Argument | None, fetched: list[str]) -> Iterator[Finding]:
    """A worker that asks for what was not downloaded."""
    commits = all(_COMMIT.fullmatch(revision) for revision in fetched)
    if (asked is not None and not asked.known) or (asked is None and not commits):
        return
    told = f"revision {asked.value}" if asked is not None else "main"
    message = f"{engine.component.name} loads {told} of {engine.model}, the recipe downloads {fetched[0]}"
    place = Location(engine.graph.file, engine.launch.line, engine.launch.column)
    fix = f"make it --revision {fetched[0]} (revision: in TensorRT-LLM's YAML)"
    if _is_offline(engine):
        yield fail(f"{message}, and HF_HUB_OFFLINE is set: it finds nothing", fix=fix, location=place)
    else:
        yield warn(f"{message}: each pod fetches its own", fix=fix, location=place)


def _report_drift(download: Download, engines: list[EngineInstance]) -> Finding:
    graphs = sorted({engine.graph.name for engine in engines})
    return warn(
        f"{download.model} is downloaded at {download.revision}, and workers of {', '.join(graphs)} "
        "load what main is by then: once it moves, each pod fetches other weights",
        fix=f"tell the workers --revision {download.revision} (revision: in TensorRT-LLM's YAML), "
        "or download main",
        evidence={"workers": len(engines)},
        location=Location(download.file, download.line, download.column),
    )


class _GatedFetch(NamedTuple):
    """A container that fetches a model from the hub, and the pod it is in."""

    what: str
    model: str
    template: PodTemplate
    container: Value
    place: Location
    source: str
    without: frozenset[str]  # the ConfigMaps of the recipe that hold no token


@check("model.token", title="Gated models have one consistent token")
def token(recipes: Recipes) -> Iterator[Finding]:
    """The hub refuses a gated model without a token of somebody who accepted its license. The download Job
    needs it, and each worker that fetches the model itself.

    Which models are gated is a table of prefixes (`dynocheck/data/gated.json`) with a source per row; others
    are not judged. A Secret that all of a container's variables come from (`envFrom`) counts as a token, as
    does a ConfigMap that the recipe does not hold, and a script that speaks of one; a mirror of the hub
    (HF_ENDPOINT) may ask for none. Two names for the Secret of the token in one recipe mean one more to
    create, or one forgotten.

    Fix: envFrom: [{secretRef: {name: hf-token-secret}}]
    """
    judged = False
    for recipe in recipes:
        for needy in _find_gated_fetches(recipe):
            judged = True
            if not _has_token(needy):
                yield fail(
                    f"{needy.what} downloads gated model {needy.model} without a token",
                    fix="add envFrom: [{secretRef: {name: hf-token-secret}}]",
                    evidence={"source": needy.source},
                    location=needy.place,
                )
        secrets = _find_secrets(recipe)
        judged = judged or bool(secrets)
        if len(secrets) > 1:
            names = sorted(secrets)
            rare = min(names, key=lambda name: len(secrets[name]))
            yield warn(
                f"the token comes from {len(secrets)} Secrets: {', '.join(names)}",
                fix=f"name {next(name for name in names if name != rare)} everywhere",
                location=secrets[rare][0],
            )
    if not judged:
        raise Skip("nothing fetches a gated model, and nothing names a token")


def _find_gated_fetches(recipe: Recipe) -> Iterator[_GatedFetch]:
    containers = index_containers(recipe)
    maps = [(m.name, m.root.get("data")) for m in recipe.manifests if m.kind == "ConfigMap"]
    without = frozenset(name for name, data in maps if data is None or not _SOURCES & data.mapping.keys())

    def of(what: str, model: str, file: str, container: Container, place: Location) -> Iterator[_GatedFetch]:
        found = containers.get((file, container.line, container.column))
        row = gated_models(model)
        if found is not None and row is not None:
            yield _GatedFetch(what, model, *found, place, row.source, without)

    for download in recipe.downloads:
        place = Location(download.file, download.line, download.column)
        yield from of("the download", download.model or "", download.file, download.container, place)
    fetched = {download.model for download in recipe.downloads}
    if None in fetched:
        return
    for graph in recipe.graphs:
        for engine in find_instances(graph):
            if engine.model in fetched:
                continue  # workers find what was downloaded; storage.model-path tells where they do not
            place = Location(graph.file, engine.launch.line, engine.launch.column)
            name, home = engine.component.name, find_hf_home(engine)
            if home is not None and engine.container.resolve_on_claim(home):
                continue  # which may hold it already
            yield from of(name, engine.model or "", graph.file, engine.container, place)


def _has_token(needy: _GatedFetch) -> bool:
    around, container = needy.template.around, needy.container
    outer = [*_get_items(around, "envs"), *_get_items(needy.template.manifest.root, "spec", "env")]
    outer += _get_items(needy.template.manifest.root, "spec", "envs")
    given = [*_get_items(container, "env"), *outer]
    names = {_get_text(each, "name") for each in given if _get_text(each, "value") or each.get("valueFrom")}
    whole = [
        each
        for each in _get_items(container, "envFrom")
        if each.get("secretRef") or _read_map_name(each) not in {None, *needy.without}
    ]
    scripts = (found for key in ("command", "args") if (found := container.get(key)) is not None)
    spoken = any(_TOKEN_MENTION.search(each.text or "") for script in scripts for each in script.sequence)
    return bool(names & _SOURCES or whole or around.get("envFromSecret") or spoken)


def _read_map_name(source: Value) -> str | None:
    found = source.get("configMapRef", "name")
    return found.text if found is not None else None


def _find_secrets(recipe: Recipe) -> dict[str, list[Location]]:
    """The Secrets that tokens of the hub come from, and where each is named."""
    found: dict[str, list[Location]] = {}
    for template in list_pod_templates(recipe):
        for name in _list_secret_names(template):
            place = Location(template.manifest.file, name.line, name.column)
            found.setdefault(name.text or "", []).append(place)
    return found


def _list_secret_names(template: PodTemplate) -> Iterator[Value]:
    whole = template.around.get("envFromSecret")
    if whole is not None and _TOKEN_SECRET.search(whole.text or ""):
        yield whole
    for container in template.containers:
        for source in _get_items(container, "envFrom"):
            name = source.get("secretRef", "name")
            if name is not None and _TOKEN_SECRET.search(name.text or ""):
                yield name
        for variable in _get_items(container, "env"):
            name = variable.get("valueFrom", "secretKeyRef", "name")
            if name is not None and _get_text(variable, "name") in _TOKENS:
                yield name


def _get_items(value: Value, *path: str) -> list[Value]:
    found = value.get(*path)
    return [item for item in found.sequence if isinstance(item.data, dict)] if found else []


def _get_text(value: Value, key: str) -> str:
    found = value.get(key)
    return (found.text if found else None) or ""
