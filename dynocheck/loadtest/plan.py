"""What a load test is to do."""

from dataclasses import dataclass, field
from typing import Any, Literal

from dynocheck.serving import Endpoint


@dataclass(frozen=True)
class LoadPlan:
    """A load test to be made: the source of the probe.

    :param model: the served name; the only one that is served, unless given.
    :param concurrencies: so many requests at a time, one measurement each: the closed loop.
    :param rate: so many requests a second instead: the open loop, in which a request counts from when it was
        due, so that a server that stalls is not spared.
    :param requests: how many are measured at each load; with `duration_s` as many as begin in that time.
    :param warmup: requests before, at the same load, that count for nothing.
    :param path: how the endpoint is reached, in words.
    """

    endpoint: Endpoint
    model: str | None = None
    concurrencies: tuple[int, ...] = (4,)
    rate: float | None = None
    arrivals: Literal["poisson", "constant"] = "poisson"
    requests: int | None = 32
    duration_s: float | None = None
    input_tokens: int = 128
    output_tokens: int = 64
    seed: int = 0
    prompts: str | None = None
    warmup: int = 4
    workers: int = 1
    chat: bool = True
    path: str = "direct"
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def longest_s(self) -> float:
        """Seconds after which it must be over: every request could take all the time that it may."""
        each = self.endpoint.limits.total_s
        rounds = sum(1 + (self.requests or 0) / most for most in self.concurrencies)
        return 300 + (self.duration_s or 0.0) * len(self.concurrencies) + each * (rounds + self.warmup)
