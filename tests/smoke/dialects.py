"""Servers of other projects, by what sets each apart: the simulated engine, speaking their dialect.

From their sources: how models are listed, what /health says, how errors look, what is done with an unknown
name, how a stream ends.
"""

import json
from collections.abc import Callable
from typing import Any

from tests.smoke.lying import ProxiedCall

NAME = "simulated-model"
CONTEXT = 2048
Dialect = Callable[[ProxiedCall], None]


def vllm(call: ProxiedCall) -> None:
    """`{"error": {...}}`, an empty /health."""
    list_as(call, NAME, owned_by="vllm", root="/models/it", parent=None, max_model_len=CONTEXT)
    tell(call, "/version", version="0.19.0")
    report_health(call, b"")
    reject(call, lambda code, text: {"error": {"message": text, "type": "BadRequestError", "code": code}})


def sglang(call: ProxiedCall) -> None:
    """`{"object": "error"}`, and an answer to any name."""
    list_as(call, NAME, owned_by="sglang", root=NAME, max_model_len=CONTEXT)
    report_health(call, b"")
    answer_any_name(call, lambda: call.asked["model"])
    reject(call, lambda code, text: {"object": "error", "message": text, "type": "Bad Request", "code": code})


def trtllm(call: ProxiedCall) -> None:
    """TensorRT-LLM: no context in the list, an answer to any name, which it gives back as its own."""
    list_as(call, NAME, owned_by="tensorrt_llm")
    report_health(call, b"")
    answer_any_name(call, lambda: NAME)
    reject(call, lambda code, text: {"object": "error", "message": text, "type": "x", "code": code})


def triton(call: ProxiedCall) -> None:
    """Triton's OpenAI frontend: FastAPI's errors, no usage in streams, no /health."""
    list_as(call, NAME, owned_by="Triton Inference Server", created=1700000000)
    if call.path == "/health":
        call.status, call.kind, call.body = 404, "application/json", b'{"detail":"Not Found"}'
    if call.streamed and "stream_options" in call.asked:
        call.status, call.kind = 422, "application/json"
        extra = {"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs"}
        call.body = json.dumps({"detail": [extra]}).encode()
        return
    reject(call, lambda code, text: {"detail": text})


def tgi(call: ProxiedCall) -> None:
    """Text Generation Inference: lists its model's repository, answers any name with it, `data:` unspaced."""
    list_as(call, "org/repository", owned_by="org/repository")
    tell(call, "/info", model_id="org/repository", version="3.3.6", router="text-generation-router")
    report_health(call, b"")
    answer_any_name(call, lambda: "org/repository")
    if call.path.endswith("completions") and call.status == 200:
        call.edit(lambda content: content.update(model="org/repository"))
    call.body = call.body.replace(b"data: ", b"data:")
    reject(call, lambda code, text: {"error": text, "error_type": "validation"})


def llamacpp(call: ProxiedCall) -> None:
    """A path as the name, an answer to any, and a connection that is gone after each stream."""
    path = "/models/it.gguf"
    list_as(call, path, owned_by="llamacpp", meta={"n_ctx": CONTEXT, "n_ctx_train": 4096})
    tell(call, "/props", build_info="b8000-1a2b3c4", total_slots=4)
    report_health(call, b'{"status":"ok"}')
    answer_any_name(call, lambda: path)
    if call.streamed:
        call.answer_headers["Keep-Alive"] = "timeout=5, max=100"
        call.hangs_up = True
    reject(
        call, lambda code, text: {"error": {"code": code, "message": text, "type": "invalid_request_error"}}
    )


def ollama(call: ProxiedCall) -> None:
    """Lists `m` as `m:latest` and answers to both; no /health."""
    list_as(call, f"{NAME}:latest", owned_by="library")
    if call.path == "/health":
        call.status, call.kind, call.body = 404, "text/plain", b"404 page not found"
    reject(call, lambda code, text: {"error": {"message": text, "type": "api_error", "code": None}})


def list_as(call: ProxiedCall, name: str, **more: Any) -> None:
    """The one model in /v1/models; the path /v1/models/NAME/ready is Dynamo's alone."""
    if call.path == "/v1/models":
        call.body = json.dumps({"object": "list", "data": [{"id": name, "object": "model", **more}]}).encode()
    elif call.path.startswith("/v1/models/"):
        call.status, call.kind, call.body = 404, "text/plain", b"Not Found"


def tell(call: ProxiedCall, path: str, **fields: Any) -> None:
    """What it says of itself there."""
    if call.path == path:
        call.status, call.kind, call.body = 200, "application/json", json.dumps(fields).encode()


def report_health(call: ProxiedCall, body: bytes) -> None:
    if call.path == "/health":
        call.status, call.kind, call.body = 200, "text/plain", body


def answer_any_name(call: ProxiedCall, named: Callable[[], str]) -> None:
    """It is asked for a model; a prompt longer than the context is refused all the same."""
    if call.status == 404 and call.asked.get("model"):
        if len(json.dumps(call.asked).split()) > CONTEXT:
            call.status = 400
            return
        said = {"role": "assistant", "content": "yes"}
        answer: dict[str, Any] = {"delta": said} if call.streamed else {"message": said, "text": "yes"}
        usage = {"prompt_tokens": 12, "completion_tokens": 1}
        choice = {"index": 0, "finish_reason": "stop", **answer}
        whole = json.dumps({"model": named(), "choices": [choice], "usage": usage}).encode()
        call.status, call.body = 200, whole
        if call.streamed:
            call.kind, call.body = "text/event-stream", b"data: " + whole + b"\n\ndata: [DONE]\n\n"


def reject(call: ProxiedCall, shape: Callable[[int, str], dict[str, Any]]) -> None:
    """The error of a completion in a server's own shape."""
    if call.status >= 400 and call.path.endswith("completions"):
        call.kind, call.body = "application/json", json.dumps(shape(call.status, "it is refused")).encode()
