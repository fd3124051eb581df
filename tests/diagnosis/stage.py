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

_MERGE = "application/merge-patch+json"
_ATTACHED = (
    "gateway.networking.k8s.io/v1 HTTPRoute",
    "inference.networking.k8s.io/v1 InferencePool",
)
# Every kind that is mended, with what its status says beside counts and conditions.
_STATUSES: dict[str, Object] = {
    "nvidia.com/v1beta1 DynamoGraphDeployment": {"state": "successful"},
    "nvidia.com/v1beta1 DynamoGraphDeploymentRequest": {"phase": "Deployed"},
    "nvidia.com/v1alpha1 DynamoModel": {"readyEndpoints": 2, "totalEndpoints": 2},
    "grove.io/v1alpha1 PodCliqueSet": {},
    "grove.io/v1alpha1 PodClique": {},
    "leaderworkerset.x-k8s.io/v1 LeaderWorkerSet": {},
    "apps/v1 Deployment": {},
    "apps/v1 ReplicaSet": {},
    "apps/v1 StatefulSet": {},
    "batch/v1 Job": {},
    "v1 PersistentVolumeClaim": {"phase": "Bound"},
    "autoscaling/v2 HorizontalPodAutoscaler": {"desiredReplicas": 1},
    "gateway.networking.k8s.io/v1 Gateway": {},
    _ATTACHED[0]: {},
    _ATTACHED[1]: {},
}
_BAD = (
    *("MinAvailableBreached", "TopologyLevelsUnavailable", "GangTerminationInProgress"),
    *("ReplicaFailure", "Failed", "FailureTarget"),
)


def _mend_condition(condition: Object) -> Object:
    return make_condition(condition["type"], str(condition["type"] not in _BAD))


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
            if kind.endswith("LeaderWorkerSet"):
                spec = {"replicas": 1, "leaderWorkerTemplate": {"size": 2, "workerTemplate": template}}
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

    def mend(self) -> None:
        """Make everything serve, as it would once its cause is gone; events and logs stay."""
        for kind in _STATUSES:
            for each in self._list(kind):
                self._mend_object(kind, each)
        for pod in self._list("v1 Pod"):
            self._mend_pod(pod)
        for group in self._list("scheduling.run.ai/v2alpha2 PodGroup"):
            self.cluster.delete(group)
        ready = [make_condition("Ready"), make_condition("DiskPressure", "False")]
        self.cluster.patch_status(make_object("Node", NODE, status={"conditions": ready}))

    def _list(self, kind: str) -> list[Object]:
        api, _, name = kind.rpartition(" ")
        about = {"apiVersion": api, "kind": name}
        path = self.cluster.resource(about).url({"namespace": self.namespace, "name": ""})
        return [about | each for each in self.cluster.get(path.rstrip("/"))["items"]]

    def _mend_object(self, kind: str, each: Object) -> None:
        name, spec, status = each["metadata"]["name"], each.get("spec", {}), each.get("status", {})
        if kind == "batch/v1 Job":  # one that has failed does not succeed: another one does
            self.cluster.delete(each)
            done = [make_condition(name) for name in ("SuccessCriteriaMet", "Complete")]
            status = {"succeeded": 1, "startTime": ago(300), "completionTime": ago(60), "conditions": done}
            template = {"spec": spec["template"]["spec"]}
            self.put(kind, name, None, spec={"template": template}, status=status)
            return
        if spec.get("replicas") == 0:
            spec = {"replicas": 1}
            url = self.cluster.resource(each).url(each["metadata"])
            self.cluster.request("PATCH", url, {"spec": spec}, content_type=_MERGE)
        counts = dict.fromkeys(("replicas", "readyReplicas"), spec.get("replicas", 1))
        fields: Object = {**(counts if "replicas" in spec else {}), **_STATUSES[kind]}
        fields |= {"observedGeneration": 9} if "observedGeneration" in status else {}
        if "conditions" in status:
            fields["conditions"] = [_mend_condition(c) for c in status["conditions"]]
        if kind in _ATTACHED:
            parent = {"parentRef": {"name": "edge"}, "conditions": [make_condition("Accepted")]}
            parent |= {"controllerName": "example.com/gateway"} if kind.endswith("HTTPRoute") else {}
            fields["parents"] = [parent]
        if kind == _ATTACHED[1]:
            self._mend_pool(each)
        self.cluster.patch_status(make_object(kind, name, self.namespace, status=fields))

    def _mend_pool(self, pool: Object) -> None:
        """Give it the pods that are there, their port, and a picker."""
        spec = {"selector": {"matchLabels": {"app": WORKER}}, "targetPorts": [{"number": 8000}]}
        url = self.cluster.resource(pool).url(pool["metadata"])
        self.cluster.request("PATCH", url, {"spec": spec}, content_type=_MERGE)
        label = {"metadata": {"labels": {"app": WORKER}}}
        self.cluster.request(
            "PATCH", f"/api/v1/namespaces/{self.namespace}/pods/{POD}", label, content_type=_MERGE
        )
        name = pool["spec"]["endpointPickerRef"]["name"]
        labels = {"app": name}
        self.put("v1 Service", name, None, spec={"ports": [{"port": 9002}], "selector": labels})
        self.cluster.pod(f"{name}-0", self.namespace, node=NODE, labels=labels)

    def _mend_pod(self, pod: Object) -> None:
        meta, spec = pod["metadata"], pod["spec"]
        url = self.cluster.resource(pod).url(meta)
        if meta.get("deletionTimestamp") or pod["status"]["phase"] == "Failed":
            self.cluster.request("PATCH", url, {"metadata": {"finalizers": None}}, content_type=_MERGE)
            self.cluster.delete(pod)
            return
        if not spec.get("nodeName"):
            self.cluster.request("PATCH", url, {"spec": {"schedulingGates": None}}, content_type=_MERGE)
            target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
            binding = make_object("Binding", meta["name"], self.namespace, target=target)
            self.cluster.request("POST", f"{url}/binding", binding)
        claims = {each["metadata"]["name"] for each in self._list("v1 PersistentVolumeClaim")}
        for volume in spec.get("volumes", ()):
            name = volume.get("persistentVolumeClaim", {}).get("claimName")
            if name and name not in claims:
                self.claim(name, "Bound")
        about = {"imageID": IMAGE, "ready": True, "restartCount": 0}
        about |= {"started": True, "state": {"running": {"startedAt": ago(300)}}}
        over = about | {"state": {"terminated": {"exitCode": 0, "finishedAt": ago(300)}}}
        status: Object = {"phase": "Running", "reason": None, "message": None}
        status["conditions"] = [make_condition("PodScheduled"), make_condition("Ready")]
        for name, containers, state in (
            ("initContainerStatuses", spec.get("initContainers", ()), over),
            ("containerStatuses", spec["containers"], about),
        ):
            status[name] = [state | {"name": c["name"], "image": c["image"]} for c in containers]
        self.cluster.patch_status(make_object("Pod", meta["name"], self.namespace, status=status))

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
