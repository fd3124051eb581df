"""Reads when a kubeconfig's credentials expire."""

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from dynocheck.kube.auth import read_data_or_file, read_token_expiry
from dynocheck.kube.errors import CredentialsFailed
from dynocheck.kube.kubeconfig import ResolvedContext, UserEntry

_SEQUENCE, _EXPLICIT_VERSION, _SHORT_TIME, _LONG_TIME = 0x30, 0xA0, 0x17, 0x18


class CredentialExpiry(NamedTuple):
    """A kind of credential and when it expires, as `time.time()`."""

    kind: str
    expires: float


def has_no_credentials(chosen: ResolvedContext) -> bool:
    """Whether a context has no credentials of any kind."""
    user = chosen.user
    certificate = user.client_certificate or user.client_certificate_data
    token = user.token or user.token_file or user.plugin or user.auth_provider
    login = user.username or user.password or urlsplit(chosen.server.server).username
    return not (certificate or token or login)


def list_expiries(user: UserEntry) -> Iterator[CredentialExpiry]:
    """The credentials of this user that expire and are not renewed automatically.

    Left out are exec plugins, token files, and providers with a refresh token, which all renew theirs.

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


def read_not_after(pem: bytes) -> float:
    """When the first certificate of a PEM file expires, as `time.time()`.

    :raises CredentialsFailed: the file contains no certificate.
    """
    try:
        text = pem.decode("ascii", "ignore")
        start, end = text.index(ssl.PEM_HEADER), text.index(ssl.PEM_FOOTER)
        return _parse_not_after(ssl.PEM_cert_to_DER_cert(text[start : end + len(ssl.PEM_FOOTER)]))
    except (ValueError, LookupError, StopIteration):
        raise CredentialsFailed("client-certificate of the kubeconfig: not a certificate in PEM") from None


def format_rfc3339(when: float) -> str:
    """A `time.time()` in RFC 3339, in UTC; a time outside the calendar becomes its first or last second."""
    try:
        return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "9999-12-31T23:59:59Z" if when > 0 else "0001-01-01T00:00:00Z"


def count_seconds_left(when: float) -> int:
    """Whole seconds from now until then."""
    return int(when - time.time())


def _parse_not_after(der: bytes) -> float:
    """The `Certificate.tbsCertificate.validity.notAfter` of an X.509 certificate (RFC 5280)."""
    fields = list(_iter_elements(_unwrap(_unwrap(der, _SEQUENCE), _SEQUENCE)))
    if fields[0][0] == _EXPLICIT_VERSION:
        del fields[0]
    kind, validity = fields[3]  # after serial number, signature algorithm and issuer
    if kind != _SEQUENCE:
        raise ValueError("no validity")
    kind, text = list(_iter_elements(validity))[1]
    form = {_SHORT_TIME: "%y%m%d%H%M%SZ", _LONG_TIME: "%Y%m%d%H%M%SZ"}[kind]
    expires = datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC)
    if kind == _SHORT_TIME and expires.year >= 2050:  # RFC 5280: two-digit years from 50 are 19xx
        expires = expires.replace(year=expires.year - 100)
    return expires.timestamp()


def _unwrap(der: bytes, wanted: int) -> bytes:
    kind, content = next(_iter_elements(der))
    if kind != wanted:
        raise ValueError("not the expected element")
    return content


def _iter_elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The tag and content of each element in a DER sequence."""
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
