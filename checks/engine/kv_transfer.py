"""Checks that prefill and decode workers can transfer the KV cache."""

import json
import re
from collections.abc import Callable, Iterable, Iterator

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, warn
from dynocheck.checks.engine._coverage import describe_incomplete, describe_unjudged
from dynocheck.core.fixes import add_flag, set_argument, set_value
from dynocheck.core.outcomes import Unjudged
from dynocheck.data import parse_version
from dynocheck.data.flags import dynamo_release, engine_versions
from dynocheck.data.models import find_model
from dynocheck.engines.instances import EngineInstance, find_instances
from dynocheck.engines.model_lookup import strip_precision
from dynocheck.facts import Recipes

_SIDES = {"kv_producer": "prefill", "kv_consumer": "decode"}
_HUB_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_WORD = re.compile(r"[a-z0-9]+")
_COMPARES_DRAFTS = (1, 5)  # the release of Dynamo, with vLLM 0.28
_BACKENDS = "https://github.com/ai-dynamo/dynamo/pull/13015"
# The values of TensorRT-LLM's CacheTransceiverConfig.backend; before its 1.0 they were in small letters:
# https://github.com/NVIDIA/TensorRT-LLM/blob/main/tensorrt_llm/llmapi/llm_args.py
_TRANSCEIVERS = ("DEFAULT", "UCX", "NIXL", "MPI", "MOONCAKE")
_KNOWN_ISSUES = "https://docs.nvidia.com/dynamo/backends/tensor-rt-llm/known-issues-and-mitigations"


@check("engine.pair-agrees", title="Prefill and decode workers use the same KV transfer")
def pair_agrees(recipes: Recipes) -> Iterator[Result]:
    """A decode worker reads the KV cache of a prefill worker through the same connector, in the same
    precision and layout, and of the same model. If these differ, the transfer fails or yields garbage; if the
    block sizes differ, it is slower or fails. NIXL's connector also refuses a peer with another vLLM,
    --model, --dtype, attention backend or speculative method.

    From Dynamo 1.0 on vLLM's prefill worker exits without --kv-transfer-config. A decode worker without it
    computes every prompt again. TensorRT-LLM transfers nothing without cache_transceiver_config.backend, and
    refuses requests if neither side has it.

    Servers without Dynamo are a pair if they are in one file and their kv_role or names say which is which.

    Fix: give prefill and decode workers the same connector, --kv-cache-dtype and block size
    """
    pairs = [*_find_pairs(recipes), *_find_server_pairs(recipes)]
    alone = list(_find_lone_servers(recipes))
    if not pairs and not alone:
        raise Skip("no prefill and decode workers of one engine")
    for server in alone:
        yield describe_unjudged(
            [server],
            "kv_role",
            why="no other server of the recipe takes the other side",
            needs="the manifest of the other side",
            argument="kv-transfer-config",
        )
    for prefill, decode in pairs:
        unread = not (prefill.given.complete and decode.given.complete)
        doubt = describe_incomplete(prefill, decode) if unread else _find_doubt(prefill, decode)
        if not unread:
            yield from _check_connectors(prefill, decode)
            yield from _check_transceivers(prefill, decode)
            yield from _check_models(prefill, decode)
            yield from _check_roles(prefill, decode)
            yield from _check_agreement(prefill, decode)
        yield doubt or judged(1, "pairs of workers")


def _check_agreement(prefill: EngineInstance, decode: EngineInstance) -> Iterator[Finding]:
    for read, fatal, argument, what in _list_agreements(prefill, decode):
        first, second = read(prefill), read(decode)
        if read is _find_trtllm_backend and not {first, second} <= {*_TRANSCEIVERS, None}:
            continue  # told by _check_transceivers
        if first is not None and second is not None and first != second:
            yield (fail if fatal else warn)(
                f"{prefill.name} has {what} {first}, {decode.name} has {second}",
                fix=_suggest_same(prefill, decode, argument, what),
                location=_locate(decode, argument),
            )


def _suggest_same(prefill: EngineInstance, decode: EngineInstance, argument: str, what: str) -> str:
    """The edit that gives the decode worker an argument of the prefill worker."""
    section, _, key = what.partition(".")
    model, own = prefill.given.get(argument), decode.given.get(argument)
    wanted = model.value if model is not None else None
    if own is None or wanted is None or not own.spelled:
        return f"give both the same {what}"
    if not key:
        return set_argument(own.spelled, wanted)
    nested = (model.entries or {}).get(key) if model is not None else None
    if nested is None or own.spelled.startswith("-") or own.spelled.isupper():
        return f"give both the same {what}"
    return set_value(f"{section}.{key}", nested)


def _find_doubt(prefill: EngineInstance, decode: EngineInstance) -> Unjudged | None:
    """What may differ: it is set for one of them alone, or to what only the running container knows."""
    pair = (prefill, decode)
    off = False in map(_has_transceiver, pair)  # and told
    doubted = [
        (argument, what)
        for read, _, argument, what in _list_agreements(*pair)
        if ((read(prefill) is None) != (read(decode) is None) and not (read is _find_trtllm_backend and off))
        or _is_hidden(pair, argument)
    ]
    if prefill.engine.name == "vllm" and None in map(_find_connectors, pair):
        doubted.append(("kv-transfer-config", "--kv-transfer-config"))
    if not doubted:
        return None
    hidden = any(_is_hidden(pair, argument) for argument, _ in doubted)
    return describe_unjudged(
        pair,
        ", ".join(what for _, what in doubted),
        why="the value cannot be read from the recipe"
        if hidden
        else "one side uses a default that is unknown",
        needs="the same value on both sides, written out",
        argument=doubted[0][0],
    )


def _is_hidden(pair: Iterable[EngineInstance], argument: str) -> bool:
    given = [worker.given.get(argument) for worker in pair]
    return any(each is not None and not each.known for each in given)


@check("engine.trtllm-buffer", title="TensorRT-LLM's transfer buffer holds the longest prompt")
def trtllm_buffer(recipes: Recipes) -> Iterator[Result]:
    """The KV cache passes from prefill to decode through a buffer of max_tokens_in_buffer tokens. Under load,
    longer prompts can deadlock both sides until the pods are restarted.

    The longest prompt is the prefill worker's max_seq_len, or max_num_tokens if that is less and prompts are
    not split into chunks.

    Fix: set cache_transceiver_config.max_tokens_in_buffer to max_seq_len or more, for prefill and decode
    """
    buffers = [
        (worker, buffer, _find_longest_prompt(prefill))
        for prefill, decode in _find_pairs(recipes)
        for worker in (prefill, decode)
        if prefill.engine.name == "trtllm"
        and isinstance(buffer := worker.get_nested("cache-transceiver-config", "max_tokens_in_buffer"), int)
        and not _is_zero_copy(worker, buffer)
    ]
    if not buffers:
        raise Skip("no TensorRT-LLM workers that set a transfer buffer")
    for worker, buffer, longest in buffers:
        if longest is None:
            yield describe_unjudged(
                [worker],
                "transfer buffer",
                why="the longest prompt is unknown",
                needs="max_seq_len of the prefill worker",
                argument="cache-transceiver-config",
            )
            continue
        yield judged(1, "workers")
        if buffer < longest:
            yield warn(
                f"{worker.name} has a transfer buffer of {buffer} tokens, prompts have up to {longest}",
                fix=set_value("cache_transceiver_config.max_tokens_in_buffer", longest, "or more"),
                evidence={"source": _KNOWN_ISSUES},
                location=_locate(worker, "cache-transceiver-config"),
            )


def _find_pairs(recipes: Recipes) -> Iterator[tuple[EngineInstance, EngineInstance]]:
    """Each prefill worker with each decode worker of its graph, engine and served model name.

    Without a decode worker, vLLM's aggregated workers continue what others prefilled. A worker with unknown
    arguments may serve any model.
    """
    for recipe in recipes:
        for graph in recipe.graphs:
            workers = list(find_instances(graph))
            decoding = [worker for worker in workers if worker.side == "decode"]
            whole = [worker for worker in workers if worker.side == "worker" and worker.engine.name == "vllm"]
            for prefill in (worker for worker in workers if worker.side == "prefill"):
                for decode in decoding or whole:
                    if prefill.engine is decode.engine and _may_serve_one_model(prefill, decode):
                        yield prefill, decode


def _find_server_pairs(recipes: Recipes) -> Iterator[tuple[EngineInstance, EngineInstance]]:
    """Each prefill server without Dynamo, with each decode server of its file, engine and model.

    A config of KServe is a template, to which the LLMInferenceService adds the connector.
    """
    for recipe in recipes:
        whole = [each for each in recipe.servers if each.kind != "LLMInferenceServiceConfig"]
        servers = [(each, _find_side(each)) for server in whole for each in find_instances(server)]
        for prefill, side in servers:
            for decode, other in servers if side == "prefill" else ():
                is_near = prefill.graph.file == decode.graph.file and prefill.engine is decode.engine
                if other == "decode" and is_near and _may_serve_one_model(prefill, decode):
                    yield prefill, decode


def _find_lone_servers(recipes: Recipes) -> Iterator[EngineInstance]:
    """The servers whose kv_role only sends or receives, where no server of the recipe does the other."""
    for recipe in recipes:
        servers = [each for server in recipe.servers for each in find_instances(server)]
        for server in (each for each in servers if _find_role(each) in _SIDES):
            if not any(
                each is not server and _find_role(each) not in ("", _find_role(server)) for each in servers
            ):
                yield server


def _find_side(server: EngineInstance) -> str | None:
    """Whether a server is for prefill or decode: by SGLang's mode, by the name or else kv_role of vLLM's."""
    if server.engine.name == "sglang":
        return server.mode
    named = [side for side in _SIDES.values() if side in _WORD.findall(server.graph.name)]
    return named[0] if len(named) == 1 else _SIDES.get(_find_role(server))


def _find_role(worker: EngineInstance) -> str:
    return str(worker.get_nested("kv-transfer-config", "kv_role") or "")


def _check_roles(prefill: EngineInstance, decode: EngineInstance) -> Iterator[Finding]:
    """Reports a prefill worker that only receives, and a decode worker that only sends."""
    for worker, wrong in (prefill, "kv_consumer"), (decode, "kv_producer"):
        if _find_role(worker) == wrong:
            does, says = ("computes prompts", "receives") if worker is prefill else ("decodes", "sends")
            yield warn(
                f"{worker.name} {does}, but its kv_role {wrong} says that it only {says}",
                fix="swap kv_producer and kv_consumer, or set kv_both for both",
                location=_locate(worker, "kv-transfer-config"),
            )


def _may_serve_one_model(prefill: EngineInstance, decode: EngineInstance) -> bool:
    unread = any(worker.served_name is None and not worker.given.complete for worker in (prefill, decode))
    return unread or prefill.served_name == decode.served_name


def _check_connectors(prefill: EngineInstance, decode: EngineInstance) -> Iterator[Finding]:
    if prefill.engine.name != "vllm":
        return
    first, second = _find_connectors(prefill), _find_connectors(decode)
    if first == frozenset():
        known = prefill.graph.of_dynamo and (prefill.release.exact or prefill.release.near)
        yield (fail if known else warn)(
            f"{prefill.name} prefills and has no --kv-transfer-config",
            fix=add_flag("--kv-transfer-config", '{"kv_connector": "NixlConnector", "kv_role": "kv_both"}'),
            location=_locate(prefill),
        )
    elif first and second == frozenset():
        yield warn(
            f"{decode.name} decodes and has no --kv-transfer-config: it computes every prompt again",
            fix=add_flag("--kv-transfer-config", _copy_connector(prefill)),
            location=_locate(decode),
        )
    elif first and second and not first & second:
        yield fail(
            f"{prefill.name} sends with {', '.join(sorted(first))}, {decode.name} receives with "
            f"{', '.join(sorted(second))}",
            fix=set_argument(
                _get_spelling(decode, "kv-transfer-config"),
                _copy_connector(prefill),
                f"as {prefill.name} has it",
            ),
            location=_locate(decode, "kv-transfer-config"),
        )


def _check_models(prefill: EngineInstance, decode: EngineInstance) -> Iterator[Finding]:
    """Reports two sides of different models; vLLM's handshake compares their names anyway."""
    names = [worker.model or "" for worker in (prefill, decode)]
    if prefill.engine.name == "vllm" or not all(_HUB_ID.fullmatch(name) for name in names):
        return
    shorter, longer = sorted(map(strip_precision, names), key=len)
    if not longer.startswith(shorter):  # else it may be the same with other weights, as R1 and R1-FP4-v2
        yield fail(
            f"{prefill.name} loads {names[0]}, {decode.name} loads {names[1]}, whose KV cache is another",
            fix=set_argument(_get_spelling(decode, _find_model_flag(decode)), names[0]),
            location=_locate(decode, _find_model_flag(decode)),
        )


def _find_model_flag(worker: EngineInstance) -> str:
    return next((flag for flag in worker.engine.model_flags if worker.given.get(flag)), "model")


def _check_transceivers(prefill: EngineInstance, decode: EngineInstance) -> Iterator[Finding]:
    """Reports the sides of TensorRT-LLM whose transceiver has no known backend; without one it is off.

    See _enqueue_request in tensorrt_llm/executor/base_worker.py.
    """
    if _has_transceiver(prefill) is False and _has_transceiver(decode) is False:
        known = prefill.release.exact or prefill.release.near
        yield (fail if known else warn)(
            f"neither {prefill.name} nor {decode.name} has cache_transceiver_config.backend: TensorRT-LLM "
            "refuses every request",
            fix="write cache_transceiver_config: {backend: DEFAULT} into the configuration of both",
            evidence={"source": _BACKENDS},
            location=_locate(prefill, "cache-transceiver-config", "kv-cache-config"),
        )
    for worker, other in (prefill, decode), (decode, prefill):
        has = _has_transceiver(worker)
        own = worker.get_nested("cache-transceiver-config", "backend")
        if has and isinstance(own, str) and own.upper() not in _TRANSCEIVERS:
            yield fail(
                f"{worker.name}: cache_transceiver_config.backend is {own}; "
                f"it takes {', '.join(_TRANSCEIVERS)}",
                fix=set_value("cache_transceiver_config.backend", "DEFAULT"),
                location=_locate(worker, "cache-transceiver-config"),
            )
        backend = other.get_nested("cache-transceiver-config", "backend")
        if has is False and isinstance(backend, str):
            yield fail(
                f"{worker.name} has no cache_transceiver_config.backend, {other.name} has {backend}: it "
                "transfers no KV cache",
                fix=f"write cache_transceiver_config: {{backend: {backend}}} into its configuration",
                evidence={"source": _BACKENDS},
                location=_locate(worker, "cache-transceiver-config", "kv-cache-config"),
            )


def _has_transceiver(worker: EngineInstance) -> bool | None:
    """Whether a worker of TensorRT-LLM can transfer its KV cache; None if that is unknown, or of another."""
    given = worker.given
    if worker.engine.name != "trtllm" or given.get("override-engine-args") or given.has_prefix("trtllm."):
        return None
    section = given.get("cache-transceiver-config")
    if section is not None and (not section.known or section.entries is None):
        return None if section.value is not None else False
    return worker.get_nested("cache-transceiver-config", "backend") is not None


def _get_spelling(worker: EngineInstance, argument: str) -> str:
    found = worker.given.get(argument)
    return found.spelled if found is not None else f"--{argument}"


def _copy_connector(prefill: EngineInstance) -> str:
    """The --kv-transfer-config of a prefill worker, for the one that receives."""
    config = prefill.given.get("kv-transfer-config")
    entries = dict((config.entries or {}) if config is not None else {})
    if entries.get("kv_role") == "kv_producer":
        entries["kv_role"] = "kv_consumer"
    return json.dumps(entries)


def _find_connectors(worker: EngineInstance) -> frozenset[str] | None:
    """The KV connectors, including nested ones; empty if none is set, None if unknown."""
    config = worker.given.get("kv-transfer-config")
    if config is None:
        older = worker.given.get("connector") or worker.container.find_variable("DYN_CONNECTOR")
        return frozenset() if worker.release.possible and not older else None
    if config.entries is None:
        return None
    outer = config.entries.get("kv_connector")
    extra = config.entries.get("kv_connector_extra_config")
    connectors = extra.get("connectors") if isinstance(extra, dict) else None
    nested = connectors if isinstance(connectors, list) else []
    inner = [connector.get("kv_connector") for connector in nested if isinstance(connector, dict)]
    return frozenset(str(name) for name in (inner or [outer]) if name) or None


def _find_cache_precision(worker: EngineInstance) -> str | None:
    return _resolve_precision(worker, worker.given.text("kv-cache-dtype", "auto"))


def _find_trtllm_precision(worker: EngineInstance) -> str | None:
    if worker.given.get("override-engine-args") or worker.given.has_prefix("trtllm."):
        return None
    return _resolve_precision(worker, str(worker.get_nested("kv-cache-config", "dtype") or "auto"))


def _resolve_precision(worker: EngineInstance, precision: str | None) -> str | None:
    """A precision by its full name, "auto" as the checkpoint defines it; None if unknown."""
    if precision == "auto":
        model = find_model(worker.engine.model(worker.given) or "")
        precision = model.cache if model is not None else None
    return {"fp8": "fp8_e4m3", "bf16": "bfloat16"}.get(precision or "", precision)


def _find_sglang_backend(worker: EngineInstance) -> str | None:
    return worker.given.text("disaggregation-transfer-backend", "mooncake")


def _find_trtllm_backend(worker: EngineInstance) -> str | None:
    backend = worker.get_nested("cache-transceiver-config", "backend")
    return backend.upper() if isinstance(backend, str) and backend.upper() != "DEFAULT" else None


def _read_text(name: str, default: str = "") -> Callable[[EngineInstance], str | None]:
    """Reads an argument as text; None if it is unset and has no default, or unknown."""
    return lambda worker: worker.given.text(name, default) or None


def _find_engine_version(worker: EngineInstance) -> str | None:
    release = dynamo_release(worker.container.image or "")
    return engine_versions(release).get(worker.engine.name) if release else None


def _find_attention_backend(worker: EngineInstance) -> str | None:
    return _read_text("attention-backend")(worker) or _read_variable(worker, "VLLM_ATTENTION_BACKEND")


def _find_layout(worker: EngineInstance) -> str | None:
    return _read_variable(worker, "VLLM_KV_CACHE_LAYOUT")


def _read_variable(worker: EngineInstance, name: str) -> str | None:
    variable = worker.find_variable(name)
    return variable.value if variable is not None else None


def _find_draft(worker: EngineInstance) -> str:
    """How it drafts tokens from hidden states, if its vLLM compares that; "none" otherwise."""
    known = worker.release.exact or worker.release.near
    config = worker.given.get("speculative-config")
    if config is None or known is None or parse_version(known) < _COMPARES_DRAFTS:
        return "none"
    method = str((config.entries or {}).get("method", ""))
    return "mtp" if method.endswith("mtp") else method if method.startswith("eagle") else "none"


# What prefill and decode must have alike: how it is read, whether the transfer fails otherwise, the argument
# and its name in messages.
_Agreement = tuple[Callable[[EngineInstance], object], bool, str, str]
# What NIXL's connector hashes and compares in its handshake.
_HANDSHAKE: tuple[_Agreement, ...] = (
    (_find_engine_version, True, "kv-transfer-config", "vLLM"),
    (lambda worker: worker.model, True, "model", "--model"),
    (_read_text("dtype", "auto"), True, "dtype", "--dtype"),
    (_find_attention_backend, True, "attention-backend", "attention backend"),
    (_find_draft, True, "speculative-config", "speculative method"),
    (_find_layout, True, "kv-transfer-config", "VLLM_KV_CACHE_LAYOUT"),
)
_AGREEMENTS: dict[str, tuple[_Agreement, ...]] = {
    "vllm": (
        (_find_cache_precision, True, "kv-cache-dtype", "--kv-cache-dtype"),
        (lambda worker: worker.number("block-size"), False, "block-size", "--block-size"),
        (_read_text("revision", "main"), False, "revision", "--revision"),
    ),
    "sglang": (
        (_find_cache_precision, True, "kv-cache-dtype", "--kv-cache-dtype"),
        (_find_sglang_backend, True, "disaggregation-transfer-backend", "transfer backend"),
        (lambda worker: worker.number("page-size"), False, "page-size", "--page-size"),
        (_read_text("revision", "main"), False, "revision", "--revision"),
    ),
    "trtllm": (
        (_find_trtllm_precision, True, "kv-cache-config", "kv_cache_config.dtype"),
        (_find_trtllm_backend, True, "cache-transceiver-config", "cache_transceiver_config.backend"),
        (lambda worker: worker.block_size, True, "kv-cache-config", "kv_cache_config.tokens_per_block"),
    ),
}


def _list_agreements(prefill: EngineInstance, decode: EngineInstance) -> tuple[_Agreement, ...]:
    """What must be alike for the engine, and for NIXL's handshake unless that is switched off."""
    both = _AGREEMENTS.get(prefill.engine.name, ())
    handshakes = prefill.engine.name == "vllm" and all(map(_compares_handshake, (prefill, decode)))
    return (*_HANDSHAKE, *both) if handshakes else both


def _compares_handshake(worker: EngineInstance) -> bool:
    extra = worker.get_nested("kv-transfer-config", "kv_connector_extra_config")
    strict = not isinstance(extra, dict) or extra.get("enforce_handshake_compat") is not False
    return strict and "NixlConnector" in (_find_connectors(worker) or ())


def _is_zero_copy(worker: EngineInstance, buffer: int) -> bool:
    """Whether the worker transfers directly from the cache, without a buffer."""
    zero_copy = worker.container.find_variable("TRTLLM_TRY_ZCOPY_FOR_KVCACHE_TRANSFER")
    return not buffer or (zero_copy is not None and zero_copy.value != "0")


def _find_longest_prompt(worker: EngineInstance) -> int | None:
    sequence, tokens = worker.number("max-seq-len"), worker.number("max-num-tokens")
    chunks = worker.given.is_enabled("enable-chunked-prefill") is not False
    if sequence is None or tokens is None or chunks:
        return sequence
    return min(sequence, tokens)


def _locate(worker: EngineInstance, *names: str) -> Location:
    return Location(*worker.locate(*names))
