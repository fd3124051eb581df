"""How an endpoint bears a load."""

from collections.abc import Callable, Iterator

from dynocheck import Finding, Skip, check, fail, unknown, warn
from dynocheck.facts.load.run import (
    ERROR_RATE,
    LATENCIES,
    RATES,
    LoadBaseline,
    LoadLimit,
    LoadLimits,
    LoadPoint,
    LoadRun,
)
from dynocheck.loadtest.stats.comparison import Comparison, compare_runs, find_mismatch
from dynocheck.loadtest.stats.metrics import (
    compute_error_rate,
    compute_rate,
    count_required,
    explain_client_influence,
    explain_client_latency,
    summarize_latency,
)

_DIAGNOSE = "kubectl get pods; kubectl logs deploy/FRONTEND"
_PRINTED = "read what the engine printed on standard error"
_SPARE = "run it on a machine with a core to spare, or spread it: --workers N"


@check("load.errors", title="Every request of the load test is answered in full")
def errors(run: LoadRun, limits: LoadLimits | None) -> Iterator[Finding]:
    """Latencies of the requests that went well say nothing when others failed: a failing server looks fast.

    A stream that ends without [DONE] or without a finish reason, or that carries an error, has failed
    whatever its HTTP status. An error_rate that is allowed by a limit is only warned of.

    Fix: look into the logs of the frontend and the workers for the time of the run.
    """
    diagnose = _PRINTED if run.path == "in-process" else _DIAGNOSE
    allowed = any(limit.metric == ERROR_RATE and limit.bound > 0 for limit in limits or ())
    for point in run.points:
        for failures in point.failures:
            ours = failures.kind == "client"
            make = unknown if ours else warn if allowed else fail
            yield make(
                f"{failures.count} of {len(point.samples)} requests failed, {point.load}: "
                f"{failures.kind}: {failures.message}",
                fix="ulimit -n 65536" if ours else diagnose,
                evidence={"failed": failures.count, "sent": len(point.samples), "class": failures.kind},
            )
    if not any(point.samples for point in run.points):
        yield unknown("no request was answered or failed before the run ended")


@check("load.client", title="The client that measures was not the bottleneck")
def client(run: LoadRun) -> Iterator[Finding]:
    """A client that is late itself reports its own lateness as the server's, and puts less load on it than
    it was asked to: then a latency is no measurement. Late is an event loop that was behind, once in a
    hundred times, by more than 2 ms and more than a twentieth of what it measured, or that had no core to
    spare.

    Fix: run it on a machine with a core to spare, or spread it: --workers N
    """
    if not any(point.samples for point in run.points):
        raise Skip("nothing was measured")
    for point in run.points:
        by_reason: dict[str, list[str]] = {}
        for metric in LATENCIES:
            if (reason := explain_client_latency(point, metric)) is not None:
                by_reason.setdefault(reason, []).append(metric)
        for reason, metrics in by_reason.items():
            yield unknown(f"client-bound, {point.load}: {reason}: no {', '.join(metrics)}", fix=_SPARE)


@check("load.limits", title="The load test keeps its limits")
def limits(run: LoadRun, bounds: LoadLimits) -> Iterator[Finding]:
    """A limit is what the users of a deployment were promised: a latency at most, a throughput at least.

    Of one name counts what the command line says (--limit) over the configuration over the recipe, which is
    an annotation of the graph. What cannot be understood there is unknown, for nobody can tell whether it
    is kept.

    A percentile needs enough samples to be more than the slowest of them: p99 needs 100. Where the client
    was the bottleneck a latency cannot be judged.

    Fix: less load on each worker, by more replicas or fewer requests at a time.
    """
    if not (bounds.items or bounds.misread):
        raise Skip("no limit is given (--limit ttft.p95=500ms)")
    for misread in bounds.misread:
        yield unknown(str(misread), fix="mend it there, or give that limit with --limit")
    for point in run.points:
        for limit in bounds:
            yield from _check_limit(point, limit, bounds)


def _check_limit(point: LoadPoint, limit: LoadLimit, bounds: LoadLimits) -> Iterator[Finding]:
    if (reason := explain_client_influence(point, limit.metric, bounds)) is not None:
        said = f"{limit.text}, {point.load}: client-bound: {reason}"
        yield unknown(said, fix=_SPARE, evidence={"source": limit.source})
        return
    value, lacking = _measure(point, limit, bounds)
    if value is None:
        said = f"{limit.text}, {point.load}: {lacking}"
        yield unknown(said, fix=_suggest_more(limit), evidence={"source": limit.source})
        return
    over = value < limit.bound if limit.metric in RATES else value > limit.bound
    if over:
        yield fail(
            f"{limit.text}, {point.load}: it was {_format_value(limit.metric, value)}",
            fix="less load, or more replicas",
            evidence={
                "measured": value,
                "limit": limit.bound,
                "samples": len(point.samples),
                "source": limit.source,
            },
        )


def _measure(point: LoadPoint, limit: LoadLimit, bounds: LoadLimits) -> tuple[float | None, str]:
    """What was measured, or why it says nothing."""
    if limit.metric == ERROR_RATE:
        return compute_error_rate(point), "no request was sent"
    if limit.metric in LATENCIES:
        values = summarize_latency(point, limit.metric)
        need = count_required(float(limit.stat[1:])) if limit.stat and limit.stat[0] == "p" else 1
        return values.stat(limit.stat or "max"), f"{values.n} samples, and it takes {need}"
    return compute_rate(point, limit.metric, bounds), "the server does not count tokens"


def _suggest_more(limit: LoadLimit) -> str | None:
    return "measure more requests: --requests N" if limit.metric in LATENCIES else None


def _format_value(metric: str, value: float) -> str:
    if metric in LATENCIES:
        return f"{value * 1000:.1f} ms"
    return f"{value:.2%}" if metric == ERROR_RATE else f"{value:.1f}"


@check("load.baseline", title="No latency is worse than in the baseline")
def baseline(run: LoadRun, before: LoadBaseline) -> Iterator[Finding]:
    """What a change costs shows beside a run from before it, on the same machines and with the same load.

    The percentiles p50 and p90 of ttft, tpot and e2e are compared by 95 % bootstrap confidence intervals of
    their ratio: worse is what lies above the tolerance (10 % unless told otherwise) with the whole interval.
    In a closed loop requests a second are concurrency by mean e2e, so throughput is compared with it.

    Fix: measure again with more requests where they were too few; else look at what changed.
    """
    if (reason := find_mismatch(run, before.run)) is not None:
        yield unknown(f"it is no baseline for this run: {reason}", fix="measure with the same options")
        return
    found = [
        _check_regression(each, before.tolerance) for each in compare_runs(run, before.run, before.tolerance)
    ]
    yield from (finding for finding in found if finding is not None)


def _check_regression(each: Comparison, tolerance: float) -> Finding | None:
    make: dict[str, Callable[..., Finding]] = {"worse": fail, "too few samples": unknown}
    if each.judgement not in make:
        return None
    if each.low is None or each.high is None:
        said = f"{each.metric}, {each.load}: {each.samples[0]} samples beside {each.samples[1]}"
        said += ": too few to compare, or a client was the bottleneck"
        return unknown(said, fix="measure more requests: --requests N")
    interval = f"{each.low - 1:+.0%} to {each.high - 1:+.0%}"
    if each.judgement == "worse":
        return fail(f"{each.metric}, {each.load}: worse by {interval}", evidence=_make_evidence(each))
    return unknown(
        f"{each.metric}, {each.load}: too few samples to tell: {interval}, and {tolerance:.0%} is tolerated",
        fix="measure more requests: --requests N",
        evidence=_make_evidence(each),
    )


def _make_evidence(each: Comparison) -> dict[str, float]:
    values = {"now": each.now, "before": each.before}
    return {name: round(value, 6) for name, value in values.items() if value is not None}
