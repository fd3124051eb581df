"""When the credentials of a kubeconfig end, without telling what they are."""

import base64
import json
import math
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from dynocheck.kube.auth import read_data_or_file
from dynocheck.kube.errors import CredentialsFailed
from dynocheck.kube.kubeconfig import ResolvedContext, UserEntry

_SEQUENCE, _EXPLICIT_VERSION, _SHORT_TIME, _LONG_TIME = 0x30, 0xA0, 0x17, 0x18


class CredentialExpiry(NamedTuple):
    """A kind of credential and the `time.time()` at which it ends."""

    kind: str
    expires: float


def has_no_credentials(chosen: ResolvedContext) -> bool:
    """Whether a context names no credentials at all."""
    user = chosen.user
    named = user.client_certificate or user.client_certificate_data or user.token or user.token_file
    made = user.plugin or user.auth_provider
    return not (named or made or user.username or user.password or urlsplit(chosen.server.server).username)


def list_expiries(user: UserEntry) -> Iterator[CredentialExpiry]:
    """The credentials of this user that end and are not renewed by whoever made them.

    A plugin makes new ones, a token file is one that gets renewed, and a provider with a refresh token
    renews its own.

    :raises CredentialsFailed: the client certificate cannot be read.
    """
    certificate = read_data_or_file(
        user.client_certificate_data, user.client_certificate, "client-certificate"
    )
    if certificate is not None:
        yield CredentialExpiry("client certificate", read_not_after(certificate))
    if user.token and not user.token_file and (expires := read_token_expiry(user.token)) is not None:
        yield CredentialExpiry("token", expires)
    provider = user.auth_provider
    if provider is not None and provider.name == "oidc" and not provider.config.get("refresh-token"):
        expires = read_token_expiry(provider.config.get("id-token", ""))
        if expires is not None:
            yield CredentialExpiry("id-token", expires)


def read_token_expiry(token: str) -> float | None:
    """When a JSON Web Token says that it expires; its signature is the server's to look at."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expires = float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        return None
    return expires if math.isfinite(expires) else None


def read_not_after(pem: bytes) -> float:
    """When the first certificate of a PEM file ends, as `time.time()`.

    :raises CredentialsFailed: it holds no certificate.
    """
    try:
        text = pem.decode("ascii", "ignore")
        start, end = text.index(ssl.PEM_HEADER), text.index(ssl.PEM_FOOTER)
        return _parse_not_after(ssl.PEM_cert_to_DER_cert(text[start : end + len(ssl.PEM_FOOTER)]))
    except (ValueError, LookupError, StopIteration):
        raise CredentialsFailed("client-certificate of the kubeconfig: not a certificate in PEM") from None


def format_rfc3339(when: float) -> str:
    """A time of `time.time()` as people read it; one beyond the calendar is its last second."""
    try:
        return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "9999-12-31T23:59:59Z" if when > 0 else "0001-01-01T00:00:00Z"


def count_seconds_left(when: float) -> int:
    """Whole seconds from now until then."""
    return int(when - time.time())


def _parse_not_after(der: bytes) -> float:
    """`Certificate.tbsCertificate.validity.notAfter` of X.509, by RFC 5280."""
    fields = list(_iter_elements(_unwrap(_unwrap(der, _SEQUENCE), _SEQUENCE)))
    if fields[0][0] == _EXPLICIT_VERSION:
        del fields[0]
    kind, validity = fields[3]  # after serial number, signature algorithm and issuer
    if kind != _SEQUENCE:
        raise ValueError("no validity")
    kind, text = list(_iter_elements(validity))[1]
    form = {_SHORT_TIME: "%y%m%d%H%M%SZ", _LONG_TIME: "%Y%m%d%H%M%SZ"}[kind]
    found = datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC)
    if kind == _SHORT_TIME and found.year >= 2050:  # RFC 5280: two digits from 50 on are of the last century
        found = found.replace(year=found.year - 100)
    return found.timestamp()


def _unwrap(der: bytes, wanted: int) -> bytes:
    kind, content = next(_iter_elements(der))
    if kind != wanted:
        raise ValueError("not the element that stands here")
    return content


def _iter_elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The tag and the content of each element of a DER sequence's content."""
    at = 0
    while at < len(der):
        kind, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[at : at + size], "big")
            at += size
        if at + length > len(der):
            raise ValueError("cut short")
        yield kind, der[at : at + length]
        at += length
