"""`dynocheck load`: put an endpoint under load, or read what was measured before, and judge it."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynocheck.commands._endpoint_options import EndpointOptions
from dynocheck.commands._pipeline import INTERRUPTED, Run
from dynocheck.commands._settings import CommonOptions
from dynocheck.core import runner, snapshot
from dynocheck.core.errors import UsageError
from dynocheck.facts import Unavailable
from dynocheck.facts.load.run import LoadBaseline, LoadFact, LoadLimits, LoadRun
from dynocheck.loadtest.plan import LoadPlan
from dynocheck.reports import progress
from dynocheck.serving import ExchangeLimits

_MOST_WORKERS = 64
Notify = Callable[[str], None]


@dataclass(frozen=True)
class LoadRunner:
    """A way to make a load test; `look` is given who is to be told how far it is.

    `limits` are those that what it asks brings itself.
    """

    look: Callable[[Notify], LoadRun]
    target: dict[str, Any]
    limits: LoadLimits = field(default_factory=LoadLimits)


@dataclass(frozen=True, kw_only=True)
class LoadOptions(EndpointOptions):
    """What the command line says of the load; times are in seconds."""

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


def run(choices: CommonOptions, wanted: LoadOptions, measure: LoadRunner | None = None) -> int:
    """Measure or read, judge, report.

    :param measure: makes the load test, unless this machine puts it on a URL.
    :return: the exit code.
    :raises UsageError: what the user gave cannot be used.
    """
    run = Run.begin("load", choices, LoadFact)
    limits = wanted.resolve_limits(run.setting).with_defaults(measure.limits if measure else LoadLimits())
    earlier = _read_baseline(wanted)
    _check_writable(wanted.save)

    if wanted.recorded:
        known, target = _read_saved_run(wanted.recorded)
    else:
        known, target = _measure_load(measure or make_local_runner(make_plan(wanted)))
    unsaved = _save(wanted.save, known, target)
    known.facts[LoadLimits] = limits
    target |= {"limits": limits.descriptions} if limits.items else {}
    if earlier is not None:
        known.facts[LoadBaseline] = earlier
        target["baseline"] = earlier.file
    code = run.conclude(known, target)
    if unsaved is not None:
        raise UsageError(unsaved)
    found = known.facts.get(LoadRun)
    if known.interrupted or (isinstance(found, LoadRun) and found.interrupted and not wanted.recorded):
        print("interrupted: the report tells what was measured by then", file=sys.stderr)
        return INTERRUPTED
    return code


def make_plan(wanted: LoadOptions) -> LoadPlan:
    """The load test that is wanted.

    :raises UsageError: what is wanted does not go together.
    """
    if wanted.url is None:
        raise UsageError("which endpoint: --url URL, or --from FILE for an earlier run")
    loads = [name for name in ("concurrency", "rate", "sweep") if getattr(wanted, name) is not None]
    if len(loads) > 1:
        raise UsageError(f"--{loads[0]} and --{loads[1]}: give one")
    if wanted.requests is not None and wanted.duration_s is not None:
        raise UsageError("--requests and --duration: give one")
    concurrencies = _parse_sweep(wanted.sweep) if wanted.sweep else (wanted.concurrency or 4,)
    if wanted.workers > _MOST_WORKERS or (wanted.rate is None and wanted.workers > min(concurrencies)):
        raise UsageError(f"--workers {wanted.workers}: more than there are requests at a time, or than 64")
    patience = ExchangeLimits(
        first_byte_s=wanted.request_s, idle_s=wanted.request_s, total_s=wanted.request_s
    )
    endpoint = wanted.make_endpoint(wanted.url, limits=patience)
    requests = None if wanted.duration_s else wanted.requests
    if requests is None and not wanted.duration_s and not wanted.prompts:
        requests = max(32, 8 * max(concurrencies)) if wanted.sweep else 32
    return LoadPlan(
        endpoint=endpoint,
        model=wanted.model,
        concurrencies=concurrencies,
        rate=wanted.rate,
        arrivals="constant" if wanted.arrivals == "constant" else "poisson",
        requests=requests,
        duration_s=wanted.duration_s,
        input_tokens=wanted.isl,
        output_tokens=wanted.osl,
        seed=wanted.seed,
        prompts=wanted.prompts,
        warmup=wanted.warmup,
        workers=wanted.workers,
        chat=not wanted.completions,
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
    """The load test that this machine makes."""
    from dynocheck.probes.load.run import measure_load

    return LoadRunner(lambda tell: measure_load(plan, tell), {"url": plan.endpoint.url})


def _measure_load(measure: LoadRunner) -> tuple[runner.Knowledge, dict[str, Any]]:
    """Measure, here and not on a probe's thread: so an interrupt leaves what was measured by then."""
    known = runner.Knowledge()
    with progress.show_progress() as show:
        try:
            found = measure.look(lambda what: show([what]))
        except Unavailable as error:
            known.missing[LoadRun] = runner.MissingFact(str(error), error.fix)
            return known, measure.target
        except (asyncio.CancelledError, KeyboardInterrupt):
            known.missing[LoadRun] = runner.MissingFact("interrupted before anything was measured")
            known.interrupted = True
            return known, measure.target
    known.facts[LoadRun] = found
    return known, {**measure.target, **_describe_load(found)}


def _describe_load(found: LoadRun) -> dict[str, Any]:
    """What a report says of the load."""
    loads = ", ".join(point.load for point in found.points)
    sizes = f"{found.input_tokens} in, {found.output_tokens} out" if found.input_tokens else None
    return {
        "model": found.model,
        "load": f"{found.arrivals or found.mode}: {loads}",
        "tokens asked": sizes,
        "prompts": found.prompts,
        "seed": found.seed,
        "first answer": None if found.cold_s is None else f"{found.cold_s:.2f} s",
        "notes": list(found.notes),
    }


def _read_saved_run(file: str) -> tuple[runner.Knowledge, dict[str, Any]]:
    if (logged := _read_pod_logs(file)) is not None:
        return logged, {"from": file}
    known, target = snapshot.read(Path(file), [LoadRun])
    if LoadRun not in known:
        raise UsageError(f"{file}: holds no load test")
    return known, {**target, "from": file}


def _read_pod_logs(file: str) -> runner.Knowledge | None:
    """What a file holds that was written by `kubectl logs`; none when it is another."""
    from dynocheck.loadtest.pods import is_log, merge_logs

    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if not is_log(text):
        return None
    known = runner.Knowledge()
    try:
        known.facts[LoadRun] = merge_logs(text)
    except Unavailable as error:
        known.missing[LoadRun] = runner.MissingFact(str(error), error.fix)
    return known


def _read_baseline(wanted: LoadOptions) -> LoadBaseline | None:
    if wanted.baseline is None:
        return None
    found = _read_saved_run(wanted.baseline)[0].facts.get(LoadRun)
    if not isinstance(found, LoadRun):
        raise UsageError(f"{wanted.baseline}: its load test could not be made")
    return LoadBaseline(found, wanted.tolerance, wanted.baseline)


def _check_writable(save: str | None) -> None:
    """Said before the load, not after it."""
    if save is not None and (not Path(save).absolute().parent.is_dir() or Path(save).is_dir()):
        raise UsageError(f"--save {save}: no such folder, or a folder itself")


def _save(save: str | None, known: runner.Knowledge, target: dict[str, Any]) -> str | None:
    """Keep what was measured; what went wrong is said when the report has been."""
    if save is None:
        return None
    try:
        Path(save).write_bytes(snapshot.encode(known, target))
    except OSError as error:
        return f"--save {save}: {error.strerror}"
    return None
