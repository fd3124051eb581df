"""Probes of the API server's version and of the user's permissions."""

from functools import partial

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, AccessReview, ApiServer, Permissions, RequiredAccess, ServerVersion
from dynocheck.kube import Cluster, KubeError, run_parallel

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_EVERYTHING = Access("*", "*", "*")


class _Version(msgspec.Struct, rename="camel"):
    git_version: str
    platform: str = ""


class _ReviewStatus(msgspec.Struct, rename="camel"):
    allowed: bool
    reason: str = ""
    evaluation_error: str = ""


class _Review(msgspec.Struct):
    status: _ReviewStatus


@probe()
def api_server(cluster: Cluster) -> ApiServer:
    """The server's address, version and platform; fails when the server cannot be reached."""
    version = cluster.get("/version", _Version)
    return ApiServer(cluster.connection.server, version.git_version, version.platform)


@probe()
def server_version(cluster: Cluster) -> ServerVersion:
    """The server's version, or why it is unknown; never fails."""
    try:
        return ServerVersion(cluster.get("/version", _Version).git_version)
    except KubeError as error:
        return ServerVersion(reason=str(error))


@probe()
def permissions(cluster: Cluster, required: RequiredAccess) -> Permissions:
    """Create a SelfSubjectAccessReview per permission: the only POST of all probes, which stores nothing.

    One review is enough for a user who may do everything, like `kubectl auth can-i '*' '*'`. Rights to
    objects of certain names are left to the probes that need them: other clusters have other names.
    """
    needed = [access for access in required.items if not access.names]
    if _review(cluster, _EVERYTHING).allowed:
        return Permissions(tuple(AccessReview(access, True) for access in needed))
    return Permissions(tuple(run_parallel([partial(_review, cluster, access) for access in needed])))


def _review(cluster: Cluster, access: Access) -> AccessReview:
    attributes = {"verb": access.verb, "group": access.group, "resource": access.resource}
    if access.local:
        attributes["namespace"] = cluster.connection.namespace
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    status = cluster.post(_REVIEWS, body, _Review).status
    return AccessReview(access, status.allowed, status.reason or status.evaluation_error)
