"""Waits until an endpoint lists the model, reports it as ready, and answers three requests in a row."""

import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from dynocheck import Unavailable, probe
from dynocheck.core.errors import UsageError
from dynocheck.facts import (
    MISSING_PATH_STATUSES,
    NO_CHAT_STATUSES,
    REJECTED_STATUSES,
    Adapter,
    Address,
    Readiness,
    Reply,
    RequestFailure,
)
from dynocheck.probes.endpoint._client import (
    Target,
    make_limits,
    make_prompt,
    make_question,
    make_reply,
    make_trouble,
)
from dynocheck.probes.endpoint.workload import BY_PROXY

if TYPE_CHECKING:
    from dynocheck.serving import Client, EndpointResponse

_CONSECUTIVE = 3
_FIRST_S = 120.0  # for one completion: the first one may wait for compilation
_LOOK_S = 10.0  # for requests that cost the server nothing
_PAUSES_S = (0.2, 0.5, 1.0, 2.0)
# Failures that waiting does not resolve.
_PERMANENT = {"tls", "redirect", "not-http"}
_PERMANENT_STATUS = {401, 403}
_TOO_LONG = {*REJECTED_STATUSES, 413}
_TRIED_WORDS = (600, 150, 40)  # of a prompt, until one is accepted; none of a run is longer than the first
# How servers name the context in the error of a prompt that is longer.
_CONTEXT = re.compile(
    r"(?:context (?:length|size|window)|max_seq_len|n_ctx|must be <=|less than)\D{0,20}(\d{1,8})\b"
)
_UNKNOWN_MODEL = {*REJECTED_STATUSES, 404}


class _Model(msgspec.Struct):
    """An entry of /v1/models. The context is `max_model_len` in vLLM and SGLang, `context_window` in Dynamo,
    `meta.n_ctx` in llama.cpp; adapters have a `parent`.
    """

    id: str
    owned_by: Any = None
    parent: Any = None
    max_model_len: Any = None
    context_window: Any = None
    meta: Any = None

    @property
    def lengths(self) -> dict[str, Any]:
        """The context, by the name of the field that gives it."""
        meta = self.meta if isinstance(self.meta, dict) else {}
        return {
            "max_model_len": self.max_model_len,
            "context_window": self.context_window,
            "n_ctx": meta.get("n_ctx"),
        }


class _Models(msgspec.Struct):
    data: list[_Model] | None = None


class _Type(msgspec.Struct):
    workers: int = 0


class _Namespace(msgspec.Struct):
    worker_types: dict[str, _Type] = {}
    reason: str | None = None


class _Ready(msgspec.Struct):
    """Dynamo's response to /v1/models/NAME/ready."""

    ready: bool
    reason: str | None = None
    namespaces: dict[str, _Namespace] = {}


@probe(limit=lambda target, address: target.budget_s + _LOOK_S)
def readiness(target: Target, address: Address) -> Readiness:
    """:raises UsageError: several models are served, and none is named."""
    if address.missing:
        raise Unavailable(f"not run: {address.missing}")
    found = target.send(address, _ReadinessWait(target).wait)
    if address.way == BY_PROXY and found.trouble is not None and found.trouble.status == 401:
        key = f"the key of Secret {address.key_secret}" if address.key_secret else "its key"
        raise Unavailable(
            "the server asks for an API key, which the API server's proxy takes off a request",
            fix=f"kubectl port-forward, then --url http://127.0.0.1:PORT --api-key-env NAME with {key}",
        )
    return found


class _ReadinessWait:
    def __init__(self, target: Target) -> None:
        self.target = target
        self.start = time.monotonic()
        self.fields: dict[str, Any] = {}
        self.attempts = 0

    @property
    def waited_s(self) -> float:
        return time.monotonic() - self.start

    @property
    def left_s(self) -> float:
        return max(self.target.budget_s - self.waited_s, 0.1)

    async def wait(self, client: "Client") -> Readiness:
        import asyncio

        stage, message, failure = await self._attempt(client)
        pauses = iter(_PAUSES_S)
        pause_s = 0.0
        while stage != "done" and not _is_permanent(failure):
            pause_s = next(pauses, _PAUSES_S[-1])
            if self.waited_s + pause_s >= self.target.budget_s:
                break
            self.target.waiting.text = message
            await asyncio.sleep(pause_s)
            stage, message, failure = await self._attempt(client)
        self.target.waiting.text = ""
        if stage != "done":
            await self._check_health(client)
        return Readiness(
            stage=stage,
            said=message,
            trouble=failure,
            waited_s=round(self.waited_s, 3),
            budget_s=self.target.budget_s,
            attempts=self.attempts,
            **self.fields,
        )

    async def _attempt(self, client: "Client") -> tuple[str, str, RequestFailure | None]:
        """The stage that was reached, and the message and failure of the next one."""
        response = await client.get("/v1/models", limits=make_limits(min(self.left_s, _LOOK_S)))
        failure = make_trouble(response.failure)
        self.fields["software"] = response.headers.get("server", "")
        if failure is not None and self.target.model and failure.status in MISSING_PATH_STATUSES:
            self.fields |= {"listed": (), "adapters": ()}  # a gateway may serve completions only
            return await self._complete(client, self.target.model)
        if failure is not None:
            return "connect" if failure.status is None else "list", f"/v1/models: {failure}", failure
        try:
            model = self._choose_model(response)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return "list", "/v1/models: not a list of models", None
        if model is None:
            reason = await self._explain_not_ready(client, self.target.model) if self.target.model else ""
            return "list", reason or self._explain_unlisted(), None
        if reason := await self._explain_not_ready(client, model):
            return "ready", reason, None
        stage, message, failure = await self._complete(client, model)
        listed = self.fields["listed"]
        if failure is not None and failure.status in _UNKNOWN_MODEL and listed and model not in listed:
            return "list", f"{self._explain_unlisted()}; requested anyway: {failure}", failure
        return stage, message, failure

    def _choose_model(self, response: "EndpointResponse") -> str | None:
        """The user's model, which some servers answer to without listing it; without one, the only listed
        model; None if there is not exactly one.
        """
        from dynocheck.serving.counts import describe_odd_counts, read_count

        models = msgspec.json.decode(response.body, type=_Models).data or []
        bases = {model.id for model in models if model.parent is None}
        adapters = tuple(Adapter(m.id, m.parent) for m in models if m.parent is not None)
        self.fields |= {"listed": tuple(model.id for model in models), "adapters": adapters}
        name = self.target.model or (min(bases) if len(bases) == 1 else None)
        named = [model for model in models if model.id in (name, f"{name}:latest")]
        only = [model for model in models if len(bases) == 1 and model.id in bases]  # answers to any name
        entry = next(iter(named or only), None)
        if entry is not None:
            self.fields |= {
                "context": next(filter(None, map(read_count, entry.lengths.values())), None),
                "owner": entry.owned_by if isinstance(entry.owned_by, str) else "",
                "odd": describe_odd_counts(entry.lengths),
            }
        return name

    def _explain_unlisted(self) -> str:
        listed = self.fields["listed"]
        if not listed:
            return "no model is listed: no worker is registered"
        if self.target.model is None:
            raise UsageError(f"several models are listed: {', '.join(listed)}; name one with --model")
        return f"{self.target.model} is not listed; listed: {', '.join(listed)}"

    async def _explain_not_ready(self, client: "Client", model: str) -> str:
        """The server's reason why the model is not ready; empty if it is, or the server reports none."""
        path = f"/v1/models/{quote(model, safe='/')}/ready"
        response = await client.get(path, limits=make_limits(min(self.left_s, _LOOK_S)))
        try:
            state = msgspec.json.decode(response.body, type=_Ready)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ""
        workers: dict[str, int] = {}
        for namespace in state.namespaces.values():
            for name, kind in namespace.worker_types.items():
                workers[name] = workers.get(name, 0) + kind.workers
        self.fields |= {"stated": state.ready, "workers": workers}
        if state.ready:
            return ""
        reasons = [namespace.reason for namespace in state.namespaces.values() if namespace.reason]
        reason = "; ".join(reasons) or state.reason or "no reason given"
        return f"the frontend reports {model} as not ready: {reason}"

    async def _complete(self, client: "Client", model: str) -> tuple[str, str, RequestFailure | None]:
        """Send completions in a row; the first success of all attempts may be slow."""
        self.fields["model"] = model
        for number in range(1, _CONSECUTIVE + 1):
            self.attempts += 1
            self.target.waiting.text = f"the answer to request {number} of {_CONSECUTIVE} in a row"
            reply = await self._send_prompt(client, model)
            if reply.trouble is not None:
                message = f"request {number} of {_CONSECUTIVE} in a row: {reply.trouble}"
                return "answer", message, reply.trouble
            self.fields.setdefault("first_s", reply.seconds)
            self.fields["usual_s"] = reply.seconds
        if self.fields.get("context") is None:
            self.fields["context"] = await self._learn_context(client, model)
        return "done", "", None

    async def _learn_context(self, client: "Client", model: str) -> int | None:
        """The context of a server that does not list it, if prompts of this run would be too long for it: by
        its error, else by the longest prompt that it takes.
        """
        for words in _TRIED_WORDS:
            request = make_question(
                model, "", prompt=make_prompt("context", words), stream=False, chat=self.fields["chat"]
            )
            reply = make_reply(await client.complete(request, limits=make_limits(min(self.left_s, _FIRST_S))))
            if reply.ok:
                return None if words == _TRIED_WORDS[0] else words
            if reply.trouble is None or reply.status not in _TOO_LONG:
                return None
            if (stated := _CONTEXT.search(reply.trouble.message)) is not None:
                return int(stated[1]) or None
        return None

    async def _send_prompt(self, client: "Client", model: str) -> Reply:
        """The reply of a chat completion, or of a text completion if the model supports only that."""

        async def complete(*, chat: bool) -> Reply:
            request = make_question(model, f"ready {self.attempts}", stream=False, chat=chat)
            return make_reply(await client.complete(request, limits=make_limits(min(self.left_s, _FIRST_S))))

        reply = await complete(chat=True)
        text = await complete(chat=False) if reply.status in NO_CHAT_STATUSES else None
        self.fields["chat"] = text is None or not text.ok
        return text if text is not None and text.ok else reply

    async def _check_health(self, client: "Client") -> None:
        response = await client.get("/health", limits=make_limits(_LOOK_S / 2))
        self.fields["health"] = response.status
        try:
            health = msgspec.json.decode(response.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        if isinstance(health, dict) and isinstance(health.get("instances"), list):
            self.fields["instances"] = len(health["instances"])


def _is_permanent(failure: RequestFailure | None) -> bool:
    return failure is not None and (failure.kind in _PERMANENT or failure.status in _PERMANENT_STATUS)
