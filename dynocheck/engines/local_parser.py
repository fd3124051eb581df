"""Runs the parser of a locally installed engine in a subprocess.

Importing an engine takes ten seconds or more, prints, and may exit the process.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata

from dynocheck.data.flags import FlagTable
from dynocheck.engines import parser_subprocess
from dynocheck.engines.command_line import parse_flags
from dynocheck.facts import Launch, Word

ENGINES = tuple(parser_subprocess.PARSERS)
_QUIET = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
_STDERR_TAIL = 200  # characters of what a failed engine printed


class ParserUnavailable(Exception):
    """The parser cannot be used; the text is the reason."""


def find_version(engine: str) -> str | None:
    """The installed release without its local version (`+cu129`); None if not installed."""
    try:
        return metadata.version(engine).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


def check_command_lines(engine: str, lines: Sequence[Sequence[str]], timeout_s: float) -> list[str | None]:
    """The parser's error for each of these command lines, None for a valid one.

    :param engine: one of ENGINES.
    :param lines: the words that the engine itself gets, without Dynamo's own options.
    :raises ParserUnavailable: the engine cannot be imported, or not in time.
    """
    try:
        done = subprocess.run(  # noqa: S603  (the words of a recipe go in as JSON, to no shell)
            [
                sys.executable,
                "-P",
                parser_subprocess.__file__,
            ],  # -P, for beside that file lies a vllm.py of ours
            input=json.dumps({"engine": engine, "lines": [list(line) for line in lines]}),
            env={**os.environ, **_QUIET},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ParserUnavailable(f"{engine} was not imported in {timeout_s:g} s") from None
    try:
        answers: list[str | None] = json.loads(done.stdout)
    except ValueError:
        error = " ".join(done.stderr.split())[-_STDERR_TAIL:]
        raise ParserUnavailable(
            f"the parser of {engine} cannot be used: {error or f'exit code {done.returncode}'}"
        ) from None
    return answers


def select_engine_words(launch: Launch, own: FlagTable) -> list[str] | None:
    """The words of a launch that Dynamo's own parser leaves to the engine; None if that is unknown.

    :param own: the options of Dynamo's parser.
    """
    taken: list[Word] = []
    for given in parse_flags(launch, (own,)):
        flag = own.by_name.get(given.spelled)
        if flag is None:
            continue
        if flag.kind == "unknown":
            return None
        values = {"switch": 0, "negatable": 0, "many": len(given.following)}.get(flag.kind, 1)
        taken += [given.word, *(() if given.inline is not None else given.following[:values])]
    left = [word.text for word in launch.words if word not in taken]
    # Files in the container, and words that only the container knows.
    if None in left or any(text in ("--", "--config") for text in left):
        return None
    return [text for text in left if text is not None]
