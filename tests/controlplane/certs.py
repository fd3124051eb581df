"""A certificate authority for one test run.

Certificates rather than a token file, because the API server reads a token file once: a user signed
here exists the moment a test asks for one, with any name and any groups.
"""

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = datetime.timedelta(days=2)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both as PEM."""

    certificate: bytes
    key: bytes

    def serving(self, folder: Path) -> ssl.SSLContext:
        """The context of a server that has this certificate; the ssl module loads it from a file only."""
        file = folder / "server.pem"
        file.write_bytes(self.certificate + self.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


class Authority:
    """Signs the certificates of the servers and of the users."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("dynocheck-tests")
        unsigned = _builder(self._name, self._name, self._key.public_key())
        unsigned = unsigned.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        unsigned = unsigned.add_extension(_usage(signs_others=True), True)
        self._own = self._sign(unsigned)
        self.certificate = self._own.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        name: str,
        *,
        groups: Sequence[str] = (),
        hosts: Sequence[str] = (),
        life: datetime.timedelta | None = None,
    ) -> Pair:
        """Sign a certificate: of a user and its groups, or of a server that answers at `hosts`."""
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        unsigned = _builder(_name(name, groups), self._name, key.public_key(), life or LIFE)
        unsigned = unsigned.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        unsigned = unsigned.add_extension(_usage(signs_others=False), True)
        unsigned = unsigned.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        if hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in hosts])
            unsigned = unsigned.add_extension(names, False)
        signed = self._sign(unsigned).public_bytes(serialization.Encoding.PEM)
        return Pair(signed, private_key(key))

    def _sign(self, unsigned: x509.CertificateBuilder) -> x509.Certificate:
        # Python 3.13 refuses a certificate that does not say which key signed it.
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return unsigned.add_extension(issuer, False).sign(self._key, hashes.SHA256())


def private_key(key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    """Give a key, a new one if none is named, as PEM."""
    return (key or ec.generate_private_key(ec.SECP256R1())).private_bytes(
        serialization.Encoding.PEM,
        # "EC PRIVATE KEY": the API server takes no PKCS 8 for its service accounts.
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: datetime.timedelta = LIFE
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - datetime.timedelta(minutes=5),
        not_valid_after=now + life,
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)


def _name(common: str, organizations: Sequence[str] = ()) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_others: bool) -> x509.KeyUsage:
    never = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    unused = dict.fromkeys((*never, "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(
        digital_signature=not signs_others, key_cert_sign=signs_others, crl_sign=signs_others, **unused
    )
