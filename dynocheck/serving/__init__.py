"""Sends requests to an endpoint that serves models, and times the responses.

    endpoint = Endpoint("http://127.0.0.1:8000", key=read_key("API_KEY", None))
    async with Client(endpoint) as client:
        models = await client.get("/v1/models")                                         # -> EndpointResponse
        exchange = await client.complete(CompletionRequest(model="m", prompt="Hello"))  # -> Exchange

Neither call raises when the server fails: the returned object has a `Failure` of a closed set of kinds.
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
