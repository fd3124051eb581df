"""Secrets that a cluster, a model server, a proxy or a kubeconfig holds come out of no verb in no format."""

import base64
import json
import socket
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from dynocheck.reports import FORMATS
from tests.clusters import gpu, platform, storage
from tests.clusters.objects import make_condition, make_namespace, make_object
from tests.command import dynocheck, run_inside
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.gate.test_canaries import FORMS, ONE_FORM, list_leaks
from tests.kinds import NODE_INFO
from tests.kube.servers import Request, reply, serve
from tests.kube.test_misbehaving import free_port

DEBUG = {"DYNOCHECK_DEBUG": "1"}


class Canaries:
    """Hands out secrets in one form, and remembers them."""

    def __init__(self, form: str) -> None:
        self.form = form
        self.tokens: list[str] = []

    def __call__(self, *, as_label: bool = False) -> str:
        token = f"hf_Canary{self.form}{len(self.tokens):03}QwErTyUiOp"
        self.tokens.append(token)
        return token if as_label else FORMS[self.form](token)


def run_in_every_format(folder: Path, *words: str | Path, env: dict[str, str] | None = None) -> str:
    """All that a judging verb writes, in every format, verbosely, with tracebacks."""
    outputs = [word for name in FORMATS for word in ("-o", f"{name}={folder / name}")]
    ended = dynocheck(*words, "-v", *outputs, env={**DEBUG, **(env or {})})
    assert ended.code in (0, 1, 3), ended.err
    return "".join((folder / name).read_text() for name in FORMATS) + ended.out + ended.err


@pytest.mark.parametrize("form", ONE_FORM)
def test_of_a_cluster(fit_cluster: ControlPlane, tmp_path: Path, form: str) -> None:
    canary = Canaries(form)
    spoil(fit_cluster, canary)
    kubeconfig = fit_cluster.kubeconfig()
    told = run_in_every_format(tmp_path, "preflight", "--kubeconfig", kubeconfig)
    told += run_in_every_format(
        tmp_path, "recipe", "recipes/qwen3-32b", "--cluster", "--kubeconfig", kubeconfig
    )
    run_inside("snapshot", tmp_path / "snapshot", "--kubeconfig", kubeconfig)
    told += (tmp_path / "snapshot").read_text()
    assert list_leaks(told, canary.tokens) == []
    assert "[hidden]" in told


def spoil(cluster: ControlPlane, canary: Canaries) -> None:
    """Put a secret wherever an object of a cluster holds text that dynocheck reads."""
    cluster.apply(
        make_namespace("lab"),
        make_spoilt_node("not-ready", canary, "Ready", "False"),
        make_spoilt_node("pressed", canary, "DiskPressure", "True"),
        platform.config(
            f"{platform.CONFIG}infrastructure: {{natsAddress: 'nats://me:{canary()}@nats:4222'}}\n"
        ),
        make_object("nvidia.com/v1 ClusterPolicy", "spoilt", spec={}, status=make_status(canary)),
        storage.storage_class("other", parameters={"adminPassword": canary(), "server": canary()}),
        make_spoilt_webhook(canary),
        make_object(
            "apps/v1 Deployment",
            "old-operator",
            "lab",
            labels={"control-plane": "controller-manager", "app.kubernetes.io/name": "dynamo-operator"},
            spec=make_deployment_spec([f"--natsAddr=nats://me:{canary()}@nats:4222"]),
        ),
    )
    claim = {**storage.claim("weights", phase="Pending")}
    claim["metadata"]["annotations"] = {"note": canary(), "password": canary()}
    (made,) = cluster.apply(claim)
    cluster.apply(storage.claim_event(made, "ProvisioningFailed", f"cannot log in: {canary()}"))


def make_spoilt_node(name: str, canary: Canaries, condition: str, status: str) -> Object:
    labels = {**gpu.GPU_LABELS, "note": canary(as_label=True)}
    taint = {"key": "note", "value": canary(as_label=True), "effect": "NoSchedule"}
    conditions = [make_condition(condition, status, "Because", f"it failed: {canary()}")]
    node = make_object("Node", name, labels=labels, annotations={"note": canary(), "token": canary()})
    capacity = {"nvidia.com/gpu": "8", "cpu": "8", "memory": "64Gi", "pods": "110"}
    state = {"conditions": conditions, "capacity": capacity, "allocatable": capacity, "nodeInfo": NODE_INFO}
    return {**node, "spec": {"taints": [taint]}, "status": state}


def make_status(canary: Canaries) -> Object:
    conditions = [make_condition("Error", "True", "Because", f"it failed: {canary()}")]
    return {"state": "notReady", "namespace": "gpu-operator", "conditions": conditions}


def make_deployment_spec(arguments: list[str]) -> Object:
    labels = {"app": "old-operator"}
    pod = {"containers": [{"name": "manager", "image": "registry.example/operator:0.9", "args": arguments}]}
    return {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}


def make_spoilt_webhook(canary: Canaries) -> Object:
    bundle = base64.b64encode(canary().encode()).decode()
    hook = platform.admission(bundle)
    hook["metadata"] = {"name": "spoilt", "annotations": {"note": canary(), "password": canary()}}
    return hook


def answer_badly(canary: Canaries) -> Callable[[Request, socket.socket], bytes]:
    """A model server with a secret in each header, message and name; every kind of answer in turn."""
    numbers = count()

    def answer(request: Request, _: socket.socket) -> bytes:
        headers = {"X_Token": canary(), "Server": canary(), "Set_Cookie": f"session={canary()}"}
        error = {"error": {"message": canary(), "type": canary(), "code": canary()}, "detail": canary()}
        if request.path == "/v1/models":
            model = {"id": f"m-{canary()}", "object": "model", "owned_by": canary()}
            return reply(200, {"object": "list", "data": [model]}, **headers)
        answers = (
            lambda: reply(500, error, **headers),
            lambda: reply(
                200, {"choices": [{"message": {"content": canary()}}], "model": canary()}, **headers
            ),
            lambda: reply(401, f"<html>{canary()}</html>", "text/html", **headers),
            lambda: reply(302, "", Location=f"http://me:{canary()}@other/?token={canary()}"),
            lambda: reply(200, f"data: {json.dumps(error)}\n\n", "text/event-stream", **headers),
            lambda: reply(200, f"{canary()}", canary(), **headers),
        )
        return answers[next(numbers) % len(answers)]()

    return answer


@pytest.mark.parametrize("form", ONE_FORM)
@pytest.mark.parametrize("verb", ["smoke --timeout 1", "load --requests 8 --warmup 0"])
def test_of_a_model_server(tmp_path: Path, verb: str, form: str) -> None:
    canary = Canaries(form)
    key = canary(as_label=True)
    with serve(answer_badly(canary)) as server:
        words = (*verb.split(), "--url", server.url, "--api-key-env", "KEY")
        told = run_in_every_format(tmp_path, *words, env={"KEY": key})
    assert len(canary.tokens) > 20
    assert list_leaks(told, canary.tokens) == []


def echo(request: Request, _: socket.socket) -> bytes:
    """Refuse, and repeat what the caller sent."""
    said = f"no {json.dumps(request.headers)} {request.target}"
    return reply(403, {"kind": "Status", "message": said, "reason": said}, WWW_Authenticate=said)


PLACES = ("token", "password", "exec", "proxy", "proxy-env", "impersonate")


@pytest.mark.parametrize(
    "place", [pytest.param(p, marks=() if p in ("token", "exec") else pytest.mark.verify) for p in PLACES]
)
def test_of_a_kubeconfig(tmp_path: Path, place: str) -> None:
    secret = "plain-looking-0123456789"
    script = tmp_path / "plugin"
    script.write_text(f"#!/bin/sh\necho 'cannot log in with {secret}' >&2\nexit 1\n")
    script.chmod(0o755)
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(script),
        "env": [{"name": "CLIENT_SECRET", "value": secret}],
        "interactiveMode": "Never",
    }
    proxy = f"http://me:{secret}@127.0.0.1:{free_port()}"
    users: dict[str, dict[str, Any]] = {
        "token": {"token": secret},
        "password": {"username": "me", "password": secret},
        "exec": {"exec": plugin},
        "impersonate": {"token": secret, "as": "other", "as-user-extra": {"note": ["x"]}},
    }
    with serve(echo) as server:
        kubeconfig = server.kubeconfig(tmp_path)
        text = yaml.safe_load(kubeconfig.read_text())
        text["users"][0]["user"] = users.get(place, {"token": secret})
        if place == "proxy-env":  # through which a host on loopback is not reached
            text["clusters"][0]["cluster"]["server"] = "http://cluster.invalid"
        if place == "proxy":
            text["clusters"][0]["cluster"]["proxy-url"] = proxy
        kubeconfig.write_text(yaml.safe_dump(text))
        env = {"HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": ""} if place == "proxy-env" else {}
        words = ("--kubeconfig", kubeconfig, "--timeout", "2")
        told = run_in_every_format(tmp_path, "preflight", *words, env=env)
        snapshot = dynocheck("snapshot", "-", *words, env={**DEBUG, **env})
    told += snapshot.out + snapshot.err
    assert list_leaks(told, [secret]) == []
