"""Which cluster, as whom: kubectl's rules.

A kubeconfig is looked for where kubectl looks: the flag, then $KUBECONFIG, then ~/.kube/config, then a
pod's service account.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from dynocheck.core.errors import UsageError
from dynocheck.kube import kubeconfig as files
from dynocheck.kube.kubeconfig import Chosen, Server, User

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Connection:
    """A cluster that can be asked; no credential has been made yet. `server` shows no password."""

    server: str
    context: str | None
    namespace: str
    chosen: Chosen = field(repr=False)


def find(
    kubeconfig: str | None = None, context: str | None = None, namespace: str | None = None
) -> Connection:
    """The connection that kubectl would use.

    :param kubeconfig: a file, instead of $KUBECONFIG or ~/.kube/config.
    :param context: a context of it, instead of the current one.
    :param namespace: instead of the context's.
    :raises UsageError: the file cannot be read or does not have that context, or there is no file
        and this is no pod.
    """
    paths = _paths(kubeconfig)
    existing = [path for path in paths if _is_there(path)]
    if existing:
        chosen = files.read(existing).choose(context)
        return Connection(
            server=_shown(chosen.server),
            context=chosen.context,
            namespace=namespace or chosen.namespace or "default",
            chosen=chosen,
        )
    named = ":".join(str(path) for path in paths) or "~/.kube/config"
    asked = kubeconfig or os.environ.get("KUBECONFIG")
    if asked or context or not os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise UsageError(f"no kubeconfig at {named}; name one with --kubeconfig or $KUBECONFIG")
    if not (_ACCOUNT / "token").exists():
        raise UsageError(f"no kubeconfig at {named}, and this pod has no service account's token")
    return _in_cluster(namespace)


def _paths(kubeconfig: str | None) -> list[Path]:
    if kubeconfig:
        return [Path(kubeconfig)]
    if listed := os.environ.get("KUBECONFIG"):
        return [Path(path) for path in listed.split(os.pathsep) if path]
    try:
        return [Path.home() / ".kube" / "config"]
    except RuntimeError:  # a pod's arbitrary user may have no home
        return []


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # reading it will say why
        return True
    return True


def _in_cluster(namespace: str | None) -> Connection:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT") or "443"
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    server = Server(server=url, certificate_authority=str(_ACCOUNT / "ca.crt"))
    user = User(token_file=str(_ACCOUNT / "token"))
    try:
        own = (_ACCOUNT / "namespace").read_text().strip()
    except OSError:
        own = ""
    own = os.environ.get("POD_NAMESPACE") or own or "default"
    return Connection(url, None, namespace or own, Chosen("", own, server, user))


def _shown(server: Server) -> str:
    """The URL to send requests to, without the credentials it may hold."""
    url = server.server
    if "://" not in url:
        secure = (
            server.certificate_authority
            or server.certificate_authority_data
            or server.insecure_skip_tls_verify
        )
        url = f"{'https' if secure else 'http'}://{url}"
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))
