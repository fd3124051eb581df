"""Whether an endpoint serves steadily, by every worker, and with the help of caches."""

from collections import Counter
from collections.abc import Iterator

from dynocheck import Finding, Row, Skip, Subject, check, fail, table, warn
from dynocheck.facts.endpoint.answers import Address, Brim, Prefix, Readiness, Spread

_FEW = 0.25  # of the tokens that could come from the cache
_EACH = 10  # requests for each worker, so that one which is left out is no chance of the router's


@check("endpoint.steady", title="Every request after the first success is answered")
def steady(spread: Spread, prefix: Prefix) -> Iterator[Finding]:
    """A frontend that has just learnt of its workers, or is losing one, answers 404 or 5xx in between. One of
    some dozens of short requests that fails is one too many: a release would be rolled back for it.

    Fix: look for restarts of the workers, and at their logs for the time of the failures.
    """
    replies = (*spread.replies, prefix.first, *prefix.again)
    failed = [reply.trouble for reply in replies if reply.trouble is not None]
    kinds = Counter(trouble.kind for trouble in failed)
    for kind, count in kinds.most_common():
        example = next(trouble for trouble in failed if trouble.kind == kind)
        overloaded = ": the server is overloaded" if example.is_busy else ""
        yield fail(
            f"{count} of {len(replies)} requests: {example}{overloaded}",
            fix="kubectl get pods -l nvidia.com/dynamo-component-class=worker   # restarts, readiness",
            evidence={"class": kind},
        )


@check("endpoint.every-worker", title="Every worker behind the frontend answers")
def every_worker(readiness: Readiness, spread: Spread) -> Iterator[Finding]:
    """A frontend may know of a worker that never answers: its share of the requests is slow or lost, while
    most go well. The requests have prompts of their own, so that no router has a reason to prefer one
    worker.

    Fix: compare the logs and metrics of the workers; restart the one that serves nothing.
    """
    if spread.metrics:
        raise Skip(f"the frontend's metrics do not tell: {spread.metrics}")
    known = {
        "prefill": readiness.workers.get("prefill", 0),
        "": sum(readiness.workers.get(kind, 0) for kind in ("aggregated", "decode")),
    }
    if not any(known.values()):
        raise Skip("the frontend does not say how many workers it knows")
    if max(known.values()) == 1:
        raise Skip("there is one worker" if sum(known.values()) == 1 else "there is one worker of each type")
    answered: dict[str, set[str]] = {"prefill": set(), "": set()}
    for each in spread.served:
        answered["prefill" if each.type == "prefill" else ""].add(each.worker)
    if not any(answered[kind] for kind in known if known[kind] > 1):
        raise Skip("the frontend's metrics do not tell which worker answered")
    for kind, workers in answered.items():
        if workers and len(workers) < known[kind]:
            yield from _report_silent_workers(kind, workers, known[kind], spread)


def _report_silent_workers(kind: str, answered: set[str], known: int, spread: Spread) -> Iterator[Finding]:
    who = f"{kind} workers".strip()
    said = f"{len(answered)} of {known} {who} answered {len(spread.replies)} requests"
    if len(spread.replies) < _EACH * known:
        raise Skip(f"{said}, which are too few to tell: --requests {_EACH * known}")
    yield fail(
        said,
        fix="kubectl logs -l nvidia.com/dynamo-component-class=worker --prefix",
        evidence={"answered": sorted(answered)},
    )


@check("endpoint.replicas", title="The frontend knows as many workers as the graph asks for")
def replicas(address: Address, readiness: Readiness) -> Iterator[Finding]:
    """A replica that crashes, or is not up yet, is asked by nobody: every request is answered, by fewer
    workers than there should be.

    Fix: kubectl get pods -l nvidia.com/dynamo-graph-deployment-name=NAME
    """
    if address.deployment is None:
        raise Skip("its URL was given")
    if not readiness.workers:
        raise Skip("the frontend does not say how many workers it knows")
    if len({*readiness.listed} - {adapter.name for adapter in readiness.adapters}) > 1:
        raise Skip("the frontend serves several models")
    namespace, _, graph = address.deployment.partition("/")
    prefill = readiness.workers.get("prefill", 0)
    others = sum(readiness.workers.values()) - prefill
    serving = sum(address.replicas.get(role, 0) for role in ("worker", "decode"))
    for kind, asked, known in (
        ("prefill workers", address.replicas.get("prefill", 0), prefill),
        ("workers", serving, others),
    ):
        if known < asked:
            yield warn(
                f"the graph asks for {asked} {kind}, and the frontend knows {known}",
                fix=f"kubectl -n {namespace} get pods -l nvidia.com/dynamo-graph-deployment-name={graph}",
                subject=Subject("DynamoGraphDeployment", graph, namespace),
            )


@check("endpoint.disaggregated", title="In a disaggregated graph prefill and decode both serve")
def disaggregated(address: Address, readiness: Readiness, spread: Spread) -> Iterator[Finding]:
    """Where the prefill workers cannot be used, Dynamo's decode workers may do all the work themselves:
    everything is answered, and half of the GPUs stand idle.

    Fix: look at the logs of the prefill workers, and at what carries the cache from them to decode.
    """
    types = {*readiness.workers, *address.replicas}
    if "prefill" not in types:
        raise Skip("no prefill worker is known")
    if spread.metrics or not spread.phases:
        raise Skip(f"the frontend's metrics do not tell: {spread.metrics or 'no requests by phase'}")
    good = sum(reply.ok for reply in spread.replies)
    decoded = spread.phases.get("decode", 0) + spread.phases.get("aggregated", 0)
    for phase, served in (("prefill", spread.phases.get("prefill", 0)), ("decode", decoded)):
        if good and served == 0:
            yield fail(
                f"{good} requests were answered, none of them by a {phase} worker",
                fix=f"kubectl logs -l nvidia.com/dynamo-component-type={phase}",
                evidence={"requests": spread.phases},
            )


@check("endpoint.kv-routing", title="The router knows what the workers' caches hold")
def kv_routing(spread: Spread, prefix: Prefix) -> Iterator[Finding]:
    """KV routing sends a prompt to the worker that has its beginning in its cache. It learns that by the
    workers' events: without them, or with another block size or hash seed, it routes blindly and nothing
    says so.

    Fix: let the workers publish events (--kv-events-config), with one --block-size and PYTHONHASHSEED on
    all.
    """
    if spread.metrics or prefix.metrics:
        raise Skip(f"the frontend's metrics do not tell: {spread.metrics or prefix.metrics}")
    if not spread.kv_routed:
        raise Skip("the frontend does not route by caches")
    prompt_tokens = prefix.first.prompt_tokens or 0
    if not prefix.first.ok or not all(reply.ok for reply in prefix.again):
        raise Skip("not all requests with a common beginning were answered")
    if prefix.block is None or prompt_tokens < 2 * prefix.block:
        raise Skip("the prompt that was repeated is shorter than two blocks of the cache")
    seen = {"hit_rate": prefix.hit_rate, "events": prefix.kv_events, "block_size": prefix.block}
    if not prefix.kv_events:
        yield fail(
            "the router has taken in no event of any worker's cache",
            fix="--kv-events-config '{\"enable_kv_cache_events\": true}' on every worker",
            evidence=seen,
        )
    elif not prefix.hit_rate:
        yield fail(
            "a prompt that was just answered is nowhere in the caches that the router knows",
            fix="the same --block-size and PYTHONHASHSEED on frontend and workers",
            evidence=seen,
        )


@check("endpoint.prefix-cache", title="A prompt that is repeated is not computed again")
def prefix_cache(readiness: Readiness, prefix: Prefix) -> Iterator[Finding]:
    """Conversations and shared instructions begin alike; prefix caching makes the first token of those come
    in a fraction of the time.

    Fix: --enable-prefix-caching (vLLM), or no --disable-radix-cache (SGLang); KV routing where there are
    several workers.
    """
    cached = [reply.cached_tokens for reply in prefix.again if reply.ok and reply.cached_tokens is not None]
    prompt_tokens = prefix.first.prompt_tokens
    if not cached or not prompt_tokens:
        raise Skip("the server does not say how many tokens came from its cache")
    if prefix.block is not None and prompt_tokens < 2 * prefix.block:
        raise Skip("the prompt that was repeated is shorter than two blocks of the cache")
    if "prefill" in readiness.workers and not max(cached):
        raise Skip("usage tells of the decode workers' caches, and prefill is apart")
    if max(cached) < prompt_tokens * _FEW:
        yield warn(
            f"of a prompt of {prompt_tokens} tokens that was repeated {len(cached)} times, "
            f"{max(cached)} came from the cache at most",
            fix="enable prefix caching; with several workers, route by caches (--router-mode kv)",
            evidence=_summarize_latency(prefix),
        )


@check("endpoint.kv-room", title="A worker's cache has room for a prompt within the context")
def kv_room(readiness: Readiness, brim: Brim) -> Iterator[Finding]:
    """With a cache that is smaller than the context the longest prompts are refused, or never answered,
    while all others go well.

    Fix: less --max-model-len, or more memory for the cache (vLLM: --gpu-memory-utilization; TensorRT-LLM:
    free_gpu_memory_fraction).
    """
    if brim.room is None or readiness.context is None:
        raise Skip("the frontend does not say how large context and caches are")
    if brim.reply is not None and brim.reply.trouble is not None:
        yield fail(
            f"a prompt of about {brim.tokens} tokens, of a context of {readiness.context}: "
            f"{brim.reply.trouble}; the cache has room for {brim.room}",
            fix=f"--max-model-len {brim.room}, or more memory for the cache",
            evidence={"class": brim.reply.trouble.kind},
        )


def _summarize_latency(prefix: Prefix) -> dict[str, float | None]:
    """Seconds to the first token, of the first and the best of the others."""
    again = [reply.first_s for reply in prefix.again if reply.first_s is not None]
    return {"first_s": prefix.first.first_s, "again_s": min(again, default=None)}


@table("endpoint.cache", title="What a prompt took that was repeated")
def cache(prefix: Prefix) -> Iterator[Row]:
    """The effect of prefix caching, on single requests of a server that has little else to do."""
    for number, reply in enumerate((prefix.first, *prefix.again)):
        if reply.ok and reply.first_s is not None:
            yield {
                "request": f"repeated, {number}" if number else "new",
                "to first token": round(reply.first_s, 3),
                "prompt tokens": reply.prompt_tokens,
                "from the cache": reply.cached_tokens,
            }
