"""The plan of a load test."""

from dataclasses import dataclass, field
from typing import Any, Literal

from dynocheck.serving import Endpoint


@dataclass(frozen=True)
class LoadPlan:
    """Options of a load test.

    :param model: served model name (default: the only served model).
    :param concurrencies: concurrent requests (closed loop), one measurement for each value.
    :param rate: requests per second instead (open loop). Latencies count from when a request was due, so that
        a stalled server does not look fast.
    :param requests: number of measured requests at each load; None to send for `duration_s` seconds.
    :param warmup: number of unmeasured requests before each measurement, at the same load.
    :param path: how the endpoint is reached, as shown in reports.
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
        """Seconds by which it has ended even if every request takes its full time limit."""
        each = self.endpoint.limits.total_s
        rounds = sum(1 + (self.requests or 0) / most for most in self.concurrencies)
        return 300 + (self.duration_s or 0.0) * len(self.concurrencies) + each * (rounds + self.warmup)
