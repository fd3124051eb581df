"""`dynocheck load --engine`: the same load on an engine in this process, without a server."""

from collections.abc import Sequence
from dataclasses import replace

from dynocheck.commands import load
from dynocheck.commands._settings import CommonOptions
from dynocheck.commands.load import LoadOptions, LoadRunner
from dynocheck.core.errors import UsageError
from dynocheck.loadtest.in_process import NOWHERE, PATH, measure_engine, prepare_engine


def run(choices: CommonOptions, wanted: LoadOptions, engine: str, flags: Sequence[str]) -> int:
    """Start the engine, measure and judge.

    :param flags: the engine's own.
    :return: the exit code.
    :raises UsageError: the engine is not installed, or what the user gave cannot be used.
    """
    _reject_server_options(wanted)
    if wanted.model is None:
        raise UsageError(f"--engine {engine}: --model DIR says what it is to load")
    plan = load.make_plan(replace(wanted, url=NOWHERE, completions=True))
    title, start = prepare_engine(engine, wanted.model, flags)
    target = {"engine": title, "way": PATH, "flags": " ".join(flags)}
    return load.run(choices, wanted, LoadRunner(lambda tell: measure_engine(plan, start, tell), target))


def _reject_server_options(wanted: LoadOptions) -> None:
    """:raises UsageError: something is given that only a server has."""
    odd = {
        "--url": wanted.url,
        "--from": wanted.recorded,
        "--api-key-env": wanted.api_key_env,
        "--api-key-file": wanted.api_key_file,
        "--ca-file": wanted.ca_file,
        "--insecure": wanted.insecure,
        "--workers": wanted.workers > 1,
    }
    for name, given in odd.items():
        if given:
            raise UsageError(f"{name} and --engine: give one")
