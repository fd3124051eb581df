"""Asking an endpoint that serves models, and timing what it answers.

    endpoint = Endpoint("http://127.0.0.1:8000", key=key_from("API_KEY", None))
    async with Client(endpoint) as client:
        models = await client.get("/v1/models")                                  # -> Answer
        exchange = await client.complete(Completion(model="m", prompt="Hello"))  # -> Exchange

Neither call raises for what a server does: a `Failure` of a closed set of classes is in what it returns.
"""

from dynocheck.serving.client import Client, EndpointResponse
from dynocheck.serving.completions import CompletionRequest, Exchange, Times, ToolCall, Usage
from dynocheck.serving.endpoint import Endpoint, ExchangeLimits, SecretValue, read_key
from dynocheck.serving.failures import EndpointError, Failure, FailureKind, TimeoutPhase

__all__ = [
    "Client",
    "CompletionRequest",
    "Endpoint",
    "EndpointError",
    "EndpointResponse",
    "Exchange",
    "ExchangeLimits",
    "Failure",
    "FailureKind",
    "SecretValue",
    "TimeoutPhase",
    "Times",
    "ToolCall",
    "Usage",
    "read_key",
]
