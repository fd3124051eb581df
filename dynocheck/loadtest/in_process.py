"""Load tests an engine in this process, without a server or network."""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from importlib import metadata
from importlib.util import find_spec
from time import perf_counter
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from dynocheck.core.errors import UsageError
from dynocheck.facts import LoadRun, Unavailable
from dynocheck.loadtest.engine_interface import InProcessEngine, StartEngine
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
NOWHERE = "http://in-process"  # a plan needs an endpoint; this one is never contacted


class EnginePackage(NamedTuple):
    """An engine that can be run in this process: its title, module and distribution."""

    title: str
    module: str
    distribution: str


ENGINES = {
    "vllm": EnginePackage("vLLM", "vllm", "vllm"),
    "trtllm": EnginePackage("TensorRT-LLM", "tensorrt_llm", "tensorrt-llm"),
}


def prepare_engine(name: str, model: str, flags: Sequence[str]) -> tuple[str, StartEngine]:
    """The engine's name and release, and a function that starts it with flags that its parser has accepted.

    :raises UsageError: it is not installed, or rejects the flags.
    """
    engine = ENGINES[name]
    if find_spec(engine.module) is None:
        fix = f"pip install 'dynocheck[{name}]'"
        raise UsageError(f"--engine {name}: {engine.title} is not installed: {fix}")
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
    """Start an engine and run a load test of it; on Ctrl-C return what has been measured so far.

    :raises Unavailable: the engine does not start.
    """
    if progress is not None:
        progress("the engine to start")
    with redirect_output():
        measured = asyncio.run(_measure_engine(plan, start, progress))
    return msgspec.structs.replace(measured, url=PATH, path=PATH)


async def _measure_engine(plan: LoadPlan, start: StartEngine, progress: Progress | None) -> LoadRun:
    return await run(plan, progress=progress, client=InProcessClient(plan.endpoint, _start_engine(start)))


def _start_engine(start: StartEngine) -> InProcessEngine:
    try:
        return start()
    except (Exception, SystemExit) as error:  # engines raise anything: no GPU, no weights, no memory
        raise Unavailable(f"the engine does not start: {_format_error(error)}") from None


class InProcessClient(Client):
    """Sends requests to an engine rather than an endpoint. A step with new tokens counts as a chunk."""

    def __init__(self, endpoint: Endpoint, engine: InProcessEngine) -> None:
        super().__init__(endpoint)
        self._engine = engine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Exception):  # the measurement is complete
            self._engine.stop()

    async def prepare(self, connections: int) -> None:
        """Do nothing: there are no connections."""

    async def get(self, path: str, *, limits: ExchangeLimits | None = None) -> EndpointResponse:
        return EndpointResponse(failure=Failure(FailureKind.CONNECT, "there is no server"))

    async def complete(
        self,
        request: CompletionRequest,
        *,
        scheduled: float | None = None,
        cancel_after_chunks: int | None = None,
        limits: ExchangeLimits | None = None,
    ) -> Exchange:
        now = perf_counter()
        times = Times(now if scheduled is None else scheduled, now, connected=now, sent=now)
        exchange = Exchange(times, fresh=False, quickack=True, model=request.model)
        limit_s = (limits or self.endpoint.limits).total_s
        try:
            async with asyncio.timeout(limit_s):
                await self._generate(request, exchange)
        except TimeoutError:
            exchange.failure = Failure(FailureKind.TIMEOUT, f"no complete response within {limit_s:g} s")
        except Exception as error:
            exchange.failure = Failure(FailureKind.IN_STREAM_ERROR, _format_error(error))
        times.ended = perf_counter()
        return exchange

    async def _generate(self, request: CompletionRequest, exchange: Exchange) -> None:
        if not isinstance(request.prompt, str):
            raise ValueError("chat messages need a server, which applies the chat template")
        tokens = 0
        async with aclosing(self._engine.generate(request.prompt, request.max_tokens or 1)) as steps:
            async for step in steps:
                if step.tokens > tokens:
                    tokens = step.tokens
                    exchange.times.chunks.append(perf_counter())
                exchange.finish_reason = step.finish
                exchange.usage = Usage(step.prompt or 0, tokens, step.cached)
        if not tokens:
            exchange.failure = Failure(FailureKind.EMPTY, "the engine generated no tokens")
        elif exchange.finish_reason is None:
            exchange.failure = Failure(FailureKind.TRUNCATED, "the answer has no finish reason")
        exchange.done = True


def _format_error(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return clean(text)[:300]


@contextmanager
def redirect_output() -> Iterator[None]:
    """Redirect what engines print to standard error; standard output is for the report."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
