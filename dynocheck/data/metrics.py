"""The metrics that engines, Dynamo and the exporter of GPUs can export, by release."""

import difflib
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import NamedTuple

import msgspec

from dynocheck.data import read_table


class Exporter(NamedTuple):
    """What exports metrics: its key in the table, its name, and the program that its releases are of.

    `suffixed` is whether its client adds suffixes to the names of counters.
    """

    key: str
    title: str
    program: str = ""
    suffixed: bool = False


class Metric(msgspec.Struct, frozen=True, rename={"releases": "in"}):
    """A metric; `kind` and `unit` are empty if unknown. `releases` are places in the table's list."""

    name: str
    kind: str = ""
    unit: str = ""
    releases: tuple[int, ...] = ()


class _Table(msgspec.Struct, frozen=True):
    releases: tuple[str, ...]
    metrics: tuple[Metric, ...]


class SeriesLookup(NamedTuple):
    """What is known of a series: its exporter, and its metric, or the series that is meant if there is none.

    `known` is false if there is no table of the exporter's metrics.
    """

    exporter: Exporter
    known: bool = True
    metric: Metric | None = None
    meant: str = ""


_EXPORTERS = (
    (re.compile(r"vllm[:_]"), Exporter("vllm", "vLLM", "vllm serve", suffixed=True)),
    (re.compile(r"sglang[:_]"), Exporter("sglang", "SGLang", "sglang serve", suffixed=True)),
    (re.compile(r"dynamo_(component|frontend|router|work_handler)_"), Exporter("dynamo", "Dynamo")),
    (re.compile(r"tgi[:_]"), Exporter("tgi", "TGI")),
    (re.compile(r"DCGM_FI_"), Exporter("dcgm", "DCGM")),
    (re.compile(r"trtllm[:_]"), Exporter("", "TensorRT-LLM")),
    (re.compile(r"llamacpp[:_]"), Exporter("", "llama.cpp")),
    (re.compile(r"nv_(inference|gpu|cache|trt_llm)_"), Exporter("", "Triton")),
)
_SUFFIXES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "summary": ("", "_sum", "_count"),
    "gauge": ("",),
    "": ("", "_total", "_bucket", "_sum", "_count", "_created"),
}
_ENDINGS = ("_bucket", "_count", "_created", "_sum", "_total")
_CLOSE = 0.85
_PERCENT = re.compile(r"DCGM_FI_DEV_\w+_UTIL")
_MEBIBYTES = re.compile(r"DCGM_FI_DEV_FB_(USED|FREE|TOTAL|RESERVED)")
_SHARE = re.compile(r"DCGM_FI_PROF_\w+_(ACTIVE|OCCUPANCY)")


@lru_cache(4096)
def find_series(name: str) -> SeriesLookup | None:
    """What is known of a series of this name; None if none of the exporters has such names."""
    exporter = next((each for begins, each in _EXPORTERS if begins.match(name)), None)
    if exporter is None:
        return None
    if not exporter.key:
        return SeriesLookup(exporter, known=False)
    series = _list_series(exporter)
    if name in series:
        return SeriesLookup(exporter, metric=series[name])
    return SeriesLookup(exporter, meant=_find_meant(name, series))


def list_releases_with(exporter: Exporter, metric: Metric) -> tuple[str, ...]:
    """The releases that can export a metric, oldest first."""
    releases = _load_table()[exporter.key].releases
    return tuple(releases[i] for i in sorted(metric.releases))


def describe_absence(exporter: Exporter) -> str:
    """The releases whose metrics are known, as in `no release of vLLM from 0.4.2 to 0.33.0`."""
    releases = [release for release in _load_table()[exporter.key].releases if release]
    span = f" from {releases[0]} to {releases[-1]}" if releases else ""
    return f"no release of {exporter.title}{span}"


def find_unit(name: str) -> str:
    """The unit of a series: ratio, up to 1, percent, up to 100, or MiB; empty if it is another."""
    if _MEBIBYTES.fullmatch(name):
        return "MiB"
    if name.startswith("DCGM_FI_"):
        return "percent" if _PERCENT.fullmatch(name) else "ratio" if _SHARE.fullmatch(name) else ""
    found = find_series(name)
    if found is None or not found.known:
        return ""
    alike = found.meant if found.meant.replace(":", "_") == name else ""
    metric = found.metric or _list_series(found.exporter).get(alike)
    return metric.unit if metric is not None else ""


def _find_meant(name: str, series: Mapping[str, Metric]) -> str:
    """The series that is most like a name, but for its colon and its suffix; empty if none is alike."""
    alike = {each.replace(":", "_"): each for each in series if not each.endswith("_created")}
    plain = name.replace(":", "_")
    if plain in alike:
        return alike[plain]
    stem = next((plain.removesuffix(end) for end in _ENDINGS if plain.endswith(end)), plain)
    ending = plain.removeprefix(stem)
    of_stem = [each for each in alike if each.startswith(stem) and each.removeprefix(stem) in _ENDINGS]
    if of_stem or stem in alike:
        return alike[stem if stem in alike else of_stem[0]]
    kind = [each for each in alike if each.endswith(ending)] if ending else list(alike)
    close = difflib.get_close_matches(plain, kind, n=1, cutoff=_CLOSE)
    return alike[close[0]] if close else ""


@cache
def _list_series(exporter: Exporter) -> Mapping[str, Metric]:
    """Every series of an exporter with its metric."""
    found: dict[str, Metric] = {}
    for metric in _load_table()[exporter.key].metrics:
        kind = "gauge" if metric.kind == "counter" and not exporter.suffixed else metric.kind
        stem = metric.name.removesuffix("_total") if kind == "counter" else metric.name
        for name in (f"{stem}{suffix}" for suffix in _SUFFIXES[kind]):
            other = found.get(name, metric)  # a counter's name may have had its suffix in some releases
            found[name] = msgspec.structs.replace(metric, releases=tuple({*metric.releases, *other.releases}))
    return found


@cache
def _load_table() -> Mapping[str, _Table]:
    return msgspec.json.decode(read_table("metrics.json"), type=dict[str, _Table])
