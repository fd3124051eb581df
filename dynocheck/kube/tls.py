"""Trust, as kubectl has it: in the kubeconfig's authority, or else in the system's."""

import ssl
import tempfile
from collections.abc import Iterable

from dynocheck.kube.auth import Identity, read_data_or_file
from dynocheck.kube.deadline import BoundedTLSSocket
from dynocheck.kube.errors import CredentialsFailed
from dynocheck.kube.kubeconfig import ClusterEntry


def make_context(server: ClusterEntry, identity: Identity) -> ssl.SSLContext:
    """What trusts this server's authority and presents this identity's certificate.

    :raises CredentialsFailed: the one or the other cannot be used.
    """
    authority = read_data_or_file(
        server.certificate_authority_data, server.certificate_authority, "certificate-authority"
    )
    made = make_base_context()
    if server.insecure_skip_tls_verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    elif authority is None:
        made.load_default_certs()
    else:
        try:
            made.load_verify_locations(cadata=authority.decode("ascii", "ignore"))
        except (ssl.SSLError, ValueError):
            raise CredentialsFailed("certificate-authority of the kubeconfig: not a certificate") from None
    if identity.certificate is not None and identity.key is not None:
        _load_client_certificate(made, identity.certificate, identity.key)
    return made


def make_base_context() -> ssl.SSLContext:
    """A context that trusts nobody yet.

    It is as strict as Go is: a certificate of the authority's file is trusted wherever it stands in a
    chain, and old authorities without key identifiers are good enough (Python 3.13 refuses those).
    """
    made = _SharedContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    made.sslsocket_class = BoundedTLSSocket
    return made


class _SharedContext(ssl.SSLContext):
    """A context of which many threads make connections.

    urllib3 sets the protocols anew for each connection, while another thread may be copying them into its
    first message, without Python's lock: the server then finds that message broken. No protocol need be set.
    """

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        pass


def _load_client_certificate(made: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    try:
        with tempfile.NamedTemporaryFile() as file:  # ssl reads certificates from files only
            file.write(certificate + b"\n" + key)
            file.flush()
            made.load_cert_chain(file.name, password="")  # or OpenSSL asks the terminal
    except ssl.SSLError:
        raise CredentialsFailed("client certificate and key: not a pair in PEM, or encrypted") from None
    except OSError as error:
        raise CredentialsFailed(f"client certificate: no temporary file for it: {error.strerror}") from None
