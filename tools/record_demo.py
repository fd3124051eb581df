"""Records the cluster that `dynocheck demo` judges, from the test control plane.

    python -m tools.record_demo

It is a cluster as one finds them: two of three GPU nodes work, and its only storage is one node's at a time.
"""

import json
import subprocess
import sys
from pathlib import Path

from tests import clusters
from tests.clusters import storage
from tests.controlplane.definitions import crds_dir
from tests.controlplane.server import ControlPlane

TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "demo.json"


def main() -> int:
    crds = crds_dir()
    with ControlPlane() as cluster:
        cluster.load_crds(*clusters.list_crds(crds))
        clusters.furnish(cluster)
        cluster.delete(clusters.storage_class())
        cluster.apply(clusters.storage_class("gp3", "ebs.csi.aws.com", binding="WaitForFirstConsumer"))
        cluster.apply(storage.csi_driver("ebs.csi.aws.com"))
        cluster.apply(*(storage.csi_node(name, "ebs.csi.aws.com") for name in clusters.GPU_NODES))
        cluster.node("gpu-3", gpus=8, labels=clusters.GPU_LABELS, allocatable={"nvidia.com/gpu": "0"})
        command = [sys.executable, "-m", "dynocheck", "snapshot", str(TARGET)]
        code = subprocess.run([*command, "--kubeconfig", str(cluster.kubeconfig())], check=False).returncode
    recording = json.loads(TARGET.read_text())
    recording["target"] = {"cluster": "https://demo.example:6443", "context": "demo", "namespace": "default"}
    recording["facts"]["ApiServer"]["url"] = "https://demo.example:6443"
    TARGET.write_text(json.dumps(recording, indent=1) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
