"""A load test of an engine in this process, without a server: the same words, no network."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from importlib import metadata
from importlib.util import find_spec
from time import perf_counter
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import msgspec

from dynocheck.core.errors import UsageError
from dynocheck.facts import Unavailable
from dynocheck.facts.load.run import LoadRun
from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.progress import Progress
from dynocheck.loadtest.run import run
from dynocheck.serving import (
    Client,
    CompletionRequest,
    Endpoint,
    EndpointResponse,
    Exchange,
    ExchangeLimits,
    Failure,
    FailureKind,
    Times,
    Usage,
)
from dynocheck.serving.failures import clean

PATH = "in-process"
NOWHERE = "http://in-process"  # a plan has an endpoint, and this one is never asked


class GenerationStep(NamedTuple):
    """How far an engine is with a request: tokens as it counts them, all so far."""

    tokens: int
    prompt: int | None
    cached: int | None
    finish: str | None


class InProcessEngine(Protocol):
    """An engine that has been started."""

    def generate(self, prompt: str, tokens: int) -> AsyncGenerator[GenerationStep, None]:
        """Generate so many tokens, whatever they are."""

    def stop(self) -> None:
        """Give back what it holds."""


StartEngine = Callable[[], InProcessEngine]


class EnginePackage(NamedTuple):
    """An engine that can be run, and where it is when it is installed."""

    title: str
    module: str
    distribution: str


ENGINES = {
    "vllm": EnginePackage("vLLM", "vllm", "vllm"),
    "trtllm": EnginePackage("TensorRT-LLM", "tensorrt_llm", "tensorrt-llm"),
}


def prepare_engine(name: str, model: str, flags: Sequence[str]) -> tuple[str, StartEngine]:
    """The engine's name with its release, and how to start it with flags that its own parser has taken.

    :raises UsageError: it is not installed here, or refuses the flags.
    """
    engine = ENGINES[name]
    if find_spec(engine.module) is None:
        fix = f"pip install 'dynocheck[{name}]'"
        raise UsageError(f"--engine {name}: {engine.title} is not installed here: {fix}")
    try:
        with redirect_output():
            start = _prepare_start(name, model, flags)
    except ImportError as error:
        raise UsageError(
            f"--engine {name}: {engine.title} cannot be imported: {_format_error(error)}"
        ) from None
    try:
        return f"{engine.title} {metadata.version(engine.distribution)}", start
    except metadata.PackageNotFoundError:
        return engine.title, start


def _prepare_start(name: str, model: str, flags: Sequence[str]) -> StartEngine:
    if name == "vllm":
        from dynocheck.loadtest.in_process_vllm import prepare
    else:
        from dynocheck.loadtest.in_process_trtllm import prepare
    return prepare(model, flags)


def measure_engine(plan: LoadPlan, start: StartEngine, progress: Progress | None = None) -> LoadRun:
    """What a load test measures of an engine; on Ctrl-C what it has measured by then.

    :raises Unavailable: the engine does not start.
    """
    if progress is not None:
        progress("the engine, which starts")
    with redirect_output():
        found = asyncio.run(_measure_engine(plan, start, progress))
    return msgspec.structs.replace(found, url=PATH, path=PATH)


async def _measure_engine(plan: LoadPlan, start: StartEngine, progress: Progress | None) -> LoadRun:
    return await run(plan, progress=progress, client=InProcessClient(plan.endpoint, _start_engine(start)))


def _start_engine(start: StartEngine) -> InProcessEngine:
    try:
        return start()
    except (Exception, SystemExit) as error:  # an engine fails in its own ways: no GPU, no weights, no memory
        raise Unavailable(f"the engine does not start: {_format_error(error)}") from None


class InProcessClient(Client):
    """Asks an engine as it would ask an endpoint. A chunk is what brings new tokens."""

    def __init__(self, endpoint: Endpoint, engine: InProcessEngine) -> None:
        super().__init__(endpoint)
        self._engine = engine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Exception):  # what was measured is measured
            self._engine.stop()

    async def prepare(self, connections: int) -> None:
        """There are none to make."""

    async def get(self, path: str, *, limits: ExchangeLimits | None = None) -> EndpointResponse:
        return EndpointResponse(failure=Failure(FailureKind.CONNECT, "there is no server"))

    async def complete(
        self,
        asked: CompletionRequest,
        *,
        scheduled: float | None = None,
        cancel_after_chunks: int | None = None,
        limits: ExchangeLimits | None = None,
    ) -> Exchange:
        now = perf_counter()
        times = Times(now if scheduled is None else scheduled, now, connected=now, sent=now)
        exchange = Exchange(times, fresh=False, quickack=True, model=asked.model)
        longest_s = (limits or self.endpoint.limits).total_s
        try:
            async with asyncio.timeout(longest_s):
                await self._read(asked, exchange)
        except TimeoutError:
            exchange.failure = Failure(FailureKind.TIMEOUT, f"no complete answer within {longest_s:g} s")
        except Exception as error:
            exchange.failure = Failure(FailureKind.IN_STREAM_ERROR, _format_error(error))
        times.ended = perf_counter()
        return exchange

    async def _read(self, asked: CompletionRequest, exchange: Exchange) -> None:
        if not isinstance(asked.prompt, str):
            raise ValueError("messages of a chat need a server, which has the template for them")
        tokens = 0
        async with aclosing(self._engine.generate(asked.prompt, asked.max_tokens or 1)) as pieces:
            async for piece in pieces:
                if piece.tokens > tokens:
                    tokens = piece.tokens
                    exchange.times.chunks.append(perf_counter())
                exchange.finish_reason = piece.finish
                exchange.usage = Usage(piece.prompt or 0, tokens, piece.cached)
        if not tokens:
            exchange.failure = Failure(FailureKind.EMPTY, "a complete answer that generated nothing")
        elif exchange.finish_reason is None:
            exchange.failure = Failure(FailureKind.TRUNCATED, "it ended without a finish reason")
        exchange.done = True


def _format_error(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return clean(text)[:300]


@contextmanager
def redirect_output() -> Iterator[None]:
    """What engines print goes to standard error: standard output is the report's."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
