"""Trust, as kubectl has it: the kubeconfig's authority or else the system's."""

import os
import ssl
import tempfile
from pathlib import Path

from dynocheck.kube.credentials import Identity, material
from dynocheck.kube.deadline import BoundedTLSSocket
from dynocheck.kube.errors import CredentialsFailed
from dynocheck.kube.kubeconfig import Server


def context(server: Server, identity: Identity) -> ssl.SSLContext:
    """A context that trusts this server's authority and presents this identity's certificate.

    :raises CredentialsFailed: the one or the other cannot be read.
    """
    made = ssl.create_default_context()
    authority = material(server.certificate_authority_data, server.certificate_authority, "certificate-authority")
    if authority is not None:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            made.load_verify_locations(cadata=authority.decode("ascii", "ignore"))
        except (ssl.SSLError, ValueError):
            raise CredentialsFailed("the certificate-authority of the kubeconfig holds no certificate") from None
