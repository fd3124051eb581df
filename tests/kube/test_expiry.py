"""When credentials end, against certificates and tokens that others made."""

import base64
import contextlib
import datetime
import json
import math
import time
from datetime import UTC

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from dynocheck.kube.auth import read_token_expiry
from dynocheck.kube.credential_expiry import format_rfc3339, has_no_credentials, list_expiries, read_not_after
from dynocheck.kube.errors import CredentialsFailed
from dynocheck.kube.kubeconfig import AuthProvider, ClusterEntry, ExecPlugin, ResolvedContext, UserEntry

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(ends: datetime.datetime, *, organizations: int = 1, serial: int = 7) -> bytes:
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"team-{n}") for n in range(organizations)]
    name = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    start = min(ends, datetime.datetime(2026, 1, 1, tzinfo=UTC)) - datetime.timedelta(days=1)
    unsigned = x509.CertificateBuilder(name, name, KEY.public_key(), serial, start, ends)
    return unsigned.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def token(**claims: object) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), "signature"])


@settings(deadline=None)
@given(
    ends=st.datetimes(datetime.datetime(1960, 1, 1), datetime.datetime(9990, 1, 1), timezones=st.just(UTC)),
    organizations=st.integers(0, 40),
    serial=st.integers(1, 2**159),
)
def test_the_end_of_any_certificate(ends: datetime.datetime, organizations: int, serial: int) -> None:
    ends = ends.replace(microsecond=0)
    assert read_not_after(certificate(ends, organizations=organizations, serial=serial)) == ends.timestamp()


def test_the_first_certificate_of_a_chain_is_the_own_one() -> None:
    soon, late = (datetime.datetime(year, 5, 6, 7, 8, 9, tzinfo=UTC) for year in (2027, 2040))
    chain = b"# my certificate: \xc3\xbc\n" + certificate(soon) + certificate(late)
    assert format_rfc3339(read_not_after(chain)) == "2027-05-06T07:08:09Z"


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400))
def test_what_is_no_certificate(noise: bytes, cut: int) -> None:
    whole = certificate(datetime.datetime(2030, 1, 1, tzinfo=UTC)).splitlines()
    body = base64.b64decode(b"".join(whole[1:-1]))[:cut]
    for content in (noise, body):
        armoured = b"-----BEGIN CERTIFICATE-----\n%b\n-----END CERTIFICATE-----\n" % base64.b64encode(content)
        for text in (content, armoured):
            with contextlib.suppress(CredentialsFailed):
                assert format_rfc3339(read_not_after(text)) == "2030-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "expires"),
    [
        (token(exp=1_800_000_000, sub="x"), 1_800_000_000.0),
        (token(exp=1_800_000_000.5), 1_800_000_000.5),
        *((token(**claims), None) for claims in ({"sub": "x"}, {"exp": None}, {"exp": [1]}, {"exp": "nan"})),
        *((text, None) for text in (token(exp=math.inf), "sha256~opaque", "a.b.c", "a.%%%.c", "...", "")),
    ],
)
def test_the_end_of_a_token(text: str, expires: float | None) -> None:
    assert read_token_expiry(text) == expires


def test_what_is_renewed_is_left_out() -> None:
    ends = time.time() + 60
    jwt = token(exp=ends)
    assert [found.kind for found in list_expiries(UserEntry(token=jwt))] == ["token"]
    assert not list(list_expiries(UserEntry(token=jwt, token_file="/var/run/secrets/token")))
    assert not list(list_expiries(UserEntry(plugin=ExecPlugin(command="aws"))))
    provider = {"id-token": jwt, "refresh-token": "r"}
    assert not list(list_expiries(UserEntry(auth_provider=AuthProvider("oidc", provider))))
    (found,) = list_expiries(UserEntry(auth_provider=AuthProvider("oidc", {"id-token": jwt})))
    assert (found.kind, found.expires) == ("id-token", ends)


def test_who_is_anonymous() -> None:
    def is_anonymous(server: str = "https://x", **fields: str) -> bool:
        return has_no_credentials(ResolvedContext("c", "", ClusterEntry(server=server), UserEntry(**fields)))  # type: ignore[arg-type]

    assert is_anonymous()
    assert not is_anonymous("https://user:password@x")
    for field in ("token", "token_file", "username", "client_certificate"):
        assert not is_anonymous(**{field: "/x"}), field


@pytest.mark.parametrize("when", [math.nan, 1e30, -1e30])
def test_no_time_is_too_strange_to_print(when: float) -> None:
    assert format_rfc3339(when).endswith("Z")
