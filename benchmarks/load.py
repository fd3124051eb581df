"""What a load test costs: `dynocheck load` beside aiperf and guidellm, on the same Dynamo in the same run.

Run it as `python -m benchmarks.load [AIPERF_VENV [GUIDELLM_VENV]]`, with the folders of virtual environments
that hold them; without, dynocheck runs alone. Each makes 192 requests, 32 at a time, of 64 tokens in and 32
out, after its own start: the wall clock over what the requests themselves take is what the tool adds. CPU
is of all its processes, memory of the largest of them.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peers import Sizes, aiperf, guidellm, make_environment
from tests.dynamo.build import home
from tests.dynamo.server import MODEL, Dynamo

SIZES = Sizes(requests=192, concurrency=32, input=64, output=32)
OURS_S, OURS_MB = 1.5, 100  # what is promised: wall clock over the pure load, memory
CPU_SHARE = 0.1  # of aiperf's
_MEASURE = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


class Cost(NamedTuple):
    """Exit code, seconds of wall clock and of CPU, megabytes of the largest process."""

    code: int
    wall_s: float
    cpu_s: float
    memory_mb: float


def measure_cost(*command: str | Path, env: dict[str, str] | None = None) -> Cost:
    """Run a command and say what it took."""
    arguments = [sys.executable, "-c", _MEASURE, *map(str, command)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, env=env)
    return Cost(*json.loads(done.stdout))


def run_dynocheck(url: str, folder: Path) -> tuple[Cost, float]:
    """Our cost, and the seconds that the requests themselves took."""
    saved = folder / "run.json"
    load = ["load", "--url", url, "--requests", str(SIZES.requests)]
    sizes = ["--isl", str(SIZES.input), "--osl", str(SIZES.output), "--save", str(saved)]
    load += ["--concurrency", str(SIZES.concurrency)]
    taken = measure_cost(sys.executable, "-m", "dynocheck", *load, *sizes)
    run: dict[str, Any] = json.loads(saved.read_text())["facts"]["LoadRun"]
    return taken, run["points"][0]["window_s"]


def show(name: str, taken: Cost) -> None:
    failed = f"  exit code {taken.code}" if taken.code else ""
    print(f"  {name:<12} {taken.wall_s:6.2f} s {taken.cpu_s:9.2f} s CPU {taken.memory_mb:8.0f} MB{failed}")


def main(venvs: list[str]) -> None:
    """Print what each took, and what is promised of ours."""
    with tempfile.TemporaryDirectory() as name, Dynamo(speedup=1.0) as server:
        folder = Path(name)
        run_dynocheck(server.url, folder)  # the server warms up
        ours, pure_s = run_dynocheck(server.url, folder)
        print(f"{SIZES.requests} requests, {SIZES.concurrency} at a time: {pure_s:.2f} s of pure load")
        show("dynocheck", ours)
        peers = []
        for command, venv in zip((aiperf, guidellm), venvs, strict=False):
            made = command(Path(venv), server.url, MODEL, home().model, SIZES, folder)
            peers.append(measure_cost(*made, env=make_environment()))
            show(command.__name__, peers[-1])
    print(f"  over the pure load {ours.wall_s - pure_s:.2f} s, at most {OURS_S}")
    print(f"  peak memory {ours.memory_mb:.0f} MB, at most {OURS_MB}")
    if peers and not peers[0].code:
        print(f"  CPU by aiperf's {ours.cpu_s / peers[0].cpu_s:.3f}, at most {CPU_SHARE}")


if __name__ == "__main__":
    main(sys.argv[1:])
