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
from dynocheck.kube.kubeconfig import ClusterEntry, ResolvedContext, UserEntry

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class ClusterConnection:
    """A cluster that can be asked; no credential has been made yet. `server` shows no password."""

    server: str
    context: str | None
    namespace: str
    chosen: ResolvedContext = field(repr=False)


def find_connection(
    kubeconfig: str | None = None, context: str | None = None, namespace: str | None = None
) -> ClusterConnection:
    """The connection that kubectl would use.

    :param kubeconfig: a file, instead of $KUBECONFIG or ~/.kube/config.
    :param context: a context of it, instead of the current one.
    :param namespace: instead of the context's.
    :raises UsageError: the file cannot be read or does not have that context, or there is no file
        and this is no pod.
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
    named = ":".join(str(path) for path in paths) or "~/.kube/config"
    asked = kubeconfig or os.environ.get("KUBECONFIG")
    if asked or context or not os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise UsageError(f"no kubeconfig at {named}; name one with --kubeconfig or $KUBECONFIG")
    if not (_ACCOUNT / "token").exists():
        raise UsageError(f"no kubeconfig at {named}, and this pod has no service account's token")
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
    except OSError:  # reading it will say why
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
