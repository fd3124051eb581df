"""A graph of one worker, with every object by which Dynamo's operator carries it out."""

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clusters.objects import make_condition, make_object
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane

GRAPH, WORKER = "chat", "chat-worker"
REPLICAS = f"{WORKER}-7c9"
POD = f"{REPLICAS}-x2b"
NODE = "stage"
IMAGE = "registry.example/vllm-runtime:1.6.1"


def ago(seconds: float) -> str:
    """The moment so many seconds ago, as the API server writes it."""
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass
class Stage:
    """A namespace of a cluster in which the graph stands, and the folder of its containers' logs."""

    cluster: ControlPlane
    namespace: str
    logs: Path
    events: int = field(default=0)

    def deploy(
        self, *, ready: bool, spec: Object | None = None, status: Object | None = None, **pod: Any
    ) -> None:
        """Put up the graph with one pod, whose spec and status may replace single fields."""
        owner = self.carry_out(ready=ready)
        self.cluster.pod(
            POD,
            self.namespace,
            **{"node": NODE, "image": IMAGE, "owner": owner, "ready": ready, **pod},
            spec=spec,
            status=status,
        )

    def carry_out(self, *, ready: bool, pods: int = 1) -> Object:
        """Put up the graph without its pod, and give the ReplicaSet that owns the pod."""
        state = "successful" if ready else "pending"
        reason = "all_resources_are_ready" if ready else "some_resources_are_not_ready"
        graph = self.put(
            "nvidia.com/v1beta1 DynamoGraphDeployment",
            GRAPH,
            None,
            spec={"components": [{"name": "worker", "type": "worker"}]},
            status={
                "state": state,
                "observedGeneration": 1,
                "conditions": [make_condition("Ready", str(ready), reason)],
            },
        )
        template = {
            "metadata": {"labels": {"app": WORKER}},
            "spec": {"containers": [{"name": "main", "image": IMAGE}]},
        }
        chosen = {"selector": {"matchLabels": {"app": WORKER}}, "template": template, "replicas": 1}
        counts = {"replicas": pods, "readyReplicas": int(ready), "observedGeneration": 9}
        deployment = self.put("apps/v1 Deployment", WORKER, graph, spec=chosen, status=counts)
        return self.put("apps/v1 ReplicaSet", REPLICAS, deployment, spec=chosen, status=counts)

    def carry_by(self, *carriers: str) -> Object:
        """Put up a graph that is carried out by these kinds, each owned by the one before; give the last."""
        why = make_condition("Ready", "False", "some_resources_are_not_ready")
        status = {"state": "pending", "observedGeneration": 1, "conditions": [why]}
        spec: Object = {"components": [{"name": "worker", "type": "worker"}]}
        owner = self.put("nvidia.com/v1beta1 DynamoGraphDeployment", GRAPH, None, spec=spec, status=status)
        for kind in carriers:
            labels = {"app": WORKER}
            template = {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": IMAGE}]},
            }
            spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
            owner = self.put(kind, WORKER, owner, spec=spec, status={"replicas": 1, "readyReplicas": 0})
        return owner

    def tell(self, kind: str, name: str, reason: str, message: str, *, normal: bool = False) -> None:
        """Write an event of an object."""
        self.events += 1
        about = {"kind": kind, "name": name, "namespace": self.namespace}
        event = make_object(
            "Event",
            f"event-{self.events}",
            self.namespace,
            involvedObject=about,
            reason=reason,
            message=message,
            type="Normal" if normal else "Warning",
            count=3,
            firstTimestamp=ago(90),
            lastTimestamp=ago(30),
        )
        self.cluster.apply(event)

    def log(self, text: str) -> None:
        """Write the log of the pod's container."""
        (self.logs / f"{self.namespace}_{POD}.log").write_text(text)

    def claim(self, name: str, phase: str, **spec: Any) -> None:
        """Make a claim in this phase."""
        wanted = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "10Gi"}}}
        claim = make_object(
            "PersistentVolumeClaim", name, self.namespace, spec=wanted | spec, status={"phase": phase}
        )
        self.cluster.apply(claim)

    def put(self, kind: str, name: str, owner: Object | None, **fields: Any) -> Object:
        made = make_object(kind, name, self.namespace, **fields)
        if owner is not None:
            about = {key: owner["metadata"][key] for key in ("name", "uid")}
            about |= {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
            made["metadata"]["ownerReferences"] = [about]
        return self.cluster.apply(made)[0]


def waiting(reason: str, message: str = "", **more: Any) -> Object:
    """The status of a pod whose container waits."""
    return make_status({"waiting": {"reason": reason, "message": message}}, "Pending", **more)


def crashed(code: int, reason: str = "Error", restarts: int = 4, **more: Any) -> Object:
    """The status of a pod whose container has crashed, and waits to be started again."""
    ended = {"exitCode": code, "reason": reason, "startedAt": ago(100), "finishedAt": ago(40)}
    waits = {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}
    return make_status(
        {"waiting": waits}, "Running", lastState={"terminated": ended}, restartCount=restarts, **more
    )


def running(seconds: float, *, ready: bool, **more: Any) -> Object:
    """The status of a pod whose container runs for so many seconds."""
    return make_status({"running": {"startedAt": ago(seconds)}}, "Running", ready=ready, **more)


def make_status(state: Object, phase: str, *, ready: bool = False, **container: Any) -> Object:
    about = {"name": "main", "image": IMAGE, "imageID": IMAGE, "ready": ready, "restartCount": 0}
    conditions = [make_condition("PodScheduled"), make_condition("Ready", str(ready))]
    return {
        "phase": phase,
        "conditions": conditions,
        "containerStatuses": [about | {"state": state, **container}],
    }


def unscheduled(message: str, reason: str = "Unschedulable") -> Object:
    """The status of a pod that the scheduler places nowhere."""
    return {"phase": "Pending", "conditions": [make_condition("PodScheduled", "False", reason, message)]}
