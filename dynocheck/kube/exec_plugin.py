"""Runs a kubeconfig's exec credential plugin, as kubectl does, with a time limit.

Its output is never shown: stdout is the credential, and stderr may quote one.
"""

import atexit
import base64
import contextlib
import datetime
import os
import select
import signal
import subprocess
from typing import Annotated, Any, NoReturn

import msgspec

from dynocheck.core.files import MIB, read_bounded
from dynocheck.kube.deadline import Deadline
from dynocheck.kube.errors import CredentialsFailed, TimedOut
from dynocheck.kube.kubeconfig import ClusterEntry, ExecPlugin

_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_LIMIT = 1 << 20
_BY_HAND = "kubectl auth whoami   # runs the same plugin and shows its output"
_CONFIG_EXTENSION = "client.authentication.k8s.io/exec"


class PluginCredential(msgspec.Struct, rename="camel", frozen=True):
    """The credential that a plugin printed: a token, a client certificate, or both."""

    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: Annotated[datetime.datetime, msgspec.Meta(tz=True)] | None = None

    def __repr__(self) -> str:
        return "PluginCredential(...)"


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: PluginCredential | None = None


def run(plugin: ExecPlugin, server: ClusterEntry, deadline: Deadline) -> PluginCredential:
    """The credential that this plugin prints for this server.

    :raises CredentialsFailed: the plugin cannot be run, fails, or prints no credential.
    :raises TimedOut: it did not finish by the deadline, and was killed.
    """
    name = f"the credential plugin {plugin.command!r}"
    if not plugin.command:
        raise CredentialsFailed("the kubeconfig's exec has no command")
    if plugin.api_version not in _VERSIONS:
        raise CredentialsFailed(f"{name} has apiVersion {plugin.api_version!r}, not {_VERSIONS[0]}")
    if plugin.interactive_mode == "Always":
        raise CredentialsFailed(f"{name} requires a terminal (interactiveMode: Always)", fix=_BY_HAND)
    code, output = _execute(plugin, name, _make_exec_info(plugin, server), deadline)
    if code != 0:
        raise CredentialsFailed(f"{name} exited with {code}", fix=_BY_HAND)
    return _parse_output(output, name, plugin.api_version)


def _parse_output(output: bytes, name: str, api_version: str) -> PluginCredential:
    try:
        document = msgspec.json.decode(output, type=_ExecCredential)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        why = str(error) if isinstance(error, msgspec.MsgspecError) else type(error).__name__
        raise CredentialsFailed(f"{name} printed no ExecCredential: {why}", fix=_BY_HAND) from None
    if document.kind != "ExecCredential" or document.api_version != api_version:
        raise CredentialsFailed(f"{name} printed no ExecCredential of {api_version}", fix=_BY_HAND)
    credential = document.status or PluginCredential()
    if bool(credential.client_certificate_data) != bool(credential.client_key_data):
        raise CredentialsFailed(f"{name} printed only one of client certificate and key", fix=_BY_HAND)
    if not (credential.token or credential.client_key_data):
        raise CredentialsFailed(f"{name} printed no token and no client certificate", fix=_BY_HAND)
    return credential


def _make_exec_info(plugin: ExecPlugin, server: ClusterEntry) -> str:
    """The value of $KUBERNETES_EXEC_INFO for a plugin."""
    spec: dict[str, Any] = {"interactive": False}
    if plugin.provide_cluster_info:
        authority = server.certificate_authority_data
        if not authority and server.certificate_authority:
            try:
                authority = base64.b64encode(read_bounded(server.certificate_authority, MIB)).decode()
            except OSError as error:
                raise CredentialsFailed(f"{server.certificate_authority}: {error.strerror}") from None
        known = {
            "server": server.server,
            "tls-server-name": server.tls_server_name,
            "insecure-skip-tls-verify": server.insecure_skip_tls_verify,
            "certificate-authority-data": authority,
            "proxy-url": server.proxy_url,
            "disable-compression": server.disable_compression,
            "config": {e.name: e.extension for e in server.extensions}.get(_CONFIG_EXTENSION),
        }
        spec["cluster"] = {key: value for key, value in known.items() if value}
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    return msgspec.json.encode(info, enc_hook=str).decode()


def _execute(plugin: ExecPlugin, name: str, info: str, deadline: Deadline) -> tuple[int, bytes]:
    """The exit code and the standard output of a plugin."""
    environment = {**os.environ, **{v.name: v.value for v in plugin.env}, "KUBERNETES_EXEC_INFO": info}
    try:
        process = subprocess.Popen(  # noqa: S603  (the command comes from the user's own kubeconfig)
            [plugin.command, *plugin.args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its arguments are invalid"
        hint = " ".join(plugin.install_hint.split()) or f"install {plugin.command}, or fix the kubeconfig"
        raise CredentialsFailed(f"{name} cannot be run: {why}", fix=hint) from None

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def give_up(error: CredentialsFailed | TimedOut) -> NoReturn:
        kill()
        process.wait()
        raise error

    atexit.register(kill)  # an interrupted run leaves no plugin behind
    late = TimedOut(f"{name} did not finish within {deadline.limit_s:g} s", fix=_BY_HAND)
    try:
        assert process.stdout is not None
        with process.stdout:
            output = b""
            while select.select([process.stdout], [], [], deadline.remaining())[0]:
                if not (more := os.read(process.stdout.fileno(), 1 << 16)):
                    return process.wait(max(deadline.remaining(), 0.001)), output
                output += more
                if len(output) > _LIMIT:
                    give_up(CredentialsFailed(f"{name} printed more than a credential", fix=_BY_HAND))
            give_up(late)
    except subprocess.TimeoutExpired:
        give_up(late)
    finally:
        atexit.unregister(kill)
