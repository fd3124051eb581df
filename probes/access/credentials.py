"""How long the credentials last with which we ask. What they are stays where it is."""

from dynocheck import probe
from dynocheck.facts.k8s.credentials import Credential, Credentials
from dynocheck.kube import Cluster
from dynocheck.kube.credential_expiry import (
    count_seconds_left,
    format_rfc3339,
    has_no_credentials,
    list_expiries,
)


@probe()
def credentials(cluster: Cluster) -> Credentials:
    """From the kubeconfig alone: no plugin is run and nothing is asked."""
    chosen = cluster.connection.chosen
    return Credentials(
        tuple(
            Credential(found.kind, format_rfc3339(found.expires), count_seconds_left(found.expires))
            for found in list_expiries(chosen.user)
        ),
        anonymous=has_no_credentials(chosen),
    )
