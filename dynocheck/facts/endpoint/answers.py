"""Facts about an endpoint that serves a model: its responses to test requests."""

import msgspec

from dynocheck.facts.base import Fact, FactList, Unavailable
from dynocheck.facts.load.run import LoadLimits

# The schemas of tool calls and structured output. All values are enumerated, so that constrained decoding
# ends, and no model would choose the field names of the second schema by itself.
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
REJECTED_STATUSES = (400, 422)  # a request with a field or value that the server does not accept
MISSING_PATH_STATUSES = (404, 405, 501)  # a server without this path
NO_CHAT_STATUSES = (400, *MISSING_PATH_STATUSES)  # 400: a model without a chat template
SIMULATED_OWNER = "dynocheck-simulated"  # `owned_by` of the simulated server's model in /v1/models


class EndpointFact(Fact, frozen=True):
    """A fact about a serving endpoint."""


class RequestFailure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request failed: its class, a message, the phase in which it timed out, the HTTP status."""

    kind: str
    message: str
    phase: str | None = None
    status: int | None = None

    def __str__(self) -> str:
        if self.kind == "timeout" and self.phase == "first-byte":
            return f"request accepted but never answered ({self.message})"
        return self.message if self.status else f"{self.kind}: {self.message}"

    @property
    def is_busy(self) -> bool:
        """Whether the server reports that it is overloaded."""
        return self.kind in ("http-429", "http-529")


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of a completion request. Times are in seconds from its start, lengths in characters.

    `chunks` is the number of chunks with content, `pieces` the number of distinct moments at which they
    arrived, `cached_tokens` the part of the prompt that was cached, `opening` the start of the generated
    text, `resent` whether it was first sent on a kept connection that the server had closed. With
    `usage_rejected` the server rejects `stream_options`; `odd` are token counts that are not integers.
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
    calls: tuple[tuple[str, str], ...] = ()  # name and arguments of each tool call
    resent: bool = False
    usage_rejected: bool = False
    odd: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.trouble is None


class Address(EndpointFact, frozen=True, kw_only=True):
    """The URL of the endpoint, and how it is reached.

    `deployment` is its DynamoGraphDeployment, or workload of another `kind`, as namespace/name if the user
    named one, and `replicas` the number that the graph requests of each component type. `missing` is the
    reason why there is no URL. `headers` are those that its route matches on. `limits` come from the graph's
    annotation. `key_secret` is NAME/KEY of the Secret from which the server has its API key.
    """

    url: str
    way: str = "direct"
    deployment: str | None = None
    kind: str = "DynamoGraphDeployment"
    replicas: dict[str, int] = msgspec.field(default_factory=dict)
    missing: str = ""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    limits: LoadLimits = LoadLimits()
    key_secret: str = ""


class Rollout(EndpointFact, frozen=True, kw_only=True):
    """The status of a graph or workload, as its controller reports it: its state, empty if there is none,
    whether the controller has seen (`seen`) the current generation, and why it is not ready.
    """

    name: str
    namespace: str
    kind: str = "DynamoGraphDeployment"
    state: str = ""
    seen: bool = True
    reason: str = ""


class Adapter(msgspec.Struct, frozen=True):
    """A LoRA adapter that /v1/models lists with its base model."""

    name: str
    base: str


class Readiness(EndpointFact, frozen=True, kw_only=True):
    """The result of waiting for three successful completions in a row.

    `stage` is the last one reached: connect, list, ready, answer, done. `said` is the last error message,
    `model` the one requested, `listed` the models of the server. `stated` is the server's own readiness and
    `workers` the number of each type, None and empty if it does not report them. `health` is the status code
    of /health, `instances` the number of Dynamo instances listed there. `first_s` is the duration of the
    first successful completion, `usual_s` of the third. `chat` is false if only text completions work.
    `context` is the maximum number of tokens of prompt and completion together, None if the server does not
    list it and took the longest prompt of this run. `odd` are numbers in /v1/models that are not integers.
    `owner` is the model's there, `software` the response's Server header.
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
    software: str = ""
    odd: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        return self.stage == "done"

    @property
    def is_listed(self) -> bool:
        """Whether /v1/models lists the model; Ollama lists `m` as `m:latest`."""
        return not {self.model, f"{self.model}:latest"}.isdisjoint(self.listed)

    def require(self) -> None:
        """:raises Unavailable: it never became ready."""
        if not self.ready:
            raise Unavailable(f"not run: the endpoint never became ready: {self.said}")


class Server(EndpointFact, frozen=True, kw_only=True):
    """The software that answers, by what it says of itself: empty strings where it says nothing.

    `kind`, `namespace` and `workload` are those of the graph or workload that the user named.
    """

    name: str = ""
    version: str = ""
    kind: str = ""
    namespace: str = ""
    workload: str = ""

    @property
    def answers_any_name(self) -> bool:
        """Whether servers of this kind answer a request for any model with the one that they have."""
        return self.name in ("llama.cpp", "SGLang", "TensorRT-LLM", "TGI")

    @property
    def name_flag(self) -> str:
        """The flag that names its model."""
        return "--alias" if self.name == "llama.cpp" else "--served-model-name"

    def suggest_logs(self, question: str = "", component: str = "worker") -> str:
        """Where its logs are.

        :param question: what they may answer.
        :param component: the component of a graph whose logs these are.
        """
        why = f"   # {question}" if question else ""
        if self.kind == "DynamoGraphDeployment":
            labels = f"nvidia.com/dynamo-graph-deployment-name={self.workload}"
            labels += f",nvidia.com/dynamo-component-class={component}"
            return f"kubectl -n {self.namespace} logs -l {labels}{why}"
        if self.kind:
            return f"kubectl -n {self.namespace} logs {self.kind.lower()}/{self.workload}{why}"
        software = "Dynamo's frontend and workers" if self.name == "Dynamo" else self.name or "the server"
        return f"read the log of {software}" + (f": {question}" if question else "")


class Answers(EndpointFact, frozen=True, kw_only=True):
    """The same question by chat and text completion, each streamed and not.

    `asked_tokens` is the `max_tokens` of each request. Text completions are None if the server has no such
    path.
    """

    model: str
    asked_tokens: int
    chat: Reply
    chat_stream: Reply
    text: Reply | None = None
    text_stream: Reply | None = None

    @property
    def by_name(self) -> dict[str, Reply]:
        """The existing replies by kind of request."""
        replies = {
            "chat": self.chat,
            "streamed chat": self.chat_stream,
            "completion": self.text,
            "streamed completion": self.text_stream,
        }
        return {name: reply for name, reply in replies.items() if reply is not None}


class Refusals(EndpointFact, frozen=True, kw_only=True):
    """The replies to invalid requests, and to a valid one `after` them.

    `too_long` is the reply to a prompt of `words` words, more than the context; None if the context is
    unknown, and then `untried` is the reason.
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
    """A stream that the client cancelled after the first chunks, and the request after it.

    `stopped` is false if the stream ended before it could be cancelled.
    """

    stopped: bool
    broken: Reply
    after: Reply


class AdapterReply(msgspec.Struct, frozen=True):
    """The reply of a LoRA adapter."""

    name: str
    reply: Reply


class AdapterReplies(EndpointFact, FactList[AdapterReply], frozen=True):
    """The reply of each listed LoRA adapter."""


class Skills(EndpointFact, frozen=True, kw_only=True):
    """The replies to requests for a tool call and for structured output, if the command line asks for them.

    `asked_tokens` is the `max_tokens` of each request.
    """

    asked_tokens: int = 0
    tool: Reply | None = None
    structured: Reply | None = None


class ServingWorker(msgspec.Struct, frozen=True):
    """A worker that served one of our requests."""

    worker: str
    type: str


class Spread(EndpointFact, frozen=True, kw_only=True):
    """Many short requests with different prompts, and the frontend's metrics about them.

    `metrics` is the reason why there are no metrics, else empty. `served` are the workers that answered,
    `phases` the number of requests that the router forwarded by phase (aggregated, prefill, decode), and
    `kv_routed` the number that it placed by the contents of the workers' KV caches.
    """

    replies: tuple[Reply, ...]
    metrics: str = ""
    served: tuple[ServingWorker, ...] = ()
    phases: dict[str, int] = msgspec.field(default_factory=dict)
    kv_routed: int = 0


class Prefix(EndpointFact, frozen=True, kw_only=True):
    """A long prompt of `words` words, sent once and then again.

    `metrics` is the reason why there are no metrics, else empty. `hit_rate` is the router's KV cache hit rate
    of the repetitions, from 0 to 1. `kv_events` is the number of KV cache events that the router received,
    None if it does not count them. `block` is the block size in tokens, `blocks` the number of blocks of a
    worker.
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
    """A prompt that fits the context but not the KV cache of a worker.

    `room` is the capacity of the cache in tokens, None if the frontend does not report it. The prompt is sent
    only if that is less than the context; `tokens` is its approximate length.
    """

    room: int | None = None
    tokens: int = 0
    reply: Reply | None = None
