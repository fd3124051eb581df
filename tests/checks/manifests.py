"""Manifests as their parts, for tests that change one of them."""

from typing import Any

import yaml

MODEL = "Qwen/Qwen3-32B"
CLAIM = {"name": "cache", "persistentVolumeClaim": {"claimName": "model-cache"}}
FRONTEND: dict[str, Any] = {"name": "Frontend", "type": "frontend"}


class _Dumper(yaml.CSafeDumper):
    """Writes scripts line by line, as people do."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def dump_objects(*objects: dict[str, Any]) -> str:
    """Objects as one file."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False)


def graph(*components: dict[str, Any], name: str = "g", front: bool = True, **spec: Any) -> dict[str, Any]:
    """A graph with a frontend, unless a component is one or an endpoint picker."""
    front = front and not any(c.get("type") in ("frontend", "epp") for c in components)
    return {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": name},
        "spec": {**spec, "components": [*[FRONTEND] * front, *components]},
    }


def engine(
    *args: str,
    name: str = "w",
    role: str = "worker",
    module: str = "dynamo.vllm",
    model: str | None = MODEL,
    image: str = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0",
    gpus: int = 1,
    env: dict[str, str] | None = None,
    limits: dict[str, str] | None = None,
    main: dict[str, Any] | None = None,
    pod: dict[str, Any] | None = None,
    **component: Any,
) -> dict[str, Any]:
    """A component that runs an engine.

    :param main: more of its main container.
    :param pod: more of its pod.
    """
    told = ["--model-path" if module == "dynamo.sglang" else "--model", model] if model else []
    container = {
        "name": "main",
        "image": image,
        "command": ["python3", "-m", module],
        "args": [*told, *args],
        "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
        "resources": {"limits": {"nvidia.com/gpu": str(gpus), **(limits or {})}},
        **(main or {}),
    }
    template = {"spec": {**(pod or {}), "containers": [container]}}
    return {"name": name, "type": role, **component, "podTemplate": template}


def job(
    script: str,
    *,
    name: str = "perf",
    env: dict[str, str] | None = None,
    main: dict[str, Any] | None = None,
    pod: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A Job that runs a script, with the claim at /models."""
    container = {
        "name": "c",
        "image": "python:3.12-slim",
        "command": ["/bin/sh", "-c"],
        "args": [script],
        "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
        "volumeMounts": [{"name": "cache", "mountPath": "/models"}],
        **(main or {}),
    }
    inner = {"restartPolicy": "Never", "volumes": [CLAIM], **(pod or {}), "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {**spec, "template": {"spec": inner}},
    }


def config_map(name: str, **files: str) -> dict[str, Any]:
    """A ConfigMap of these files, each of which is called KEY.yaml."""
    data = {f"{key}.yaml": f"{text}\n" for key, text in files.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def mount_config(name: str, folder: str = "/config") -> dict[str, Any]:
    """What engine() needs to mount a ConfigMap in a folder."""
    volume = {"name": name, "configMap": {"name": name}}
    return {"main": {"volumeMounts": [{"name": name, "mountPath": folder}]}, "pod": {"volumes": [volume]}}


def claim(*modes: str, size: str = "100Gi", name: str = "model-cache") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": list(modes), "resources": {"requests": {"storage": size}}},
    }
