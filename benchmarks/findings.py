"""What 10,200 findings in 3,400 graphs cost: each format, a baseline, and comments in 1,100 files.

Run it as `python -m benchmarks.findings [GRAPHS FILES]`. The graphs are judged by every check and by the
three, with all processors and with one (taskset), in turn with kubeconform on the same files (see
benchmarks.recipes), which judges schemas alone; each writes JUnit. Then each part works on the report, in a
process of its own, and prints its time and memory with those of the report.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import msgspec

from benchmarks.recipes import prepare_kubeconform
from benchmarks.timing import compare, show
from dynocheck.core.outcomes import Report
from dynocheck.core.trust import Trust
from dynocheck.facts import IgnoreComment, Recipe, Recipes
from dynocheck.reports import FORMATS, render_report
from dynocheck.suppression.baseline import read_baseline, write_baseline
from dynocheck.suppression.inline import InlineComments
from tests.suppression.trees import CHECKS, SELECTED, grow


def suppress_by_baseline(report: Report, folder: Path) -> str:
    """Write a baseline, read it, and suppress all by it."""
    file = folder / "old.json"
    write_baseline(file, report.verdicts)
    baseline = read_baseline(file)
    known = [each for v in report.verdicts for each in baseline.suppress(v.check, v.findings)]
    return f"{sum(each is not None for each in known)} findings suppressed"


def suppress_by_comments(report: Report, _: Path) -> str:
    """Suppress all by a comment in each file."""
    from dynocheck.core.registry import load

    files = {f.location.file for v in report.verdicts for f in v.findings if f.location}
    ignores = tuple(IgnoreComment(file, 1, 1, CHECKS, "agreed", 1, None) for file in files)
    recipe = Recipe(path="r", shape="manifests", files=(), ignores=ignores)
    comments = InlineComments(Recipes((recipe,)), load().checks, Trust())
    known = [each for v in report.verdicts for each in comments.suppress(v.check, v.findings)]
    return f"{sum(each is not None for each in known)} findings suppressed by {len(files)} comments"


EVERY = "every check"
THREE = "the three checks"
ALONE = "one processor"
THEIRS = "kubeconform -strict"
PARTS = {"baseline": suppress_by_baseline, "comments": suppress_by_comments}


def measure_part(name: str, file: Path) -> None:
    """Print what a part costs, of the processor."""
    report = msgspec.json.decode(file.read_bytes(), type=Report)
    start = time.process_time()
    if name in PARTS:
        result = PARTS[name](report, file.parent)
    else:
        result = f"{len(render_report(report, name)) // 1024} KB"
    seconds, memory = time.process_time() - start, getrusage(RUSAGE_SELF).ru_maxrss // 1024
    print(f"  {name:<10} {seconds:6.2f} s  {memory:5} MB  {result}")


def main(graphs: int = 3400, files: int = 1100) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        grow(graphs, files).write(Path(folder) / "r")
        tree = str(Path(folder) / "r")
        judge = [sys.executable, "-m", "dynocheck", "recipe", tree, "--timeout", "600"]
        print(f"{len(CHECKS) * graphs} findings in {graphs} graphs and {files} files")
        with prepare_kubeconform() as kubeconform:
            ours = {EVERY: [*judge, "-o", "junit"], THREE: [*judge, *SELECTED, "-o", "junit"]}
            alone = {f"{name}, {ALONE}": ["taskset", "-c", "0", *command] for name, command in ours.items()}
            theirs = {THEIRS: [*kubeconform, "-output", "junit", tree]}
            contenders = {name: [command] for name, command in (ours | alone | theirs).items()}
            medians = compare(contenders, rounds=3, codes=(0, 1))
        for name in ours:
            show(medians, name, f"{name}, {ALONE}")
            show(medians, name, THEIRS)
        command = [*judge, *SELECTED, "-o", f"json={report}"]
        subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
        for name in (*PARTS, *FORMATS):
            subprocess.run([sys.executable, "-m", __spec__.name, name, str(report)], check=True)


if __name__ == "__main__":
    if sys.argv[1:] and not sys.argv[1].isdecimal():
        measure_part(sys.argv[1], Path(sys.argv[2]))
    else:
        main(*map(int, sys.argv[1:]))
