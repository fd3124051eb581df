"""Finds the cluster, user and namespace by kubectl's rules.

Searched in kubectl's order: the --kubeconfig flag, $KUBECONFIG, ~/.kube/config, the pod's service account.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from dynocheck.core.errors import UsageError
from dynocheck.kube import kubeconfig as files
from dynocheck.kube.kubeconfig import ClusterEntry, ResolvedContext, UserEntry

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class ClusterConnection:
    """A cluster and user, before any credential is obtained. `server` is the URL without credentials."""

    server: str
    context: str | None
    namespace: str
    chosen: ResolvedContext = field(repr=False)


def find_connection(
    kubeconfig: str | None = None, context: str | None = None, namespace: str | None = None
) -> ClusterConnection:
    """The connection that kubectl would use.

    :param kubeconfig: path to a kubeconfig (default: $KUBECONFIG, then ~/.kube/config).
    :param context: name of a context in it (default: its current context).
    :param namespace: namespace (default: the context's).
    :raises UsageError: the file cannot be read or lacks the context, or there is no file outside a pod.
    """
    paths = _list_paths(kubeconfig)
    existing = [path for path in paths if _exists(path)]
    if existing:
        chosen = files.read(existing).resolve_context(context)
        return ClusterConnection(
            server=_strip_credentials(chosen.server),
            context=chosen.context,
            namespace=namespace or chosen.namespace or "default",
            chosen=chosen,
        )
    searched = ":".join(str(path) for path in paths) or "~/.kube/config"
    explicit = kubeconfig or os.environ.get("KUBECONFIG")
    if explicit or context or not os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise UsageError(f"no kubeconfig at {searched}; name one with --kubeconfig or $KUBECONFIG")
    if not (_ACCOUNT / "token").exists():
        raise UsageError(f"no kubeconfig at {searched}, and this pod has no service account token")
    return _load_in_cluster(namespace)


def _list_paths(kubeconfig: str | None) -> list[Path]:
    if kubeconfig:
        return [Path(kubeconfig)]
    if listed := os.environ.get("KUBECONFIG"):
        return [Path(path) for path in listed.split(os.pathsep) if path]
    try:
        return [Path.home() / ".kube" / "config"]
    except RuntimeError:  # a pod's arbitrary user may have no home
        return []


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # reading it raises a better error
        return True
    return True


def _load_in_cluster(namespace: str | None) -> ClusterConnection:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT") or "443"
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    server = ClusterEntry(server=url, certificate_authority=str(_ACCOUNT / "ca.crt"))
    user = UserEntry(token_file=str(_ACCOUNT / "token"))
    try:
        own = (_ACCOUNT / "namespace").read_text().strip()
    except OSError:
        own = ""
    own = os.environ.get("POD_NAMESPACE") or own or "default"
    return ClusterConnection(url, None, namespace or own, ResolvedContext("", own, server, user))


def _strip_credentials(server: ClusterEntry) -> str:
    """The server's URL without credentials."""
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
