"""Claims and graphs that mount them, for the tests of storage checks."""

from typing import Any

from tests.checks import manifests
from tests.checks.manifests import CLAIM, MODEL, dump_objects, engine, graph, job


def claim(name: str = "model-cache", mode: str = "ReadWriteMany", **spec: Any) -> str:
    """A claim of 100Gi, with more of its spec."""
    declared = manifests.claim(mode, name=name)
    return dump_objects({**declared, "spec": {**declared["spec"], **spec}})


def mounting(name: str, *, namespace: str | None = None, **pod: Any) -> str:
    """A graph whose worker mounts a claim."""
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": name}}
    mounted = graph(engine(pod={"volumes": [volume], **pod}))
    mounted["metadata"] |= {"namespace": namespace} if namespace else {}
    return dump_objects(mounted)


def loading(
    model: str = MODEL,
    home: str | None = "/cache",
    at: str = "/cache",
    mount: dict[str, Any] | None = None,
    pod: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A worker that mounts the claim at /cache."""
    mounts = {"volumeMounts": [{"name": "cache", "mountPath": at, **(mount or {})}]}
    env = {"HF_HOME": home} if home else {}
    return engine(model=model, env=env, main=mounts, pod={"volumes": [CLAIM], **(pod or {})}, **more)


def download(
    options: str = "", model: str = MODEL, home: str | None = "/models", **more: Any
) -> dict[str, Any]:
    """A Job that downloads a model to the claim at /models."""
    env = {"HF_HOME": home} if home else {}
    return job(f"hf download {model} {options}", name="get", env=env, **more)
