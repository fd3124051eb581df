"""`dynocheck load --engine`: the same load on an engine in this process, without a server."""

from collections.abc import Sequence
from dataclasses import replace

from dynocheck.commands import load
from dynocheck.commands.load import LoadOptions, LoadRunner
from dynocheck.core.errors import UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.loadtest.in_process import NOWHERE, PATH, measure_engine, prepare_engine


def run(common: CommonOptions, options: LoadOptions, engine: str, flags: Sequence[str]) -> int:
    """Start the engine, measure and judge.

    :param flags: the engine's flags.
    :return: the exit code.
    :raises UsageError: the engine is not installed, or an option cannot be used.
    """
    _reject_server_options(options)
    if options.model is None:
        raise UsageError(f"--engine {engine}: needs --model DIR, the model to load")
    plan = load.make_plan(replace(options, url=NOWHERE, completions=True))
    title, start = prepare_engine(engine, options.model, flags)
    target = {"engine": title, "way": PATH, "flags": " ".join(flags)}
    return load.run(common, options, LoadRunner(lambda notify: measure_engine(plan, start, notify), target))


def _reject_server_options(options: LoadOptions) -> None:
    """:raises UsageError: an option is given that needs a server."""
    server_options = {
        "--url": options.url,
        "--from": options.recorded,
        "--api-key-env": options.api_key_env,
        "--api-key-file": options.api_key_file,
        "--ca-file": options.ca_file,
        "--insecure": options.insecure,
        "--workers": options.workers > 1,
    }
    for name, value in server_options.items():
        if value:
            raise UsageError(f"{name} and --engine: give one")
