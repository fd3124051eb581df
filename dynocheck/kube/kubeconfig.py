"""Reads, merges and validates kubeconfig files as kubectl does."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import yaml

from dynocheck.core.errors import UsageError
from dynocheck.core.files import MIB, read_bounded
from dynocheck.kube.decoding import drop_nulls

T = TypeVar("T", "ClusterEntry", "UserEntry", "ContextEntry")

_SHOWN = 8


class Extension(msgspec.Struct):
    name: str
    extension: Any = None


class ClusterEntry(msgspec.Struct, rename="kebab", frozen=True):
    """A `cluster` entry. Paths are absolute."""

    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""
    disable_compression: bool = False
    extensions: tuple[Extension, ...] = ()


class Variable(msgspec.Struct, frozen=True):
    name: str
    value: str = ""


class ExecPlugin(msgspec.Struct, rename="camel", frozen=True):
    """The `exec` field of a user: a command that prints credentials."""

    command: str = ""
    api_version: str = ""
    args: tuple[str, ...] = ()
    env: tuple[Variable, ...] = ()
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = "IfAvailable"


class AuthProvider(msgspec.Struct, frozen=True):
    """The `auth-provider` field of a user."""

    name: str = ""
    config: dict[str, str] = {}


class UserEntry(msgspec.Struct, rename="kebab", frozen=True):
    """A `user` entry. Paths are absolute."""

    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    username: str = ""
    password: str = ""
    impersonate: str = msgspec.field(default="", name="as")
    as_uid: str = ""
    as_groups: tuple[str, ...] = ()
    as_user_extra: dict[str, tuple[str, ...]] = {}
    plugin: ExecPlugin | None = msgspec.field(default=None, name="exec")
    auth_provider: AuthProvider | None = None

    def __repr__(self) -> str:
        return "UserEntry(...)"  # tracebacks show it


class ContextEntry(msgspec.Struct, frozen=True):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _NamedServer(msgspec.Struct):
    name: str
    cluster: ClusterEntry = ClusterEntry()


class _NamedUser(msgspec.Struct):
    name: str
    user: UserEntry = UserEntry()


class _NamedContext(msgspec.Struct):
    name: str
    context: ContextEntry = ContextEntry()


class _File(msgspec.Struct, rename="kebab"):
    current_context: str = ""
    clusters: tuple[_NamedServer, ...] = ()
    users: tuple[_NamedUser, ...] = ()
    contexts: tuple[_NamedContext, ...] = ()


@dataclass(frozen=True)
class ResolvedContext:
    """A context with its cluster and user."""

    context: str
    namespace: str
    server: ClusterEntry
    user: UserEntry


@dataclass
class Kubeconfig:
    """One or more files, merged: the first file that defines an entry wins."""

    origin: str
    current: str = ""
    servers: dict[str, ClusterEntry] = field(default_factory=dict)
    users: dict[str, UserEntry] = field(default_factory=dict)
    contexts: dict[str, ContextEntry] = field(default_factory=dict)

    def resolve_context(self, name: str | None) -> ResolvedContext:
        """The named context, or the current one, with its cluster and user.

        :raises UsageError: one of them does not exist, or has contradictory fields.
        """
        where = self.origin
        if not (name := name or self.current):
            raise UsageError(
                f"{where}: no current-context; choose one with --context: {_list_some(self.contexts)}"
            )
        if name not in self.contexts:
            raise UsageError(f"{where}: no context {name!r}; there is {_list_some(self.contexts)}")
        context = self.contexts[name]
        for kind, wanted, have in (
            ("cluster", context.cluster, self.servers),
            ("user", context.user, self.users),
        ):
            if wanted not in have and (wanted or kind == "cluster"):
                raise UsageError(
                    f"{where}: context {name!r} names {kind} {wanted!r}; there is {_list_some(have)}"
                )
        server, user = self.servers[context.cluster], self.users.get(context.user, UserEntry())
        for fault in (_find_cluster_fault(server), _find_user_fault(user)):
            if fault:
                raise UsageError(f"{where}: context {name!r}: {fault}")
        return ResolvedContext(name, context.namespace, server, user)


def read(paths: Sequence[Path]) -> Kubeconfig:
    """Read and merge these files.

    :raises UsageError: a file is not a kubeconfig, or all are empty.
    """
    merged = Kubeconfig(":".join(str(path) for path in paths))
    for path in paths:
        found = _read(path)
        merged.current = merged.current or found.current_context
        folder = path.absolute().parent
        servers = {s.name: _make_absolute(s.cluster, folder, "certificate_authority") for s in found.clusters}
        users = {
            u.name: _make_absolute(u.user, folder, "client_certificate", "client_key", "token_file")
            for u in found.users
        }
        merged.servers = {**servers, **merged.servers}
        merged.users = {
            **{name: _resolve_command(user, folder) for name, user in users.items()},
            **merged.users,
        }
        merged.contexts = {**{c.name: c.context for c in found.contexts}, **merged.contexts}
    if not (merged.contexts or merged.servers):
        raise UsageError(f"{merged.origin}: an empty kubeconfig")
    return merged


def _read(path: Path) -> _File:
    try:
        document = yaml.load(read_bounded(path, 64 * MIB), yaml.CSafeLoader)
        found = msgspec.convert(drop_nulls(document) or {}, _File)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not a kubeconfig: not YAML: {_describe_position(error)}") from None
    except (msgspec.ValidationError, UnicodeError, RecursionError, ValueError) as error:
        # Values may be secrets; only msgspec's messages are known not to quote them.
        why = str(error) if isinstance(error, msgspec.ValidationError) else type(error).__name__
        raise UsageError(f"{path}: not a kubeconfig: {why}") from None
    for kind, named in (("clusters", found.clusters), ("users", found.users), ("contexts", found.contexts)):
        counts = Counter(entry.name for entry in named)
        if twice := next((name for name, count in counts.items() if count > 1), None):
            raise UsageError(f"{path}: two {kind} are named {twice!r}")
    return found


def _describe_position(error: yaml.YAMLError) -> str:
    """The line and the problem, without quoting the line, which may contain a secret."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"line {mark.line + 1}: " if mark is not None else ""
    return where + (problem or "characters that are not allowed in YAML")


def _make_absolute(entry: T, folder: Path, *fields: str) -> T:
    changes = {name: str(folder / value) for name in fields if (value := getattr(entry, name))}
    return msgspec.structs.replace(entry, **changes)


def _resolve_command(user: UserEntry, folder: Path) -> UserEntry:
    """Make a command with a slash relative to the kubeconfig; any other is looked up in $PATH."""
    plugin = user.plugin
    if plugin is None or "/" not in plugin.command:
        return user
    return msgspec.structs.replace(
        user, plugin=msgspec.structs.replace(plugin, command=str(folder / plugin.command))
    )


def _find_cluster_fault(server: ClusterEntry) -> str | None:
    if not server.server:
        return "its cluster has no server"
    try:
        parts = urlsplit(server.server if "://" in server.server else f"https://{server.server}")
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        return "the server of its cluster is not an http or https URL"
    if server.insecure_skip_tls_verify and (
        server.certificate_authority or server.certificate_authority_data
    ):
        return "its cluster has both certificate-authority and insecure-skip-tls-verify; remove one"
    return None


def _find_user_fault(user: UserEntry) -> str | None:
    certificate = user.client_certificate or user.client_certificate_data
    key = user.client_key or user.client_key_data
    if bool(certificate) != bool(key):
        has, lacks = ("client-certificate", "client-key")[:: 1 if certificate else -1]
        return f"its user has a {has} but no {lacks}"
    if (user.token or user.token_file) and (user.username or user.password):
        return "its user has both a token and a password; remove one"
    if user.plugin is not None and user.auth_provider is not None:
        return "its user has both exec and auth-provider; remove one"
    if (user.as_uid or user.as_groups or user.as_user_extra) and not user.impersonate:
        return "its user impersonates groups, a uid or extra fields, but `as` is missing"
    return None


def _list_some(names: Mapping[str, object] | Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return (", ".join(listed[:_SHOWN]) or "none") + more
