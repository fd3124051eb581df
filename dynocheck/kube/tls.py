"""TLS contexts that trust the kubeconfig's certificate authority, or else the system's, as kubectl does."""

import ssl
import tempfile
from collections.abc import Iterable

from dynocheck.kube.auth import Identity, read_data_or_file
from dynocheck.kube.deadline import BoundedTLSSocket
from dynocheck.kube.errors import CredentialsFailed
from dynocheck.kube.kubeconfig import ClusterEntry


def make_context(server: ClusterEntry, identity: Identity) -> ssl.SSLContext:
    """A context that trusts this server's authority and presents this identity's certificate.

    :raises CredentialsFailed: the authority or the certificate is invalid.
    """
    authority = read_data_or_file(
        server.certificate_authority_data, server.certificate_authority, "certificate-authority"
    )
    context = make_base_context()
    if server.insecure_skip_tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authority is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(cadata=authority.decode("ascii", "ignore"))
        except (ssl.SSLError, ValueError):
            raise CredentialsFailed("certificate-authority of the kubeconfig: not a certificate") from None
    if identity.certificate is not None and identity.key is not None:
        _load_client_certificate(context, identity.certificate, identity.key)
    return context


def make_base_context() -> ssl.SSLContext:
    """A context without trusted authorities, as strict as Go.

    Any certificate in the authority file is trusted, also an intermediate one, and so are authorities without
    key identifiers, which Python 3.13 rejects by default.
    """
    context = _SharedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.sslsocket_class = BoundedTLSSocket
    return context


class _SharedContext(ssl.SSLContext):
    """A context that several threads can use.

    urllib3 sets the ALPN protocols for each connection, while OpenSSL in another thread may be copying them
    into its ClientHello without the GIL, which corrupts that message. We need no ALPN protocols.
    """

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        pass


def _load_client_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    try:
        with tempfile.NamedTemporaryFile() as file:  # ssl loads certificates only from files
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name, password="")  # otherwise OpenSSL prompts on the terminal
    except ssl.SSLError:
        raise CredentialsFailed("client certificate and key: not a PEM pair, or encrypted") from None
    except OSError as error:
        raise CredentialsFailed(
            f"client certificate: cannot write a temporary file: {error.strerror}"
        ) from None
