"""Charts of a load test: latency distributions, timelines, and latency by throughput."""

from collections.abc import Iterator

from dynocheck import Mark, Panel, Series, chart
from dynocheck.facts import LATENCIES, LoadPoint, LoadRun
from dynocheck.loadtest.stats.histograms import Bins, build_bins, build_moments
from dynocheck.loadtest.stats.metrics import (
    Summary,
    compute_rate,
    explain_client_bottleneck,
    explain_client_latency,
    summarize_latency,
)

_PERCENTILES = (50, 90, 99)


@chart(
    "load.spread",
    title="Latency distributions",
    kind="histogram",
    note="Latencies for which the client was the bottleneck are left out.",
)
def latency_spread(run: LoadRun) -> Iterator[Panel]:
    """A histogram for each of the four latencies at each load."""
    for point in run.points:
        for metric in LATENCIES:
            values = summarize_latency(point, metric)
            bins = build_bins(values)
            if bins is not None and explain_client_latency(point, metric) is None:
                yield _make_histogram(_format_title(run, point, metric), metric, values, bins)


def _make_histogram(title: str, metric: str, values: Summary, bins: Bins) -> Panel:
    marks = ((f"p{each}", values.percentile(each)) for each in _PERCENTILES)
    return Panel(
        title=title,
        x="ms",
        y="chunks" if metric == "chunk_gap" else "requests",
        series=(Series(x=tuple(_to_ms(edge) for edge in bins.edges), y=bins.counts),),
        marks=tuple(Mark(name, _to_ms(at)) for name, at in marks if at is not None),
        log=bins.log,
        note=f"n={values.n}",
    )


@chart(
    "load.timeline",
    title="Timeline",
    kind="timeline",
    note="Averages per interval. A request's tokens are spread evenly from its first chunk to its last.",
)
def timeline(run: LoadRun) -> Iterator[Panel]:
    """Requests in flight and throughput, from the first request to the end of the last."""
    for point in run.points:
        moments = build_moments(point)
        if moments is None or explain_client_bottleneck(point) is not None:
            continue
        for name, values in (
            ("requests in flight", moments.in_flight),
            ("output tokens/s", moments.tokens),
            ("requests/s", moments.ended),
            ("failed requests/s", moments.failed),
        ):
            if values is not None and any(values):
                series = Series(x=tuple(map(_round, moments.times)), y=tuple(map(_round, values)))
                yield Panel(title=_format_title(run, point, name), x="s", y=name, series=(series,))


@chart(
    "load.curve",
    title="Latency by throughput",
    kind="curve",
    note="One point per load, in sweep order. Points for which the client was the bottleneck are left out.",
)
def curve(run: LoadRun) -> Iterator[Panel]:
    """The p50 and p90 of ttft, tpot and e2e over the throughput of each load in a sweep."""
    rate = "output_tokens_per_s"
    if any(compute_rate(point, rate) is None for point in run.points):
        rate = "requests_per_s"
    unit = rate.removesuffix("_per_s").replace("_", " ") + "/s"
    for metric in ("ttft", "tpot", "e2e"):
        points = [
            point
            for point in run.points
            if compute_rate(point, rate) and explain_client_latency(point, metric) is None
        ]
        series = (_make_series(points, rate, metric, percent) for percent in (50, 90))
        shown = tuple(each for each in series if len(each.x) > 1)
        if shown:
            yield Panel(title=f"{metric} by {unit}", x=unit, y="ms", series=shown)


def _make_series(points: list[LoadPoint], rate: str, metric: str, percent: int) -> Series:
    """One percentile of a latency in ms, at each load with enough samples for it."""
    values = [
        (_round(throughput), _to_ms(value), point.load)
        for point in points
        if (throughput := compute_rate(point, rate)) is not None
        and (value := summarize_latency(point, metric).percentile(percent)) is not None
    ]
    return Series(
        name=f"p{percent}",
        x=tuple(x for x, _, _ in values),
        y=tuple(y for _, y, _ in values),
        labels=tuple(load for _, _, load in values),
    )


def _format_title(run: LoadRun, point: LoadPoint, name: str) -> str:
    return name if len(run.points) == 1 else f"{name}, {point.load}"


def _to_ms(seconds: float) -> float:
    return _round(seconds * 1000)


def _round(value: float) -> float:
    """Round to six significant digits, more than a chart can show."""
    return float(f"{value:.6g}")
