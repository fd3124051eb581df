"""Checks that an endpoint is reachable and ready, and that its responses conform to the OpenAI API."""

import re
from collections.abc import Iterator

from dynocheck import Finding, Row, Skip, Subject, check, fail, table, warn
from dynocheck.core.endpoint_remedies import suggest_remedy
from dynocheck.facts import (
    NO_CHAT_STATUSES,
    AdapterReplies,
    Address,
    Answers,
    Cancellation,
    Readiness,
    Reply,
    Rollout,
    Server,
)

_MAX_FLUSH_S = 0.5  # an API server's proxy flushes five times a second
_MIN_REPEATS = 8  # characters
_MARKER = re.compile(r"<\|\w{1,30}\|>|</s>|\[/INST\]|<(end|start)_of_turn>")  # chat template tokens
_MAX_COLD_START_S = 30.0  # common client libraries give up after a minute or less

_UNKNOWN = Server()
_QUESTIONS = {  # for the logs, by the stage that was reached
    "list": "why is no model served?",
    "ready": "what is missing?",
    "answer": "what does it say of these requests?",
}


@check("endpoint.discovered", title="Deployment has a reachable frontend")
def discovered(address: Address) -> Iterator[Finding]:
    """The operator creates a Service for each graph's frontend. Without it no client can reach the model,
    even if every worker is healthy.

    Fix: kubectl describe dynamographdeployment NAME
    """
    if address.deployment is None:
        raise Skip("the endpoint was given as a URL")
    namespace, _, name = address.deployment.partition("/")
    if address.missing:
        yield fail(
            address.missing,
            fix=f"kubectl -n {namespace} describe {address.kind.lower()} {name}",
            subject=Subject(address.kind, name, namespace),
        )


@check("endpoint.rolled-out", title="Operator has rolled out the latest change")
def rolled_out(rollout: Rollout) -> Iterator[Finding]:
    """While a rollout is stuck, the previous version keeps serving: every request succeeds, but not on the
    version that was deployed.

    Fix: kubectl describe dynamographdeployment NAME
    """
    if not rollout.state:
        raise Skip("its controller has not set a status")
    subject = Subject(rollout.kind, rollout.name, rollout.namespace)
    fix = f"kubectl -n {rollout.namespace} describe {rollout.kind.lower()} {rollout.name}"
    why = f": {rollout.reason}" if rollout.reason else ""
    if not rollout.seen:
        yield warn("its controller has not observed the last change yet", fix=fix, subject=subject)
    elif rollout.state == "failed":
        yield fail(f"rollout failed{why}", fix=fix, subject=subject)
    elif rollout.state != "successful":
        yield warn(f"rollout not complete ({rollout.state}){why}", fix=fix, subject=subject)


@check("endpoint.ready", title="Model is listed, ready, and answers three times in a row")
def ready(address: Address, readiness: Readiness, server: Server | None = None) -> Iterator[Finding]:
    """A frontend returns 200 on /health even without workers, and a listed worker may not be able to answer
    yet. So the model must be in /v1/models, be reported ready where the server reports it (Dynamo does, at
    /v1/models/NAME/ready), and complete three requests in a row within `--timeout`.

    Fix: check the workers' pods and logs; a large model may need a longer --timeout to load.
    """
    if readiness.ready:
        return
    evidence = {
        "waited_s": readiness.waited_s,
        "requests": readiness.attempts,
        "listed": list(readiness.listed),
        "says_ready": readiness.stated,
        "workers": readiness.workers,
        "health": readiness.health,
        "instances": readiness.instances,
    }
    message = readiness.said
    if readiness.trouble is not None and readiness.trouble.is_busy:
        message = f"{message}: the server is overloaded"
    if readiness.waited_s >= readiness.budget_s / 2:
        message = f"not ready after {readiness.waited_s:.0f} s: {message}"
    if readiness.stage == "list" and readiness.health == 200:
        message += "; /health returns 200 nevertheless"
    yield fail(message, fix=_suggest_fix(address, readiness, server or _UNKNOWN), evidence=evidence)


def _suggest_fix(address: Address, readiness: Readiness, server: Server) -> str:
    trouble = readiness.trouble
    if trouble is not None and trouble.status in (401, 403) and address.key_secret:
        return f"give the key of Secret {address.key_secret}: kubectl port-forward, --url and --api-key-env"
    if trouble is not None and (readiness.stage == "connect" or trouble.status in (401, 403)):
        return suggest_remedy(trouble.kind, trouble.status, trouble.message)
    if readiness.stage == "list" and readiness.listed:
        return f"--model {readiness.listed[0]}"
    return server.suggest_logs(_QUESTIONS.get(readiness.stage, ""))


@check("endpoint.listed", title="Model is listed in /v1/models")
def listed(readiness: Readiness, server: Server | None = None) -> Iterator[Finding]:
    """Clients and gateways pick models from /v1/models, so they cannot find a model that answers but is not
    listed.

    Fix: serve the model under a name (--served-model-name) rather than its path.
    """
    if readiness.first_s is None:
        raise Skip("no request has been answered")
    if not readiness.is_listed:
        listed = next(iter(readiness.listed), None)
        yield warn(
            f"{readiness.model} answers, but /v1/models does not list it",
            fix=f"--model {listed}"
            if listed
            else f"serve it under a name: {(server or _UNKNOWN).name_flag} NAME",
            evidence={"listed": list(readiness.listed)},
        )
    for odd in readiness.odd:
        yield warn(f"/v1/models: {odd}, not an integer; typed clients cannot read the list")


@check("endpoint.cold-start", title="First request is answered within 30 s")
def cold_start(readiness: Readiness) -> Iterator[Finding]:
    """The first request may take a minute while kernels are compiled and CUDA graphs captured. Clients give
    up before that, and probes with short timeouts restart the worker over and over.

    Fix: send a warm-up request to each new worker before it takes traffic.
    """
    if readiness.first_s is None:
        raise Skip("no request has been answered")
    if readiness.first_s > _MAX_COLD_START_S:
        yield warn(
            f"the first answer took {readiness.first_s:.0f} s, the third {readiness.usual_s:.1f} s",
            fix="warm up each worker before it takes traffic",
        )


@check("endpoint.answers", title="Chat and text completions work, streamed and not")
def endpoint_answers(answers: Answers, server: Server | None = None) -> Iterator[Finding]:
    """A response is good if its status is 200, it generates something, has a `finish_reason`, and, if
    streamed, is well-formed and ends with `[DONE]`. An error event in a stream is a failure whatever the
    status: that is how a worker that dies midway looks. A single repeated character points to numeric
    overflow; visible template tokens point to the wrong chat template or parser.

    Fix: read the workers' logs from the time of the failure.
    """
    only_text = any(reply is not None and reply.ok for reply in (answers.text, answers.text_stream))
    for name, reply in answers.by_name.items():
        if reply.trouble is None:
            yield from _check_text(name, reply)
        elif only_text and "chat" in name and reply.status in NO_CHAT_STATUSES:
            yield warn(
                f"{name}: only text completions work: {reply.trouble}",
                fix="give the model a template: --chat-template FILE, or --endpoint-types chat,completions",
            )
        elif "completion" in name and reply.trouble.kind == "empty":
            yield warn(
                f"{name}: the model stops without generating text: {reply.trouble}",
                fix="none if you do not use text completions: chat models may do this",
            )
        else:
            yield fail(
                f"{name}: {reply.trouble}",
                fix=(server or _UNKNOWN).suggest_logs(_QUESTIONS["answer"]),
                evidence={"class": reply.trouble.kind, "chunks": reply.chunks},
            )


def _check_text(name: str, reply: Reply) -> Iterator[Finding]:
    text = reply.opening.strip()
    if not (reply.content or reply.reasoning or reply.calls):
        yield warn(
            f"{name}: {reply.completion_tokens} tokens generated, but no text",
            fix="is it a reasoning model without --reasoning-parser, or the wrong tokenizer?",
        )
    elif len(text) >= _MIN_REPEATS and len({*text}) == 1:
        yield warn(
            f"{name}: the answer repeats a single character: {text[:_MIN_REPEATS]}",
            fix="try another precision for weights and cache (--kv-cache-dtype): values may overflow",
        )
    elif (marker := _MARKER.search(text)) is not None and "chat" in name:
        yield warn(
            f"{name}: the answer contains a template token: {marker[0]}",
            fix="use the model's own chat template, and the --dyn-reasoning-parser for its family",
        )


@check("endpoint.streams", title="Streams arrive incrementally")
def streams(answers: Answers, cancellation: Cancellation) -> Iterator[Finding]:
    """A gateway or proxy that buffers forwards a stream only once it is complete: the first token then takes
    as long as the last. The sign is a short answer that arrives all at once while the first token of a long
    one takes much longer. A short answer alone proves nothing: behind a proxy that flushes periodically, a
    fast engine's arrives at once too.

    Fix: disable buffering of text/event-stream between client and frontend (nginx: proxy_buffering off).
    """
    judged = False
    for name, reply in answers.by_name.items():
        if not reply.ok or "stream" not in name or (reply.completion_tokens or 0) < 4:
            continue
        judged = True
        if reply.chunks == 1:
            yield warn(
                f"{name}: {reply.completion_tokens} tokens arrived in one chunk",
                fix="disable buffering between client and frontend",
                evidence={"seconds": reply.seconds},
            )
    if not judged:
        raise Skip("no stream succeeded with a known token count")
    short, long = answers.chat_stream, cancellation.broken
    if short.pieces == 1 < short.chunks and (long.first_s or 0.0) > 4 * short.seconds + _MAX_FLUSH_S:
        yield warn(
            f"streams are buffered until complete: a long answer's first token took {long.first_s:.1f} s, "
            f"all {short.chunks} chunks of a short one arrived at {short.seconds:.1f} s",
            fix="disable buffering between client and frontend",
        )


@check("endpoint.model-name", title="Responses name the requested model")
def model_name(answers: Answers, server: Server | None = None) -> Iterator[Finding]:
    """Billing and routing by model read the name in the response.

    Fix: start the worker with the name that clients use: --served-model-name NAME.
    """
    good = [(name, reply) for name, reply in answers.by_name.items() if reply.ok]
    if not good:
        raise Skip("no request succeeded")
    for name, reply in good:
        if reply.model != answers.model:
            yield warn(
                f"{name}: requested {answers.model}, response names {reply.model or 'no model'}",
                fix=f"{(server or _UNKNOWN).name_flag} {answers.model}",
            )


@check("endpoint.usage", title="Token usage is reported and plausible")
def usage(answers: Answers) -> Iterator[Finding]:
    """Billing, quotas and load tests count tokens by `usage`. Streams include it on request
    (`stream_options.include_usage`).

    Fix: use a server that reports usage in streams; without it, count with the model's tokenizer.
    """
    good = {name: reply for name, reply in answers.by_name.items() if reply.ok}
    if not good:
        raise Skip("no request succeeded")
    for name, reply in good.items():
        if reply.completion_tokens is None:
            why = "the server rejects stream_options" if reply.usage_rejected else "no usage"
            yield warn(f"{name}: {why}", fix="count its tokens with the model's tokenizer")
            continue
        if reply.odd:
            yield warn(f"{name}: {', '.join(reply.odd)}, not an integer; typed clients cannot read it")
        evidence = {"completion_tokens": reply.completion_tokens, "chunks": reply.chunks}
        if reply.completion_tokens == 0 and reply.content:
            yield fail(f"{name}: usage counts 0 tokens for an answer with text", evidence=evidence)
        elif "stream" in name and reply.chunks > reply.completion_tokens + 1:
            yield warn(f"{name}: more chunks with text than tokens counted", evidence=evidence)
    for whole, stream in (("chat", "streamed chat"), ("completion", "streamed completion")):
        yield from _compare_prompt_tokens(good, whole, stream)


def _compare_prompt_tokens(good: dict[str, Reply], whole: str, stream: str) -> Iterator[Finding]:
    if whole in good and stream in good:
        counts = good[whole].prompt_tokens, good[stream].prompt_tokens
        if None not in counts and counts[0] != counts[1]:
            yield warn(
                f"the same prompt counts {counts[0]} tokens as a {whole} and {counts[1]} as a {stream}",
                fix="compare the versions of all replicas: they may differ",
            )


@check("endpoint.max-tokens", title="Answers respect max_tokens")
def max_tokens(answers: Answers) -> Iterator[Finding]:
    """Clients set `max_tokens` to bound cost and time.

    Fix: look for a proxy that rewrites requests, or a server that only knows max_completion_tokens.
    """
    counted = {n: r for n, r in answers.by_name.items() if r.ok and r.completion_tokens is not None}
    if not counted:
        raise Skip("no response reports its token count")
    for name, reply in counted.items():
        if (reply.completion_tokens or 0) > answers.asked_tokens:
            yield fail(
                f"{name}: {reply.completion_tokens} tokens, max_tokens was {answers.asked_tokens}",
                evidence={"finish_reason": reply.finish_reason},
            )


@check("endpoint.adapters", title="Listed LoRA adapters answer under their names")
def adapters(replies: AdapterReplies, server: Server | None = None) -> Iterator[Finding]:
    """A listed adapter may fail to load on its first request, or answer as its base model.

    Fix: read the workers' logs; the adapter's rank may exceed --max-lora-rank.
    """
    if not replies.items:
        raise Skip("no LoRA adapter is listed")
    for each in replies:
        reply = each.reply
        if reply.trouble is not None:
            yield fail(
                f"{each.name}: {reply.trouble}", fix=(server or _UNKNOWN).suggest_logs(_QUESTIONS["answer"])
            )
        elif reply.model != each.name:
            yield warn(
                f"{each.name}: response names {reply.model or 'no model'}",
                fix=(server or _UNKNOWN).suggest_logs(_QUESTIONS["answer"]),
            )


@table("endpoint.measured", title="Latency of single requests")
def measured(address: Address, readiness: Readiness, answers: Answers) -> Iterator[Row]:
    """For orientation only: single requests do not predict latency under load."""
    if readiness.first_s is not None:
        yield {"request": "first of all", "way": address.way, "seconds": _round(readiness.first_s)}
    for name, reply in answers.by_name.items():
        if reply.ok:
            yield {
                "request": name,
                "way": address.way,
                "seconds": _round(reply.seconds),
                "to first token": _round(reply.first_s) if "stream" in name else None,
                "tokens": reply.completion_tokens,
                "sent again": "yes" if reply.resent else None,
            }


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
