import enum
from dataclasses import dataclass


class RequestOutputKind(enum.Enum):
    DELTA = 1


@dataclass
class SamplingParams:
    max_tokens: int
    temperature: float
    ignore_eos: bool
    output_kind: RequestOutputKind
