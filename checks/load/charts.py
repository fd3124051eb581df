"""What a load test measured, drawn: how latencies are spread, what went on meanwhile, what load costs."""

from collections.abc import Iterator

from dynocheck import Mark, Panel, Series, chart
from dynocheck.facts.load.run import LATENCIES, LoadPoint, LoadRun
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
    title="How latencies are spread",
    kind="histogram",
    note="What the client blurred is not drawn.",
)
def latency_spread(run: LoadRun) -> Iterator[Panel]:
    """How often each of the four latencies was how long."""
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
    title="What went on meanwhile",
    kind="timeline",
    note="Averages of each moment. A request's tokens are spread evenly from its first chunk to its last.",
)
def timeline(run: LoadRun) -> Iterator[Panel]:
    """Requests under way, and what came out, from the first request to the end of the last."""
    for point in run.points:
        seen = build_moments(point)
        if seen is None or explain_client_bottleneck(point) is not None:
            continue
        for what, values in (
            ("requests in flight", seen.in_flight),
            ("output tokens/s", seen.tokens),
            ("requests/s", seen.ended),
            ("failed requests/s", seen.failed),
        ):
            if values is not None and any(values):
                series = Series(x=tuple(map(_round, seen.times)), y=tuple(map(_round, values)))
                yield Panel(title=_format_title(run, point, what), x="s", y=what, series=(series,))


@chart(
    "load.curve",
    title="What more load costs",
    kind="curve",
    note="A place for each load, in the order of the sweep. What the client blurred is not drawn.",
)
def curve(run: LoadRun) -> Iterator[Panel]:
    """Latency by throughput, over the loads of a sweep."""
    metric = "output_tokens_per_s"
    if any(compute_rate(point, metric) is None for point in run.points):
        metric = "requests_per_s"
    for name in ("ttft", "tpot", "e2e"):
        places = [
            point
            for point in run.points
            if compute_rate(point, metric) and explain_client_latency(point, name) is None
        ]
        series = tuple(_make_series(places, metric, name, percent) for percent in (50, 90))
        shown = tuple(each for each in series if len(each.x) > 1)
        if shown:
            along = metric.removesuffix("_per_s").replace("_", " ")
            yield Panel(title=f"{name} by {along}/s", x=f"{along}/s", y="ms", series=shown)


def _make_series(points: list[LoadPoint], throughput: str, name: str, percent: int) -> Series:
    """One percentile at each load that has it."""
    places = [
        (_round(given), _to_ms(value), point.load)
        for point in points
        if (given := compute_rate(point, throughput)) is not None
        and (value := summarize_latency(point, name).percentile(percent)) is not None
    ]
    return Series(
        name=f"p{percent}",
        x=tuple(x for x, _, _ in places),
        y=tuple(y for _, y, _ in places),
        labels=tuple(load for _, _, load in places),
    )


def _format_title(run: LoadRun, point: LoadPoint, what: str) -> str:
    return what if len(run.points) == 1 else f"{what}, {point.load}"


def _to_ms(seconds: float) -> float:
    return _round(seconds * 1000)


def _round(value: float) -> float:
    """As many digits as a picture can show."""
    return float(f"{value:.6g}")
