"""An endpoint's URL, credentials, TLS options and limits."""

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

from dynocheck.core.errors import UsageError
from dynocheck.core.files import MIB, read_bounded
from dynocheck.secrets import remember

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?|")
_PATH = re.compile(r"[\x21-\x7e]*")


class SecretValue:
    """A value that appears neither in tracebacks nor in reports."""

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "SecretValue(...)"


@dataclass(frozen=True)
class ExchangeLimits:
    """Limits for a request: seconds per phase, and bytes of the parts of its response.

    `first_byte_s` counts from the request's last byte, `idle_s` between two reads, `total_s` from the start.
    `body` applies to the bytes on the wire and, separately, to the decompressed bytes.
    """

    connect_s: float = 5.0
    tls_s: float = 5.0
    first_byte_s: float = 60.0
    idle_s: float = 60.0
    total_s: float = 60.0
    head: int = 64 << 10
    line: int = 1 << 20
    body: int = 32 << 20


@dataclass(frozen=True)
class Endpoint:
    """A server with an OpenAI-compatible API.

    :param url: http or https URL, with or without a base path and a final /v1.
    :param key: API key, sent as a bearer token to this host only.
    :param ca_file: PEM file with authorities to trust instead of the system's.
    :param insecure: skip TLS certificate verification.
    :param chunked: send request bodies with chunked transfer encoding. With a Content-Length, Go's reverse
        proxy, which API servers use, occasionally drops a response that begins before it has read the end of
        the request body.
    :raises UsageError: an argument is invalid.
    """

    url: str
    key: SecretValue | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: str | None = None
    insecure: bool = False
    limits: ExchangeLimits = ExchangeLimits()
    chunked: bool = False

    def __post_init__(self) -> None:
        for name, value in self.all_headers.items():
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise UsageError(f"header {name!r}: invalid name or value")
        _ = self.ssl_context

    @cached_property
    def _split_url(self) -> tuple[str, str, int, str]:
        try:
            parts = urlsplit(self.url.strip())
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        except ValueError as error:
            raise UsageError(f"not a URL: {error}") from None
        if parts.username is not None or parts.password is not None:
            raise UsageError(
                "credentials in a URL end up in logs; pass the key in an environment variable or file"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{self.url}: not a URL like http://host:8000")
        if parts.query or parts.fragment or not _PATH.fullmatch(parts.path):
            raise UsageError(f"{self.url}: not an API base URL: remove the query and fragment")
        return parts.scheme, _encode_host(parts.hostname), port, parts.path.rstrip("/").removesuffix("/v1")

    @property
    def is_secure(self) -> bool:
        return self._split_url[0] == "https"

    @property
    def host(self) -> str:
        return self._split_url[1]

    @property
    def port(self) -> int:
        return self._split_url[2]

    @property
    def base_path(self) -> str:
        """The path before `/v1`, without a final slash."""
        return self._split_url[3]

    @cached_property
    def authority(self) -> str:
        """Host and port for the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_secure else 80) else f"{host}:{self.port}"

    @property
    def tls_server_name(self) -> str:
        """The name for SNI and certificate verification: that of a custom Host header, by which gateways
        choose a route, or else the URL's host.
        """
        return urlsplit(f"//{self.headers.get('Host', '')}").hostname or self.host

    @cached_property
    def all_headers(self) -> dict[str, str]:
        """The headers of every request, including the key."""
        key = {"Authorization": f"Bearer {self.key.reveal()}"} if self.key else {}
        return {"Host": self.authority, **key, **self.headers}

    @cached_property
    def ssl_context(self) -> ssl.SSLContext | None:
        """The context that verifies the server's certificate; None for plain HTTP."""
        if not self.is_secure:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self.ca_file is None:
            context.load_default_certs()
        else:
            context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
            try:
                context.load_verify_locations(
                    cadata=read_bounded(self.ca_file, MIB).decode("ascii", "ignore")
                )
            except (ssl.SSLError, ValueError):
                raise UsageError(f"{self.ca_file}: contains no PEM certificate") from None
            except OSError as error:
                raise UsageError(f"{self.ca_file}: {error.strerror}") from None
        return context


def _encode_host(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise UsageError(f"{host}: not a host name") from None


def read_key(environment: str | None, file: str | None) -> SecretValue | None:
    """The API key in an environment variable or a file; None if neither is named.

    :raises UsageError: it is missing, or cannot be sent in a header.
    """
    if environment is not None and file is not None:
        raise UsageError("a key from the environment and one from a file: use one")
    if environment is not None:
        key = os.environ.get(environment, "").strip()
        where = f"${environment}"
    elif file is not None:
        try:
            key = read_bounded(file, MIB).decode().strip()
        except OSError as error:
            raise UsageError(f"{file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UsageError(f"{file}: not text") from None
        where = file
    else:
        return None
    if not key:
        raise UsageError(f"{where}: contains no key")
    if not _HEADER_VALUE.fullmatch(key):
        raise UsageError(f"{where}: the key cannot be sent in a header")
    remember(key)
    return SecretValue(key)
