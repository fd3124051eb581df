"""Whether the cluster can be asked, and for what."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, check, fail, unknown, warn
from dynocheck.data import parse_version
from dynocheck.facts import ApiServer, Permissions, Recipes, Settings
from dynocheck.facts.k8s.credentials import Credentials
from dynocheck.facts.k8s.namespaces import RunNamespace
from dynocheck.facts.k8s.scheduling_constraints import list_placements

_DRA_STABLE, _DRA_BETA = (1, 34), (1, 32)


@check("access.api-reachable", title="The API server answers")
def api_reachable(server: ApiServer) -> None:
    """Everything else that is said about a cluster, its API server says.

    When it does not answer, the reason tells what stands in the way: nothing listens (wrong address,
    stopped cluster, missing VPN), TLS fails, the credentials are expired, or the answer takes too long.

    Fix: kubectl config current-context && kubectl cluster-info
    """


@check("access.kubernetes-version", title="Kubernetes is recent enough for Dynamo")
def kubernetes_version(server: ApiServer, settings: Settings, recipes: Recipes | None) -> Iterator[Finding]:
    """Dynamo's platform chart refuses to install on Kubernetes older than 1.30. Pods that claim devices
    (resourceClaims) need Dynamic Resource Allocation, stable and on by default since 1.34; in 1.32 and 1.33
    it is beta and off unless somebody switched it on.

    The floor is the threshold `kubernetes-version` of the configuration file.

    Fix: upgrade the control plane, then the nodes.
    """
    try:
        has = parse_version(server.version)
    except ValueError:
        yield warn(
            f"the server calls its version {server.version!r}, which cannot be compared",
            fix="kubectl version",
        )
        return
    if has < parse_version(settings.kubernetes_version):
        yield fail(
            f"Kubernetes {server.version} is older than {settings.kubernetes_version}",
            fix="upgrade the control plane, then the nodes",
            evidence={"version": server.version, "wanted": settings.kubernetes_version},
        )
    elif has < _DRA_STABLE and any(
        placed.has_resource_claims for _, _, placed in list_placements(recipes or ())
    ):
        beta = "is beta there and off by default" if has >= _DRA_BETA else "is not in it"
        yield (warn if has >= _DRA_BETA else fail)(
            f"the recipe claims devices, and DRA {beta}: Kubernetes {server.version}",
            fix="upgrade to Kubernetes 1.34 or newer",
            evidence={"version": server.version, "wanted": "1.34"},
        )


@check("access.permissions", title="The user may read all that this run looks at")
def permissions(reviews: Permissions, namespace: RunNamespace) -> Iterator[Finding]:
    """What may not be read cannot be judged, and is reported as unknown, never as missing.

    Fix: dynocheck rbac | kubectl apply -n NAMESPACE -f -
    """
    for review in reviews:
        if not review.allowed:
            access = review.access
            where = f"-n {namespace.name}" if access.local else "--all-namespaces"
            yield unknown(
                f"may not {access}{' in this namespace' if access.local else ''}",
                fix=f"kubectl auth can-i {access} {where}",
                evidence={"reason": review.reason} if review.reason else {},
            )


@check("access.credentials", title="The credentials outlast the work")
def credentials(held: Credentials, settings: Settings) -> Iterator[Finding]:
    """A certificate or token that ends during a roll-out ends it for whoever looks after it.

    It looks at what the kubeconfig holds and nobody renews: a client certificate, a token that is a JSON
    Web Token. What a plugin or the kubelet renews, and what does not say when it ends, is left out. The
    threshold `credentials-hours` of the configuration file says how many hours are too few. Without any
    credentials one is anonymous, and may see next to nothing.

    Fix: log in again, as your cluster's guide has it.
    """
    if held.anonymous:
        yield warn(
            "the kubeconfig has no credentials for this cluster: requests are anonymous",
            fix="kubectl config view --minify",
        )
    elif not held.items:
        raise Skip("nothing in the kubeconfig says when it ends")
    for credential in held.items:
        if credential.left_s >= settings.credentials_hours * 3600:
            continue
        hours = abs(credential.left_s) / 3600
        when = f"ended {hours:.1f} hours ago" if credential.left_s < 0 else f"ends in {hours:.1f} hours"
        yield warn(
            f"the {credential.kind} of the kubeconfig {when}, by the clock of this machine",
            fix="log in again, as your cluster's guide has it",
            evidence={"expires": credential.expires},
        )
