"""Who asks: what a kubeconfig's user comes down to on the wire."""

import base64
import binascii
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from dynocheck.kube import exec_plugin
from dynocheck.kube.deadline import Deadline
from dynocheck.kube.errors import CredentialsFailed
from dynocheck.kube.kubeconfig import AuthProvider, ClusterEntry, UserEntry
from dynocheck.secrets import HIDDEN, hide

_OIDC_EARLY_S = 10  # what kubectl leaves
_REMOVED = {
    "gcp": "kubectl has dropped it: gcloud container clusters get-credentials writes its successor",
    "azure": "kubectl has dropped it: kubelogin convert-kubeconfig writes its successor",
}


@dataclass(frozen=True)
class Identity:
    """Headers and a client certificate, as good until `expires` (of `time.time()`)."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    expires: float | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def expired(self) -> bool:
        return self.expires is not None and time.time() >= self.expires

    @property
    def anonymous(self) -> bool:
        return not self.headers and self.certificate is None

    def redact(self, text: str) -> str:
        """One printable line of what a server says, without the credentials it may have sent back."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        printable = "".join(c if c.isprintable() else " " for c in text)
        return str(hide(" ".join(printable.split())))[:500]


def authenticate(user: UserEntry, server: ClusterEntry, deadline: Deadline) -> Identity:
    """Make the credentials of this user for this server. May run a plugin.

    :raises CredentialsFailed: they cannot be had.
    :raises TimedOut: a plugin is not done by the deadline.
    """
    certificate = read_data_or_file(
        user.client_certificate_data, user.client_certificate, "client-certificate"
    )
    key = read_data_or_file(user.client_key_data, user.client_key, "client-key")
    bearer, expires = _read_token(user), None
    login = _find_login(user, server)
    if not bearer and login is None and user.plugin is not None:
        made = exec_plugin.run(user.plugin, server, deadline)
        bearer = made.token
        if made.client_key_data:
            certificate, key = made.client_certificate_data.encode(), made.client_key_data.encode()
        if made.expiration_timestamp is not None:
            expires = made.expiration_timestamp.timestamp()
    elif not bearer and login is None and user.auth_provider is not None:
        bearer = _read_oidc_token(user.auth_provider)
    secrets = [bearer] if bearer else []
    headers = []
    if bearer:
        headers.append(("Authorization", f"Bearer {bearer}"))
    elif login is not None:
        basic = base64.b64encode(":".join(login).encode()).decode()
        headers.append(("Authorization", f"Basic {basic}"))
        secrets += [basic, *login[1:]]
    headers += _make_impersonation_headers(user)
    for name, value in headers:
        if not (value.isascii() and value.isprintable()):
            raise CredentialsFailed(f"the value of {name} holds characters that no header can carry")
    return Identity(tuple(headers), certificate, key, expires, tuple(s for s in secrets if len(s) > 3))


def _read_token(user: UserEntry) -> str:
    """The token. That of the file wins, because it is the one that gets renewed."""
    if user.token_file:
        try:
            return Path(user.token_file).read_text().strip()
        except (OSError, UnicodeError) as error:
            if not user.token:
                why = error.strerror if isinstance(error, OSError) else "not text"
                raise CredentialsFailed(f"token file {user.token_file}: {why}") from None
    return user.token


def _find_login(user: UserEntry, server: ClusterEntry) -> tuple[str, str] | None:
    if user.username or user.password:
        return user.username, user.password
    parts = urlsplit(server.server)
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def _read_oidc_token(provider: AuthProvider) -> str:
    """The id token of an OpenID Connect provider.

    One that has expired is not renewed: that may use up the refresh token that kubectl has on file.
    """
    if provider.name != "oidc":
        fix = _REMOVED.get(provider.name, "kubectl config view --minify")
        raise CredentialsFailed(f"auth-provider {provider.name!r} is not supported", fix=fix)
    token = provider.config.get("id-token", "")
    expires = _read_expiry(token) if token else 0.0
    if expires is not None and expires - _OIDC_EARLY_S <= time.time():
        what = "has expired" if token else "is missing"
        renew = "kubectl auth whoami   # kubectl renews it and writes it to the kubeconfig"
        raise CredentialsFailed(f"the OpenID Connect id-token of the kubeconfig {what}", fix=renew)
    return token


def _read_expiry(token: str) -> float | None:
    """When a JSON Web Token expires, if it says so."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def _make_impersonation_headers(user: UserEntry) -> Iterator[tuple[str, str]]:
    if user.impersonate:
        yield "Impersonate-User", user.impersonate
    if user.as_uid:
        yield "Impersonate-Uid", user.as_uid
    for group in user.as_groups:
        yield "Impersonate-Group", group
    for name, values in user.as_user_extra.items():
        for value in values:
            yield f"Impersonate-Extra-{quote(name.lower(), safe='!#$&*+-.^_`|~')}", value


def read_data_or_file(data: str, path: str, what: str) -> bytes | None:
    """The bytes of a field of a kubeconfig that is either given as data or as a file, or neither.

    :raises CredentialsFailed: they cannot be read.
    """
    if data:
        try:
            return base64.b64decode("".join(data.split()), validate=True)
        except (binascii.Error, ValueError):
            raise CredentialsFailed(f"{what}-data of the kubeconfig is not base64") from None
    if path:
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise CredentialsFailed(f"{what} {path}: {error.strerror}") from None
    return None
