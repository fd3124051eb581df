"""Times commands against each other, turn by turn, so that a busy machine slows all of them."""

import statistics
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence

Command = Sequence[str]


def compare(
    contenders: Mapping[str, Sequence[Command]], *, rounds: int = 15, codes: Collection[int] = (0,)
) -> dict[str, float]:
    """The median seconds of each contender, whose commands run one after the other.

    :param codes: the exit codes of a command that did its work.
    :raises RuntimeError: a command failed, so its time says nothing.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, commands in contenders.items():
            start = time.perf_counter()
            for command in commands:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode not in codes:
                    raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each[1:]) for name, each in times.items()}  # the first one warms up


def show(medians: Mapping[str, float], ours: str, peer: str) -> None:
    """Print the medians of both, and their ratio."""
    for name in (ours, peer):
        print(f"  {name:<40} {medians[name] * 1000:7.0f} ms")
    print(f"  ratio {medians[ours] / medians[peer]:.2f}\n")
