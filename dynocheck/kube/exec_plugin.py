"""Runs the command of a kubeconfig that makes credentials, as kubectl does, but never for long.

Nothing that it prints is ever told: its output is the credential, and its errors may quote one.
"""

import atexit
import base64
import contextlib
import datetime
import os
import select
import signal
import subprocess
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec

from dynocheck.kube.deadline import Deadline
from dynocheck.kube.errors import CredentialsFailed, TimedOut
from dynocheck.kube.kubeconfig import ClusterEntry, ExecPlugin

_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_LIMIT = 1 << 20
_BY_HAND = "kubectl auth whoami   # runs the same plugin and shows what it says"


class PluginCredential(msgspec.Struct, rename="camel", frozen=True):
    """What a plugin made: a token, a client certificate, or both."""

    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: Annotated[datetime.datetime, msgspec.Meta(tz=True)] | None = None

    def __repr__(self) -> str:
        return "Made(...)"


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: PluginCredential | None = None


def run(plugin: ExecPlugin, server: ClusterEntry, deadline: Deadline) -> PluginCredential:
    """What this plugin makes for this server.

    :raises CredentialsFailed: it cannot be run, fails, or makes no credential.
    :raises TimedOut: it is not done by the deadline; it has been killed.
    """
    what = f"the credential plugin {plugin.command!r}"
    if not plugin.command:
        raise CredentialsFailed("the kubeconfig's exec names no command")
    if plugin.api_version not in _VERSIONS:
        raise CredentialsFailed(f"{what} is to speak {plugin.api_version!r}, not {_VERSIONS[0]}")
    if plugin.interactive_mode == "Always":
        raise CredentialsFailed(f"{what} wants a terminal (interactiveMode: Always)", fix=_BY_HAND)
    code, output = _execute(plugin, what, _make_exec_info(plugin, server), deadline)
    if code != 0:
        raise CredentialsFailed(f"{what} ended with {code}", fix=_BY_HAND)
    try:
        made = msgspec.json.decode(output, type=_ExecCredential)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        why = str(error) if isinstance(error, msgspec.MsgspecError) else type(error).__name__
        raise CredentialsFailed(f"{what} printed no ExecCredential: {why}", fix=_BY_HAND) from None
    if made.kind != "ExecCredential" or made.api_version != plugin.api_version:
        raise CredentialsFailed(f"{what} printed no ExecCredential of {plugin.api_version}", fix=_BY_HAND)
    status = made.status or PluginCredential()
    if bool(status.client_certificate_data) != bool(status.client_key_data):
        raise CredentialsFailed(f"{what} printed only one of client certificate and key", fix=_BY_HAND)
    if not (status.token or status.client_key_data):
        raise CredentialsFailed(f"{what} printed no token and no client certificate", fix=_BY_HAND)
    return status


def _make_exec_info(plugin: ExecPlugin, server: ClusterEntry) -> str:
    """What a plugin reads from $KUBERNETES_EXEC_INFO."""
    spec: dict[str, Any] = {"interactive": False}
    if plugin.provide_cluster_info:
        authority = server.certificate_authority_data
        if not authority and server.certificate_authority:
            try:
                authority = base64.b64encode(Path(server.certificate_authority).read_bytes()).decode()
            except OSError as error:
                raise CredentialsFailed(f"{server.certificate_authority}: {error.strerror}") from None
        known = {
            "server": server.server,
            "tls-server-name": server.tls_server_name,
            "insecure-skip-tls-verify": server.insecure_skip_tls_verify,
            "certificate-authority-data": authority,
            "proxy-url": server.proxy_url,
            "disable-compression": server.disable_compression,
            "config": {e.name: e.extension for e in server.extensions}.get(_EXTENSION),
        }
        spec["cluster"] = {key: value for key, value in known.items() if value}
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    return msgspec.json.encode(info, enc_hook=str).decode()


_EXTENSION = "client.authentication.k8s.io/exec"


def _execute(plugin: ExecPlugin, what: str, info: str, deadline: Deadline) -> tuple[int, bytes]:
    environment = {**os.environ, **{v.name: v.value for v in plugin.env}, "KUBERNETES_EXEC_INFO": info}
    try:
        process = subprocess.Popen(  # noqa: S603  (running what the kubeconfig says is the point)
            [plugin.command, *plugin.args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its arguments cannot be passed on"
        hint = " ".join(plugin.install_hint.split()) or f"install {plugin.command}, or mend the kubeconfig"
        raise CredentialsFailed(f"{what} cannot be run: {why}", fix=hint) from None

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def give_up(error: CredentialsFailed | TimedOut) -> NoReturn:
        kill()
        process.wait()
        raise error

    atexit.register(kill)  # a run that is broken off leaves none behind
    late = TimedOut(f"{what} did not finish within {deadline.limit_s:g} s", fix=_BY_HAND)
    try:
        assert process.stdout is not None
        with process.stdout:
            output = b""
            while select.select([process.stdout], [], [], deadline.remaining())[0]:
                if not (more := os.read(process.stdout.fileno(), 1 << 16)):
                    return process.wait(max(deadline.remaining(), 0.001)), output
                output += more
                if len(output) > _LIMIT:
                    give_up(CredentialsFailed(f"{what} printed more than a credential", fix=_BY_HAND))
            give_up(late)
    except subprocess.TimeoutExpired:
        give_up(late)
    finally:
        atexit.unregister(kill)
