"""How true a reported ttft is: `dynocheck load` beside aiperf and guidellm, on a server that knows.

Run it as `python -m benchmarks.load_accuracy [AIPERF_VENV [GUIDELLM_VENV]]`. The server streams 50 tokens a
second and writes down when it read each request and when it wrote its first chunk. What a tool reports beyond
that is the tool's own: the way of a request to the server and of a chunk back take tenths of a millisecond.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers import Sizes, aiperf, guidellm, make_environment, read_aiperf_ttft, read_guidellm_ttft
from dynocheck.loadtest.stats.metrics import summarize_values
from tests.dynamo.build import home
from tests.loadtest.engine import FakeEngine, engine

STREAMS = (1, 8, 64, 256)
PERCENTILES = ("p50", "p90", "p99")


def compute_true_ttft(server: FakeEngine, requests: int) -> dict[str, float]:
    """Of the last so many requests, in milliseconds: those before them were a warm-up."""
    seen = [request for request in server.log()["requests"] if request["writes"]][-requests:]
    found = summarize_values((request["writes"][0] - request["at"]) * 1000 for request in seen)
    return {name: found.stat(name) or found.longest or 0.0 for name in PERCENTILES}


def measure_ours(url: str, sizes: Sizes) -> tuple[dict[str, float | None], str]:
    """What we report, and whether we called ourselves the bottleneck."""
    load = ["--url", url, "--requests", sizes.requests, "--concurrency", sizes.concurrency]
    lengths = ["--isl", sizes.input, "--osl", sizes.output, "-o", "json"]
    command = [sys.executable, "-m", "dynocheck", "load", *map(str, [*load, *lengths])]
    report: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    (table,) = [table for table in report["tables"] if table["id"] == "load.latency"]
    row = dict(zip(table["columns"], table["rows"][0], strict=True))
    return {name: row.get(name) for name in PERCENTILES}, row.get("unknown") or ""


def show(name: str, told: dict[str, float | None], true: dict[str, float], note: str = "") -> None:
    """Print what is told beyond the truth, in milliseconds."""
    known = ((each, told[each], true[each]) for each in PERCENTILES)
    errors = (f"{each} {'' if a is None else f'{a - b:+.2f}':>8}" for each, a, b in known)
    print(f"  {name:<10} {'  '.join(errors)} {note}")


def main(venvs: list[str]) -> None:
    """Print by how many milliseconds each is wrong, at each number of streams."""
    for streams in STREAMS:
        sizes = Sizes(max(100, 2 * streams), streams, 64, 16)  # p99 takes a hundred
        print(
            f"ttft beyond the truth in ms, {streams} streams of 50 tokens a second, {sizes.requests} requests"
        )
        with tempfile.TemporaryDirectory() as name:
            _compare(sizes, venvs, Path(name))


def _compare(sizes: Sizes, venvs: list[str], folder: Path) -> None:
    with engine(pace_s=0.02) as server:
        told, note = measure_ours(server.url, sizes)
        show("dynocheck", told, compute_true_ttft(server, sizes.requests), note)
    peers = ((aiperf, read_aiperf_ttft), (guidellm, read_guidellm_ttft))
    for (command, reported), venv in zip(peers, venvs, strict=False):
        with engine(pace_s=0.02) as server:
            made = command(Path(venv), server.url, "m", home().model, sizes, folder)
            subprocess.run(made, capture_output=True, check=True, env=make_environment())
            show(command.__name__, {**reported(folder)}, compute_true_ttft(server, sizes.requests))


if __name__ == "__main__":
    main(sys.argv[1:])
