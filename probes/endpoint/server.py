"""Finds out which server answers, by what it says of itself."""

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from dynocheck import probe
from dynocheck.facts import SIMULATED_OWNER, Address, Readiness, Server
from dynocheck.probes.endpoint._client import Target, make_limits

if TYPE_CHECKING:
    from dynocheck.serving import Client

_LOOK_S = 5.0


class _VersionPath(NamedTuple):
    """Where a server tells its version: a path, and the field of the JSON object there."""

    path: str
    field: str


_BY_OWNER = {
    "vllm": "vLLM",
    "sglang": "SGLang",
    "tensorrt_llm": "TensorRT-LLM",
    "Triton Inference Server": "Triton",
    "llamacpp": "llama.cpp",
    "library": "Ollama",
    SIMULATED_OWNER: "dynocheck's simulated engine",
}
_BY_HEADER = {"llama.cpp": "llama.cpp"}
_VERSIONS = {
    "vLLM": _VersionPath("/version", "version"),
    "SGLang": _VersionPath("/get_server_info", "version"),
    "TensorRT-LLM": _VersionPath("/version", "version"),
    "llama.cpp": _VersionPath("/props", "build_info"),
    "Ollama": _VersionPath("/api/version", "version"),
}
_TGI = "text-generation-router"  # the field `router` of its /info, to which a variant may be added


@probe(limit=lambda target, address, readiness: _LOOK_S)
def server(target: Target, address: Address, readiness: Readiness) -> Server:
    namespace, _, name = (address.deployment or "").partition("/")
    made = Server(kind=address.kind if name else "", namespace=namespace, workload=name)
    if readiness.stage == "connect":
        return made
    software = _recognize(readiness)

    async def ask(client: "Client") -> tuple[str, str]:
        where = _VERSIONS.get(software)
        if where is not None:
            return software, (await _get_fields(client, where.path)).get(where.field, "")
        info = {} if software else await _get_fields(client, "/info")
        return ("TGI", info.get("version", "")) if _TGI in info.get("router", "") else (software, "")

    software, version = target.send(address, ask)
    return msgspec.structs.replace(made, name=software, version=version)


def _recognize(readiness: Readiness) -> str:
    """The server's name by its readiness, its list of models and its headers; empty if none tells it."""
    if readiness.stated is not None:
        return "Dynamo"
    return _BY_OWNER.get(readiness.owner) or _BY_HEADER.get(readiness.software, "")


async def _get_fields(client: "Client", path: str) -> dict[str, str]:
    """The fields with text of the JSON object at a path; empty if there is none."""
    response = await client.get(path, limits=make_limits(_LOOK_S))
    try:
        found = msgspec.json.decode(response.body) if response.ok else {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    fields = found.items() if isinstance(found, dict) else ()
    return {name: value[:40] for name, value in fields if isinstance(value, str)}
