"""Checks that every worker serves requests, and that KV routing and prefix caches work."""

from collections import Counter
from collections.abc import Iterator

from dynocheck import Finding, Row, Skip, Subject, check, fail, table, warn
from dynocheck.facts import Address, Brim, Prefix, Readiness, Server, Spread

_MIN_CACHED = 0.25  # share of the tokens that could come from the cache
_REQUESTS_PER_WORKER = 10  # enough that a router that picks at random leaves no worker out
_SHORT_PROMPT = "the repeated prompt is shorter than two cache blocks"


@check("endpoint.steady", title="Requests keep succeeding after the first success")
def steady(spread: Spread, prefix: Prefix, server: Server | None = None) -> Iterator[Finding]:
    """A frontend that has just discovered its workers, or is losing one, returns 404 or 5xx now and then. One
    failure among a few dozen short requests is already enough to roll a release back.

    Fix: look for worker restarts, and read the workers' logs from the time of the failures.
    """
    replies = (*spread.replies, prefix.first, *prefix.again)
    failures = [reply.trouble for reply in replies if reply.trouble is not None]
    kinds = Counter(failure.kind for failure in failures)
    for kind, count in kinds.most_common():
        example = next(failure for failure in failures if failure.kind == kind)
        overloaded = ": the server is overloaded" if example.is_busy else ""
        yield fail(
            f"{count} of {len(replies)} requests failed: {example}{overloaded}",
            fix=(server or Server()).suggest_logs("did it restart, or what does it say of these requests?"),
            evidence={"class": kind},
        )


@check("endpoint.every-worker", title="Every worker answers requests")
def every_worker(readiness: Readiness, spread: Spread, server: Server | None = None) -> Iterator[Finding]:
    """A frontend may have registered a worker that never answers: its share of requests is slow or lost,
    while the rest succeed. Each request has a different prompt, so that a router has no reason to prefer one
    worker.

    Fix: compare the workers' logs and metrics; restart the one that serves nothing.
    """
    if spread.metrics:
        raise Skip(f"{spread.metrics}; no worker metrics")
    known = {
        "prefill": readiness.workers.get("prefill", 0),
        "": sum(readiness.workers.get(kind, 0) for kind in ("aggregated", "decode")),
    }
    if not any(known.values()):
        raise Skip("the frontend does not report its workers")
    if max(known.values()) == 1:
        raise Skip("there is one worker" if sum(known.values()) == 1 else "there is one worker of each type")
    answered: dict[str, set[str]] = {"prefill": set(), "": set()}
    for worker in spread.served:
        answered["prefill" if worker.type == "prefill" else ""].add(worker.worker)
    if not any(answered[kind] for kind in known if known[kind] > 1):
        raise Skip("the frontend's metrics do not name the worker that answered")
    for kind, workers in answered.items():
        if workers and len(workers) < known[kind]:
            yield from _report_silent_workers(kind, workers, known[kind], spread, server or Server())


def _report_silent_workers(
    kind: str, answered: set[str], known: int, spread: Spread, server: Server
) -> Iterator[Finding]:
    workers = f"{kind} workers".strip()
    message = f"{len(answered)} of {known} {workers} answered {len(spread.replies)} requests"
    needed = _REQUESTS_PER_WORKER * known
    if len(spread.replies) < needed:
        raise Skip(f"{message}, too few to judge; use --requests {needed}")
    yield fail(
        message,
        fix=server.suggest_logs("which of the workers answers nothing?"),
        evidence={"answered": sorted(answered)},
    )


@check("endpoint.replicas", title="All replicas have registered with the frontend")
def replicas(address: Address, readiness: Readiness) -> Iterator[Finding]:
    """A replica that crashes, or is not up yet, gets no requests: every request succeeds, on fewer workers
    than the graph asks for.

    Fix: kubectl get pods -l nvidia.com/dynamo-graph-deployment-name=NAME
    """
    if address.deployment is None:
        raise Skip("the endpoint was given as a URL")
    if not readiness.workers:
        raise Skip("the frontend does not report its workers")
    if len({*readiness.listed} - {adapter.name for adapter in readiness.adapters}) > 1:
        raise Skip("the frontend serves several models")
    namespace, _, graph = address.deployment.partition("/")
    prefill = readiness.workers.get("prefill", 0)
    others = sum(readiness.workers.values()) - prefill
    serving = sum(address.replicas.get(role, 0) for role in ("worker", "decode"))
    for kind, wanted, known in (
        ("prefill workers", address.replicas.get("prefill", 0), prefill),
        ("workers", serving, others),
    ):
        if known < wanted:
            yield warn(
                f"{known} of {wanted} {kind} registered with the frontend",
                fix=f"kubectl -n {namespace} get pods -l nvidia.com/dynamo-graph-deployment-name={graph}",
                subject=Subject("DynamoGraphDeployment", graph, namespace),
            )


@check("endpoint.disaggregated", title="Prefill and decode workers both serve")
def disaggregated(
    address: Address, readiness: Readiness, spread: Spread, server: Server | None = None
) -> Iterator[Finding]:
    """If prefill workers are unusable, Dynamo's decode workers may do all the work: every request succeeds
    while half of the GPUs sit idle.

    Fix: read the prefill workers' logs, and check the KV transfer from prefill to decode.
    """
    types = {*readiness.workers, *address.replicas}
    if "prefill" not in types:
        raise Skip("there are no prefill workers")
    if spread.metrics or not spread.phases:
        raise Skip(f"{spread.metrics or 'requests not counted by phase'}; no worker metrics")
    good = sum(reply.ok for reply in spread.replies)
    decoded = spread.phases.get("decode", 0) + spread.phases.get("aggregated", 0)
    for phase, served in (("prefill", spread.phases.get("prefill", 0)), ("decode", decoded)):
        if good and served == 0:
            yield fail(
                f"{good} requests succeeded, none on a {phase} worker",
                fix=(server or Server()).suggest_logs(f"why does no {phase} worker serve?"),
                evidence={"requests": spread.phases},
            )


@check("endpoint.kv-routing", title="KV router sees the workers' caches")
def kv_routing(spread: Spread, prefix: Prefix) -> Iterator[Finding]:
    """KV routing sends a prompt to the worker that has cached its prefix. The router learns this from the
    workers' KV events: without them, or with a different block size or hash seed, it routes blindly and
    reports no error.

    Fix: have workers publish KV events (--kv-events-config), and use one --block-size and PYTHONHASHSEED
    everywhere.
    """
    if spread.metrics or prefix.metrics:
        raise Skip(f"{spread.metrics or prefix.metrics}; no router metrics")
    if not spread.kv_routed:
        raise Skip("the frontend does not use KV routing")
    prompt_tokens = prefix.first.prompt_tokens or 0
    if not prefix.first.ok or not all(reply.ok for reply in prefix.again):
        raise Skip("not all requests with a shared prefix succeeded")
    if prefix.block is None or prompt_tokens < 2 * prefix.block:
        raise Skip(_SHORT_PROMPT)
    evidence = {"hit_rate": prefix.hit_rate, "events": prefix.kv_events, "block_size": prefix.block}
    if not prefix.kv_events:
        yield fail(
            "the router has received no KV events",
            fix="--kv-events-config '{\"enable_kv_cache_events\": true}' on every worker",
            evidence=evidence,
        )
    elif not prefix.hit_rate:
        yield fail(
            "the router found a repeated prompt in no worker's cache",
            fix="the same --block-size and PYTHONHASHSEED on frontend and workers",
            evidence=evidence,
        )


@check("endpoint.prefix-cache", title="Repeated prompts hit the prefix cache")
def prefix_cache(readiness: Readiness, prefix: Prefix) -> Iterator[Finding]:
    """Conversations and system prompts share prefixes; prefix caching cuts their time to first token to a
    fraction.

    Fix: --enable-prefix-caching (vLLM), or no --disable-radix-cache (SGLang); KV routing with several
    workers.
    """
    cached = [reply.cached_tokens for reply in prefix.again if reply.ok and reply.cached_tokens is not None]
    prompt_tokens = prefix.first.prompt_tokens
    if not cached or not prompt_tokens:
        raise Skip("the server does not report cached tokens")
    if prefix.block is not None and prompt_tokens < 2 * prefix.block:
        raise Skip(_SHORT_PROMPT)
    if "prefill" in readiness.workers and not max(cached):
        raise Skip("usage reports the decode workers' cache; prefill runs on other workers")
    if max(cached) < prompt_tokens * _MIN_CACHED:
        yield warn(
            f"a prompt of {prompt_tokens} tokens was repeated {len(cached)} times; "
            f"at most {max(cached)} tokens came from the cache",
            fix="enable prefix caching; with several workers, use KV routing (--router-mode kv)",
            evidence=_summarize_latency(prefix),
        )


@check("endpoint.kv-room", title="KV cache fits a prompt of the full context")
def kv_room(readiness: Readiness, brim: Brim) -> Iterator[Finding]:
    """If the KV cache is smaller than the context, the longest prompts are rejected or never answered, while
    all others succeed.

    Fix: lower --max-model-len, or give the cache more memory (vLLM: --gpu-memory-utilization; TensorRT-LLM:
    free_gpu_memory_fraction).
    """
    if brim.room is None or readiness.context is None:
        raise Skip("the frontend does not report the sizes of context and cache")
    if brim.reply is not None and brim.reply.trouble is not None:
        yield fail(
            f"a prompt of about {brim.tokens} tokens failed; the context is {readiness.context} tokens, "
            f"the cache {brim.room}: {brim.reply.trouble}",
            fix=f"--max-model-len {brim.room}, or more memory for the cache",
            evidence={"class": brim.reply.trouble.kind},
        )


def _summarize_latency(prefix: Prefix) -> dict[str, float | None]:
    """Seconds to the first token: of the first request, and of the fastest repetition."""
    again = [reply.first_s for reply in prefix.again if reply.first_s is not None]
    return {"first_s": prefix.first.first_s, "again_s": min(again, default=None)}


@table("endpoint.cache", title="Latency of a repeated prompt")
def cache(prefix: Prefix) -> Iterator[Row]:
    """The effect of prefix caching on single requests to an otherwise idle server."""
    for number, reply in enumerate((prefix.first, *prefix.again)):
        if reply.ok and reply.first_s is not None:
            yield {
                "request": f"repeated, {number}" if number else "new",
                "to first token": round(reply.first_s, 3),
                "prompt tokens": reply.prompt_tokens,
                "from the cache": reply.cached_tokens,
            }
