"""How long the credentials last with which we ask. What they are stays where it is."""

from dynocheck import probe
from dynocheck.facts.k8s.credentials import Credential, Credentials
from dynocheck.kube import Cluster
from dynocheck.kube.credential_expiry import anonymous, lasting, rfc3339, seconds_left


@probe()
def credentials(cluster: Cluster) -> Credentials:
    """From the kubeconfig alone: no plugin is run and nothing is asked."""
    chosen = cluster.connection.chosen
    return Credentials(
        tuple(
            Credential(found.kind, rfc3339(found.expires), seconds_left(found.expires))
            for found in lasting(chosen.user)
        ),
        anonymous=anonymous(chosen),
    )
