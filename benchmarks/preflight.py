"""How long `dynocheck preflight` takes, against the kubectl calls of Dynamo's pre-deployment script.

    python -m benchmarks.preflight

The script (deploy/pre-deployment/pre-deployment-check.sh of ai-dynamo/dynamo) asks in this order:
cluster-info, StorageClasses, labelled nodes, GPU Operator pods. Both run on the same small cluster of the test control
plane, where each of its questions is answered by the first call; on others it makes more.
"""

import sys

from benchmarks.timing import compare, show
from tests import clusters
from tests.controlplane import build
from tests.controlplane.objects import crds_dir
from tests.controlplane.server import ControlPlane


def main() -> None:
    crds = crds_dir()
    kubectl = str(build.assets("kubectl") / "kubectl")
    with ControlPlane() as cluster:
        if crds is not None:
            clusters.define(cluster, crds)
        clusters.furnish(cluster)
        config = ["--kubeconfig", str(cluster.kubeconfig())]
        default = (
            "jsonpath={range .items[?(@.metadata.annotations.storageclass\\.kubernetes\\.io/is-default-class"
            '=="true")]}{.metadata.name}{"\\n"}{end}'
        )
        ours, peer = "dynocheck preflight", "kubectl, the calls of the script"
        medians = compare(
            {
                ours: [[sys.executable, "-m", "dynocheck", "preflight", *config]],
                peer: [
                    [kubectl, *config, "cluster-info"],
                    [kubectl, *config, "get", "storageclass", "-o", default],
                    [kubectl, *config, "get", "nodes", "-l", "nvidia.com/gpu.present=true", "--no-headers"],
                    [kubectl, *config, "get", "pods", "-A", "-l", "app.kubernetes.io/name=gpu-operator"],
                ],
            }
        )
    show(medians, ours, peer)


if __name__ == "__main__":
    main()
