"""Builds what the tests' node is made of, into the cache of `tests.controlplane.build`.

    DYNOCHECK_NODE=1 python -m tests.node.build

Without that variable nobody asks for a node, and nothing is done.
"""

import os
import sys
from pathlib import Path

from tests.controlplane import build
from tests.controlplane.build import AssetsUnavailable
from tests.node import layers, packages

WANTED = "DYNOCHECK_NODE"
_HERE = Path(__file__).parent
_PROGRAMS = ("containerd", "runc", "containernetworking-plugins", "iptables", "conntrack")


def wanted() -> bool:
    """Whether whoever runs the tests asks for a node."""
    return os.environ.get(WANTED) == "1"


def kubernetes() -> Path:
    """Give the folder of kubelet and kube-proxy. This and the others raise AssetsUnavailable."""
    return build.assets(*build.NODE_PACKAGES)


def coredns() -> Path:
    """Give the path of CoreDNS."""
    module = _HERE / "coredns"
    return build.build_program("coredns", ".", module, module / "main.go", module / "go.mod")


def gpu_plugin() -> Path:
    """Give the path of the device plugin, which speaks the protocol of the kubelet's own module."""
    module, source = Path(build.__file__).parent, _HERE / "gpu_plugin.go"
    return build.build_program("gpu-plugin", str(source), module, source, module / "go.mod")


def programs() -> Path:
    """Give the root folder of containerd, runc, the network's plugins, iptables and conntrack."""
    return packages.unpack(*_PROGRAMS, without="libc6")


def everything() -> list[Path]:
    """Make what is missing, and give where all of it lies."""
    made = [kubernetes(), coredns(), gpu_plugin(), programs()]
    return [*made, layers.python(), layers.dependencies()]


def main() -> int:
    """Make what is missing, if a node is asked for, and return the exit status."""
    if not wanted():
        return 0
    try:
        print(*everything(), sep="\n")
    except AssetsUnavailable as error:
        print(f"no node: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
