"""A big cluster: `dynocheck preflight` beside kubectl reading the same lists, and curl as the limit.

Run it as `python -m benchmarks.large [NODES PODS]`; filling the real API server takes some minutes. The pods
are listed by every contender; dynocheck reads them for capacity.fits, which a recipe asks for.
"""

import subprocess
import sys
import time
from typing import Any

from benchmarks import installed
from tests import clusters
from tests.controlplane import build
from tests.controlplane.api import Object
from tests.controlplane.definitions import crds_dir
from tests.controlplane.server import ControlPlane

NODE_BYTES, POD_BYTES = 20_000, 15_000  # as JSON, as they are on real clusters
PAGE = 500
WORKERS = 8
RECIPE = str(installed.ROOT / "recipes/qwen3-32b")
_PEAK = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL);"
_PEAK += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"


def pad(item: Object, size: int) -> Object:
    """The object with annotations that make it as big as real ones are."""
    metadata = {
        **item["metadata"],
        "annotations": {f"example.com/{i}": "x" * 1000 for i in range(size // 1000)},
    }
    return {**item, "metadata": metadata}


def fill(cluster: ControlPlane, nodes: int, pods: int) -> None:
    """Add so many nodes, most of them without GPUs, and pods that run on them."""
    amounts = {"cpu": "64", "memory": "512Gi", "pods": "110", "ephemeral-storage": "1Ti"}
    ready = [{"type": "Ready", "status": "True"}]
    status = {"capacity": amounts, "allocatable": amounts, "conditions": ready}
    made: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{i}"}, "status": status}
        for i in range(nodes)
    ]
    container = {"name": "main", "image": "registry.example/app:1"}
    container["resources"] = {"requests": {"cpu": "100m", "memory": "1Gi"}}  # type: ignore[assignment]
    running = {"phase": "Running", "conditions": ready}
    made += [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"pod-{i}", "namespace": "default"},
            "spec": {"nodeName": f"node-{i % nodes}", "containers": [container]},
            "status": running,
        }
        for i in range(pods)
    ]
    sizes = {"Node": NODE_BYTES, "Pod": POD_BYTES}
    cluster.apply(*(pad(item, sizes[item["kind"]]) for item in made), workers=WORKERS)


def measure(name: str, command: list[str]) -> float:
    """Run a command; print and give its seconds, and print its peak memory."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, *command], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode not in (0, 1):  # 1: the cluster is not fit for the recipe, which is no fault here
        raise RuntimeError(f"{name}: exit code {done.returncode}\n{done.stderr}")
    print(f"  {name:<40} {seconds:6.2f} s  {int(done.stdout) // 1024:5} MB")
    return seconds


def list_pages(cluster: ControlPlane) -> list[str]:
    """The URLs of every page of both lists."""
    urls = []
    for path in ("/api/v1/nodes", "/api/v1/pods"):
        token = ""
        while True:
            query = f"limit={PAGE}" + (f"&continue={token}" if token else "")
            urls.append(f"{cluster.url}{path}?{query}")
            token = cluster.get(f"{path}?{query}")["metadata"].get("continue", "")
            if not token:
                break
    return urls


def main(nodes: int = 1000, pods: int = 10_000) -> None:
    crds = crds_dir()
    kubectl = str(build.assets("kubectl") / "kubectl")
    with installed.create_environment() as bin_, ControlPlane() as cluster:
        cluster.load_crds(*clusters.list_crds(crds))
        clusters.furnish(cluster)
        print(f"filling the API server with {nodes} nodes and {pods} pods ...", flush=True)
        fill(cluster, nodes, pods)
        pair = cluster.admin.pair
        assert pair is not None
        certificate = cluster.folder / "curl.pem"
        certificate.touch(mode=0o600)
        certificate.write_bytes(pair.certificate + pair.key)
        config = ["--kubeconfig", str(cluster.kubeconfig())]
        dynocheck = [str(bin_ / "dynocheck"), "preflight", *config, "--timeout", "60"]
        measure("dynocheck preflight", dynocheck)
        ours = measure("dynocheck preflight --recipe", [*dynocheck, "--recipe", RECIPE])
        theirs = measure(
            "kubectl get nodes,pods -A -o json", [kubectl, *config, "get", "nodes,pods", "-A", "-o", "json"]
        )
        curl = ["curl", "--silent", "--fail", "--cacert", str(cluster.ca_file), "--cert", str(certificate)]
        limit = measure("curl, the same lists", [*curl, *list_pages(cluster)])
        print(f"  with a recipe: {ours / theirs:.2f} times kubectl, {ours / limit:.2f} times curl")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
