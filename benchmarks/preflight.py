"""How long `dynocheck preflight` takes, against the kubectl calls of Dynamo's own scripts.

Run it as `python -m benchmarks.preflight`.

Upstream's pre-deployment-check.sh asks cluster-info, StorageClasses, the default one again by its name,
labelled nodes and GPU Operator pods; its gaie_checks.sh waits for nine definitions one by one and looks at
the controller and the Gateway. All run on one small cluster of the test control plane, where every question
is answered at once, so that the calls are the fewest that the scripts can do with. The second table is the
same with every answer 50 ms later.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import installed
from benchmarks.timing import Command, compare, show
from tests import clusters
from tests.clusters import storage
from tests.controlplane import build
from tests.controlplane.definitions import crds_dir
from tests.controlplane.server import ControlPlane

OURS = "dynocheck preflight"
SAME = "dynocheck preflight, the first's checks"
SMALL = "kubectl, pre-deployment-check.sh"
BOTH = "kubectl, that and gaie_checks.sh"
DEFAULT_CLASS = storage.storage_class()["metadata"]["name"]
DEFAULTS = (
    "jsonpath={range .items[?(@.metadata.annotations.storageclass\\.kubernetes\\.io/is-default-class"
    '=="true")]}{.metadata.name}{"\\n"}{end}'
)
CHECKS = ["access.api-reachable", "storage.default-class", "gpu.nodes-present", "gpu.operator"]
GATEWAY = [f"{plural}.gateway.networking.k8s.io" for plural in ("gateways", "gatewayclasses", "httproutes")]
GAIE = [
    "referencegrants.gateway.networking.k8s.io",
    "inferencepools.inference.networking.k8s.io",
    "inferencepools.inference.networking.x-k8s.io",
    "inferenceobjectives.inference.networking.x-k8s.io",
    "inferencemodelrewrites.inference.networking.x-k8s.io",
    "inferencepoolimports.inference.networking.x-k8s.io",
]


def list_pre_deployment_calls(kubectl: Command) -> list[Command]:
    """The calls of the first script."""
    return [
        [*kubectl, "cluster-info"],
        [*kubectl, "get", "storageclass", "-o", DEFAULTS],
        [*kubectl, "get", "storageclass", DEFAULT_CLASS],
        [*kubectl, "get", "nodes", "-l", "nvidia.com/gpu.present=true", "-o", "name"],
        [*kubectl, "get", "pods", "-A", "-l", "app.kubernetes.io/name=gpu-operator", "--no-headers"],
    ]


def list_gaie_calls(kubectl: Command) -> list[Command]:
    """The calls of the second script: does a definition exist, is it established; then who serves it."""
    definitions = [
        call
        for name in (*GATEWAY, *GAIE)
        for call in (
            [*kubectl, "get", "crd", name],
            [*kubectl, "wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s"],
        )
    ]
    controller = ["get", "pods", "-n", "agentgateway-system", "-l", "app.kubernetes.io/name=agentgateway"]
    return [*definitions, [*kubectl, *controller], [*kubectl, "get", "gateways", "-A"]]


@contextmanager
def delay_answers(cluster: ControlPlane, delay_ms: int) -> Iterator[Path]:
    """Give a kubeconfig by which every answer of the cluster comes later."""
    port = urlsplit(cluster.url).port
    command = [sys.executable, "-m", "benchmarks.relay", str(port), str(delay_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as relay:
        assert relay.stdout
        try:
            yield cluster.kubeconfig(server=f"https://127.0.0.1:{relay.stdout.readline().strip()}")
        finally:
            relay.kill()


def measure(dynocheck: Path, kubeconfig: Path, *, rounds: int) -> None:
    """Print how long each takes with this kubeconfig."""
    config = ["--kubeconfig", str(kubeconfig)]
    kubectl = [str(build.assets("kubectl") / "kubectl"), *config]
    first = list_pre_deployment_calls(kubectl)
    preflight = [str(dynocheck), "preflight", *config]
    medians = compare(
        {
            OURS: [preflight],
            SAME: [[*preflight, *(f"--select={check}" for check in CHECKS)]],
            SMALL: first,
            BOTH: [*first, *list_gaie_calls(kubectl)],
        },
        rounds=rounds,
    )
    show(medians, SAME, SMALL)
    show(medians, OURS, SMALL)
    show(medians, OURS, BOTH)


def main() -> None:
    crds = crds_dir()
    with installed.create_environment() as bin_, ControlPlane() as cluster:
        dynocheck = bin_ / "dynocheck"
        cluster.load_crds(*clusters.list_crds(crds))
        clusters.furnish(cluster)
        print("as it is")
        measure(dynocheck, cluster.kubeconfig(), rounds=15)
        with delay_answers(cluster, 50) as kubeconfig:
            print("every answer 50 ms later")
            measure(dynocheck, kubeconfig, rounds=5)


if __name__ == "__main__":
    main()
