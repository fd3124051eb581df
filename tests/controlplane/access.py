"""The users of a test cluster: who they are, what they may do, how a client reaches it as one."""

import base64
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.api import Object
from tests.controlplane.certs import Pair

# Fields of a kubeconfig's cluster entry; every other one belongs to its user.
OF_CLUSTER = {
    *("certificate-authority", "certificate-authority-data", "disable-compression"),
    *("insecure-skip-tls-verify", "proxy-url", "tls-server-name"),
}
RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class User:
    """Somebody the API server knows, by a client certificate or by a token."""

    name: str
    groups: tuple[str, ...] = ()
    pair: Pair | None = None
    token: str | None = None


def kubeconfig(
    user: User, server: str, authority: bytes, namespace: str | None, overrides: dict[str, Any]
) -> str:
    """Give the text of a kubeconfig; an override of None takes the field away."""
    cluster: Object = {"server": server, "certificate-authority-data": _data(authority)}
    identity: Object = {"token": user.token} if user.token else {}
    if user.pair:
        identity["client-certificate-data"] = _data(user.pair.certificate)
        identity["client-key-data"] = _data(user.pair.key)
    for name, value in overrides.items():
        field = name.replace("_", "-")
        entry = cluster if field in OF_CLUSTER else identity
        entry.pop(field, None)
        if value is not None:
            entry[field] = value
    context = {"cluster": "test", "user": user.name}
    if namespace:
        context["namespace"] = namespace
    content = {
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": user.name, "user": identity}],
        "contexts": [{"name": "test", "context": context}],
    }
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **content}, sort_keys=False)


def tls(user: User, authority: Path, scratch: Path) -> ssl.SSLContext:
    """Give a TLS context that trusts the cluster and presents the user's certificate, if any."""
    context = _SharedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority)
    if user.pair:
        # The ssl module loads certificates from files only.
        scratch.touch(mode=0o600)
        scratch.write_bytes(user.pair.certificate + user.pair.key)
        context.load_cert_chain(scratch)
        scratch.unlink()
    return context


class _SharedContext(ssl.SSLContext):
    """A context that several threads can use.

    The client sets the ALPN protocols for each connection, while OpenSSL in another thread may be copying
    them into its ClientHello without the GIL: the API server then cannot decode that message. It needs none.
    """

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        pass


def grant(user: User, rules: list[Object], namespace: str | None) -> list[Object]:
    """Give a role with these rules and its binding, cluster-wide if no namespace is named."""
    scope = "" if namespace else "Cluster"
    metadata = {"name": f"test:{user.name}"} | ({"namespace": namespace} if namespace else {})
    reference = {"apiGroup": RBAC, "kind": f"{scope}Role", "name": metadata["name"]}
    who = {"apiGroup": RBAC, "kind": "User", "name": user.name}
    common = {"apiVersion": f"{RBAC}/v1", "metadata": metadata}
    return [
        {**common, "kind": f"{scope}Role", "rules": rules},
        {**common, "kind": f"{scope}RoleBinding", "roleRef": reference, "subjects": [who]},
    ]


def review(user: User, rule: Object, namespace: str | None) -> Object:
    """Give the question whether the user may do the first thing that a rule names."""
    spec: Object = {"user": user.name, "groups": [*user.groups, "system:authenticated"]}
    if paths := rule.get("nonResourceURLs"):
        spec["nonResourceAttributes"] = {"verb": rule["verbs"][0], "path": paths[0]}
    else:
        resource, _, subresource = rule["resources"][0].partition("/")
        spec["resourceAttributes"] = {
            "verb": rule["verbs"][0],
            "group": rule["apiGroups"][0],
            "resource": resource,
            "subresource": subresource,
            "name": next(iter(rule.get("resourceNames", [])), ""),
            "namespace": namespace or "",
        }
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def _data(content: bytes) -> str:
    return base64.b64encode(content).decode()
