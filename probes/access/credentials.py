"""Probe of when the kubeconfig's credentials expire. The credentials themselves are not part of the fact."""

from dynocheck import probe
from dynocheck.facts import Credential, Credentials
from dynocheck.kube import Cluster
from dynocheck.kube.credential_expiry import (
    count_seconds_left,
    format_rfc3339,
    has_no_credentials,
    list_expiries,
)


@probe()
def credentials(cluster: Cluster) -> Credentials:
    """Reads the kubeconfig only: runs no plugin and sends no request."""
    chosen = cluster.connection.chosen
    return Credentials(
        tuple(
            Credential(expiry.kind, format_rfc3339(expiry.expires), count_seconds_left(expiry.expires))
            for expiry in list_expiries(chosen.user)
        ),
        anonymous=has_no_credentials(chosen),
    )
