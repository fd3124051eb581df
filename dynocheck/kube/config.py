"""Which cluster, as whom: kubectl's rules, read by the official client.

A kubeconfig is looked for where kubectl looks: the flag, then $KUBECONFIG, then ~/.kube/config, then a
pod's service account.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from kubernetes.client.configuration import Configuration
from kubernetes.config import ConfigException, load_incluster_config
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

from dynocheck.errors import UsageError
from dynocheck.kube.errors import CredentialsFailed

_DEFAULT = "~/.kube/config"


@dataclass(frozen=True)
class Connection:
    """A cluster that can be asked; no credential has been made yet.

    `plugin` is the command that makes the credentials, where a kubeconfig names one.
    """

    server: str
    context: str | None
    namespace: str
    plugin: str | None
    _loader: KubeConfigLoader | None

    def configuration(self) -> Configuration:
        """The official client's configuration, with credentials. May run a plugin, for as long as it takes.

        :raises CredentialsFailed: there are none to be had.
        """
        configuration = Configuration()
        try:
            if self._loader is None:
                load_incluster_config(client_configuration=configuration)
            else:
                self._loader.load_and_set(configuration)
        except ConfigException as error:
            raise CredentialsFailed(f"no credentials for {self.server}: {_line(error)}") from None
        except Exception as error:  # plugins and key files fail in more ways than the client foresees
            what = f"{type(error).__name__}: {_line(error)}"
            raise CredentialsFailed(f"no credentials for {self.server}: {what}") from None
        return configuration


def find(kubeconfig: str | None = None, context: str | None = None) -> Connection:
    """The connection that kubectl would use.

    :param kubeconfig: a file, instead of $KUBECONFIG or ~/.kube/config.
    :param context: a context of it, instead of the current one.
    :raises UsageError: the file cannot be read or does not have that context, or there is no file
        and this is no pod.
    """
    paths = kubeconfig or os.environ.get("KUBECONFIG") or str(Path(_DEFAULT).expanduser())
    existing = [path for path in paths.split(os.pathsep) if path and Path(path).exists()]
    if not existing:
        if not (kubeconfig or os.environ.get("KUBECONFIG")) and "KUBERNETES_SERVICE_HOST" in os.environ:
            return _in_cluster()
        raise UsageError(f"no kubeconfig at {paths}; name one with --kubeconfig or $KUBECONFIG")
    loader, merged = _load(existing, context)
    try:
        found = loader.current_context
        cluster = merged.config["clusters"].get_with_name(found["context"]["cluster"])["cluster"]
        server = str(cluster["server"])
    except ConfigException as error:
        raise UsageError(f"{paths}: {_line(error)}") from None
    user = loader._user
    plugin = user["exec"].safe_get("command") if user is not None and "exec" in user else None
    return Connection(
        server=_without_userinfo(server),
        context=found["name"],
        namespace=found["context"].get("namespace") or "default",
        plugin=plugin,
        _loader=loader,
    )


def _load(paths: list[str], context: str | None) -> tuple[KubeConfigLoader, KubeConfigMerger]:
    shown = os.pathsep.join(paths)
    try:
        merged = KubeConfigMerger(shown)
        if merged.config is None:
            raise UsageError(f"{shown}: an empty kubeconfig")
        return KubeConfigLoader(merged.config, active_context=context, config_base_path=None), merged
    except OSError as error:
        raise UsageError(f"{shown}: {error.strerror}") from None
    except ConfigException as error:
        if context is not None:
            raise UsageError(f"{shown}: no usable context {context!r}: {_line(error)}") from None
        raise UsageError(f"{shown}: {_line(error)}") from None
    except UsageError:
        raise
    except Exception as error:  # not YAML, or YAML of another shape: the client trips over it anywhere
        raise UsageError(f"{shown}: not a kubeconfig ({type(error).__name__})") from None


def _in_cluster() -> Connection:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        account = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
        namespace = account.read_text().strip()
    except OSError:
        namespace = "default"
    return Connection(f"https://{host}:{port}", None, namespace, None, None)


def _without_userinfo(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
