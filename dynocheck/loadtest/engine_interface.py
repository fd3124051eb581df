"""What an engine in this process must implement to be load tested."""

from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple, Protocol


class GenerationStep(NamedTuple):
    """A request's progress so far: output tokens, and prompt and cached tokens as the engine counts them."""

    tokens: int
    prompt: int | None
    cached: int | None
    finish: str | None


class InProcessEngine(Protocol):
    """An engine that has been started."""

    def generate(self, prompt: str, tokens: int) -> AsyncGenerator[GenerationStep, None]:
        """Generate exactly this many tokens, ignoring the end-of-sequence token."""

    def stop(self) -> None:
        """Release GPU memory and processes."""


StartEngine = Callable[[], InProcessEngine]
