"""A deployment that does not serve, the cause that must be named, and how the usual ones are made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.diagnosis.stage import POD, REPLICAS, Stage, crashed, running, unscheduled, waiting

GROVE = ("grove.io/v1alpha1 PodCliqueSet", "grove.io/v1alpha1 PodClique")
LWS = ("leaderworkerset.x-k8s.io/v1 LeaderWorkerSet", "apps/v1 StatefulSet")


@dataclass(frozen=True)
class Broken:
    """A deployment that does not serve: `check` must name `kind` and `name` as the only cause, and `says` in
    its message or its fix. The cause and what follows from it are about `objects` objects, or more.
    `source` is the public report that tells of it.
    """

    title: str
    make: Callable[[Stage], object]
    check: str
    kind: str = "Pod"
    name: str = POD
    says: str = ""
    outcome: str = "fail"
    objects: int = 3
    source: str = ""

    def __str__(self) -> str:
        return self.title


def make_pod(**fields: Any) -> Callable[[Stage], None]:
    return lambda stage: stage.deploy(ready=False, **fields)


def make_unscheduled(message: str, **fields: Any) -> Callable[[Stage], None]:
    return make_pod(node=None, phase="Pending", status=unscheduled(message), **fields)


def make_unpulled(message: str, reason: str = "ErrImagePull") -> Callable[[Stage], None]:
    return make_pod(status=waiting(reason, message))


def make_told(reason: str, message: str, status: Any = None) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        stage.deploy(ready=False, status=status or waiting("ContainerCreating"))
        stage.tell("Pod", POD, reason, message)

    return make


def make_crashing(code: int, log: str, **more: Any) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        stage.deploy(ready=False, status=crashed(code, **more))
        stage.log(log)

    return make


def make_running(log: str, seconds: float = 900) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        stage.deploy(ready=False, status=running(seconds, ready=False, started=True))
        stage.log(log)

    return make


def make_refused(message: str) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        stage.carry_out(ready=False, pods=0)
        stage.tell("ReplicaSet", REPLICAS, "FailedCreate", message)

    return make
