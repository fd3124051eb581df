"""Kubernetes manifests of a load test: an Indexed Job whose pods share the load, and a headless Service."""

from collections.abc import Mapping

from dynocheck.facts import Access
from dynocheck.kube.manifests import UNPRIVILEGED, KubeObject
from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.start_barrier import PATIENCE_S

# The permissions that `kube.jobs` needs to run them.
RIGHTS = (
    *(Access(verb, "jobs", "batch", local=True) for verb in ("create", "get", "watch", "delete")),
    Access("create", "services", local=True),
    Access("delete", "services", local=True),
    Access("list", "pods", local=True),
    Access("get", "pods/log", local=True),
)

KEY = "DYNOCHECK_API_KEY"
_PORT = 7201
_KEPT_S = 3600  # how long a finished Job keeps its logs
_LABEL = "app.kubernetes.io/name"


def make_indexed_job(
    plan: LoadPlan,
    *,
    name: str,
    namespace: str | None,
    image: str,
    cpu: str = "1",
    secret: tuple[str, str] | None = None,
) -> tuple[KubeObject, KubeObject]:
    """The Job, and the headless Service through which its pods find the first pod.

    :param image: an image with dynocheck installed.
    :param cpu: what each pod requests, as Kubernetes writes quantities.
    :param secret: name of a Secret, and the key in it that contains the API key.
    """
    barrier = f"{name}-0.{name}:{_PORT}"
    worker = f"$(JOB_COMPLETION_INDEX)/{plan.workers}@{barrier}"  # the kubelet substitutes the index
    key_arguments = ["--api-key-env", KEY] if secret else []
    container = {
        "name": "load",
        "image": image,
        "command": ["dynocheck", "load"],
        "args": [*make_arguments(plan), *key_arguments, "--worker", worker],
        "ports": [{"name": "meet", "containerPort": _PORT}],
        "resources": {"requests": {"cpu": cpu, "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": UNPRIVILEGED,
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
    """A Job that runs a container once, unprivileged, and for at most deadline_s seconds."""
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
    """An environment variable set from a key of a Secret."""
    name, key = secret
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def make_arguments(plan: LoadPlan) -> list[str]:
    """The plan as arguments of `dynocheck load`, without its API key."""
    endpoint = plan.endpoint
    flags: dict[str, object] = {
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
    return [*format_flags(flags), *(name for name, on in switches.items() if on)]


def _make_load_arguments(plan: LoadPlan) -> dict[str, object]:
    if plan.rate is not None:
        return {"--rate": plan.rate, "--arrivals": plan.arrivals}
    if len(plan.concurrencies) > 1:
        return {"--sweep": ",".join(map(str, plan.concurrencies))}
    return {"--concurrency": plan.concurrencies[0]}


def format_flags(flags: Mapping[str, object]) -> list[str]:
    """Flags with their values as separate arguments; flags whose value is None are left out."""
    return [
        word
        for name, value in flags.items()
        if value is not None
        for word in (name, f"{value:.12g}" if isinstance(value, float) else str(value))
    ]


def _make_anti_affinity(name: str) -> KubeObject:
    """Prefer one pod per node: pods on the same node share its network interface."""
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
            "publishNotReadyAddresses": True,  # pods meet before they are ready
            "selector": {_LABEL: name},
            "ports": [{"name": "meet", "port": _PORT}],
        },
    }


def _make_metadata(name: str, namespace: str | None) -> KubeObject:
    """Without a namespace, the object is created in that of the user who applies it."""
    namespaced = {"namespace": namespace} if namespace else {}
    return {"name": name, **namespaced, "labels": {_LABEL: name}}
