"""Tables of a load test: request counts, latencies, throughput, client lag and server counters."""

from collections.abc import Iterator

from dynocheck import Row, table
from dynocheck.facts import LATENCIES, LoadBaseline, LoadLimits, LoadPoint, LoadRun
from dynocheck.loadtest.stats.comparison import compare_runs, find_mismatch
from dynocheck.loadtest.stats.metrics import (
    Summary,
    compute_rate,
    explain_client_bottleneck,
    explain_client_influence,
    explain_client_latency,
    summarize_latency,
    summarize_values,
)

_NO_QUICKACK = "no TCP_QUICKACK on this system: the kernel may add up to 40 ms to a ttft"
_HOW = (
    "Percentiles are interpolated linearly; p90 needs 10 samples, p99 100. Failed requests are excluded. "
    "chunk_gap percentiles are accurate to 0.5 %."
)


@table("load.requests", title="Requests")
def requests(run: LoadRun) -> Iterator[Row]:
    """Requests sent, succeeded, failed by class, and stopped by the end of the run, at each load."""
    for point in run.points:
        yield {
            "load": point.load,
            "sent": len(point.samples) + point.stopped,
            "ok": len(point.good),
            "failed": point.failed,
            "classes": tuple(f"{each.count} {each.kind}" for each in point.failures) or None,
            "stopped": point.stopped or None,
            "window s": round(point.window_s, 2),
        }


@table("load.latency", title="Latencies in milliseconds", note=_HOW)
def latency_table(run: LoadRun) -> Iterator[Row]:
    """ttft, tpot, chunk_gap and e2e; ttft also by new and kept connections if there were both."""
    for point in run.points:
        for metric in LATENCIES:
            bound = explain_client_latency(point, metric) is not None
            row = {**_get_load(run, point), "metric": metric}
            yield {**row, **_summarize(summarize_latency(point, metric), bound)}
            if metric == "ttft":
                yield from (
                    {**row, **each, **_summarize(values, bound)}
                    for each, values in _split_by_connection(point)
                )


def _get_load(run: LoadRun, point: LoadPoint) -> Row:
    """The load columns of a row; empty for a run with a single load."""
    if len(run.points) == 1:
        return {}
    return {"at a time": point.concurrency, "a second": point.rate}


def _split_by_connection(point: LoadPoint) -> Iterator[tuple[Row, Summary]]:
    """The ttft of new and of kept connections; nothing if all were of one kind."""
    for name, fresh in (("new connection", True), ("kept connection", False)):
        values = [s.first_s for s in point.good if s.fresh is fresh and s.first_s is not None]
        if 0 < len(values) < len(point.good):
            yield {"over": name}, summarize_values(values)


def _summarize(values: Summary, bound: bool) -> Row:
    stats = {"mean": values.mean, **{f"p{each}": values.percentile(each) for each in (50, 90, 99)}}
    shown = {
        name: None if bound else _to_ms(value) for name, value in {**stats, "max": values.longest}.items()
    }
    return {"n": values.n, **shown, "unknown": "client-bound" if bound else None}


def _to_ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


@table(
    "load.throughput",
    title="Throughput",
    note="Over the whole window, including ramp-up and tail. Goodput counts requests that meet every limit.",
)
def throughput(run: LoadRun, limits: LoadLimits | None) -> Iterator[Row]:
    """Output tokens, requests and goodput per second at each load."""
    best = find_knee(run)
    for point in run.points:
        bound = explain_client_bottleneck(point) is not None
        yield {
            **_get_load(run, point),
            "output tokens/s": None if bound else _round(compute_rate(point, "output_tokens_per_s")),
            "requests/s": None if bound else _round(compute_rate(point, "requests_per_s")),
            "goodput/s": _compute_goodput(point, limits) if limits and limits.items else None,
            "knee": "knee" if point is best else None,
        }


def _compute_goodput(point: LoadPoint, limits: LoadLimits) -> float | None:
    return (
        None
        if explain_client_influence(point, "goodput", limits)
        else _round(compute_rate(point, "goodput", limits))
    )


@table("load.sizes", title="Tokens per request", note="Minimum to maximum, as counted by the server.")
def sizes(run: LoadRun) -> Iterator[Row]:
    """The actual lengths of prompts and answers in tokens."""
    for point in run.points:
        inputs = [s.input_tokens for s in point.good if s.input_tokens is not None]
        outputs = [(s.output_tokens, s.chunks) for s in point.good if s.output_tokens is not None]
        chunks = sum(chunks for _, chunks in outputs)
        yield {
            **_get_load(run, point),
            "in": _format_range(inputs),
            "out": _format_range([tokens for tokens, _ in outputs]),
            "a chunk": _round(sum(tokens for tokens, _ in outputs) / chunks) if chunks else None,
            "usage is not chunks": sum(tokens != chunks for tokens, chunks in outputs),
            "no usage": len(point.good) - len(outputs) or None,
        }


def find_knee(run: LoadRun) -> LoadPoint | None:
    """The smallest load of a sweep that reaches 90 % of the highest output tokens per second."""
    rates = [(point, compute_rate(point, "output_tokens_per_s") or 0.0) for point in run.points]
    if len(rates) < 2 or any(explain_client_bottleneck(point) for point, _ in rates):
        return None
    highest = max(tokens for _, tokens in rates)
    return next((point for point, tokens in rates if highest and tokens >= 0.9 * highest), None)


def _format_range(values: list[int]) -> str | None:
    if not values:
        return None
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


@table("load.lag", title="Load generator")
def client_lag(run: LoadRun) -> Iterator[Row]:
    """The client's own delays and CPU use, which show whether the latencies above are the server's."""
    for point in run.points:
        lag = Summary(buckets=point.client.lag)
        late = summarize_values(sample.late_s for sample in point.samples)
        yield {
            **_get_load(run, point),
            "loop lag p99 ms": _to_ms(lag.percentile(99)),
            "max ms": _to_ms(lag.longest),
            "late start max ms": _to_ms(late.longest),
            "core": f"{point.client.cpu:.0%}",
            "workers": point.client.workers,
            "path": run.path,
            "sent again": sum(sample.resent for sample in point.samples) or None,
            "but": None if point.client.quickack else _NO_QUICKACK,
        }


@table("load.server", title="Server counters over the same window")
def server(run: LoadRun) -> Iterator[Row]:
    """Counters in the server's /metrics that grew during the run, including through other clients."""
    for point in run.points:
        for counter in point.counters:
            yield {**_get_load(run, point), "counter": counter.name, "grew by": round(counter.grew, 3)}


@table(
    "load.comparison",
    title="Comparison with the baseline",
    note="Ratio with its 95 % bootstrap confidence interval.",
)
def comparison(run: LoadRun, before: LoadBaseline) -> Iterator[Row]:
    """Each percentile and that of the baseline, at each load that both runs have."""
    if find_mismatch(run, before.run) is not None:
        return
    for each in compare_runs(run, before.run, before.tolerance):
        yield {
            "load": each.load if len(run.points) > 1 else None,
            "metric": each.metric,
            "now ms": _to_ms(each.now),
            "before ms": _to_ms(each.before),
            "from": None if each.low is None else f"{each.low:.2f}",
            "to": None if each.high is None else f"{each.high:.2f}",
            "judged": each.judgement,
        }
