"""Waits until an endpoint serves: the model is listed, said to be ready, and answers three times in a row."""

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from dynocheck import Unavailable, probe
from dynocheck.core.errors import UsageError
from dynocheck.facts import (
    MISSING_PATH_STATUSES,
    NO_CHAT_STATUSES,
    Adapter,
    Address,
    Readiness,
    Reply,
    RequestFailure,
)
from dynocheck.probes.endpoint._client import Target, make_limits, make_question, make_reply, make_trouble

if TYPE_CHECKING:
    from dynocheck.serving import Client, EndpointResponse

_CONSECUTIVE = 3
_FIRST_S = 120.0  # of the budget for one request: a first one may compile for a minute
_LOOK_S = 10.0  # for what costs a server nothing
_PAUSES_S = (0.2, 0.5, 1.0, 2.0)
# Waiting mends none of these: somebody has to change something first.
_LASTING = {"tls", "redirect", "not-http"}
_LASTING_STATUS = {401, 403}


class _Model(msgspec.Struct):
    """An entry of /v1/models: vLLM and SGLang say `max_model_len` and of an adapter `parent`, Dynamo
    `context_window`, llama.cpp `meta.n_ctx_train`.
    """

    id: str
    owned_by: str | None = None
    parent: str | None = None
    max_model_len: int | None = None
    context_window: int | None = None


class _Models(msgspec.Struct):
    data: list[_Model] | None = None


class _Type(msgspec.Struct):
    workers: int = 0


class _Namespace(msgspec.Struct):
    worker_types: dict[str, _Type] = {}
    reason: str | None = None


class _Ready(msgspec.Struct):
    """Dynamo's answer to /v1/models/NAME/ready."""

    ready: bool
    reason: str | None = None
    namespaces: dict[str, _Namespace] = {}


@probe(limit=lambda target, address: target.budget_s + _LOOK_S)
def readiness(target: Target, address: Address) -> Readiness:
    """Not being ready in time is a fact too.

    :raises UsageError: several models are served, and none is named.
    """
    if address.missing:
        raise Unavailable(f"not asked: {address.missing}")
    return target.send(address, _ReadinessWait(target).wait)


class _ReadinessWait:
    def __init__(self, target: Target) -> None:
        self.target = target
        self.start = time.monotonic()
        self.seen: dict[str, Any] = {}
        self.attempts = 0

    @property
    def waited_s(self) -> float:
        return time.monotonic() - self.start

    @property
    def left_s(self) -> float:
        return max(self.target.budget_s - self.waited_s, 0.1)

    async def wait(self, client: "Client") -> Readiness:
        import asyncio

        stage, said, last = await self._attempt(client)
        pauses = iter(_PAUSES_S)
        pause_s = 0.0
        while stage != "done" and not _is_lasting(last):
            pause_s = next(pauses, _PAUSES_S[-1])
            if self.waited_s + pause_s >= self.target.budget_s:
                break
            self.target.waiting.text = said
            await asyncio.sleep(pause_s)
            stage, said, last = await self._attempt(client)
        self.target.waiting.text = ""
        if stage != "done":
            await self._check_health(client)
        return Readiness(
            stage=stage,
            said=said,
            trouble=last,
            waited_s=round(self.waited_s, 3),
            budget_s=self.target.budget_s,
            attempts=self.attempts,
            **self.seen,
        )

    async def _attempt(self, client: "Client") -> tuple[str, str, RequestFailure | None]:
        """How far it came, what stood in the way, and why."""
        answer = await client.get("/v1/models", limits=make_limits(min(self.left_s, _LOOK_S)))
        last = make_trouble(answer.failure)
        if last is not None and self.target.model and last.status in MISSING_PATH_STATUSES:  # as of a gateway
            self.seen |= {"listed": (), "adapters": ()}
            return await self._complete(client, self.target.model)
        if last is not None:
            return "connect" if last.status is None else "list", f"/v1/models: {last}", last
        try:
            model = self._choose_model(answer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return "list", "/v1/models: not a list of models", None
        if model is None:
            stated = await self._explain_not_ready(client, self.target.model) if self.target.model else ""
            return "list", stated or self._explain_unlisted(), None
        stated = await self._explain_not_ready(client, model)
        if stated:
            return "ready", stated, None
        return await self._complete(client, model)

    def _choose_model(self, answer: "EndpointResponse") -> str | None:
        """The model to ask for: the named one, listed or not where nothing is listed, or the only one."""
        models = msgspec.json.decode(answer.body, type=_Models).data or []
        bases = {model.id for model in models if model.parent is None}
        adapters = tuple(Adapter(m.id, m.parent) for m in models if m.parent is not None)
        self.seen |= {"listed": tuple(model.id for model in models), "adapters": adapters}
        wanted = self.target.model or (min(bases) if len(bases) == 1 else None)
        entry = next((model for model in models if model.id == wanted), None)
        if entry is None:
            # `transformers serve` lists nothing of a local path, and serves it.
            return self.target.model if not models else None
        context = entry.max_model_len or entry.context_window
        self.seen |= {"model": entry.id, "context": context, "owner": entry.owned_by or ""}
        return entry.id

    def _explain_unlisted(self) -> str:
        listed = self.seen["listed"]
        if not listed:
            return "no model is listed: no worker is registered"
        if self.target.model is None:
            raise UsageError(f"several models are listed: {', '.join(listed)}; name one with --model")
        return f"{self.target.model} is not listed; there is {', '.join(listed)}"

    async def _explain_not_ready(self, client: "Client", model: str) -> str:
        """What the server says stands in the way, where it says so."""
        path = f"/v1/models/{quote(model, safe='/')}/ready"
        answer = await client.get(path, limits=make_limits(min(self.left_s, _LOOK_S)))
        try:
            said = msgspec.json.decode(answer.body, type=_Ready)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ""
        workers: dict[str, int] = {}
        for namespace in said.namespaces.values():
            for name, kind in namespace.worker_types.items():
                workers[name] = workers.get(name, 0) + kind.workers
        self.seen |= {"stated": said.ready, "workers": workers}
        if said.ready:
            return ""
        reasons = [n.reason for n in said.namespaces.values() if n.reason] or [
            said.reason or "no reason given"
        ]
        return f"the frontend says that {model} is not ready: {'; '.join(reasons)}"

    async def _complete(self, client: "Client", model: str) -> tuple[str, str, RequestFailure | None]:
        """Three completions in a row; the first that succeeds at all is the cold one."""
        self.seen["model"] = model
        for number in range(_CONSECUTIVE):
            self.attempts += 1
            self.target.waiting.text = f"the answer to request {number + 1} of {_CONSECUTIVE} in a row"
            found = await self._send_prompt(client, model)
            if found.trouble is not None:
                return (
                    "answer",
                    f"request {number + 1} of {_CONSECUTIVE} in a row: {found.trouble}",
                    found.trouble,
                )
            self.seen.setdefault("first_s", found.seconds)
            self.seen["usual_s"] = found.seconds
        return "done", "", None

    async def _send_prompt(self, client: "Client", model: str) -> Reply:
        """Of a chat; or of a text completion, where the model answers that and no chat."""

        async def once(*, chat: bool) -> Reply:
            asked = make_question(model, f"ready {self.attempts}", stream=False, chat=chat)
            return make_reply(await client.complete(asked, limits=make_limits(min(self.left_s, _FIRST_S))))

        said = await once(chat=True)
        text = await once(chat=False) if said.status in NO_CHAT_STATUSES else None
        self.seen["chat"] = text is None or not text.ok
        return text if text is not None and text.ok else said

    async def _check_health(self, client: "Client") -> None:
        answer = await client.get("/health", limits=make_limits(_LOOK_S / 2))
        self.seen["health"] = answer.status
        try:
            found = msgspec.json.decode(answer.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        if isinstance(found, dict) and isinstance(found.get("instances"), list):
            self.seen["instances"] = len(found["instances"])


def _is_lasting(last: RequestFailure | None) -> bool:
    return last is not None and (last.kind in _LASTING or last.status in _LASTING_STATUS)
