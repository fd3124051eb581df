"""Times commands against each other, turn by turn, so that a busy machine slows all of them."""

import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence

Command = Sequence[str]


def compare(contenders: Mapping[str, Sequence[Command]], *, rounds: int = 15) -> dict[str, float]:
    """The median seconds of each contender, whose commands run one after the other.

    :raises subprocess.CalledProcessError: a command failed, so its time says nothing.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, commands in contenders.items():
            start = time.perf_counter()
            for command in commands:
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each[1:]) for name, each in times.items()}  # the first one warms up


def show(medians: Mapping[str, float], ours: str, peer: str) -> None:
    """Print the medians and the ratio of ours to the peer's."""
    for name, seconds in medians.items():
        print(f"{name:<48} {seconds * 1000:7.0f} ms")
    print(f"{ours} takes {medians[ours] / medians[peer]:.2f} times as long as {peer}\n")
