"""Facts about who asks: how long the credentials last, never what they are."""

import msgspec

from dynocheck.facts.k8s.cluster import ClusterFact


class Credential(msgspec.Struct, frozen=True):
    """A credential of the kubeconfig that nobody renews; `kind` is client certificate, token or id-token.

    `expires` is RFC 3339, `left_s` the seconds from the look until then, below zero when it is past.
    """

    kind: str
    expires: str
    left_s: int


class Credentials(ClusterFact, frozen=True):
    """The credentials that are known to end. What is renewed, or does not say when it ends, is left out."""

    items: tuple[Credential, ...] = ()
    anonymous: bool = False
