"""Turns a kubeconfig's user into headers and a client certificate."""

import base64
import binascii
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from dynocheck.core.files import MIB, read_bounded
from dynocheck.kube import exec_plugin
from dynocheck.kube.deadline import Deadline
from dynocheck.kube.errors import CredentialsFailed
from dynocheck.kube.kubeconfig import AuthProvider, ClusterEntry, UserEntry
from dynocheck.secrets import HIDDEN, hide, remember

_OIDC_EARLY_S = 10  # kubectl renews a token this long before it expires
_REMOVED = {
    "gcp": "kubectl no longer supports it: gcloud container clusters get-credentials writes its successor",
    "azure": "kubectl no longer supports it: kubelogin convert-kubeconfig writes its successor",
}


@dataclass(frozen=True)
class Identity:
    """Headers and a client certificate, valid until `expires` (as `time.time()`)."""

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
        """Server text as one printable line of at most 500 characters, with our credentials hidden."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        printable = "".join(c if c.isprintable() else " " for c in text)
        return str(hide(" ".join(printable.split())))[:500]


def authenticate(user: UserEntry, server: ClusterEntry, deadline: Deadline) -> Identity:
    """The credentials of this user for this server. May run an exec plugin.

    :raises CredentialsFailed: a file cannot be read, or a plugin or provider gives no credentials.
    :raises TimedOut: a plugin does not finish by the deadline.
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
            raise CredentialsFailed(f"the value of {name} contains characters that are invalid in a header")
    remember(*secrets)
    return Identity(tuple(headers), certificate, key, expires, tuple(s for s in secrets if len(s) > 3))


def _read_token(user: UserEntry) -> str:
    """The token. A token file takes precedence, because it is renewed."""
    if user.token_file:
        try:
            return read_bounded(user.token_file, MIB).decode().strip()
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
    """The id-token of an OpenID Connect provider.

    An expired one is not renewed, because that may invalidate the refresh token that kubectl keeps.
    """
    if provider.name != "oidc":
        fix = _REMOVED.get(provider.name, "kubectl config view --minify")
        raise CredentialsFailed(f"auth-provider {provider.name!r} is not supported", fix=fix)
    token = provider.config.get("id-token", "")
    expires = read_token_expiry(token) if token else 0.0
    if expires is not None and expires - _OIDC_EARLY_S <= time.time():
        state = "has expired" if token else "is missing"
        renew = "kubectl auth whoami   # kubectl renews it and writes it to the kubeconfig"
        raise CredentialsFailed(f"the OpenID Connect id-token of the kubeconfig {state}", fix=renew)
    return token


def read_token_expiry(token: str) -> float | None:
    """The `exp` of a JSON Web Token, as `time.time()`; None if it has none. The signature is not verified."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expires = float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        return None
    return expires if math.isfinite(expires) else None


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


def read_data_or_file(data: str, path: str, field: str) -> bytes | None:
    """The bytes of a kubeconfig field that is given as base64 data or as a file; None if it is not given.

    :raises CredentialsFailed: the data is not base64, or the file cannot be read.
    """
    if data:
        try:
            return base64.b64decode("".join(data.split()), validate=True)
        except (binascii.Error, ValueError):
            raise CredentialsFailed(f"{field}-data of the kubeconfig is not base64") from None
    if path:
        try:
            return read_bounded(path, MIB)
        except OSError as error:
            raise CredentialsFailed(f"{field} {path}: {error.strerror}") from None
    return None
