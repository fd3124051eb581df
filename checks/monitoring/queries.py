"""Checks of the queries in alerts, dashboards and autoscalers: syntax, metrics, thresholds."""

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.monitoring._monitors import check_monitors
from dynocheck.checks.monitoring._promql import Comparison, parse_query
from dynocheck.checks.monitoring._queries import (
    MONITORS,
    Query,
    ScalingMetric,
    list_kept,
    list_queries,
    list_recorded,
    list_scaling_metrics,
)
from dynocheck.core.fixes import replace_words
from dynocheck.core.outcomes import Unjudged
from dynocheck.data.flags import find_program_release
from dynocheck.data.metrics import (
    Exporter,
    describe_absence,
    find_series,
    find_unit,
    list_releases_with,
)
from dynocheck.facts import Recipe, Recipes, parse_quantity

_WITHOUT_COLON = re.compile(r"^(?!.*(?:vllm|sglang)(?:[:.]|\[))\W{0,4}(?:vllm|sglang)_")
_COPIES = "DCGM_FI_DEV_MEM_COPY_UTIL"
_FILL = "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)"
_BYTES, _MILLISECONDS = 10**7, 1000  # more MiB than a GPU has, and more seconds than anybody waits for
_MEMORY = re.compile(r"mem(?:ory)?(?![a-z]*_?copy)|vram|framebuffer|\u663e\u5b58", re.IGNORECASE)
_GROUP = re.compile(r"\$\{?\w{1,20}\}?")
_BANDWIDTH = re.compile(r"bandwidth|copy|clock|busy|\bbw\b", re.IGNORECASE)


@check("monitoring.queries", title="PromQL queries parse")
def queries(recipes: Recipes) -> Iterator[Result]:
    """Prometheus refuses a file of rules with a query that does not parse, or its operator leaves it out, and
    a KEDA trigger with one never scales.

    Checked are PrometheusRules and KEDA's Prometheus triggers, by a parser that follows Prometheus 2.45. What
    it does not know and a newer Prometheus might is not judged, nor are queries that a template completes.
    Dashboards are left out, as their queries may be of another language.

    Fix: promtool check rules FILE
    """
    found = [q for recipe in recipes for q in list_queries(recipe) if q.reader != "Grafana"]
    if not found:
        raise Skip("no PrometheusRule and no KEDA trigger with a query")
    count = 0
    for query in found:
        parsed = parse_query(query.text)
        count += not parsed.error or parsed.certain
        if parsed.error and parsed.certain:
            consequence = (
                "the trigger never scales" if query.reader == "KEDA" else "Prometheus rejects the rule"
            )
            yield fail(f"{query.owner}: {parsed.error}: {consequence}", location=query.location)
        elif parsed.error:
            yield unjudged(
                query.owner,
                why=f"its query may be for a newer Prometheus or another language: {parsed.error}",
                needs="promtool check rules, with your release of Prometheus",
                location=query.location,
            )
    yield judged(count, "queries")


class _Use(NamedTuple):
    """A series that something names; `renamed` is whether an adapter may have renamed it."""

    name: str
    owner: str
    location: Location
    renamed: bool = False


@check("monitoring.metrics", title="Alerts and autoscalers use metrics that exist, in their unit")
def metrics(recipes: Recipes) -> Iterator[Result]:
    """A query of a metric that nobody exports has no result: the alert never fires, the panel stays empty,
    and the autoscaler never scales. The names of vLLM's metrics have a colon, `vllm:num_requests_waiting`,
    and change with its releases. A ratio is at most 1, so that it never exceeds a threshold of 95.

    Names are compared with what the releases of vLLM, SGLang, TGI, Dynamo and DCGM can export; those of other
    programs are not judged. DCGM_FI_DEV_MEM_COPY_UTIL is how busy the memory's interface is, not how full the
    memory is. Names that the recipe's recording rules or adapter make are fine; the findings are warnings, as
    others may be made elsewhere.

    A PodMonitor or ServiceMonitor collects nothing if it selects nothing, names a port that is not there, or
    has a scrapeTimeout over its interval.
    A quantile of a histogram needs its label `le`.

    Fix: curl -s POD:PORT/metrics | grep ^vllm:
    """
    count, empty = 0, True
    for recipe in recipes:
        asked, scaling = list(list_queries(recipe)), list(list_scaling_metrics(recipe))
        kept = list(list_kept(recipe))
        monitored = any(manifest.kind in MONITORS for manifest in recipe.own_manifests)
        empty = empty and not (asked or scaling or kept or monitored)
        yield from check_monitors(recipe)
        yield from map(_report_lost, (each for each in kept if _WITHOUT_COLON.search(each[1])))
        uses = _list_uses(recipe, asked, scaling)
        count += len(uses)
        yield from _check_names(recipe, uses)
        for query in asked:
            yield from _check_thresholds(query)
            for flaw in parse_query(query.text).flaws:
                yield warn(f"{query.owner}: {flaw}", location=query.location)
            if _COPIES in query.text and _means_memory(query.described):
                message = f"{_COPIES} is how busy the memory's interface is, not how full the memory is"
                yield warn(f"{query.owner}: {message}", fix=f"ask for {_FILL}", location=query.location)
        for metric in scaling:
            if metric.target is not None and (unit := find_unit(metric.name)):
                comparison = Comparison(unit, ">", metric.target)
                yield from _check_threshold(metric.owner, metric.name, comparison, metric.location)
    if empty:
        raise Skip("no alert, dashboard or autoscaler asks for a metric")
    yield judged(count, "metric names")


def _list_uses(recipe: Recipe, asked: list[Query], scaling: list[ScalingMetric]) -> list[_Use]:
    """The series of known exporters that are named, without those that the recipe makes."""
    recorded = list_recorded(recipe) if asked or scaling else ()
    uses = [_Use(n, q.owner, q.location) for q in asked for n in parse_query(q.text).series]
    uses += [_Use(m.name, m.owner, m.location, renamed=True) for m in scaling if not _is_adapted(m, recorded)]
    return [use for use in uses if use.name not in recorded and find_series(use.name) is not None]


def _is_adapted(metric: ScalingMetric, made: Collection[str]) -> bool:
    """Whether an adapter may make this name of another."""
    parts = (_GROUP.split(name) for name in made if "$" in name)
    return any(metric.name.startswith(first) and metric.name.endswith(last) for first, *_, last in parts)


def _report_lost(kept: tuple[str, str, Location]) -> Finding:
    owner, pattern, location = kept
    return warn(
        f"{owner} keeps only {pattern}, and the names of vLLM and SGLang have a colon: it keeps none",
        fix=replace_words(pattern, pattern.replace("vllm_", "vllm:").replace("sglang_", "sglang:")),
        location=location,
    )


def _means_memory(described: str) -> bool:
    """Whether what is said of a query is about the use of memory, and not of its interface."""
    return _MEMORY.search(described) is not None and _BANDWIDTH.search(described) is None


def _check_names(recipe: Recipe, uses: list[_Use]) -> Iterator[Result]:
    """Reports series that nobody exports, each once in a file with the lines that name it."""
    by_name: dict[tuple[str, str], list[_Use]] = {}
    for use in uses:
        by_name.setdefault((use.location.file, use.name), []).append(use)
    for places in by_name.values():
        yield from _check_name(recipe, places)


def _check_name(recipe: Recipe, places: list[_Use]) -> Iterator[Finding | Unjudged]:
    first = places[0]
    found = find_series(first.name)
    if found is None:
        return
    if not found.known:
        yield unjudged(
            f"{first.owner}: {first.name}",
            why=f"no table of {found.exporter.title}'s metrics",
            needs=f"the page of metrics of your {found.exporter.title}",
            location=first.location,
        )
        return
    problem = "" if found.metric else f"{describe_absence(found.exporter)} exports {first.name}"
    if found.metric is not None:
        deployed = _list_deployed(recipe, found.exporter)
        there = list_releases_with(found.exporter, found.metric)
        if deployed and not deployed & {*there}:
            span = " to ".join(dict.fromkeys((there[0], there[-1])))
            mine = ", ".join(sorted(deployed))
            problem = f"{found.exporter.title} {mine} does not export {first.name}, as {span} did"
    if problem:
        lines = sorted({use.location.line for use in places if use.location.line})
        yield warn(
            f"{first.owner}: {problem}" + ("; an adapter may make it" if first.renamed else ""),
            fix=replace_words(first.name, found.meant) if found.meant else None,
            evidence={"lines": lines} if len(lines) > 1 else {},
            location=first.location,
        )


def _list_deployed(recipe: Recipe, exporter: Exporter) -> set[str]:
    """The releases of an exporter's program that the recipe deploys; empty unless all of them are known."""
    if not exporter.program:
        return set()
    releases = {
        find_program_release(launch.module, container.image or "").exact
        for deployment in recipe.deployments
        for component in deployment.components
        for container in component.containers
        for launch in container.launches
        if launch.module == exporter.program
    }
    of_dynamo = any(graph.framework in (exporter.key, None) for graph in recipe.graphs)
    return set() if of_dynamo else {r for r in releases if r} if None not in releases else set()


def _check_thresholds(query: Query) -> Iterator[Finding]:
    """Reports ratios that are compared with a percentage, and the other way round."""
    parsed = parse_query(query.text)
    names = ", ".join(name for name in parsed.series if find_unit(name))
    for comparison in parsed.comparisons:
        yield from _check_threshold(query.owner, names, comparison, query.location)
    amount = parse_quantity(query.threshold.data) if query.threshold is not None else None
    if query.threshold is not None and amount is not None and parsed.unit:
        place = Location(query.location.file, query.threshold.line, query.threshold.column)
        yield from _check_threshold(query.owner, names, Comparison(parsed.unit, ">", float(amount)), place)


def _check_threshold(owner: str, name: str, compared: Comparison, location: Location) -> Iterator[Finding]:
    number, over = compared.number, compared.operator in (">", ">=", "==")
    if compared.unit == "ratio" and number > 1:
        never = "never" if over else "always"
        yield warn(
            f"{owner}: {name} is a ratio from 0 to 1, {never} {compared.operator} {number:g}",
            fix=f"compare with {number / 100:g}" if number <= 100 else None,
            location=location,
        )
    elif compared.unit == "percent" and over and (number > 100 or 0 < number < 1):
        yield warn(
            f"{owner}: {name} is a percentage from 0 to 100, and is compared with {number:g}",
            fix=f"compare with {number * 100:g}" if number < 1 else None,
            location=location,
        )
    elif compared.unit == "MiB" and (0 < number <= 1 or number >= _BYTES):
        yield warn(
            f"{owner}: {name} is in MiB, and is compared with {number:g}",
            fix=f"ask for {_FILL}" if number <= 1 else f"compare with {number / 2**20:.0f}",
            location=location,
        )
    elif compared.unit == "seconds" and number >= _MILLISECONDS:
        yield warn(
            f"{owner}: a latency in seconds is compared with {number:g}",
            fix=f"compare with {number / 1000:g}",
            location=location,
        )
