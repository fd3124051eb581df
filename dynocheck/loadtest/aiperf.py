"""The same load in the words of AIPerf, NVIDIA's benchmark, as a Job of Kubernetes.

The flags are those of `aiperf profile` in the release below.
"""

from shlex import quote

from dynocheck.core.errors import UsageError
from dynocheck.loadtest.manifests import KEY, KubeObject, make_job, make_secret_variable
from dynocheck.loadtest.plan import LoadPlan

VERSION = "0.13.0"
IMAGE = "docker.io/library/python:3.12-slim"

_WAIT_S = 600  # for the model to be listed
_INSTALL_S = 600
_USER = 1000  # of nothing that the image knows: it needs no more than a folder to write to
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
    """A Job that installs AIPerf, waits for the model, makes the load and keeps the results on a claim.

    :param claim: a PersistentVolumeClaim; each Job has a folder of its own in it.
    :param tokenizer: what counts the tokens, where it is not that of the model's name.
    :raises UsageError: AIPerf has no words for it.
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
    made = make_job(name, namespace, container, int(_INSTALL_S + _WAIT_S + plan.longest_s) + 1)
    pod = made["spec"]["template"]["spec"]
    pod["securityContext"] |= {"runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
    pod["volumes"] = [
        {"name": "results", "persistentVolumeClaim": {"claimName": claim}},
        {"name": "scratch", "emptyDir": {"sizeLimit": "8Gi"}},
    ]
    return made


def make_arguments(plan: LoadPlan, folder: str, tokenizer: str | None = None) -> list[str]:
    """The plan as the arguments of `aiperf`, without its key.

    :param folder: where the results go.
    :raises UsageError: AIPerf has no words for it.
    """
    if plan.model is None:
        raise UsageError("AIPerf wants the model's name: --model NAME")
    if plan.endpoint.insecure:
        raise UsageError("--insecure: AIPerf has no flag for it")
    given: dict[str, object] = {
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
        "--request-timeout-seconds": f"{plan.endpoint.limits.total_s:.12g}",
        "--wait-for-model-timeout": _WAIT_S,
        "--wait-for-model-mode": "models",
        "--ui": "none",
        "--artifact-dir": folder,
    }
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    return ["profile", *words, "--streaming", "--extra-inputs", "ignore_eos:true", "temperature:0"]


def _make_load_arguments(plan: LoadPlan) -> dict[str, object]:
    many = {"--request-count": plan.requests} if plan.requests else {}
    long = {"--benchmark-duration": f"{plan.duration_s:.12g}"} if plan.duration_s else {}
    if plan.rate is not None:
        return {"--request-rate": f"{plan.rate:.12g}", "--arrival-pattern": plan.arrivals, **many, **long}
    return {"--concurrency": ",".join(map(str, plan.concurrencies)), **many, **long}
