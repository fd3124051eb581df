"""Checks a load test: failed requests, client bottlenecks, limits, and regressions against a baseline."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, check, fail, unknown, warn
from dynocheck.facts import (
    ERROR_RATE,
    LATENCIES,
    RATES,
    LoadBaseline,
    LoadLimit,
    LoadLimits,
    LoadPoint,
    LoadRun,
    Server,
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

_PRINTED = "read the engine's output on standard error"
_SPARE = "use a machine with a spare core, or several workers: --workers N"
_MORE_REQUESTS = "measure more requests: --requests N"


def _is_same_failure(cause: Finding, effect: Finding) -> bool:
    """Requests failed in the same way before the load test."""
    return cause.evidence.get("class") == effect.evidence.get("class")


@check(
    "load.errors",
    title="All load test requests succeed",
    explained_by={"endpoint.steady": _is_same_failure},
)
def errors(run: LoadRun, limits: LoadLimits | None, server: Server | None = None) -> Iterator[Finding]:
    """Latencies of the successful requests mean little if others failed: a failing server looks fast.

    A stream that ends without [DONE] or a finish reason, or that contains an error, counts as failed whatever
    its HTTP status. Failures are only a warning if an error_rate limit above zero is set.

    Fix: read the logs of the frontend and the workers from the time of the run.
    """
    diagnose = (
        _PRINTED
        if run.path == "in-process"
        else (server or Server()).suggest_logs("what does it say of these requests?")
    )
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
        yield unknown("the run ended before any request succeeded or failed")


@check("load.client", title="Load generator was not the bottleneck")
def client(run: LoadRun) -> Iterator[Finding]:
    """An overloaded client adds its own delay to the measured latencies and sends less load than requested.
    A latency is reported as unknown if the p99 lag of the client's event loop exceeds both 2 ms and 5 % of
    that latency, or if the client used more than 90 % of a core.

    Fix: use a machine with a spare core, or several workers: --workers N
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


@check("load.limits", title="Load test meets its limits")
def limits(run: LoadRun, bounds: LoadLimits) -> Iterator[Finding]:
    """A limit is a service-level objective: a maximum latency or a minimum throughput.

    If a limit is set in several places, --limit wins over the configuration file, which wins over the
    graph's annotation. A limit that cannot be parsed is reported as unknown.

    A percentile needs enough samples to differ from the maximum: p99 needs 100. Latencies are not judged if
    the client was the bottleneck.

    Fix: reduce the load on each worker, with more replicas or less concurrency.
    """
    if not (bounds.items or bounds.misread):
        raise Skip("no limits set (--limit ttft.p95=500ms)")
    for misread in bounds.misread:
        yield unknown(str(misread), fix="correct it there, or set that limit with --limit")
    for point in run.points:
        for limit in bounds:
            yield from _check_limit(point, limit, bounds)


def _check_limit(point: LoadPoint, limit: LoadLimit, bounds: LoadLimits) -> Iterator[Finding]:
    if (reason := explain_client_influence(point, limit.metric, bounds)) is not None:
        message = f"{limit.text}, {point.load}: client-bound: {reason}"
        yield unknown(message, fix=_SPARE, evidence={"source": limit.source})
        return
    value, reason = _measure(point, limit, bounds)
    if value is None:
        fix = _MORE_REQUESTS if limit.metric in LATENCIES else None
        message = f"{limit.text}, {point.load}: {reason}"
        yield unknown(message, fix=fix, evidence={"source": limit.source})
        return
    over = value < limit.bound if limit.metric in RATES else value > limit.bound
    if over:
        yield fail(
            f"{limit.text}, {point.load}: measured {_format_value(limit.metric, value)}",
            fix="reduce the load, or add replicas",
            evidence={
                "measured": value,
                "limit": limit.bound,
                "samples": len(point.samples),
                "source": limit.source,
            },
        )


def _measure(point: LoadPoint, limit: LoadLimit, bounds: LoadLimits) -> tuple[float | None, str]:
    """The measured value in seconds, a share or per second; or None and why there is none."""
    if limit.metric == ERROR_RATE:
        return compute_error_rate(point), "no request was sent"
    if limit.metric in LATENCIES:
        values = summarize_latency(point, limit.metric)
        need = count_required(float(limit.stat[1:])) if limit.stat and limit.stat[0] == "p" else 1
        return values.stat(limit.stat or "max"), f"{values.n} of {need} samples needed"
    return compute_rate(point, limit.metric, bounds), "the server does not report token counts"


def _format_value(metric: str, value: float) -> str:
    if metric in LATENCIES:
        return f"{value * 1000:.1f} ms"
    return f"{value:.2%}" if metric == ERROR_RATE else f"{value:.1f}"


@check("load.baseline", title="Latency has not regressed from the baseline")
def baseline(run: LoadRun, before: LoadBaseline) -> Iterator[Finding]:
    """Compares with an earlier run on the same machines and with the same load.

    For p50 and p90 of ttft, tpot and e2e, the ratio to the baseline gets a 95 % bootstrap confidence
    interval. A regression is an interval that lies entirely above the tolerance (default 10 %). In a closed
    loop, throughput is concurrency divided by mean e2e, so this covers throughput too.

    Fix: if there were too few samples, measure again with more requests; otherwise look at what changed.
    """
    if (reason := find_mismatch(run, before.run)) is not None:
        yield unknown(f"baseline does not match this run: {reason}", fix="measure with the same options")
        return
    for each in compare_runs(run, before.run, before.tolerance):
        yield from _check_regression(each, before.tolerance)


def _check_regression(each: Comparison, tolerance: float) -> Iterator[Finding]:
    if each.judgement not in ("worse", "too few samples"):
        return
    name = f"{each.metric}, {each.load}"
    if each.low is None or each.high is None:
        now, before = each.samples
        message = f"{name}: not comparable: {now} samples, baseline {before}, or a client was the bottleneck"
        yield unknown(message, fix=_MORE_REQUESTS)
        return
    interval = f"{each.low - 1:+.0%} to {each.high - 1:+.0%}"
    values = {"now": each.now, "before": each.before}
    evidence = {name: round(value, 6) for name, value in values.items() if value is not None}
    if each.judgement == "worse":
        yield fail(f"{name}: worse by {interval}", evidence=evidence)
    else:
        message = f"{name}: too few samples: {interval}, tolerance {tolerance:.0%}"
        yield unknown(message, fix=_MORE_REQUESTS, evidence=evidence)
