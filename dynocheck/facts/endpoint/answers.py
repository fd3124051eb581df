"""Facts about an endpoint that serves a model: what it answered when it was asked."""

import msgspec

from dynocheck.facts.base import Fact, FactList
from dynocheck.facts.load.run import LoadLimits

# What a model is asked for by a schema. Every value is one of a few, so that who is held to it comes to an
# end, and no model would name the fields of the second so by itself.
TOOL_NAME = "get_weather"
CITY_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["London", "Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
CAPITAL_SCHEMA = {
    "type": "object",
    "properties": {
        "seat_of_state": {"type": "string", "enum": ["Lyon", "Paris", "Toulouse"]},
        "lies_at_a_river": {"type": "boolean"},
    },
    "required": ["seat_of_state", "lies_at_a_river"],
    "additionalProperties": False,
}
MISSING_PATH_STATUSES = (404, 405, 501)  # statuses of a path that a server does not have
NO_CHAT_STATUSES = (400, *MISSING_PATH_STATUSES)  # of a chat, where the model has no template for one
SIMULATED = "dynocheck-simulated"  # who owns a model that is none, by /v1/models


class EndpointFact(Fact, frozen=True):
    """A fact about something that serves."""


class RequestFailure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request failed: its class, what was said, the phase of a time limit, the status of an answer."""

    kind: str
    message: str
    phase: str | None = None
    status: int | None = None

    def __str__(self) -> str:
        if self.kind == "timeout" and self.phase == "first-byte":
            return f"the request is taken and never answered ({self.message})"
        return self.message if self.status else f"{self.kind}: {self.message}"

    @property
    def is_busy(self) -> bool:
        """Whether the server says that it has too much to do."""
        return self.kind in ("http-429", "http-529")


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a request for a completion came to. Times are in seconds from its start, lengths in characters.

    `chunks` counts those with content, `pieces` at how many moments they came, `cached` the prompt's tokens
    that came from a cache, `opening` is the beginning of what was generated.
    """

    seconds: float
    trouble: RequestFailure | None = None
    status: int | None = None
    first_s: float | None = None
    model: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    chunks: int = 0
    pieces: int = 0
    content: int = 0
    reasoning: int = 0
    opening: str = ""
    calls: tuple[tuple[str, str], ...] = ()  # name and arguments of each tool that it called

    @property
    def ok(self) -> bool:
        return self.trouble is None


class Address(EndpointFact, frozen=True, kw_only=True):
    """Where the endpoint is, and by which way it is asked.

    `deployment` is its DynamoGraphDeployment as namespace/name, when that is what was named, and `replicas`
    how many that graph asks for of each type of component. `missing` says why there is no URL. `headers` are
    those by which a route knows it. `limits` are those that the graph's annotation promises.
    """

    url: str
    way: str = "direct"
    deployment: str | None = None
    replicas: dict[str, int] = msgspec.field(default_factory=dict)
    missing: str = ""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    limits: LoadLimits = LoadLimits()


class Rollout(EndpointFact, frozen=True, kw_only=True):
    """How far the operator is with a graph, by its status: its state, empty where there is none, whether that
    is of the graph as it is now, and why it is not ready.
    """

    name: str
    namespace: str
    state: str = ""
    seen: bool = True
    reason: str = ""


class Adapter(msgspec.Struct, frozen=True):
    """A LoRA adapter that is listed beside its base model."""

    name: str
    base: str


class Readiness(EndpointFact, frozen=True, kw_only=True):
    """What became of waiting for three completions in a row.

    `stage` is how far it came: connect, list, ready, answer, done. `said` is what stood in the way last,
    `model` the one that is asked for, `listed` what the server lists. `stated` is what the server itself
    says of its readiness, `workers` how many of each type it knows of, where it says so. `health` is the
    status of /health, and `instances` how many Dynamo counts there. `first_s` is how long the first
    completion that succeeded took, `usual_s` the third. `chat` is false where only text completions are
    answered. `context` is the most tokens that prompt and answer may have together.
    """

    stage: str
    waited_s: float
    budget_s: float
    said: str = ""
    trouble: RequestFailure | None = None
    model: str = ""
    listed: tuple[str, ...] = ()
    adapters: tuple[Adapter, ...] = ()
    stated: bool | None = None
    workers: dict[str, int] = msgspec.field(default_factory=dict)
    health: int | None = None
    instances: int | None = None
    attempts: int = 0
    first_s: float | None = None
    usual_s: float | None = None
    chat: bool = True
    context: int | None = None
    owner: str = ""

    @property
    def ready(self) -> bool:
        return self.stage == "done"


class Answers(EndpointFact, frozen=True, kw_only=True):
    """The same question by chat and by text completion, as a whole and as a stream.

    `asked_tokens` is the most tokens that each was to have. Text completions are None where the server has
    no such path.
    """

    model: str
    asked_tokens: int
    chat: Reply
    chat_stream: Reply
    text: Reply | None = None
    text_stream: Reply | None = None

    @property
    def by_name(self) -> dict[str, Reply]:
        """The replies that there are, by what was asked."""
        found = {
            "chat": self.chat,
            "streamed chat": self.chat_stream,
            "completion": self.text,
            "streamed completion": self.text_stream,
        }
        return {name: reply for name, reply in found.items() if reply is not None}


class Refusals(EndpointFact, frozen=True, kw_only=True):
    """What the server made of requests that it cannot serve, and whether it served on.

    `too_long` is about a prompt of `words` words, more than the context; None where that is not known, and
    `untried` says why.
    """

    unknown_model: Reply
    unknown_model_stream: Reply
    bad_json: Reply
    too_long: Reply | None = None
    too_long_stream: Reply | None = None
    words: int = 0
    untried: str = ""
    after: Reply


class Cancellation(EndpointFact, frozen=True, kw_only=True):
    """A stream that was broken off after its first chunks, and the request after it.

    `stopped` is false when it was over before we could.
    """

    stopped: bool
    broken: Reply
    after: Reply


class AdapterReply(msgspec.Struct, frozen=True):
    name: str
    reply: Reply


class AdapterReplies(EndpointFact, FactList[AdapterReply], frozen=True):
    """What each listed adapter answered under its name."""


class Skills(EndpointFact, frozen=True, kw_only=True):
    """What was asked for on the command line beyond plain text: a tool call, an answer in JSON.

    `asked_tokens` is the most tokens that each was to have.
    """

    asked_tokens: int = 0
    tool: Reply | None = None
    structured: Reply | None = None


class ServingWorker(msgspec.Struct, frozen=True):
    """A worker behind the frontend, by its type, that has served a request of ours."""

    worker: str
    type: str


class Spread(EndpointFact, frozen=True, kw_only=True):
    """Many short requests with prompts of their own, and what the frontend's metrics say of them.

    `metrics` says why there are none, and is empty where they are. `served` are the workers that answered,
    `phases` how many requests the router sent on by phase: aggregated, prefill, decode. `kv_routed` is how
    many of them it sent where it did for what the workers' caches hold.
    """

    replies: tuple[Reply, ...]
    metrics: str = ""
    served: tuple[ServingWorker, ...] = ()
    phases: dict[str, int] = msgspec.field(default_factory=dict)
    kv_routed: int = 0


class Prefix(EndpointFact, frozen=True, kw_only=True):
    """A long prompt, asked once and then again. `metrics` says why there are none of these requests, and is
    empty where they are. `hit_rate` is what the router saw of the repetitions, from
    0 to 1; `kv_events` how many events of the workers' caches it has taken in, None where it counts none;
    `block` how many tokens those caches keep together, and `blocks` how many such blocks a worker has.
    `words` is the length of the prompt.
    """

    first: Reply
    again: tuple[Reply, ...]
    metrics: str = ""
    hit_rate: float | None = None
    kv_events: int | None = None
    block: int | None = None
    blocks: int | None = None
    words: int = 0


class Brim(EndpointFact, frozen=True, kw_only=True):
    """A prompt that is within the context, and for which a worker's cache has no room.

    `room` is how many tokens a cache takes, None where the frontend does not say. The prompt is asked only
    where that is less than the context; `tokens` is about its length.
    """

    room: int | None = None
    tokens: int = 0
    reply: Reply | None = None
