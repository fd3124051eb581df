"""The same load test as a Kubernetes Job that runs AIPerf, NVIDIA's benchmark.

The flags are those of `aiperf profile` in VERSION.
"""

from shlex import quote

from dynocheck.core.errors import UsageError
from dynocheck.kube.manifests import KubeObject
from dynocheck.loadtest.manifests import KEY, format_flags, make_job, make_secret_variable
from dynocheck.loadtest.plan import LoadPlan

VERSION = "0.13.0"
IMAGE = "docker.io/library/python:3.12-slim"

_WAIT_S = 600  # for the model to be listed
_INSTALL_S = 600
_USER = 1000  # need not exist in the image: it only needs a writable directory
_RESULTS = "/results"
_SCRATCH = "/scratch"


def make_load_job(
    plan: LoadPlan,
    *,
    name: str,
    namespace: str | None,
    claim: str,
    image: str = IMAGE,
    tokenizer: str | None = None,
    secret: tuple[str, str] | None = None,
) -> KubeObject:
    """A Job that installs AIPerf, waits for the model, runs the load test and stores the results.

    :param claim: PersistentVolumeClaim for the results; each Job writes to a directory of its own.
    :param tokenizer: name of the tokenizer (default: the model's name).
    :raises UsageError: AIPerf does not support an option of the plan.
    """
    command = make_arguments(plan, f"{_RESULTS}/{name}", tokenizer)
    key = f' --api-key "${KEY}"' if secret else ""
    script = "\n".join(
        (
            "set -eu",
            f"python -m venv {_SCRATCH}/venv",
            f"{_SCRATCH}/venv/bin/pip install --quiet --no-cache-dir aiperf=={VERSION}",
            f"{_SCRATCH}/venv/bin/aiperf {' '.join(map(quote, command))}{key}",
        )
    )
    container = {
        "name": "aiperf",
        "image": image,
        "command": ["/bin/sh", "-c"],
        "args": [script],
        "env": [
            {"name": "HOME", "value": _SCRATCH},
            {"name": "TMPDIR", "value": _SCRATCH},
            *([make_secret_variable(KEY, secret)] if secret else ()),
        ],
        "resources": {"requests": {"cpu": "4", "memory": "4Gi"}, "limits": {"memory": "8Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": "results", "mountPath": _RESULTS},
            {"name": "scratch", "mountPath": _SCRATCH},
        ],
    }
    job = make_job(name, namespace, container, int(_INSTALL_S + _WAIT_S + plan.longest_s) + 1)
    pod = job["spec"]["template"]["spec"]
    pod["securityContext"] |= {"runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
    pod["volumes"] = [
        {"name": "results", "persistentVolumeClaim": {"claimName": claim}},
        {"name": "scratch", "emptyDir": {"sizeLimit": "8Gi"}},
    ]
    return job


def make_arguments(plan: LoadPlan, folder: str, tokenizer: str | None = None) -> list[str]:
    """The plan as arguments of `aiperf`, without its API key.

    :param folder: directory for the results.
    :raises UsageError: AIPerf does not support an option of the plan.
    """
    if plan.model is None:
        raise UsageError("AIPerf requires the model's name: --model NAME")
    if plan.endpoint.insecure:
        raise UsageError("--insecure: not supported by AIPerf")
    flags: dict[str, object] = {
        "--model": plan.model,
        "--tokenizer": tokenizer,
        "--url": plan.endpoint.url,
        "--endpoint-type": "chat" if plan.chat else "completions",
        **_make_load_arguments(plan),
        "--warmup-request-count": plan.warmup or None,
        "--isl": plan.input_tokens,
        "--isl-stddev": 0,
        "--osl": plan.output_tokens,
        "--osl-stddev": 0,
        "--random-seed": abs(plan.seed),
        "--request-timeout-seconds": plan.endpoint.limits.total_s,
        "--wait-for-model-timeout": _WAIT_S,
        "--wait-for-model-mode": "models",
        "--ui": "none",
        "--artifact-dir": folder,
    }
    return [
        "profile",
        *format_flags(flags),
        "--streaming",
        "--extra-inputs",
        "ignore_eos:true",
        "temperature:0",
    ]


def _make_load_arguments(plan: LoadPlan) -> dict[str, object]:
    length = {"--request-count": plan.requests or None, "--benchmark-duration": plan.duration_s or None}
    if plan.rate is not None:
        return {"--request-rate": plan.rate, "--arrival-pattern": plan.arrivals, **length}
    return {"--concurrency": ",".join(map(str, plan.concurrencies)), **length}
