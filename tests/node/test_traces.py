"""Nothing of a node is left on the machine, however its end comes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import ROOT, restore_sigint, until
from tests.node import build
from tests.node.node import Node

# A node with a pod, whose program says where the node is and then waits.
RUN = """
import time
from tests.node import pods
from tests.node.node import Node
with Node() as node, node.network():
    node.cluster.apply(pods.pod("pod", "default", pods.container(script="sleep 1000")))
    pods.until(node.cluster, "default", "pod", pods.ready)
    print(node.folder, flush=True)
    time.sleep(600)
"""


def traces(folder: Path) -> Iterator[str]:
    """What there is of a node on this machine: processes, mounts, control groups and files."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in (process / "cmdline").read_text() + (process / "mountinfo").read_text():
                yield f"process {process.name}"
        except OSError:
            pass  # it ended meanwhile
    yield from map(str, Path("/sys/fs/cgroup").glob(f"**/{folder.name}"))
    yield from [str(folder)] * folder.exists()


def interfaces() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def test_a_node_changes_no_network_of_the_machine(running_node: Node) -> None:
    there = interfaces()
    assert "cni0" not in there
    with running_node.network():
        assert "cni0" in subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert interfaces() == there


@pytest.mark.verify
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.skipif(not build.wanted(), reason=f"starts a Kubernetes node: {build.WANTED}=1")
def test_nothing_is_left(by: signal.Signals) -> None:
    before = interfaces()
    command = [sys.executable, "-c", RUN]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=restore_sigint
    ) as process:
        assert process.stdout
        folder = Path(process.stdout.readline().strip())
        assert list(traces(folder))
        os.kill(process.pid, by)
    until(lambda: not list(traces(folder)))
    assert interfaces() == before


@pytest.mark.skipif(not build.wanted(), reason=f"starts a Kubernetes node: {build.WANTED}=1")
@pytest.mark.parametrize("capability", ["sys_admin", "setpcap"])
def test_a_right_that_is_missing_is_named(capability: str) -> None:
    """And nothing is begun without it."""
    without = ["setpriv", f"--bounding-set=-{capability}", f"--inh-caps=-{capability}"]
    program = "from tests.node.node import Node; Node().__enter__()"
    done = subprocess.run(
        [*without, sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert f"a node needs CAP_{capability.upper()}, which root lacks here" in done.stderr
