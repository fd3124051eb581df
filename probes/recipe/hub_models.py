"""Looks up the models of recipes in the Hugging Face cache, and on the hub if the user wants that."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from dynocheck import probe
from dynocheck._version import __version__
from dynocheck.core.threads import start_thread
from dynocheck.engines import find_instances
from dynocheck.engines.memory_budget import resolve_model_id
from dynocheck.facts import HubAccess, HubModel, HubModels, ModelConfig, Recipes
from dynocheck.kube.parallel import run_parallel
from dynocheck.recipe.configs import CONFIG, QUANTIZED, read_model_config
from dynocheck.recipe.hub_cache import is_model_name, read_cached_config

_LIMIT_S = 300.0
_MODEL_S = 30.0
_ANSWER_S = 10.0
_WEIGHTS = re.compile(r"model([-.].*)?\.safetensors|model\.safetensors-.*\.safetensors")


@probe(limit=lambda recipes, access: _LIMIT_S)
def hub_models(recipes: Recipes, access: HubAccess) -> HubModels:
    wanted = sorted({*_list_models(recipes)}, key=lambda each: (each[0], each[1] or ""))
    if not access.online:
        return HubModels(tuple(filter(None, (_read_cached(*each) for each in wanted))))
    from huggingface_hub import constants, get_token
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    found = run_parallel([partial(_ask_in_time, *each) for each in wanted])
    return HubModels(tuple(found), endpoint=constants.ENDPOINT, token=get_token() is not None)


def _list_models(recipes: Recipes) -> Iterator[tuple[str, str | None]]:
    """The hub ids that recipes download or load, with their revisions."""
    for recipe in recipes:
        for download in recipe.downloads:
            if download.model is not None and is_model_name(download.model):
                yield download.model, download.revision
        for engine in (engine for graph in recipe.deployments for engine in find_instances(graph)):
            name = resolve_model_id(recipe, engine.container.mounts, engine.model)
            if name is not None and is_model_name(name):
                revision = engine.given.get("revision")
                yield name, str(revision.value) if revision is not None and revision.known else None


def _read_cached(name: str, revision: str | None) -> HubModel | None:
    config = read_cached_config(name, revision)
    if config is None:
        return None
    return HubModel(name=name, revision=revision, state="cached", current=name, config=config)


def _ask_in_time(name: str, revision: str | None) -> HubModel:
    """Ask the hub on a thread of its own: the library repeats requests for minutes."""
    late = HubModel(
        name=name,
        revision=revision,
        state="unreachable",
        current=name,
        reason=f"no answer within {_MODEL_S:g} s",
    )
    answers: SimpleQueue[HubModel] = SimpleQueue()
    start_thread(lambda: answers.put(_ask(name, revision)))
    try:
        model = answers.get(timeout=_MODEL_S)
    except Empty:
        model = late
    if model.state == "unreachable":
        return msgspec.structs.replace(model, config=read_cached_config(name, revision))
    return model


def _ask(name: str, revision: str | None) -> HubModel:
    from huggingface_hub import HfApi, errors

    model = HubModel(name=name, revision=revision, state="unreachable", current=name)
    api = HfApi(library_name="dynocheck", library_version=__version__)
    try:
        info = api.model_info(name, revision=revision, files_metadata=True, timeout=_ANSWER_S)
    except errors.GatedRepoError:
        return msgspec.structs.replace(model, state="found", gated=True, reason=_explain_gate())
    except errors.RevisionNotFoundError:
        return msgspec.structs.replace(model, state="no-revision")
    except errors.RepositoryNotFoundError:
        return msgspec.structs.replace(model, state="missing")
    except Exception as error:  # of whatever HTTP client the library uses
        return msgspec.structs.replace(model, reason=_explain(error))
    gated = None if info.gated is None else bool(info.gated)
    model = msgspec.structs.replace(model, state="found", current=info.id, gated=gated)
    try:
        return msgspec.structs.replace(model, config=_fetch_config(api, info))
    except errors.GatedRepoError:
        return msgspec.structs.replace(model, gated=True, reason=_explain_gate())
    except Exception as error:
        return msgspec.structs.replace(model, reason=_explain(error))


def _fetch_config(api: Any, info: Any) -> ModelConfig | None:
    """The configuration of a model, with the size of its weights by the hub's list of files."""
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    leaves = [leaf for leaf in (CONFIG, QUANTIZED) if leaf in sizes]
    with TemporaryDirectory() as folder:
        for leaf in leaves:
            api.hf_hub_download(info.id, leaf, revision=info.sha, local_dir=folder, etag_timeout=_ANSWER_S)
        config = read_model_config(Path(folder), leaves, "")
    if config is None:
        return None
    place = f"{api.endpoint}/{info.id}/blob/{info.sha}/{CONFIG}"
    return msgspec.structs.replace(
        config,
        file=place,
        checkpoint=sum(size for name, size in sizes.items() if _WEIGHTS.fullmatch(name)) or None,
        problems=tuple((place, problem) for _, problem in config.problems),
    )


def _explain_gate() -> str:
    from huggingface_hub import get_token

    return "the hub gates it, and " + (
        "the owner of the token has no access" if get_token() else "there is no token here"
    )


def _explain(error: Exception) -> str:
    """Why a request failed, without the text of an answer."""
    from huggingface_hub import errors

    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"the hub answers HTTP {status}" if status is not None else type(error).__name__
