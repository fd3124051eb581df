"""A load test as objects of Kubernetes: an Indexed Job whose pods share it, and where they meet."""

from typing import Any

from dynocheck.facts import Access
from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.start_barrier import PATIENCE_S

KubeObject = dict[str, Any]

# What `kube.jobs` needs to run them.
RIGHTS = (
    *(Access(verb, "jobs", "batch", local=True) for verb in ("create", "get", "watch", "delete")),
    Access("create", "services", local=True),
    Access("delete", "services", local=True),
    Access("list", "pods", local=True),
    Access("get", "pods/log", local=True),
)

KEY = "DYNOCHECK_API_KEY"
_PORT = 7201
_KEPT_S = 3600  # how long an ended Job keeps its logs
_LABEL = "app.kubernetes.io/name"
_DROPPED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def make_indexed_job(
    plan: LoadPlan, *, name: str, namespace: str | None, image: str, secret: tuple[str, str] | None = None
) -> tuple[KubeObject, KubeObject]:
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
        "args": [*make_arguments(plan), *asking, "--worker", worker],
        "ports": [{"name": "meet", "containerPort": _PORT}],
        "resources": {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {**_DROPPED, "readOnlyRootFilesystem": True},
    }
    if secret:
        container["env"] = [make_secret_variable(KEY, secret)]
    deadline_s = int(PATIENCE_S + plan.longest_s) + 1
    job = make_job(name, namespace, container, deadline_s)
    job["spec"] |= {"completionMode": "Indexed", "completions": plan.workers, "parallelism": plan.workers}
    pod = job["spec"]["template"]["spec"]
    pod |= {"subdomain": name, "affinity": _make_anti_affinity(name), "terminationGracePeriodSeconds": 5}
    return job, _make_service(name, namespace)


def make_job(name: str, namespace: str | None, container: KubeObject, deadline_s: int) -> KubeObject:
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
        "metadata": _make_metadata(name, namespace),
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline_s,
            "ttlSecondsAfterFinished": _KEPT_S,
            "template": {"metadata": {"labels": {_LABEL: name}}, "spec": pod},
        },
    }


def make_secret_variable(variable: str, secret: tuple[str, str]) -> KubeObject:
    """A variable of the environment that holds a key of a Secret."""
    name, key = secret
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def make_arguments(plan: LoadPlan) -> list[str]:
    """The plan in the words of the command line, without its key."""
    endpoint = plan.endpoint
    given: dict[str, object] = {
        "--url": endpoint.url,
        "--model": plan.model,
        **_make_load_arguments(plan),
        "--requests": plan.requests,
        "--duration": plan.duration_s,
        "--isl": plan.input_tokens,
        "--osl": plan.output_tokens,
        "--warmup": plan.warmup,
        "--seed": plan.seed,
        "--timeout": endpoint.limits.total_s,
    }
    switches = {"--completions": not plan.chat, "--insecure": endpoint.insecure}
    words = [
        word for name, value in given.items() if value is not None for word in (name, _format_value(value))
    ]
    return [*words, *(name for name, on in switches.items() if on)]


def _make_load_arguments(plan: LoadPlan) -> dict[str, object]:
    if plan.rate is not None:
        return {"--rate": plan.rate, "--arrivals": plan.arrivals}
    if len(plan.concurrencies) > 1:
        return {"--sweep": ",".join(map(str, plan.concurrencies))}
    return {"--concurrency": plan.concurrencies[0]}


def _format_value(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _make_anti_affinity(name: str) -> KubeObject:
    """On nodes of their own where there are enough: they share a network card otherwise."""
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {_LABEL: name}}}
    return {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]
        }
    }


def _make_service(name: str, namespace: str | None) -> KubeObject:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _make_metadata(name, namespace),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,  # they meet before anything says that they are ready
            "selector": {_LABEL: name},
            "ports": [{"name": "meet", "port": _PORT}],
        },
    }


def _make_metadata(name: str, namespace: str | None) -> KubeObject:
    """Without a namespace it is made in that of whoever applies it."""
    where = {"namespace": namespace} if namespace else {}
    return {"name": name, **where, "labels": {_LABEL: name}}
