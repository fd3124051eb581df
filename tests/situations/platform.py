"""The area platform."""

from __future__ import annotations

import datetime
from functools import partial
from typing import Any

from tests import clusters
from tests.clusters import platform
from tests.controlplane.api import Object
from tests.controlplane.definitions import crds_dir
from tests.controlplane.server import ControlPlane
from tests.situations import Situation

WIDE_EP = "recipes/deepseek-r1/sglang/disagg-16gpu"
NEEDY = "tests/recipes/needy"
SMALL = "dynamographdeploymentscalingadapters.nvidia.com"
TOKEN = "hf-token-secret"
PULL = "nvcr-pull"


def no_graphs(cluster: ControlPlane) -> None:
    cluster.remove_crds("dynamographdeployments.nvidia.com")


def no_components(cluster: ControlPlane) -> None:
    cluster.remove_crds("dynamocomponentdeployments.nvidia.com")


def no_discovery(cluster: ControlPlane) -> None:
    cluster.remove_crds("dynamoworkermetadatas.nvidia.com")


def no_models(cluster: ControlPlane) -> None:
    cluster.remove_crds("dynamomodels.nvidia.com")


def applied(*objects: Object) -> Any:
    """A change that applies these."""
    return lambda cluster: cluster.apply(*objects)


def deleted(*objects: Object) -> Any:
    """A change that deletes these."""

    def change(cluster: ControlPlane) -> None:
        for each in objects:
            cluster.delete(each)

    return change


def stored_twice(cluster: ControlPlane) -> None:
    status = {"storedVersions": ["v1alpha1", "v1beta1"]}
    cluster.patch_status({**clusters.crd("dynamographdeployments.nvidia.com"), "status": status})


def converted_without_trust(cluster: ControlPlane) -> None:
    platform.convert(cluster, None, "graphdeploymentscalingadapters")


def unconverted(cluster: ControlPlane) -> None:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{SMALL}"
    platform.merge(cluster, path, {"spec": {"conversion": {"strategy": "None", "webhook": None}}})


def expired(cluster: ControlPlane) -> None:
    cluster.apply(platform.admission(platform.bundle(datetime.timedelta(days=-3))))


def untrusted_webhook_that_may_fail(cluster: ControlPlane) -> None:
    cluster.apply(platform.admission(None, policy="Ignore"))


RESTRICTED = platform.CONFIG + "namespace: {restricted: lab}\n"


def operator_of_another_namespace(cluster: ControlPlane) -> None:
    cluster.apply(platform.config(RESTRICTED))


def two_operators(cluster: ControlPlane, text: str = platform.CONFIG) -> None:
    cluster.apply(
        platform.namespace("lab"),
        platform.operator(namespace="lab", instance="mine"),
        platform.config(text, namespace="lab", instance="mine"),
    )


def operator_gone_webhooks_left(cluster: ControlPlane) -> None:
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "dynamo-operator-namespace-scope", "namespace": "lab"},
        "spec": {"renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 30},
    }
    left = platform.admission(platform.bundle(), matchLabels={"kubernetes.io/metadata.name": "lab"})
    left["metadata"]["name"] = "lab-validating"
    cluster.apply(platform.namespace("lab"), lease, left)


def old_types(cluster: ControlPlane) -> None:
    cluster.apply(platform.operator(release="1.1.1"))


def of_default(kind: str, name: str, api: str = "v1", **spec: Any) -> Object:
    """An object of the namespace that the run is for."""
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def level(name: str) -> Object:
    return platform.namespace("default", **{"pod-security.kubernetes.io/enforce": name})


def key_of_another_name(cluster: ControlPlane) -> None:
    cluster.delete(platform.TOKEN)
    cluster.apply(platform.secret(TOKEN, TOKEN="x"))


def pull_secret_of_another_type(cluster: ControlPlane) -> None:
    cluster.delete(platform.pull_secret())
    cluster.apply(platform.pull_secret("Opaque"))


def grove(cluster: ControlPlane, tag: str = "v0.1.0-alpha.10", *, ready: bool = True) -> None:
    crds = crds_dir()
    cluster.load_crds(crds / "grove", crds / "kai-scheduler")
    labels = {"app.kubernetes.io/name": "grove-operator"}
    image = f"ghcr.io/ai-dynamo/grove/grove-operator:{tag}"
    cluster.apply(
        platform.namespace("grove-system"),
        platform.deployment("grove-operator", "grove-system", image, labels, ready=ready),
    )


def grove_unused(cluster: ControlPlane) -> None:
    grove(cluster)
    cluster.apply(
        platform.config(platform.CONFIG.replace("grove: {enabled: true}", "grove: {enabled: false}"))
    )


def policy(name: str, **spec: Any) -> Object:
    return of_default("NetworkPolicy", name, "networking.k8s.io/v1", **{"podSelector": {}, **spec})


def isolated(*directions: str) -> Object:
    return policy("deny", policyTypes=list(directions))


KUBE_SYSTEM = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
NEEDED = (
    policy(
        "dns",
        policyTypes=["Egress"],
        egress=[{"to": [KUBE_SYSTEM], "ports": [{"port": 53, "protocol": "UDP"}]}],
    ),
    policy("api", policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]),
    policy(
        "inside",
        policyTypes=["Ingress", "Egress"],
        ingress=[{"from": [{"podSelector": {}}]}],
        egress=[{"to": [{"podSelector": {}}]}],
    ),
)


def nats_down(cluster: ControlPlane) -> None:
    address = "nats://dynamo-platform-nats.dynamo-system.svc.cluster.local:4222"
    told = platform.CONFIG + f"infrastructure: {{natsAddress: '{address}'}}\n"
    down = platform.endpoints("dynamo-platform-nats", platform.NAMESPACE, ready=0)
    cluster.apply(platform.config(told), down)


SITUATIONS = [
    Situation("no graphs", no_graphs, {"platform.crds": "fail"}, "dynamographdeployments.nvidia.com"),
    Situation(
        "no components", no_components, {"platform.crds": "fail"}, "dynamocomponentdeployments.nvidia.com"
    ),
    Situation("no discovery", no_discovery, {"platform.crds": "fail"}, "dynamoworkermetadatas.nvidia.com"),
    Situation("no models", no_models, {"platform.crds": "warn"}, "dynamomodels.nvidia.com"),
    Situation(
        "graphs stored in two versions",
        stored_twice,
        {"platform.crd-migration": "warn"},
        "dynamographdeployments.nvidia.com",
        "may still be stored as v1alpha1",
    ),
    Situation(
        "no operator",
        deleted(platform.operator()),
        {"platform.operator": "fail", "platform.second-operator": "skip", "platform.version-skew": "skip"},
        "dynamo-operator",
    ),
    Situation(
        "operator not available",
        applied(platform.operator(ready=False)),
        {"platform.operator": "fail"},
        f"{platform.FULLNAME}-controller-manager",
        "does not have minimum availability",
    ),
    Situation(
        "operator scaled to nothing",
        applied(platform.operator(replicas=0)),
        {"platform.operator": "fail"},
        says="is scaled to 0 replicas",
    ),
    Situation(
        "operator of another namespace",
        operator_of_another_namespace,
        {"platform.operator": "warn", "platform.second-operator": "warn"},
        says="is restricted to namespace lab, but this run is for default",
    ),
    Situation(
        "two operators for everything",
        two_operators,
        {"platform.second-operator": "fail"},
        says="is a second cluster-wide operator",
    ),
    Situation(
        "an operator for tests beside",
        partial(two_operators, text=RESTRICTED),
        {"platform.second-operator": "warn"},
        says="beside a cluster-wide one",
    ),
    Situation(
        "operator gone, webhooks left",
        operator_gone_webhooks_left,
        {"platform.second-operator": "warn"},
        "dynamo-operator-namespace-scope",
    ),
    Situation(
        "operator older than its types",
        old_types,
        {"platform.version-skew": "warn"},
        says="the graphs' CRD serves: it is newer",
    ),
    Situation(
        "webhook without endpoints",
        applied(platform.endpoints(platform.SERVICE, platform.NAMESPACE, ready=0)),
        {"platform.webhook": "fail"},
        platform.SERVICE,
        "has no ready endpoint",
    ),
    Situation(
        "webhook without a service",
        deleted(platform.endpoints(platform.SERVICE, platform.NAMESPACE)),
        {"platform.webhook": "fail"},
        platform.SERVICE,
        "does not exist",
    ),
    Situation(
        "webhook expired", expired, {"platform.webhook": "fail"}, says="has a caBundle that expired on"
    ),
    Situation(
        "webhook untrusted, and may fail",
        untrusted_webhook_that_may_fail,
        {"platform.webhook": "warn"},
        says="has no caBundle",
    ),
    Situation(
        "conversion untrusted",
        converted_without_trust,
        {"platform.webhook": "fail"},
        SMALL,
        "has no caBundle",
    ),
    Situation("no conversion", unconverted, {"platform.webhook": "warn"}, SMALL),
    Situation(
        "DNS down",
        applied(platform.endpoints("kube-dns", "kube-system", ready=0)),
        {"platform.dns": "fail"},
        "kube-dns",
    ),
    Situation(
        "token missing",
        deleted(platform.TOKEN),
        {"platform.secrets": "fail"},
        TOKEN,
        "does not exist, but a container needs it",
        recipe=NEEDY,
    ),
    Situation(
        "token under another key",
        key_of_another_name,
        {"platform.secrets": "fail"},
        TOKEN,
        "has no key HF_TOKEN",
        recipe=NEEDY,
    ),
    Situation(
        "pull secret missing",
        deleted(platform.pull_secret()),
        {"platform.secrets": "warn"},
        PULL,
        recipe=NEEDY,
    ),
    Situation(
        "pull secret of another type",
        pull_secret_of_another_type,
        {"platform.secrets": "warn"},
        PULL,
        "has type Opaque",
        recipe=NEEDY,
    ),
    Situation("Grove ready", grove, {"platform.multinode": "pass"}, recipe=WIDE_EP),
    Situation(
        "Grove older than the operator wants",
        partial(grove, tag="v0.1.0-alpha.8"),
        {"platform.multinode": "warn"},
        "grove-operator",
        "needs >= 0.1.0-alpha.10",
        recipe=WIDE_EP,
    ),
    Situation(
        "Grove there and not used",
        grove_unused,
        says="the operator is configured not to use the installed Grove",
        turned={"platform.multinode": "fail"},
        recipe=WIDE_EP,
    ),
    Situation("level privileged", applied(level("privileged")), {}, recipe=NEEDY),
    Situation(
        "level baseline",
        applied(level("baseline")),
        {"platform.pod-security": "fail"},
        "default",
        "component worker has hostIPC, capability IPC_LOCK, which level baseline rejects",
        recipe=NEEDY,
    ),
    Situation(
        "a quota that counts memory",
        applied(of_default("ResourceQuota", "team", hard={"limits.memory": "4Ti", "pods": "50"})),
        {"capacity.quota-fits": "warn", "platform.quota": "pass"},
        recipe=NEEDY,
    ),
    Situation(
        "a limit range below what is asked",
        applied(of_default("LimitRange", "small", limits=[{"type": "Container", "max": {"memory": "32Gi"}}])),
        {"platform.limit-range": "fail"},
        "small",
        "component worker, container main: has 64Gi memory, more than the maximum 32Gi",
        recipe=NEEDY,
    ),
    Situation(
        "pods isolated altogether",
        applied(isolated("Ingress", "Egress")),
        {"platform.network-policy": "fail"},
        "deny",
        "isolates pods, and no policy allows egress for the cluster's DNS (port 53)",
        recipe=NEEDY,
    ),
    Situation(
        "pods isolated altogether, and nothing to deploy",
        applied(isolated("Ingress", "Egress")),
        {"platform.network-policy": "warn"},
        "deny",
    ),
    Situation(
        "pods isolated, and all they need let through",
        applied(isolated("Ingress", "Egress"), *NEEDED),
        {"platform.network-policy": "pass"},
        recipe=NEEDY,
    ),
    Situation(
        "DNS not let through",
        applied(isolated("Ingress", "Egress"), *NEEDED[2:]),
        {"platform.network-policy": "fail"},
        "deny",
        "allows egress for the cluster's DNS (port 53)",
        recipe=NEEDY,
    ),
    Situation(
        "NATS to be used and down",
        nats_down,
        {"platform.etcd-nats": "fail"},
        "dynamo-platform-nats",
        "has no ready endpoint, but operator configuration",
    ),
    Situation(
        "no DNS known", deleted(platform.endpoints("kube-dns", "kube-system")), {"platform.dns": "warn"}
    ),
]
