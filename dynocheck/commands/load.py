"""`dynocheck load`: runs a load test against an endpoint, or reads a saved one, and judges it."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynocheck.commands._endpoint_options import EndpointOptions
from dynocheck.commands._run import Run
from dynocheck.core import snapshot
from dynocheck.core.cancellation import INTERRUPTED
from dynocheck.core.errors import UsageError
from dynocheck.core.files import MIB, check_writable, read_bounded
from dynocheck.core.knowledge import Knowledge, MissingFact
from dynocheck.core.options import CommonOptions
from dynocheck.facts import LoadBaseline, LoadFact, LoadLimits, LoadRun, Unavailable
from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.progress import Progress
from dynocheck.reports import progress
from dynocheck.serving import ExchangeLimits

_MAX_WORKERS = 64


@dataclass(frozen=True)
class LoadRunner:
    """A way to run a load test.

    :param measure: runs it, and reports its progress.
    :param target: the target of the report.
    :param limits: the limits that the tested deployment has itself.
    """

    measure: Callable[[Progress], LoadRun]
    target: dict[str, Any]
    limits: LoadLimits = field(default_factory=LoadLimits)


@dataclass(frozen=True, kw_only=True)
class LoadOptions(EndpointOptions):
    """The options of a load test; times are in seconds."""

    concurrency: int | None = None
    rate: float | None = None
    arrivals: str = "poisson"
    requests: int | None = None
    duration_s: float | None = None
    isl: int = 128
    osl: int = 64
    seed: int = 0
    prompts: str | None = None
    warmup: int = 4
    sweep: str | None = None
    workers: int = 1
    completions: bool = False
    baseline: str | None = None
    tolerance: float = 0.1
    save: str | None = None
    recorded: str | None = None
    request_s: float = 60.0


def run(common: CommonOptions, options: LoadOptions, runner: LoadRunner | None = None) -> int:
    """Measure or read a saved run, judge, report.

    :param runner: runs the load test; without it, this machine sends the load to the URL.
    :return: the exit code.
    :raises UsageError: an option cannot be used.
    """
    run = Run.begin("load", common, LoadFact, options.judged_paths)
    limits = options.resolve_limits(run.config).with_defaults(runner.limits if runner else LoadLimits())
    earlier = _read_baseline(options)
    check_writable("--save", options.save)

    if options.recorded:
        known, target = _read_saved_run(options.recorded)
    else:
        known, target = _measure_load(runner or make_local_runner(make_plan(options)))
    unsaved = _save(options.save, known, target)
    known.facts[LoadLimits] = limits
    target |= {"limits": limits.descriptions} if limits.items else {}
    if earlier is not None:
        known.facts[LoadBaseline] = earlier
        target["baseline"] = earlier.file
    code = run.judge_facts(known, target)
    if unsaved is not None:
        raise UsageError(unsaved)
    load_run = known.facts.get(LoadRun)
    cut_short = isinstance(load_run, LoadRun) and load_run.interrupted
    if known.interrupted or (cut_short and not options.recorded):
        print("interrupted: the report covers what was measured by then", file=sys.stderr)
        return INTERRUPTED
    return code


def make_plan(options: LoadOptions) -> LoadPlan:
    """The load test that the options describe.

    :raises UsageError: two options cannot be combined.
    """
    if options.url is None:
        raise UsageError("no endpoint: give --url URL, or --from FILE for a saved run")
    loads = [name for name in ("concurrency", "rate", "sweep") if getattr(options, name) is not None]
    if len(loads) > 1:
        raise UsageError(f"--{loads[0]} and --{loads[1]}: give one")
    if options.requests is not None and options.duration_s is not None:
        raise UsageError("--requests and --duration: give one")
    concurrencies = _parse_sweep(options.sweep) if options.sweep else (options.concurrency or 4,)
    if options.workers > _MAX_WORKERS or (options.rate is None and options.workers > min(concurrencies)):
        raise UsageError(f"--workers {options.workers}: more than the concurrent requests, or than 64")
    exchange_limits = ExchangeLimits(
        first_byte_s=options.request_s, idle_s=options.request_s, total_s=options.request_s
    )
    endpoint = options.make_endpoint(options.url, limits=exchange_limits)
    requests = None if options.duration_s else options.requests
    if requests is None and not options.duration_s and not options.prompts:
        requests = max(32, 8 * max(concurrencies)) if options.sweep else 32
    return LoadPlan(
        endpoint=endpoint,
        model=options.model,
        concurrencies=concurrencies,
        rate=options.rate,
        arrivals="constant" if options.arrivals == "constant" else "poisson",
        requests=requests,
        duration_s=options.duration_s,
        input_tokens=options.isl,
        output_tokens=options.osl,
        seed=options.seed,
        prompts=options.prompts,
        warmup=options.warmup,
        workers=options.workers,
        chat=not options.completions,
    )


def _parse_sweep(text: str) -> tuple[int, ...]:
    try:
        loads = tuple(int(each) for each in text.split(","))
    except ValueError:
        loads = ()
    if not loads or min(loads) < 1 or max(loads) > 10_000 or len(set(loads)) != len(loads):
        raise UsageError(f"--sweep {text}: not of the form 1,2,4,8")
    return loads


def make_local_runner(plan: LoadPlan) -> LoadRunner:
    """A load test that this machine runs."""
    from dynocheck.probes.load.run import measure_load

    return LoadRunner(lambda progress: measure_load(plan, progress), {"url": plan.endpoint.url})


def _measure_load(runner: LoadRunner) -> tuple[Knowledge, dict[str, Any]]:
    """Measure on the main thread, not as a probe, so that Ctrl-C keeps what was measured by then."""
    known = Knowledge()
    with progress.show_progress() as show:
        try:
            load_run = runner.measure(lambda message: show([message]))
        except Unavailable as error:
            known.missing[LoadRun] = MissingFact(str(error), error.fix)
            return known, runner.target
        except (asyncio.CancelledError, KeyboardInterrupt):
            known.missing[LoadRun] = MissingFact("interrupted before anything was measured")
            known.interrupted = True
            return known, runner.target
    known.facts[LoadRun] = load_run
    return known, {**runner.target, **_describe_load(load_run)}


def _describe_load(load_run: LoadRun) -> dict[str, Any]:
    """The load in the target of a report."""
    loads = ", ".join(point.load for point in load_run.points)
    tokens = f"{load_run.input_tokens} in, {load_run.output_tokens} out" if load_run.input_tokens else None
    return {
        "model": load_run.model,
        "load": f"{load_run.arrivals or load_run.mode}: {loads}",
        "tokens asked": tokens,
        "prompts": load_run.prompts,
        "seed": load_run.seed,
        "first answer": None if load_run.cold_s is None else f"{load_run.cold_s:.2f} s",
        "notes": list(load_run.notes),
    }


def _read_saved_run(file: str) -> tuple[Knowledge, dict[str, Any]]:
    """Read the file of --from or --baseline: a file of --save, or the logs of a Job's pods."""
    if (known_from_logs := _read_pod_logs(file)) is not None:
        return known_from_logs, {"from": file}
    known, target = snapshot.read(Path(file), [LoadRun])
    if LoadRun not in known:
        raise UsageError(f"{file}: holds no load test")
    return known, {**target, "from": file}


def _read_pod_logs(file: str) -> Knowledge | None:
    """The load test in a file written by `kubectl logs`; None when it is another kind of file."""
    from dynocheck.loadtest.pods import is_log, merge_logs

    try:
        text = read_bounded(file, 512 * MIB).decode()
    except (OSError, UnicodeDecodeError):
        return None
    if not is_log(text):
        return None
    known = Knowledge()
    try:
        known.facts[LoadRun] = merge_logs(text)
    except Unavailable as error:
        known.missing[LoadRun] = MissingFact(str(error), error.fix)
    return known


def _read_baseline(options: LoadOptions) -> LoadBaseline | None:
    if options.baseline is None:
        return None
    load_run = _read_saved_run(options.baseline)[0].facts.get(LoadRun)
    if not isinstance(load_run, LoadRun):
        raise UsageError(f"{options.baseline}: its load test has no measurements")
    return LoadBaseline(load_run, options.tolerance, options.baseline)


def _save(save: str | None, known: Knowledge, target: dict[str, Any]) -> str | None:
    """Write the file of --save, and return the error message if that fails, to be shown after the report."""
    if save is None:
        return None
    try:
        Path(save).write_bytes(snapshot.encode(known, target))
    except OSError as error:
        return f"--save {save}: {error.strerror}"
    return None
