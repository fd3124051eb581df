"""The Dynamo platform as its chart installs it: operator, webhooks, configuration; and the DNS."""

import base64
import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.clusters.objects import make_namespace, make_object, make_workload
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane

CRDS: tuple[str, ...] = ("dynamo",)
NAMESPACE = "dynamo-system"
FULLNAME = "dynamo-platform-dynamo-operator"
SERVICE = f"{FULLNAME}-webhook-service"
RELEASE = "1.4.0"
VERSIONED = (
    "componentdeployments",
    "graphdeploymentrequests",
    "graphdeployments",
    "graphdeploymentscalingadapters",
)
CONFIG = """
apiVersion: operator.config.dynamo.nvidia.com/v1alpha1
kind: OperatorConfiguration
leaderElection: {enabled: true, id: dynamo.nvidia.com, namespace: kube-system}
orchestrators: {kaiScheduler: {enabled: true}, grove: {enabled: true}}
"""


def _labels(instance: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "dynamo-operator",
        "app.kubernetes.io/instance": instance,
        "app.kubernetes.io/version": RELEASE,
        "app.kubernetes.io/created-by": "dynamo-operator",
    }


def operator(
    *,
    ready: bool = True,
    replicas: int = 1,
    release: str = RELEASE,
    namespace: str = NAMESPACE,
    instance: str = "dynamo-platform",
) -> Object:
    labels = {**_labels(instance), "control-plane": "controller-manager"}
    image = f"nvcr.io/nvidia/ai-dynamo/kubernetes-operator:{release}"
    name = f"{instance}-dynamo-operator-controller-manager"
    running = replicas if ready else 0
    return make_workload("Deployment", name, namespace, image, labels, desired=replicas, ready=running)


def config(text: str = CONFIG, *, namespace: str = NAMESPACE, instance: str = "dynamo-platform") -> Object:
    """The operator's ConfigMap."""
    name = f"{instance}-dynamo-operator-config"
    return make_object("ConfigMap", name, namespace, labels=_labels(instance), data={"config.yaml": text})


def endpoints(service: str, namespace: str, *, ready: int = 1) -> Object:
    """The EndpointSlice of a Service, of one endpoint and whether it is ready."""
    return make_object(
        "discovery.k8s.io/v1 EndpointSlice",
        f"{service}-1",
        namespace,
        labels={"kubernetes.io/service-name": service},
        addressType="IPv4",
        endpoints=[{"addresses": ["10.1.0.1"], "conditions": {"ready": bool(ready)}}],
        ports=[{"port": 9443}],
    )


def bundle(ends: datetime.timedelta = datetime.timedelta(days=90)) -> str:
    """A CA bundle as a webhook's configuration has it, that ends so long from now."""
    now = datetime.datetime.now(datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dynamo-operator-ca")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=365))
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.PEM)).decode()


def client(path: str, ca: str | None, service: str = SERVICE, namespace: str = NAMESPACE) -> Object:
    called = {"service": {"name": service, "namespace": namespace, "path": path}}
    return {**called, "caBundle": ca} if ca else called


def admission(ca: str | None, kind: str = "Validating", *, policy: str = "Fail", **selector: Any) -> Object:
    """A webhook configuration for graphs."""
    verb = kind.lower().replace("ing", "e")
    rule = {"apiGroups": ["nvidia.com"], "apiVersions": ["v1beta1"], "resources": ["dynamographdeployments"]}
    webhook = {
        "name": f"{verb[0]}dynamographdeployment.kb.io",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": policy,
        "clientConfig": client(f"/{verb}/nvidia.com/v1beta1/dynamographdeployments", ca),
        "rules": [{**rule, "operations": ["CREATE", "UPDATE"]}],
        **({"namespaceSelector": selector} if selector else {}),
    }
    typed = f"admissionregistration.k8s.io/v1 {kind}WebhookConfiguration"
    return make_object(typed, f"{FULLNAME}-{kind.lower()}", webhooks=[webhook])


def convert(cluster: ControlPlane, ca: str | None, *plurals: str) -> None:
    """Have the operator convert between versions of its types, as it would after its first start."""
    for plural in plurals or VERSIONED:
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/dynamo{plural}.nvidia.com"
        called = {"caBundle": None, **client("/convert", ca)}
        webhook = {"clientConfig": called, "conversionReviewVersions": ["v1"]}
        merge(cluster, path, {"spec": {"conversion": {"strategy": "Webhook", "webhook": webhook}}})


def merge(cluster: ControlPlane, path: str, body: Object) -> Object:
    return cluster.request("PATCH", path, body, content_type="application/merge-patch+json")


def secret(name: str, kind: str = "Opaque", **data: str) -> Object:
    """A Secret of the namespace that tests deploy to."""
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return make_object("Secret", name, "default", type=kind, data=encoded)


def pull_secret(kind: str = "kubernetes.io/dockerconfigjson") -> Object:
    return secret("nvcr-pull", kind, **{".dockerconfigjson": "{}"})


TOKEN = secret("hf-token-secret", HF_TOKEN="hf_" + "x" * 20)


def furnish(cluster: ControlPlane) -> None:
    ca = bundle()
    cluster.apply(TOKEN, pull_secret())
    cluster.apply(make_namespace(NAMESPACE), operator(), config(), endpoints(SERVICE, NAMESPACE))
    cluster.apply(admission(ca), admission(ca, "Mutating"), endpoints("kube-dns", "kube-system"))
    convert(cluster, ca)
