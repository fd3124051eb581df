from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from typing import Self


@dataclass
class AsyncEngineArgs:
    model: str
    max_model_len: int | None = None
    dtype: str = "auto"

    @staticmethod
    def add_cli_args(parser: ArgumentParser) -> ArgumentParser:
        parser.add_argument("--model")
        parser.add_argument("--max-model-len", type=int)
        parser.add_argument("--dtype", choices=["auto", "bfloat16"], default="auto")
        return parser

    @classmethod
    def from_cli_args(cls, given: Namespace) -> Self:
        return cls(**vars(given))
