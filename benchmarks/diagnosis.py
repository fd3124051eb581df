"""What diagnose costs: on a graph that serves, and with --bundle in a namespace of 500 pods and 5,000 events.

Run it as `python -m benchmarks.diagnosis`. Each run is a process of its own; its requests are those that the
API server's audit log has.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dynocheck.probes.symptom.objects import WATCHED
from tests.clusters.objects import make_object
from tests.controlplane.definitions import crds_dir
from tests.controlplane.server import ControlPlane
from tests.diagnosis.stage import IMAGE, NODE, Stage, ago, crashed, running

_PODS, _EVENTS = 500, 5000
_CRDS = ("dynamo", "grove", "lws", "gaie", "gateway-api", "kai-scheduler")
_OPTIONAL = (
    *("services", "gateways", "httproutes", "inferencepools"),
    *("horizontalpodautoscalers", "scaledobjects", "dynamographdeploymentscalingadapters"),
)
_MEASURE = (
    "import sys, resource; from dynocheck.cli import main; code = main(sys.argv[1:]); "
    "used = resource.getrusage(resource.RUSAGE_SELF); cpu = used.ru_utime + used.ru_stime; "
    "print(f'{cpu:5.2f} s of a processor  {used.ru_maxrss // 1024:4} MB', file=sys.stderr); sys.exit(code)"
)


def fill(stage: Stage) -> None:
    """Fill a namespace: of the pods every fiftieth crashes."""
    owner = stage.carry_out(ready=True)
    for number in range(_PODS):
        status = crashed(1) if number % 50 == 0 else running(900, ready=True)
        stage.cluster.pod(f"p-{number}", stage.namespace, node=NODE, image=IMAGE, owner=owner, status=status)
    events = [
        make_object(
            "Event",
            f"e-{number}",
            stage.namespace,
            involvedObject={"kind": "Pod", "name": f"p-{number % _PODS}", "namespace": stage.namespace},
            reason="Unhealthy",
            message=f"Readiness probe failed: attempt {number // _PODS}",
            type="Warning",
            count=2,
            firstTimestamp=ago(100),
            lastTimestamp=ago(number % 90),
        )
        for number in range(_EVENTS)
    ]
    stage.cluster.apply(*events, workers=8)


def run(stage: Stage, *words: str) -> str:
    """Run dynocheck; give its time, memory and requests in words."""
    before = count_requests(stage.cluster)
    config = str(stage.cluster.kubeconfig(namespace=stage.namespace))
    start = time.perf_counter()
    command = [sys.executable, "-c", _MEASURE, *words, "--kubeconfig", config]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    used = ended.stderr.strip().rpartition("\n")[2]
    return f"{seconds:5.2f} s  {used}  {count_requests(stage.cluster) - before:3} requests"


def count_requests(cluster: ControlPlane, agent: str = "dynocheck/") -> int:
    return sum(entry.get("userAgent", "").startswith(agent) for entry in cluster.audit_events())


def count_of_kubectl(stage: Stage) -> int:
    """The requests of `kubectl get` for the same objects, without those that find their kinds."""
    before = _count_lists(stage.cluster)
    resources = ["nodes", "configmaps", *(name for _, name in WATCHED), *_OPTIONAL]
    for name in resources:
        stage.cluster.kubectl("get", name, "--namespace", stage.namespace, "--ignore-not-found")
    return _count_lists(stage.cluster) - before


def _count_lists(cluster: ControlPlane) -> int:
    events = (e for e in cluster.audit_events() if e.get("userAgent", "").startswith("kubectl"))
    return sum("objectRef" in e and e.get("verb") == "list" for e in events)


def list_findings(file: Path) -> list[Any]:
    """What a report says of symptoms: check, outcome, findings."""
    verdicts = json.loads(file.read_text())["verdicts"]
    return [(v["check"], v["outcome"], v["findings"]) for v in verdicts if v["check"].startswith("symptom.")]


def main() -> int:
    folder = Path(tempfile.mkdtemp())
    with ControlPlane(audit=True) as cluster:
        cluster.load_crds(*(crds_dir() / name for name in _CRDS))
        cluster.node(NODE)
        healthy, large = (Stage(cluster, cluster.namespace(), folder) for _ in range(2))
        healthy.deploy(ready=True, status=running(900, ready=True))
        print("a graph that serves:", run(healthy, "diagnose"))
        print("kubectl get of the same kinds:", count_of_kubectl(healthy), "requests")
        fill(large)
        print(
            f"{_PODS} pods, {_EVENTS} events:", run(large, "diagnose", "-o", f"json={folder / 'live.json'}")
        )
        bundle = str(folder / "support.tar.gz")
        print("its bundle:", run(large, "snapshot", bundle, "--bundle", "--select", "symptom"))
        print("offline:", run(large, "diagnose", "--snapshot", bundle, "-o", f"json={folder / 'off.json'}"))
    same = list_findings(folder / "live.json") == list_findings(folder / "off.json")
    print(
        "the offline verdicts are", "those of the live run" if same else "others than those of the live run"
    )
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
