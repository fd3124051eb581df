"""Checks that a KV router gets events from its workers."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from dynocheck import Finding, Location, Result, Skip, check, judged, unjudged, warn
from dynocheck.checks.engine._coverage import describe_incomplete, describe_unjudged
from dynocheck.core.fixes import add_flag, remove_argument, set_argument
from dynocheck.data.flags import flag_tables
from dynocheck.engines.arguments import Argument
from dynocheck.engines.command_line import parse_flag_values
from dynocheck.engines.instances import EngineInstance, find_instances
from dynocheck.facts import Container, Graph, Launch, Recipes

_PUBLISHES_BY_ITSELF = "1.0."  # releases in which Dynamo's vLLM worker needs no --kv-events-config
_EVENTS_FLAG, _OLD_EVENTS_FLAG = "--publish-kv-events", "--publish-events-and-metrics"
_NO_PUBLISHER = "publishes no events: its --kv-events-config has no publisher"
_OLD_VARIABLE = "DYN_TRTLLM_PUBLISH_EVENTS_AND_METRICS"
_OFF = ("", "0", "false", "no", "off")
_EVENTS = {"publisher": "zmq", "endpoint": "tcp://*:20080"}
# How much a cached prefix counts, by flag and variable: their names changed with releases.
_WEIGHTS = {
    "--router-kv-overlap-score-credit": "DYN_ROUTER_KV_OVERLAP_SCORE_CREDIT",
    "--router-kv-overlap-score-weight": "DYN_ROUTER_KV_OVERLAP_SCORE_WEIGHT",
    "--kv-overlap-score-weight": "DYN_KV_OVERLAP_SCORE_WEIGHT",
}
_BLOCK_FLAG, _BLOCK_VARIABLE = "--kv-cache-block-size", "DYN_KV_CACHE_BLOCK_SIZE"


@dataclass(frozen=True)
class _Router:
    """A router that picks workers by cached prefix: whether it listens to KV events, and its block size.

    `place` is the line and column of the block size, or of the router where it has none.
    """

    name: str
    listens: bool
    block: int | None
    place: tuple[int, int]


@check("engine.kv-router", title="KV router gets events; block sizes match")
def kv_router(recipes: Recipes) -> Iterator[Result]:
    """A frontend with --router-mode kv sends a request to the worker that has cached most of its prefix,
    according to the workers' KV events. vLLM publishes them with prefix caching and a --kv-events-config that
    enables them (up to Dynamo 1.0 by default), SGLang with a --kv-events-config, TensorRT-LLM with
    --publish-kv-events (up to Dynamo 1.2 --publish-events-and-metrics). Without events, or with another block
    size, the router never finds a prefix and only balances load, as one for which prefixes weigh 0 is to do.
    A worker that leaves its block size to vLLM or SGLang is not compared with the router's. TensorRT-LLM's is
    32, for a model without MLA.

    Fix: --kv-events-config '{"enable_kv_cache_events": true, "publisher": "zmq", "endpoint": "tcp://*:20080"}'
    """
    pairs = [
        (router, worker)
        for recipe in recipes
        for graph in recipe.graphs
        for router in _find_routers(graph)
        for worker in _list_prompt_workers(graph)
    ]
    if not pairs:
        raise Skip("no frontend with --router-mode kv before workers that compute prompts")
    for router, worker in pairs:
        yield from _check_worker(router, worker)
        if not worker.given.complete:
            yield describe_incomplete(worker, what="KV events")
        elif router.listens and _is_too_old(worker):
            why = "the image's release may be older than 1.0.0"
            yield describe_unjudged([worker], "KV events", why=why, needs="a newer image")
        elif router.block is not None and worker.block_size is None:
            yield unjudged(
                f"{worker.name}: blocks of the {router.name}'s {router.block} tokens",
                why="the worker's block size is not written out, and depends on the model and the GPU",
                needs=f"--{worker.block_argument} of the worker",
                location=Location(worker.graph.file, *router.place),
            )
        else:
            yield judged(1, "workers")


def _list_prompt_workers(graph: Graph) -> Iterator[EngineInstance]:
    """The engines that compute prompts: without a prefill worker also one that would decode beside it."""
    engines = list(find_instances(graph))
    split = any(engine.side == "prefill" for engine in engines)
    yield from (each for each in engines if not _decodes(each) or (each.mode == "agg" and not split))


def _decodes(worker: EngineInstance) -> bool:
    """Whether it decodes beside a prefill worker, as vLLM's workers without a mode do up to Dynamo 1.2."""
    plain = worker.mode == "agg" and not isinstance(worker.mode_source, Argument)
    return worker.side == "decode" or (plain and worker.side != "prefill" and worker.engine.name == "vllm")


def _check_worker(router: _Router, worker: EngineInstance) -> Iterator[Finding]:
    silence = _explain_silence(worker) if router.listens else _explain_no_cache(worker)
    if silence is not None:
        yield warn(
            f"the {router.name} routes by KV {'events' if router.listens else 'cache'}, but {worker.name} "
            f"{silence}",
            fix=_suggest_events(worker),
            location=_locate(worker, "kv-events-config", "enable-prefix-caching"),
        )
    block = worker.block_size
    if router.block is not None and block is not None and router.block != block:
        yield warn(
            f"the {router.name} uses blocks of {router.block} tokens, {worker.name} blocks of {block}",
            fix=_suggest_block(router, worker),
            evidence={"router": router.block, "worker": block},
            location=_locate(worker, worker.block_argument, "kv-cache-config"),
        )


def _suggest_block(router: _Router, worker: EngineInstance) -> str:
    found = worker.given.get(worker.block_argument)
    if found is None:
        return f"give the {router.name} blocks of {worker.block_size} tokens"
    return set_argument(found.spelled, router.block)


def _suggest_events(worker: EngineInstance) -> str:
    """The edit that makes a worker publish its KV events."""
    other = "or use another --router-mode"
    caching = worker.given.get("enable-prefix-caching")
    if worker.engine.name == "trtllm":
        return add_flag(_name_events_flag(worker), remark=other)
    if caching is not None and caching.enabled is False:
        return remove_argument(caching.spelled, other)
    events = worker.given.get("kv-events-config")
    wanted = _EVENTS | ((events.entries or {}) if events is not None else {})
    wanted |= {"enable_kv_cache_events": True}
    if wanted.get("publisher") == "null":
        wanted["publisher"] = "zmq"
    if events is None:
        return add_flag("--kv-events-config", json.dumps(wanted), other)
    return set_argument(events.spelled, json.dumps(wanted), other)


def _find_routers(graph: Graph) -> Iterator[_Router]:
    """The frontends of a graph with --router-mode kv, and its endpoint picker."""
    for component in graph.components:
        for container in component.containers:
            if component.role == "epp" and container is component.main:
                variables = _collect_variables(container)
                events = (variables.get("DYN_USE_KV_EVENTS") or "false").lower() not in _OFF
                block = _parse_int(variables.get(_BLOCK_VARIABLE))
                place = container.find_variable(_BLOCK_VARIABLE) or container
                yield _Router("endpoint picker", events, block, (place.line, place.column))
            for launch in container.launches:
                if launch.module == "dynamo.frontend":
                    yield from _read_frontend(container, launch)


def _read_frontend(container: Container, launch: Launch) -> Iterator[_Router]:
    """A frontend that routes by KV cache according to its flags or environment variables."""
    variables = _collect_variables(container, launch)
    flags = parse_flag_values(launch)
    if flags.get("--router-mode", variables.get("DYN_ROUTER_MODE")) != "kv":
        return
    weights = [flags.get(flag, variables.get(variable)) for flag, variable in _WEIGHTS.items()]
    if any(re.fullmatch(r"0+(\.0*)?", weight or "") for weight in weights):
        return
    by_load = (variables.get("DYN_ROUTER_LOAD_AWARE") or "false").lower() not in _OFF
    if ("--load-aware" in flags or by_load) and "--no-load-aware" not in flags:
        return
    deaf = bool({"--no-router-kv-events", "--no-kv-events"} & set(flags))
    events = (variables.get("DYN_ROUTER_USE_KV_EVENTS") or "true").lower() not in _OFF
    listens = bool({"--router-kv-events", "--kv-events"} & set(flags)) or events
    block = flags.get(_BLOCK_FLAG, variables.get(_BLOCK_VARIABLE))
    words = (word for word in launch.words if (word.text or "").startswith(_BLOCK_FLAG))
    place = next(words, container.find_variable(_BLOCK_VARIABLE) or launch)
    yield _Router("router", listens and not deaf, _parse_int(block), (place.line, place.column))


def _collect_variables(container: Container, launch: Launch | None = None) -> dict[str, str | None]:
    variables = (*container.env, *(launch.env if launch else ()))
    return {variable.name: variable.value for variable in variables}


def _parse_int(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None


def _explain_silence(worker: EngineInstance) -> str | None:
    """Why a worker publishes no events; None if it does or that is unknown."""
    given = worker.given
    if not given.complete:
        return None
    if worker.engine.name == "vllm":
        return _explain_vllm_silence(worker)
    if worker.engine.name == "trtllm":
        old = worker.find_variable(_OLD_VARIABLE)
        old_on = old is not None and (old.value is None or old.value.strip().lower() not in _OFF)
        enabled = given.is_enabled("publish-kv-events") is not False
        return None if enabled or old_on else f"does not set {_name_events_flag(worker)}"
    events = given.get("kv-events-config")
    if events is None:
        return "has no --kv-events-config"
    quiet = events.entries is not None and events.entries.get("publisher", "null") == "null"
    return _NO_PUBLISHER if quiet else None


def _name_events_flag(worker: EngineInstance) -> str:
    """The flag with which TensorRT-LLM's worker publishes events: older releases have only the old one."""
    release = worker.release.exact or worker.release.near
    known = flag_tables("dynamo.trtllm", release)[:1] if release else ()
    has_new = all(_EVENTS_FLAG in table.by_name for table in known)
    return _EVENTS_FLAG if has_new else _OLD_EVENTS_FLAG


def _explain_vllm_silence(worker: EngineInstance) -> str | None:
    given, release = worker.given, worker.release
    if (off := _explain_no_cache(worker)) is not None:
        return off
    events = given.get("kv-events-config")
    if events is None:
        if not release.possible or (release.exact or release.near or "").startswith(_PUBLISHES_BY_ITSELF):
            return None
        since = "" if release.exact or release.near else " since Dynamo 1.1"
        return f"has no --kv-events-config, without which it publishes nothing{since}"
    if events.entries is not None and events.entries.get("publisher") == "null":
        return _NO_PUBLISHER
    enabled = events.entries is None or events.entries.get("enable_kv_cache_events") not in (None, False)
    return None if enabled else "does not enable_kv_cache_events in its --kv-events-config"


def _explain_no_cache(worker: EngineInstance) -> str | None:
    """Why no prompt finds its prefix in a worker's cache; None if one may."""
    caching = worker.given.get("enable-prefix-caching") if worker.engine.name == "vllm" else None
    off = caching is not None and caching.enabled is False
    return "has prefix caching switched off" if off else None


def _is_too_old(worker: EngineInstance) -> bool:
    """Whether it is unknown if the worker's release publishes events by default."""
    silent = worker.engine.name == "vllm" and worker.given.get("kv-events-config") is None
    return silent and not worker.release.possible


def _locate(worker: EngineInstance, *names: str) -> Location:
    return Location(*worker.locate(*names))
