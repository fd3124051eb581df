"""A program, run where an engine is installed, that applies the engine's parser to command lines.

It reads `{"engine": name, "lines": [[word, ...], ...]}` from standard input, and writes a list to standard
output: for each line null, or the parser's error. Whatever the engine prints goes to standard error.

vLLM below Dynamo: `AsyncEngineArgs.add_cli_args` on a `FlexibleArgumentParser`, which lies in `vllm.utils`
or, later, in `vllm.utils.argparse_utils` (components/src/dynamo/vllm/args.py of ai-dynamo/dynamo).
"""

import argparse
import json
import os
import sys
from typing import NoReturn


class EngineParserError(Exception):
    """An engine's parser rejects a command line."""


def create_vllm_parser() -> argparse.ArgumentParser:
    """The installed vLLM's parser, which raises `EngineParserError` instead of exiting."""
    from vllm.engine.arg_utils import AsyncEngineArgs

    try:
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError:
        from vllm.utils import FlexibleArgumentParser

    class Parser(FlexibleArgumentParser):  # type: ignore[misc]
        def error(self, message: str) -> NoReturn:
            raise EngineParserError(message)

    parser: argparse.ArgumentParser = Parser(add_help=False)
    AsyncEngineArgs.add_cli_args(parser)
    return parser


PARSERS = {"vllm": create_vllm_parser}


def _find_error(parser: argparse.ArgumentParser, words: list[str]) -> str | None:
    try:
        parser.parse_args(words)
    except (EngineParserError, ValueError, TypeError) as error:
        return " ".join(str(error).split())
    except SystemExit as end:
        return "the parser ends" if end.code else None
    return None


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asked = json.load(sys.stdin)
    parser = PARSERS[asked["engine"]]()
    with answers:
        json.dump([_find_error(parser, words) for words in asked["lines"]], answers)


if __name__ == "__main__":
    main()
