"""Facts about the expiry of the user's credentials, never their contents."""

import msgspec

from dynocheck.facts.k8s.cluster import ClusterFact


class Credential(msgspec.Struct, frozen=True):
    """A credential of the kubeconfig that is not renewed automatically; `kind` is client certificate, token
    or id-token.

    `expires` is in RFC 3339, `left_s` the seconds until then at the time of the run, negative if it has
    expired.
    """

    kind: str
    expires: str
    left_s: int


class Credentials(ClusterFact, frozen=True):
    """The credentials with a known expiry that are not renewed automatically."""

    items: tuple[Credential, ...] = ()
    anonymous: bool = False
