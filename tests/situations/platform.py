"""Situations of the checks of the Dynamo platform and of the namespace that pods run in."""

import datetime
from functools import partial
from typing import Any

from tests.clusters import platform
from tests.clusters.objects import make_namespace, make_object, make_workload
from tests.controlplane.api import Object, wait
from tests.controlplane.definitions import crds_dir
from tests.controlplane.server import ControlPlane
from tests.situations import Situation, applied, deleted, steps, undefined, with_recipe

GRAPHS = "dynamographdeployments.nvidia.com"
SMALL = "dynamographdeploymentscalingadapters.nvidia.com"
TOKEN = "hf-token-secret"
PULL = "nvcr-pull"
GROVE = "grove: {enabled: true}"
KAI_PARTS = ("kai-operator", "kai-scheduler-default", "queue-controller")
RESTRICTED = platform.CONFIG + "namespace: {restricted: lab}\n"
NATS = "nats://dynamo-platform-nats.dynamo-system.svc.cluster.local:4222"
WITH_NATS = platform.CONFIG + f"infrastructure: {{natsAddress: '{NATS}'}}\n"


def stored_twice(cluster: ControlPlane) -> None:
    status = {"storedVersions": ["v1alpha1", "v1beta1"]}
    cluster.patch_status(
        make_object("apiextensions.k8s.io/v1 CustomResourceDefinition", GRAPHS, status=status)
    )


def converted_without_trust(cluster: ControlPlane) -> None:
    platform.convert(cluster, None, "graphdeploymentscalingadapters")


def unconverted(cluster: ControlPlane) -> None:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{SMALL}"
    platform.merge(cluster, path, {"spec": {"conversion": {"strategy": "None", "webhook": None}}})


def expired(cluster: ControlPlane) -> None:
    cluster.apply(platform.admission(platform.bundle(datetime.timedelta(days=-3))))


def graphs_unconverted(cluster: ControlPlane) -> None:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{GRAPHS}"
    platform.merge(cluster, path, {"spec": {"conversion": {"strategy": "None", "webhook": None}}})


def old_admission() -> Object:
    """The webhook of an operator that knows graphs of v1alpha1 alone."""
    made = platform.admission(platform.bundle())
    made["webhooks"][0]["rules"][0]["apiVersions"] = ["v1alpha1"]
    return made


def answered_webhook(cluster: ControlPlane) -> None:
    cluster.apply(make_namespace("policy-system"), platform.endpoints("policy-webhook", "policy-system"))
    cluster.apply(pod_webhook())


def nats_beside(cluster: ControlPlane, phase: str = "Bound") -> None:
    """An operator of before 1.0, which has no ConfigMap, and the NATS of its chart."""
    place = platform.NAMESPACE
    labels = {"app.kubernetes.io/name": "nats", "app.kubernetes.io/instance": "dynamo-platform"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "nats", "image": "nats:2.10"}]},
    }
    size = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}
    spec = {
        "selector": {"matchLabels": labels},
        "serviceName": "nats",
        "template": template,
        "volumeClaimTemplates": [{"metadata": {"name": "js"}, "spec": size}],
    }
    claim = make_object(
        "PersistentVolumeClaim", "js-platform-nats-0", place, spec=size, status={"phase": phase}
    )
    cluster.apply(
        make_object("apps/v1 StatefulSet", "platform-nats", place, labels=labels, spec=spec),
        claim,
        platform.endpoints("platform-nats", place, ready=int(phase == "Bound")),
    )
    cluster.delete(platform.config())


def two_operators(cluster: ControlPlane, text: str = platform.CONFIG) -> None:
    place: dict[str, Any] = {"namespace": "lab", "instance": "mine"}
    cluster.apply(make_namespace("lab"), platform.operator(**place), platform.config(text, **place))


def operator_gone_webhooks_left(cluster: ControlPlane) -> None:
    kind, name = "coordination.k8s.io/v1 Lease", "dynamo-operator-namespace-scope"
    spec = {"renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 30}
    left = platform.admission(platform.bundle(), matchLabels={"kubernetes.io/metadata.name": "lab"})
    left["metadata"]["name"] = "lab-validating"
    cluster.apply(make_namespace("lab"), make_object(kind, name, "lab", spec=spec), left)


def of_default(kind: str, name: str, **spec: Any) -> Object:
    """An object of the namespace that the run is for."""
    return make_object(kind, name, "default", spec=spec)


def leader_worker_sets(cluster: ControlPlane) -> None:
    cluster.load_crds(crds_dir() / "lws")
    cluster.apply(make_namespace("lws-system"))


LWS = make_workload("Deployment", "lws-controller-manager", "lws-system", "registry.k8s.io/lws/lws:v0.9.0")
VOLCANO = make_workload(
    "Deployment", "volcano-scheduler", "lws-system", "docker.io/volcanosh/vc-scheduler:v1.16.1"
)
CERT_MANAGER = make_workload(
    "Deployment", "cert-manager", "cert-manager", "quay.io/jetstack/cert-manager-controller:v1.20.0"
)


def certificates(cluster: ControlPlane) -> None:
    """The definition of cert-manager's certificates, with a schema of anything, and its namespace."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"plural": "certificates", "singular": "certificate", "kind": "Certificate"}
    spec = {"group": "cert-manager.io", "scope": "Namespaced", "names": names, "versions": [version]}
    kind = "apiextensions.k8s.io/v1 CustomResourceDefinition"
    cluster.apply(make_object(kind, "certificates.cert-manager.io", spec=spec))
    cluster.apply(make_namespace("cert-manager"))
    wait(lambda: ("cert-manager.io/v1", "Certificate") in cluster.discover(), "serve certificates")


def level(name: str) -> Object:
    return make_namespace("default", **{"pod-security.kubernetes.io/enforce": name})


def grove(cluster: ControlPlane, tag: str = "v0.1.0-alpha.10", *, used: bool = True) -> None:
    crds = crds_dir()
    cluster.load_crds(crds / "grove", crds / "kai-scheduler")
    labels = {"app.kubernetes.io/name": "grove-operator"}
    image = f"ghcr.io/ai-dynamo/grove/grove-operator:{tag}"
    running = make_workload("Deployment", "grove-operator", "grove-system", image, labels)
    text = platform.CONFIG if used else platform.CONFIG.replace(GROVE, GROVE.replace("true", "false"))
    cluster.apply(make_namespace("grove-system"), running, platform.config(text))
    cluster.apply(make_namespace("kai-scheduler"), *(kai_part(name) for name in KAI_PARTS), queue())
    cluster.apply(queue("dynamo-default", parent=None))


def kai_part(name: str, *, ready: bool = True) -> Object:
    image = f"ghcr.io/kai-scheduler/kai-scheduler/{name}:v0.13.4"
    return make_workload("Deployment", name, "kai-scheduler", image, desired=1, ready=int(ready))


def queue(name: str = "dynamo", parent: str | None = "dynamo-default", **labels: str) -> Object:
    amount = {"quota": -1, "limit": -1, "overQuotaWeight": 1}
    spec: Object = {"resources": dict.fromkeys(("cpu", "gpu", "memory"), amount)}
    if parent:
        spec["parentQueue"] = parent
    return make_object("scheduling.run.ai/v2 Queue", name, labels=labels, spec=spec)


def grove_operator(*, ready: bool) -> Object:
    labels = {"app.kubernetes.io/name": "grove-operator"}
    image = "ghcr.io/ai-dynamo/grove/grove-operator:v0.1.0-alpha.10"
    return make_workload(
        "Deployment", "grove-operator", "grove-system", image, labels, desired=1, ready=int(ready)
    )


def pod_webhook(resource: str = "pods", group: str = "", version: str = "v1", **fields: Any) -> Object:
    """A policy engine's webhook for pods, whose Service has no endpoints; or one for another resource."""
    rule = {
        "apiGroups": [group],
        "apiVersions": [version],
        "resources": [resource],
        "operations": ["CREATE"],
    }
    client = platform.client("/mutate", platform.bundle(), "policy-webhook", "policy-system")
    webhook: Object = {
        "name": "pods.policy.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "clientConfig": client,
        "rules": [rule],
        **fields,
    }
    kind = "admissionregistration.k8s.io/v1 MutatingWebhookConfiguration"
    return make_object(kind, "policy-webhook", webhooks=[webhook])


def for_namespace(name: str) -> Object:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def policy(name: str, *directions: str, **rules: Any) -> Object:
    kind = "networking.k8s.io/v1 NetworkPolicy"
    return of_default(kind, name, podSelector={}, policyTypes=list(directions), **rules)


HERE: Object = {"podSelector": {}}
SYSTEM = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
DNS = {"to": [SYSTEM], "ports": [{"port": 53, "protocol": "UDP"}]}
INSIDE = policy("inside", "Ingress", "Egress", ingress=[{"from": [HERE]}], egress=[{"to": [HERE]}])
NEEDED = (
    policy("dns", "Egress", egress=[DNS]),
    policy("api", "Egress", egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]),
)
ISOLATED = policy("deny", "Ingress", "Egress")

NOT_ITSELF = {
    "key": "app.kubernetes.io/name",
    "operator": "NotIn",
    "values": ["aws-load-balancer-controller"],
}
SECOND = {"platform.second-operator": "warn"}
OPERATOR, WEBHOOK = {"platform.operator": "fail"}, {"platform.webhook": "fail"}
CRDS, SECRETS = {"platform.crds": "fail"}, {"platform.secrets": "fail"}
MULTINODE = {"platform.multinode": "fail"}
BLOCKED = {"platform.network-policy": "fail"}

SITUATIONS = [
    *(
        Situation(f"no {name}", undefined(f"{name}.nvidia.com"), turned, f"{name}.nvidia.com")
        for name, turned in (
            ("dynamographdeployments", CRDS),
            ("dynamocomponentdeployments", CRDS),
            ("dynamoworkermetadatas", CRDS),
            ("dynamomodels", {"platform.crds": "warn"}),
        )
    ),
    Situation(
        "graphs stored in two versions", stored_twice, {"platform.crd-migration": "warn"}, GRAPHS, "v1alpha1"
    ),
    Situation(
        "graphs stored in two versions, and an operator that stores one",
        steps(applied(platform.operator(release="1.5.1")), stored_twice),
        {"platform.crd-migration": "warn"},
        GRAPHS,
        "v1alpha1",
    ),
    Situation("an operator that stores one version", applied(platform.operator(release="1.5.1"))),
    Situation(
        "no operator",
        deleted(platform.operator()),
        {**OPERATOR, "platform.second-operator": "skip", "platform.version-skew": "skip"},
        "dynamo-operator",
    ),
    Situation(
        "operator not available",
        applied(platform.operator(ready=False)),
        OPERATOR,
        f"{platform.FULLNAME}-controller-manager",
        "minimum availability",
    ),
    Situation(
        "operator scaled to nothing", applied(platform.operator(replicas=0)), OPERATOR, says="0 replicas"
    ),
    Situation(
        "operator of another namespace",
        applied(platform.config(RESTRICTED)),
        {**SECOND, "platform.operator": "warn"},
        says="namespace lab",
    ),
    Situation(
        "two operators for everything", two_operators, {"platform.second-operator": "fail"}, says="second"
    ),
    Situation(
        "an operator for tests beside", partial(two_operators, text=RESTRICTED), SECOND, says="cluster-wide"
    ),
    Situation(
        "operator gone, webhooks left", operator_gone_webhooks_left, SECOND, "dynamo-operator-namespace-scope"
    ),
    Situation(
        "operator older than its types",
        applied(platform.operator(release="1.1.1")),
        {"platform.version-skew": "warn"},
        says="newer",
    ),
    Situation(
        "webhook without endpoints",
        applied(platform.endpoints(platform.SERVICE, platform.NAMESPACE, ready=0)),
        WEBHOOK,
        platform.SERVICE,
        "no ready endpoint",
    ),
    Situation(
        "webhook without a service",
        deleted(platform.endpoints(platform.SERVICE, platform.NAMESPACE)),
        WEBHOOK,
        platform.SERVICE,
        "does not exist",
    ),
    Situation("webhook expired", expired, WEBHOOK, says="expired"),
    Situation(
        "webhook untrusted, and may fail",
        applied(platform.admission(None, policy="Ignore")),
        {"platform.webhook": "warn"},
        says="no caBundle",
    ),
    Situation("conversion untrusted", converted_without_trust, WEBHOOK, SMALL, "no caBundle"),
    Situation("no conversion", unconverted, {"platform.webhook": "warn"}, SMALL),
    Situation(
        "DNS down",
        applied(platform.endpoints("kube-dns", "kube-system", ready=0)),
        {"platform.dns": "fail"},
        "kube-dns",
    ),
    Situation(
        "no DNS known", deleted(platform.endpoints("kube-dns", "kube-system")), {"platform.dns": "warn"}
    ),
    Situation(
        "pods isolated, and nothing to deploy", applied(ISOLATED), {"platform.network-policy": "warn"}, "deny"
    ),
    Situation(
        "NATS to be used and down",
        applied(
            platform.config(WITH_NATS),
            platform.endpoints("dynamo-platform-nats", platform.NAMESPACE, ready=0),
        ),
        {"platform.etcd-nats": "fail"},
        "dynamo-platform-nats",
        "no ready endpoint",
    ),
    # https://github.com/kyverno/kyverno/issues/4686
    Situation(
        "webhook of others for pods", applied(pod_webhook()), WEBHOOK, "policy-webhook", "policy-system"
    ),
    Situation("webhook of others answers", answered_webhook),
    # https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/4140
    Situation(
        "webhook of others for Services",
        applied(pod_webhook("services", objectSelector={"matchExpressions": [NOT_ITSELF]})),
        WEBHOOK,
        says="no Service",
    ),
    Situation("webhook of others for Ingresses", applied(pod_webhook("ingresses", "networking.k8s.io"))),
    Situation(
        "cert-manager without its controller",
        certificates,
        {"platform.webhook": "warn"},
        "certificates.cert-manager.io",
    ),
    Situation("cert-manager", steps(certificates, applied(CERT_MANAGER))),
    Situation(
        "LeaderWorkerSet without its controller",
        leader_worker_sets,
        {"platform.multinode": "warn"},
        "leaderworkersets.leaderworkerset.x-k8s.io",
    ),
    Situation(
        "LeaderWorkerSet", steps(leader_worker_sets, applied(LWS, VOLCANO)), {"platform.multinode": "pass"}
    ),
    Situation(
        "webhook of LeaderWorkerSet that nobody answers",
        steps(
            leader_worker_sets,
            applied(LWS, VOLCANO, pod_webhook("leaderworkersets", "leaderworkerset.x-k8s.io")),
        ),
        {"platform.multinode": "warn"},
        "policy-webhook",
    ),
    Situation("webhook of others for another namespace", applied(pod_webhook(**for_namespace("web")))),
    Situation("webhook of others that may fail", applied(pod_webhook(failurePolicy="Ignore"))),
    Situation(
        "webhook of others with conditions",
        applied(pod_webhook(matchConditions=[{"name": "gpu", "expression": "has(object.spec.hostNetwork)"}])),
        {"platform.webhook": "unjudged"},
    ),
    Situation(
        "Grove down, and nothing to deploy",
        steps(grove, applied(grove_operator(ready=False))),
        {"platform.multinode": "warn"},
        "grove-operator",
    ),
    # https://github.com/NVIDIA/aicr/pull/107
    Situation(
        "NATS of an older operator waits for its claim",
        partial(nats_beside, phase="Pending"),
        {"platform.etcd-nats": "fail"},
        "platform-nats",
        "js-platform-nats-0 is Pending",
    ),
    Situation("NATS of an older operator", nats_beside, {"platform.etcd-nats": "pass"}),
    *with_recipe(
        "recipes/qwen3-32b/vllm/disagg-kv-router",
        Situation("Grove carries graphs of one node", grove, {"platform.multinode": "pass"}),
        Situation(
            "Grove down, and a graph of one node",
            steps(grove, applied(grove_operator(ready=False))),
            MULTINODE,
            "grove-operator",
        ),
        Situation(
            "webhook of Grove that nobody answers",
            steps(grove, applied(pod_webhook("podcliquesets", "grove.io", "v1alpha1"))),
            MULTINODE,
            "policy-webhook",
        ),
        Situation("no conversion of graphs", graphs_unconverted, {"platform.webhook": "warn"}, GRAPHS),
        Situation(
            "no conversion, and an operator of old graphs",
            steps(graphs_unconverted, applied(platform.operator(release="1.1.1"), old_admission())),
            {"platform.webhook": "fail", "platform.version-skew": "fail"},
            GRAPHS,
        ),
    ),
    *with_recipe(
        "recipes/deepseek-r1/sglang/disagg-16gpu",
        Situation("Grove ready", grove, {"platform.multinode": "pass"}),
        # https://github.com/NVIDIA/aicr/issues/165
        Situation(
            "KAI Scheduler without its scheduler",
            steps(grove, deleted(kai_part("kai-scheduler-default"))),
            MULTINODE,
            "schedulingshards.kai.scheduler",
            "KAI Scheduler",
        ),
        Situation(
            "KAI's queue controller down",
            steps(grove, applied(kai_part("queue-controller", ready=False))),
            MULTINODE,
            "queue-controller",
        ),
        # https://github.com/kai-scheduler/KAI-Scheduler/issues/44
        Situation("KAI without the queue", steps(grove, deleted(queue())), MULTINODE, says="queue dynamo"),
        # https://github.com/ai-dynamo/grove/issues/490
        # https://github.com/kai-scheduler/KAI-Scheduler/issues/1045
        Situation(
            "the queue of another shard",
            steps(grove, applied(queue(**{"kai.scheduler/node-pool": "a100"}))),
            MULTINODE,
            says="a100",
        ),
        # https://github.com/kai-scheduler/KAI-Scheduler/issues/621
        Situation(
            "a queue at the top level",
            steps(grove, deleted(queue()), applied(queue(parent=None))),
            {"platform.multinode": "warn"},
            says="no parent queue",
        ),
        # https://github.com/ai-dynamo/dynamo/issues/14278
        Situation(
            "Grove newer than the operator takes",
            partial(grove, tag="v0.1.0-alpha.12"),
            {"platform.multinode": "warn"},
            "grove-operator",
            "0.1.0-alpha.12",
        ),
        Situation(
            "Grove older than the operator wants",
            partial(grove, tag="v0.1.0-alpha.8"),
            {"platform.multinode": "warn"},
            "grove-operator",
            "0.1.0-alpha.10",
        ),
        Situation(
            "Grove there and not used",
            partial(grove, used=False),
            {"platform.multinode": "fail"},
            says="Grove",
        ),
    ),
    *with_recipe(
        "tests/recipes/needy",
        Situation("token missing", deleted(platform.TOKEN), SECRETS, TOKEN, "does not exist"),
        Situation(
            "token under another key",
            steps(deleted(platform.TOKEN), applied(platform.secret(TOKEN, TOKEN="x"))),
            SECRETS,
            TOKEN,
            "HF_TOKEN",
        ),
        Situation("pull secret missing", deleted(platform.pull_secret()), {"platform.secrets": "warn"}, PULL),
        Situation(
            "pull secret of another type",
            steps(deleted(platform.pull_secret()), applied(platform.pull_secret("Opaque"))),
            {"platform.secrets": "warn"},
            PULL,
            "Opaque",
        ),
        Situation("level privileged", applied(level("privileged"))),
        Situation(
            "level baseline",
            applied(level("baseline")),
            {"platform.pod-security": "fail"},
            "default",
            "hostIPC, capability IPC_LOCK",
        ),
        Situation(
            "a quota that counts memory",
            applied(of_default("ResourceQuota", "team", hard={"limits.memory": "4Ti", "pods": "50"})),
            {"capacity.quota-fits": "warn", "platform.quota": "pass"},
        ),
        Situation(
            "a limit range below what is asked",
            applied(
                of_default("LimitRange", "small", limits=[{"type": "Container", "max": {"memory": "32Gi"}}])
            ),
            {"platform.limit-range": "fail"},
            "small",
            "64Gi memory",
        ),
        Situation("pods isolated altogether", applied(ISOLATED), BLOCKED, "deny", "port 53"),
        Situation(
            "pods isolated, and all they need let through",
            applied(ISOLATED, INSIDE, *NEEDED),
            {"platform.network-policy": "pass"},
        ),
        Situation("DNS not let through", applied(ISOLATED, INSIDE), BLOCKED, "deny", "port 53"),
    ),
]
