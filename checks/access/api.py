"""Checks of access to the API server: its version, permissions and credentials."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, check, fail, unknown, warn
from dynocheck.data import parse_version
from dynocheck.facts import (
    ApiServer,
    Credentials,
    Permissions,
    Recipes,
    RunNamespace,
    Settings,
    list_placements,
)

_DRA_STABLE, _DRA_BETA = (1, 34), (1, 32)


@check("access.api-reachable", title="The API server is reachable")
def api_reachable(server: ApiServer) -> None:
    """All other facts about a cluster come from its API server.

    When it cannot be reached, the reason says why: nothing listens (wrong address, stopped cluster, missing
    VPN), TLS fails, the credentials are expired, or the response takes too long.

    Fix: kubectl config current-context && kubectl cluster-info
    """


@check("access.kubernetes-version", title="Kubernetes is recent enough for Dynamo")
def kubernetes_version(server: ApiServer, settings: Settings, recipes: Recipes | None) -> Iterator[Finding]:
    """Dynamo's platform chart refuses to install on Kubernetes older than 1.30. Pods that claim devices
    (resourceClaims) need Dynamic Resource Allocation, stable and on by default since 1.34; in 1.32 and 1.33
    it is beta and off by default.

    The minimum is the threshold `kubernetes-version` of the configuration file.

    Fix: upgrade the control plane, then the nodes.
    """
    try:
        version = parse_version(server.version)
    except ValueError:
        yield warn(
            f"the server reports version {server.version!r}, which cannot be compared",
            fix="kubectl version",
        )
        return
    if version < parse_version(settings.kubernetes_version):
        yield fail(
            f"Kubernetes {server.version} is older than {settings.kubernetes_version}",
            fix="upgrade the control plane, then the nodes",
            evidence={"version": server.version, "wanted": settings.kubernetes_version},
        )
    elif version < _DRA_STABLE and any(
        placement.has_resource_claims for _, _, placement in list_placements(recipes or ())
    ):
        is_beta = version >= _DRA_BETA
        yield (warn if is_beta else fail)(
            f"the recipe claims devices; DRA is {'beta and off by default' if is_beta else 'missing'} in "
            f"Kubernetes {server.version}",
            fix="upgrade to Kubernetes 1.34 or newer",
            evidence={"version": server.version, "wanted": "1.34"},
        )


@check("access.permissions", title="The user may read everything this run needs")
def permissions(reviews: Permissions, namespace: RunNamespace) -> Iterator[Finding]:
    """Checks of what the user may not read are reported as unknown, never as failed.

    Fix: dynocheck rbac --bind user:NAME | kubectl apply -n NAMESPACE -f -
    """
    for review in reviews:
        if not review.allowed:
            access = review.access
            yield unknown(
                f"may not {access}{' in this namespace' if access.local else ''}",
                fix=f"dynocheck rbac --bind user:NAME | kubectl apply -n {namespace.name} -f -",
                evidence={"reason": review.reason} if review.reason else {},
            )


@check("access.credentials", title="The credentials do not expire soon")
def credentials(held: Credentials, settings: Settings) -> Iterator[Finding]:
    """A certificate or token that expires during a roll-out locks its user out of the cluster.

    Checked are credentials in the kubeconfig that are not renewed and have an expiry: a client certificate or
    a JSON Web Token, not what a plugin or the kubelet renews. The threshold `credentials-hours` of the
    configuration file is the fewest hours that they must be valid. Without credentials requests are
    anonymous, and may read next to nothing.

    Fix: log in again, as your cluster's guide has it.
    """
    if held.anonymous:
        yield warn(
            "the kubeconfig has no credentials for this cluster: requests are anonymous",
            fix="kubectl config view --minify",
        )
    elif not held.items:
        raise Skip("no credentials in the kubeconfig have an expiry")
    for credential in held.items:
        if credential.left_s >= settings.credentials_hours * 3600:
            continue
        hours = abs(credential.left_s) / 3600
        when = f"expired {hours:.1f} hours ago" if credential.left_s < 0 else f"expires in {hours:.1f} hours"
        yield warn(
            f"the {credential.kind} of the kubeconfig {when} by this machine's clock",
            fix="log in again, as your cluster's guide has it",
            evidence={"expires": credential.expires},
        )
