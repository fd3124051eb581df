"""A load test as objects of Kubernetes: an Indexed Job whose pods share it, and where they meet."""

from typing import Any

from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.start_barrier import PATIENCE_S

Manifest = dict[str, Any]

KEY = "DYNOCHECK_API_KEY"
_PORT = 7201
_KEPT_S = 3600  # how long an ended Job keeps its logs
_LABEL = "app.kubernetes.io/name"
_DROPPED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def indexed(
    plan: LoadPlan, *, name: str, namespace: str | None, image: str, secret: tuple[str, str] | None = None
) -> tuple[Manifest, Manifest]:
    """The Job and the headless Service by whose name its pods find the first of them.

    :param image: one that has dynocheck installed.
    :param secret: the name of a Secret and the key in it that holds the API key.
    """
    meet = f"{name}-0.{name}:{_PORT}"
    worker = f"$(JOB_COMPLETION_INDEX)/{plan.workers}@{meet}"  # the kubelet puts the index in
    asking = ["--api-key-env", KEY] if secret else []
    container = {
        "name": "load",
        "image": image,
        "command": ["dynocheck", "load"],
        "args": [*arguments(plan), *asking, "--worker", worker],
        "ports": [{"name": "meet", "containerPort": _PORT}],
        "resources": {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {**_DROPPED, "readOnlyRootFilesystem": True},
    }
    if secret:
        container["env"] = [from_secret(KEY, secret)]
    deadline_s = int(PATIENCE_S + plan.longest_s) + 1
    job = run_job(name, namespace, container, deadline_s)
    job["spec"] |= {"completionMode": "Indexed", "completions": plan.workers, "parallelism": plan.workers}
    pod = job["spec"]["template"]["spec"]
    pod |= {"subdomain": name, "affinity": _apart(name), "terminationGracePeriodSeconds": 5}
    return job, _service(name, namespace)


def run_job(name: str, namespace: str | None, container: Manifest, deadline_s: int) -> Manifest:
    """A Job that runs a container once, without any privilege, and ends by the deadline."""
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _meta(name, namespace),
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline_s,
            "ttlSecondsAfterFinished": _KEPT_S,
            "template": {"metadata": {"labels": {_LABEL: name}}, "spec": pod},
        },
    }


def from_secret(variable: str, secret: tuple[str, str]) -> Manifest:
    """A variable of the environment that holds a key of a Secret."""
    name, key = secret
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def arguments(plan: LoadPlan) -> list[str]:
    """The plan in the words of the command line, without its key."""
    endpoint = plan.endpoint
    given: dict[str, object] = {
        "--url": endpoint.url,
        "--model": plan.model,
        **_load(plan),
        "--requests": plan.requests,
        "--duration": plan.duration_s,
        "--isl": plan.input_tokens,
        "--osl": plan.output_tokens,
        "--warmup": plan.warmup,
        "--seed": plan.seed,
        "--timeout": endpoint.limits.total_s,
    }
    switches = {"--completions": not plan.chat, "--insecure": endpoint.insecure}
    words = [word for name, value in given.items() if value is not None for word in (name, _word(value))]
    return [*words, *(name for name, on in switches.items() if on)]


def _load(plan: LoadPlan) -> dict[str, object]:
    if plan.rate is not None:
        return {"--rate": plan.rate, "--arrivals": plan.arrivals}
    if len(plan.concurrencies) > 1:
        return {"--sweep": ",".join(map(str, plan.concurrencies))}
    return {"--concurrency": plan.concurrencies[0]}


def _word(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _apart(name: str) -> Manifest:
    """On nodes of their own where there are enough: they share a network card otherwise."""
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {_LABEL: name}}}
    return {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]
        }
    }


def _service(name: str, namespace: str | None) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(name, namespace),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,  # they meet before anything says that they are ready
            "selector": {_LABEL: name},
            "ports": [{"name": "meet", "port": _PORT}],
        },
    }


def _meta(name: str, namespace: str | None) -> Manifest:
    """Without a namespace it is made in that of whoever applies it."""
    where = {"namespace": namespace} if namespace else {}
    return {"name": name, **where, "labels": {_LABEL: name}}
