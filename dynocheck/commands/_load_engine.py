"""`dynocheck load --engine`: the same load on an engine in this process, without a server."""

from collections.abc import Sequence
from dataclasses import replace

from dynocheck.commands import load
from dynocheck.commands._settings import Choices
from dynocheck.commands.load import Measure, Wanted
from dynocheck.core.errors import UsageError
from dynocheck.loadtest.in_process import NOWHERE, PATH, measured, prepared


def run(choices: Choices, wanted: Wanted, engine: str, flags: Sequence[str]) -> int:
    """Start the engine, measure and judge.

    :param flags: the engine's own.
    :return: the exit code.
    :raises UsageError: the engine is not installed, or what the user gave cannot be used.
    """
    _together(wanted)
    if wanted.model is None:
        raise UsageError(f"--engine {engine}: --model DIR says what it is to load")
    plan = load.plan_of(replace(wanted, url=NOWHERE, completions=True))
    title, start = prepared(engine, wanted.model, flags)
    target = {"engine": title, "way": PATH, "flags": " ".join(flags)}
    return load.run(choices, wanted, Measure(lambda tell: measured(plan, start, tell), target))


def _together(wanted: Wanted) -> None:
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
