"""Makes dynocheck/data/metrics.json: the metrics that servers of engines and the exporter of GPUs can export.

    python -m tools.write_metrics TGI-CHECKOUT DCGM-CHECKOUT

Those of vLLM, SGLang and Dynamo are read from the source in the published wheels, never run, of the releases
in tools/server_releases.json and tools/dynamo_releases.json; those of TGI and DCGM from checkouts of their
repositories, TGI's at its tags.

What is written there as a name counts, exported by default or not. A metric's `kind` tells which series it
has: the client adds `_total` to a counter, and `_bucket`, `_sum` and `_count` to a histogram. A `ratio` is at
most 1, as its documentation says, or its name does.
"""

import ast
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tools.packages import open_wheel
from tools.write_flags import RELEASES, SERVERS

TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "metrics.json"
_LARGE = re.compile(r"/(model_executor|models|layers|third_party|kernels?|multimodal_gen|test)/")
_NAME = re.compile(r"[\"'](vllm|sglang):[a-z]")
_KINDS = re.compile(r"(counter|gauge|histogram|summary)(_cls)?$", re.IGNORECASE)
_RATIO = re.compile(
    r"1 means 100 percent|\bratio\b|0\.0 ?[-\u2013] ?1\.0|_(usage_perc|rate|ratio)$|token_usage$"
)
_TIMES = re.compile(r"per second|/s\)|_seconds|Number of|number of|count|_num_")
_TGI = re.compile(r"metrics::(?:increment_)?(counter|gauge|histogram)!\(\s*\"(tgi_\w+)\"")
_TGI_RELEASE = re.compile(r"v(\d+\.\d+\.\d+)")
_DCGM = re.compile(r"^#define (DCGM_FI_[A-Z]+_\w+) +(?:\d|DCGM_FI_)", re.MULTILINE)
_FIELDS = "dcgmlib/dcgm_fields.h"
_DYNAMO = "dynamo/prometheus_names.py"

# A metric: name and, if they are known, kind and unit.
Metric = dict[str, str]


def main(tgi: str, dcgm: str) -> None:
    """Writes the table."""
    releases: Mapping[str, list[str]] = json.loads(SERVERS.read_text())
    packages = {row["package"]: None for row in json.loads(RELEASES.read_text()).values()}
    sources = {
        "vllm": _read_wheels("vllm", releases["vllm"], _list_python_metrics),
        "sglang": _read_wheels("sglang", releases["sglang"], _list_python_metrics),
        "dynamo": _read_wheels("ai-dynamo-runtime", packages, _list_dynamo_metrics),
        "tgi": {tag.removeprefix("v"): [*_list_tgi_metrics(tgi, tag)] for tag in _list_tags(tgi)},
        "dcgm": {
            "": [{"name": name} for name in sorted(set(_DCGM.findall(_read(dcgm, "dcgmlib/dcgm_fields.h"))))]
        },
    }
    table = {name: _compact(found, dated=name in releases) for name, found in sources.items()}
    TARGET.write_text(json.dumps(table, indent=0, sort_keys=True) + "\n")


def _read_wheels(
    package: str, versions: Iterable[str], read: Callable[[zipfile.ZipFile], Iterable[Metric]]
) -> dict[str, list[Metric]]:
    def read_one(version: str) -> list[Metric]:
        print(f"{package} {version}", file=sys.stderr)
        return list(read(open_wheel(f"{package}=={version}")))

    wanted = list(versions)
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(wanted, pool.map(read_one, wanted), strict=True))


def _list_python_metrics(package: zipfile.ZipFile) -> Iterator[Metric]:
    """The metrics of a wheel whose names have a colon."""
    found: dict[str, Metric] = {}
    for name in package.namelist():
        if name.endswith(".py") and not _LARGE.search(name):
            text = package.read(name).decode(errors="replace")
            for metric in _read_module(ast.parse(text)) if _NAME.search(text) else ():
                known = found.setdefault(metric["name"], metric)
                known |= {key: value for key, value in metric.items() if key not in known}
    yield from found.values()


def _read_module(tree: ast.Module) -> Iterator[Metric]:
    """The metrics that a module makes by a class of the client, and the names that it has besides."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            texts = [
                a.value
                for a in (*node.args, *(k.value for k in node.keywords))
                if isinstance(a, ast.Constant)
            ]
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            kind = _KINDS.search(called)
            name = next((t for t in texts if isinstance(t, str) and _is_name(t)), None)
            if name is not None and kind is not None:
                page = " ".join(_join_texts(node))
                yield {"name": name, "kind": kind[1].lower(), **_find_unit(name, kind[1].lower(), page)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_name(node.value):
            yield {"name": node.value}


def _join_texts(call: ast.Call) -> Iterator[str]:
    for node in ast.walk(call):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _find_unit(name: str, kind: str, page: str) -> Metric:
    of_one = kind == "gauge" and _RATIO.search(f"{page} {name}") and not _TIMES.search(page)
    return {"unit": "ratio"} if of_one else {}


def _is_name(text: str) -> bool:
    return re.fullmatch(r"(vllm|sglang):[a-z0-9_]+[a-z0-9]", text) is not None


def _list_dynamo_metrics(package: zipfile.ZipFile) -> Iterator[Metric]:
    """Names behind the prefix of each part, which are constants in a class for that part."""
    if _DYNAMO not in package.namelist():
        return
    classes = [n for n in ast.parse(package.read(_DYNAMO)).body if isinstance(n, ast.ClassDef)]
    constants = {c.name: dict(_list_constants(c)) for c in classes}
    prefixes = sorted({v for names in constants.values() for v in names.values() if v.startswith("dynamo_")})
    for names in constants.values():
        for text in filter(str.islower, names.values()):
            yield from ({"name": f"{prefix}_{text}"} for prefix in prefixes)


def _list_constants(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for each in node.body:
        if (
            isinstance(each, ast.Assign)
            and isinstance(each.value, ast.Constant)
            and isinstance(each.value.value, str)
        ):
            yield ast.unparse(each.targets[0]), each.value.value


def _list_tags(checkout: str) -> list[str]:
    tags = [tag for tag in _git(checkout, "tag").split() if _TGI_RELEASE.fullmatch(tag)]
    return sorted(tags, key=lambda tag: [int(n) for n in tag[1:].split(".")])


def _list_tgi_metrics(checkout: str, tag: str) -> Iterator[Metric]:
    found = {
        name: kind
        for kind, name in _TGI.findall(_git(checkout, "grep", "-h", "-A1", "metrics::", tag, "--", "*.rs"))
    }
    yield from ({"name": name, "kind": kind} for name, kind in sorted(found.items()))


def _read(checkout: str, path: str) -> str:
    return _git(checkout, "show", f"HEAD:{path}")


def _git(checkout: str, *words: str) -> str:
    done = subprocess.run(["git", "-C", checkout, *words], capture_output=True, text=True, check=False)
    return done.stdout


def _compact(releases: Mapping[str, list[Metric]], *, dated: bool) -> dict[str, Any]:
    """Each metric once; if they are `dated`, with the releases that have it, by their place in the list."""
    rows: dict[str, dict[str, Any]] = {}
    known = {release: metrics for release, metrics in releases.items() if metrics}
    for i, metrics in enumerate(known.values()):
        for metric in metrics:
            row = rows.setdefault(metric["name"], {})
            row |= {**metric, "in": [*row.get("in", ()), i]} if dated else metric
    return {"releases": list(known), "metrics": sorted(rows.values(), key=lambda row: str(row["name"]))}


if __name__ == "__main__":
    main(*sys.argv[1:])
