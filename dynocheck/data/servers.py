"""The servers of engines without Dynamo: how they are started, and what the names of their images tell."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from dynocheck.data.images import parse_image

# A release and how its image was built, as in v0.5.9-cu129-amd64; anything else is a build of its own.
_BUILDS = r"x86_64|aarch64|amd64|arm64|cu\d+|rocm\d+|mi\d+x?|ubuntu\d+|runtime|slim"
_RELEASE = re.compile(rf"v?(\d{{1,9}}\.\d{{1,9}}\.\d{{1,9}})((?:\.post\d+|\.\d+)?)(?:-(?:{_BUILDS}))*")

_BUILD = re.compile(r"server(?:-[a-z]+\d*)?-(b\d{1,9})()")  # of llama.cpp
_CANDIDATE = re.compile(
    r"(\d{1,9}\.\d{1,9}\.\d{1,9}(?:rc\d{1,9})?)((?:\.post\d+)?)"
)  # as most of TensorRT-LLM's are


class Server(NamedTuple):
    """The server of an engine: the words that start it, its module, and its images.

    `images` are the ends of its images' names; those before `others` carry the engine's own releases as
    their tags. The last part of an image's name may begin with one of `starts`. `entrypoint` is the command
    of these images, and `args` what they add to it; none if they start their arguments. Without a flag it
    listens on `port`, that of its own image if that sets one, and if `local` on localhost alone. `health` are
    the paths that tell whether it is well, the usual one first; none if they are unknown. If `takes_all`, it
    spreads each model over the GPUs that it sees, by itself. `tagged` is how its own images tag a release and
    what is behind it. Each of its `commands`, as its first word, is a program with flags of its own.
    """

    program: str
    title: str
    module: str
    images: tuple[str, ...]
    others: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    port: int = 8000
    local: bool = False
    takes_all: bool = False
    tagged: re.Pattern[str] = _RELEASE
    commands: tuple[str, ...] = ()

    @property
    def health(self) -> tuple[str, ...]:
        return _ANSWERS.get(self.title, ())

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self.program.split())

    @property
    def programs(self) -> tuple[str, ...]:
        return (self.program, *(f"{self.program} {command}" for command in self.commands))


_VLLM = ("vllm", "serve")
# From vLLM's entrypoints/openai/api_server.py and entrypoints/serve, SGLang's srt/entrypoints/http_server.py,
# TensorRT-LLM's serve/openai_server.py, TGI's router/src/server.rs, llama.cpp's tools/server/server.cpp,
# Ollama's server/routes.go. What only some releases have, such as SGLang's /ready, counts for all.
_ANSWERS = {
    "vLLM": ("/health", "/ping"),
    "SGLang": ("/health", "/health_generate", "/ping", "/ready"),
    "TensorRT-LLM": ("/health", "/health_generate"),
    "TGI": ("/health", "/ping"),
    "llama.cpp": ("/health", "/v1/health"),
    "Ollama": ("/", "/api/version", "/api/tags"),
}
# Builds of vLLM for a platform: some start it, others their arguments.
_PLATFORMS = ("ascend", "cpu", "cuda", "gaudi", "hpu", "neuron", "rocm", "tpu", "xpu")
_SERVERS = (
    Server(
        *("vllm serve", "vLLM", "vllm.entrypoints.openai.api_server"),
        images=("vllm/vllm-openai", "vllm/vllm-openai-cpu", "vllm/vllm-openai-rocm"),
        others=("/vllm-openai",),
        starts=("vllm-openai",),
        entrypoint=_VLLM,
    ),
    Server(
        *("vllm serve", "vLLM", "vllm.entrypoints.openai.api_server"),
        images=(),
        others=("/vllm", "llm-d/llm-d-cuda"),
        starts=tuple(f"vllm-{platform}" for platform in _PLATFORMS),
    ),
    Server(
        *("sglang serve", "SGLang", "sglang.launch_server"),
        images=("lmsysorg/sglang",),
        others=("nvidia/sglang", "/sglang"),
        port=30000,
        local=True,
    ),
    Server(
        *("trtllm-serve", "TensorRT-LLM", "tensorrt_llm.commands.serve"),
        images=("nvidia/tensorrt-llm/release",),
        local=True,
        tagged=_CANDIDATE,
        commands=("serve", "disaggregated", "disaggregated_mpi_worker", "embeddings", "mm_embedding_serve"),
    ),
    Server(
        *("text-generation-launcher", "TGI", ""),
        images=("huggingface/text-generation-inference",),
        others=("/text-generation-inference",),
        starts=("huggingface-text-generation-inference",),
        entrypoint=("text-generation-launcher",),
        port=80,
    ),
    Server(  # of AWS, whose script reads variables alone: sagemaker-entrypoint.sh of TGI
        *("text-generation-launcher", "TGI", ""),
        images=(),
        starts=("huggingface-pytorch-tgi-inference",),
        entrypoint=("./entrypoint.sh",),
        port=8080,
    ),
    Server("tritonserver", "Triton", "", images=(), others=("/tritonserver",)),
    Server(
        *("llama-server", "llama.cpp", ""),
        images=("ggml-org/llama.cpp", "ggerganov/llama.cpp"),
        entrypoint=("llama-server",),
        port=8080,
        takes_all=True,
        tagged=_BUILD,
    ),
    Server(
        *("ollama serve", "Ollama", ""),
        images=("ollama/ollama",),
        others=("/ollama",),
        starts=("ollama-ubi",),
        entrypoint=("ollama",),
        args=("serve",),
        port=11434,
        takes_all=True,
    ),
)
# How an engine's own images tag a release, on https://hub.docker.com/r/vllm/vllm-openai/tags and
# https://hub.docker.com/r/lmsysorg/sglang/tags, and in the documentation of TGI.
_TAGGED = {
    **dict.fromkeys(("vllm/vllm-openai", "docker.io/vllm/vllm-openai"), "v"),
    **dict.fromkeys(("lmsysorg/sglang", "docker.io/lmsysorg/sglang"), "v"),
    "ghcr.io/huggingface/text-generation-inference": "",
}
# Their images set it by a variable; llama.cpp's own default changed from 8080 to 9931.
_PORT_OF_IMAGE = ("text-generation-launcher", "llama-server")
_BY_WORD = {server.words[0]: server for server in reversed(_SERVERS)}
_BY_MODULE = {server.module: server for server in reversed(_SERVERS) if server.module}
_BY_PROGRAM = {program: server for server in reversed(_SERVERS) for program in server.programs}
PROGRAMS = {program: server.title for program, server in _BY_PROGRAM.items()}
"""The programs that stand for a server, as the module of a launch, with the engine's name."""


def find_server_program(words: Sequence[str]) -> tuple[str, int] | None:
    """The program that words start, and how many of them do; None if they start no known server.

    :param words: of a command, from one that may start it; the module of Python follows `-m`.
    """
    if words[0] == "-m" and len(words) > 1:
        server, taken = _BY_MODULE.get(words[1]), 2
    else:
        server = _BY_WORD.get(words[0].rpartition("/")[2])
        taken = len(server.words) if server is not None else 0
        if server is not None and tuple(words[1:taken]) != server.words[1:]:
            return None
    if server is None:
        return None
    command = words[taken] if len(words) > taken else ""
    return (
        (f"{server.program} {command}", taken + 1) if command in server.commands else (server.program, taken)
    )


def find_server(program: str) -> Server | None:
    """The server that a program stands for."""
    return _BY_PROGRAM.get(program)


@lru_cache(1024)
def find_server_image(image: str) -> Server | None:
    """The server in an image, by the end of its name; None if that tells nothing."""
    reference = parse_image(image)
    for server in _SERVERS:
        last = reference.name.rpartition("/")[2]
        if any(f"/{reference.name}".endswith(end) for end in _list_ends(server)) or (
            server.starts and last.startswith(server.starts)
        ):
            is_llama = server.program == "llama-server"
            return server if not is_llama or reference.tag.startswith("server") else None
    return None


# The last part of the name of an image that holds one of these is of such an engine, however it starts it.
_SIGNS = {
    "vllm": "vLLM",
    "sglang": "SGLang",
    "tensorrt-llm": "TensorRT-LLM",
    "trtllm": "TensorRT-LLM",
    "text-generation-inference": "TGI",
}
_BESIDE = re.compile(r"router|gateway|bench|sim\b|proxy|operator|controller|exporter|client|download")


def name_image_engine(image: str) -> str:
    """The engine that the name of an image tells of; empty if it tells none, or a tool beside an engine."""
    server = find_server_image(image)
    if server is not None:
        return server.title
    last = parse_image(image).name.rpartition("/")[2].lower()
    if _BESIDE.search(last):
        return ""
    if last.startswith("tgi-"):
        return "TGI"
    return next((title for sign, title in _SIGNS.items() if sign in last), "")


def find_default_port(program: str, image: str) -> int | None:
    """Where a server listens without a flag or a variable; None if that is unknown."""
    server = find_server(program)
    if server is None or (server.program in _PORT_OF_IMAGE and not _is_own(server, image)):
        return None
    return server.port


def _is_own(server: Server, image: str) -> bool:
    """Whether an image is one of the engine's own."""
    return any(f"/{parse_image(image).name}".endswith(f"/{end}") for end in server.images)


def read_server_release(image: str, program: str) -> tuple[str, str]:
    """The release of an engine in the tag of its own image, and what is behind it, such as `.post1`.

    Both are empty if the tag is no release, or the image is not the engine's own. llama.cpp numbers builds;
    a candidate of TensorRT-LLM, such as 1.2.0rc6, counts as a release.
    """
    server = find_server_image(image)
    if server is None or program not in server.programs or not _is_own(server, image):
        return "", ""
    found = server.tagged.fullmatch(parse_image(image).tag)
    return (found[1], found[2]) if found is not None else ("", "")


def correct_server_tag(image: str) -> str:
    """An engine's own image by the tag of its release, for one that has no v before it or one too many.

    Empty for every other image, and for registries that may tag it themselves.
    """
    reference = parse_image(image)
    before = _TAGGED.get(reference.name)
    if before is None or not _RELEASE.fullmatch(reference.tag):
        return ""
    tag = before + reference.tag.removeprefix("v")
    return f"{reference.name}:{tag}" if tag != reference.tag else ""


def _list_ends(server: Server) -> tuple[str, ...]:
    return tuple(end if end.startswith("/") else f"/{end}" for end in (*server.images, *server.others))
