"""Whether an endpoint serves its model, and answers as the API has it."""

import re
from collections.abc import Iterator

from dynocheck import Finding, Row, Skip, Subject, check, fail, table, warn
from dynocheck.facts.endpoint.answers import (
    NO_CHAT_STATUSES,
    AdapterReplies,
    Address,
    Answers,
    Cancellation,
    Readiness,
    Reply,
    Rollout,
)

_MAX_FLUSH_S = 0.5  # an API server's proxy passes on what it has five times a second
_MIN_REPEATS = 8  # characters
_MARKER = re.compile(r"<\|\w{1,30}\|>|</s>|\[/INST\]|<(end|start)_of_turn>")  # of turns and channels
_MAX_COLD_START_S = 30.0  # the client libraries people use give up after one minute or less

_FIX_BY_STAGE = {
    "connect": "kubectl get pods,services   # is the frontend running, and is this its address?",
    "list": "kubectl logs -l nvidia.com/dynamo-component-class=worker   # why does no worker register?",
    "ready": "kubectl get pods -l nvidia.com/dynamo-component-class=worker   # which type is missing?",
    "answer": "kubectl logs -l nvidia.com/dynamo-component-class=worker   # what do the workers say?",
}


@check("endpoint.discovered", title="The deployment has an address where it can be asked")
def discovered(address: Address) -> Iterator[Finding]:
    """The operator makes a Service for the frontend of each graph. Without one nobody can reach it, however
    well its workers run.

    Fix: kubectl describe dynamographdeployment NAME
    """
    if address.deployment is None:
        raise Skip("its URL was given")
    namespace, _, name = address.deployment.partition("/")
    if address.missing:
        yield fail(
            address.missing,
            fix=f"kubectl -n {namespace} describe dynamographdeployment {name}",
            subject=Subject("DynamoGraphDeployment", name, namespace),
        )


@check("endpoint.rolled-out", title="The operator has carried out the graph as it is now")
def rolled_out(rollout: Rollout) -> Iterator[Finding]:
    """While a change cannot be carried out, what was there before it serves on: all is answered, by a version
    that is not the one that was deployed.

    Fix: kubectl describe dynamographdeployment NAME
    """
    if not rollout.state:
        raise Skip("the operator has said nothing of it")
    subject = Subject("DynamoGraphDeployment", rollout.name, rollout.namespace)
    fix = f"kubectl -n {rollout.namespace} describe dynamographdeployment {rollout.name}"
    why = f": {rollout.reason}" if rollout.reason else ""
    if not rollout.seen:
        yield warn("the operator has not seen its last change yet", fix=fix, subject=subject)
    elif rollout.state == "failed":
        yield fail(f"the operator cannot carry it out{why}", fix=fix, subject=subject)
    elif rollout.state != "successful":
        yield warn(f"the operator is not done with it ({rollout.state}){why}", fix=fix, subject=subject)


@check("endpoint.ready", title="The model is listed, ready, and answers three times in a row")
def ready(readiness: Readiness) -> Iterator[Finding]:
    """A frontend answers 200 to /health while it has no worker, and a worker that is listed may not be able
    to answer yet. So the model must be in /v1/models, said to be ready where the server says so (Dynamo does,
    at /v1/models/NAME/ready), and complete three requests in a row within the time of `--timeout`.

    Fix: look at the pods and logs of the workers; a large model may need a longer --timeout to load.
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
        message += "; /health says 200 all the same"
    yield fail(message, fix=_suggest_fix(readiness), evidence=evidence)


def _suggest_fix(readiness: Readiness) -> str:
    trouble = readiness.trouble
    if trouble is not None and trouble.status in (401, 403):
        return "give the key: --api-key-env NAME or --api-key-file FILE"
    if trouble is not None and trouble.kind == "tls":
        return "trust its authority: --ca-file FILE"
    if readiness.stage == "list" and readiness.listed:
        return f"--model {readiness.listed[0]}"
    return _FIX_BY_STAGE[readiness.stage]


@check("endpoint.listed", title="The model that answers is listed")
def listed(readiness: Readiness) -> Iterator[Finding]:
    """Clients and gateways choose models from /v1/models. One that answers and is not listed is missing
    there.

    Fix: serve the model under a name (--served-model-name), not by its path.
    """
    if readiness.first_s is None:
        raise Skip("no request has been answered")
    if readiness.model not in readiness.listed:
        yield warn(
            f"{readiness.model} answers, and /v1/models does not list it",
            fix="serve it under a name: --served-model-name NAME",
            evidence={"listed": list(readiness.listed)},
        )


@check("endpoint.cold-start", title="The first request is answered in a time that clients wait")
def cold_start(readiness: Readiness) -> Iterator[Finding]:
    """The first request may compile kernels and capture graphs for a minute. Who sends it gives up before
    that, and probes with short limits start it over and over.

    Fix: send a request to each new worker before it takes traffic.
    """
    if readiness.first_s is None:
        raise Skip("no request has been answered")
    if readiness.first_s > _MAX_COLD_START_S:
        yield warn(
            f"the first answer took {readiness.first_s:.0f} s, the third {readiness.usual_s:.1f} s",
            fix="warm each worker up before it takes traffic",
        )


@check("endpoint.answers", title="Chat and text completions are answered, as a whole and as streams")
def endpoint_answers(answers: Answers) -> Iterator[Finding]:
    """An answer is good when it comes with a status of 200, generates something, says why it ended
    (`finish_reason`), and, as a stream, is well-formed and ends with `[DONE]`. An error inside a stream is
    a failure, whatever the status was: a worker that dies half-way looks like that. One character over and
    over is what a model says whose numbers have overflowed; a model's own markers of turns and channels are
    seen where its template or its parser is another's.

    Fix: look at the logs of the workers for the time of the failure.
    """
    only_text = any(reply is not None and reply.ok for reply in (answers.text, answers.text_stream))
    for name, reply in answers.by_name.items():
        if reply.trouble is None:
            yield from _check_text(name, reply)
        elif only_text and "chat" in name and reply.status in NO_CHAT_STATUSES:
            yield warn(
                f"{name}: only text completions are answered: {reply.trouble}",
                fix="give the model a template: --chat-template FILE, or --endpoint-types chat,completions",
            )
        elif "completion" in name and reply.trouble.kind == "empty":
            yield warn(
                f"{name}: the model ends its answer at once: {reply.trouble}",
                fix="none, where nobody asks for text completions: a model that learnt to chat may do so",
            )
        else:
            yield fail(
                f"{name}: {reply.trouble}",
                fix=_FIX_BY_STAGE["answer"],
                evidence={"class": reply.trouble.kind, "chunks": reply.chunks},
            )


def _check_text(name: str, reply: Reply) -> Iterator[Finding]:
    text = reply.opening.strip()
    if not (reply.content or reply.reasoning or reply.calls):
        yield warn(
            f"{name}: {reply.completion_tokens} tokens were generated and none was shown",
            fix="is it a reasoning model without --reasoning-parser, or a tokenizer of another model?",
        )
    elif len(text) >= _MIN_REPEATS and len({*text}) == 1:
        yield warn(
            f"{name}: the answer is one character over and over: {text[:_MIN_REPEATS]}",
            fix="try weights and caches (--kv-cache-dtype) of another precision: do theirs overflow?",
        )
    elif (marker := _MARKER.search(text)) is not None and "chat" in name:
        yield warn(
            f"{name}: the answer shows a marker of the model's own: {marker[0]}",
            fix="the model's own template, and --dyn-reasoning-parser of its family",
        )


@check("endpoint.streams", title="A stream comes in pieces")
def streams(answers: Answers, cancellation: Cancellation) -> Iterator[Finding]:
    """A gateway or proxy that buffers passes a stream on at its end: the first token then takes as long as
    the last. It shows when a short answer comes at one moment, and the first token of a long one much later.
    Short answers of fast engines come at one moment too, through proxies that flush now and then.

    Fix: switch buffering off for text/event-stream on the way (nginx: proxy_buffering off).
    """
    judged = False
    for name, reply in answers.by_name.items():
        if not reply.ok or "stream" not in name or (reply.completion_tokens or 0) < 4:
            continue
        judged = True
        if reply.chunks == 1:
            yield warn(
                f"{name}: {reply.completion_tokens} tokens came in one piece",
                fix="switch buffering off on the way to the frontend",
                evidence={"seconds": reply.seconds},
            )
    if not judged:
        raise Skip("no stream of known length was answered")
    short, long = answers.chat_stream, cancellation.broken
    if short.pieces == 1 < short.chunks and (long.first_s or 0.0) > 4 * short.seconds + _MAX_FLUSH_S:
        yield warn(
            f"streams are held back until their end: the first token of a long answer came after "
            f"{long.first_s:.1f} s, all {short.chunks} of a short one at {short.seconds:.1f} s",
            fix="switch buffering off on the way to the frontend",
        )


@check("endpoint.model-name", title="Answers name the model that was asked for")
def model_name(answers: Answers) -> Iterator[Finding]:
    """Who accounts by model, or routes by it, reads the name in the answer.

    Fix: give the worker the name that clients use: --served-model-name NAME.
    """
    good = [(name, reply) for name, reply in answers.by_name.items() if reply.ok]
    if not good:
        raise Skip("nothing was answered")
    for name, reply in good:
        if reply.model != answers.model:
            yield warn(
                f"{name}: asked for {answers.model}, answered as {reply.model or 'no model'}",
                fix=f"--served-model-name {answers.model}",
            )


@check("endpoint.usage", title="Usage is told, and agrees with what was sent")
def usage(answers: Answers) -> Iterator[Finding]:
    """Billing, quotas and every load test count tokens by `usage`. A stream has it when it is asked for
    (`stream_options.include_usage`).

    Fix: use a server that reports usage in streams; without it, count with the model's tokenizer.
    """
    good = {name: reply for name, reply in answers.by_name.items() if reply.ok}
    if not good:
        raise Skip("nothing was answered")
    for name, reply in good.items():
        if reply.completion_tokens is None:
            yield warn(f"{name}: no usage", fix="count its tokens with the model's tokenizer")
            continue
        seen = {"completion_tokens": reply.completion_tokens, "chunks": reply.chunks}
        if reply.completion_tokens == 0 and reply.content:
            yield fail(f"{name}: usage counts no token of an answer that has text", evidence=seen)
        elif "stream" in name and reply.chunks > reply.completion_tokens + 1:
            yield warn(f"{name}: more pieces with text than tokens counted", evidence=seen)
    for whole, stream in (("chat", "streamed chat"), ("completion", "streamed completion")):
        yield from _compare_prompt_tokens(good, whole, stream)


def _compare_prompt_tokens(good: dict[str, Reply], whole: str, stream: str) -> Iterator[Finding]:
    if whole in good and stream in good:
        counts = good[whole].prompt_tokens, good[stream].prompt_tokens
        if None not in counts and counts[0] != counts[1]:
            yield warn(
                f"the same prompt has {counts[0]} tokens as a {whole} and {counts[1]} as a {stream}",
                fix="ask for the versions of all replicas: they may not be the same",
            )


@check("endpoint.max-tokens", title="No answer is longer than max_tokens")
def max_tokens(answers: Answers) -> Iterator[Finding]:
    """Who sets `max_tokens` bounds cost and time by it.

    Fix: look for what rewrites requests on the way, or for a server that knows max_completion_tokens only.
    """
    counted = {n: r for n, r in answers.by_name.items() if r.ok and r.completion_tokens is not None}
    if not counted:
        raise Skip("no answer says how many tokens it has")
    for name, reply in counted.items():
        if (reply.completion_tokens or 0) > answers.asked_tokens:
            yield fail(
                f"{name}: {reply.completion_tokens} tokens, asked for {answers.asked_tokens} at most",
                evidence={"finish_reason": reply.finish_reason},
            )


@check("endpoint.adapters", title="Every LoRA adapter that is listed answers under its name")
def adapters(replies: AdapterReplies) -> Iterator[Finding]:
    """An adapter may be listed and fail to load with the first request, or answer as its base model.

    Fix: read the workers' logs; the adapter's rank may exceed --max-lora-rank.
    """
    if not replies.items:
        raise Skip("no LoRA adapter is listed")
    for each in replies:
        reply = each.reply
        if reply.trouble is not None:
            yield fail(f"{each.name}: {reply.trouble}", fix=_FIX_BY_STAGE["answer"])
        elif reply.model != each.name:
            yield warn(f"{each.name}: answered as {reply.model or 'no model'}", fix=_FIX_BY_STAGE["answer"])


@table("endpoint.measured", title="What single requests took")
def measured(address: Address, readiness: Readiness, answers: Answers) -> Iterator[Row]:
    """For orientation: single requests on this way say nothing of a server under load."""
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
            }


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
