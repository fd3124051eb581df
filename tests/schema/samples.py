"""Manifests in short, and what is said of them."""

from dynocheck.facts import Manifest, Problem
from dynocheck.recipe.yaml_loader import read_documents
from dynocheck.schema import SchemaViolation, validate


def manifests(text: str, file: str = "deploy.yaml") -> list[Manifest]:
    problems: list[Problem] = []
    roots = read_documents(text, problems)
    assert not problems
    return [Manifest(file, root) for root in roots if isinstance(root.data, dict)]


def judge(text: str) -> list[SchemaViolation]:
    (manifest,) = manifests(text)
    violations = validate(manifest)
    assert violations is not None, f"no schema for {manifest.kind}"
    return violations


def said(text: str) -> list[str]:
    return [f"{violation.path}: {violation.message}" for violation in judge(text)]


def dgd(components: str = "", *, spec: str = "", metadata: str = "name: a") -> str:
    return f"""
apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeployment
metadata: {{{metadata}}}
spec: {{{spec}components: [{components}]}}
"""


def worker(fields: str = "", *, pod: str = "", container: str = "") -> str:
    return dgd(
        f"{{name: w, type: worker, {fields}podTemplate: "
        f"{{spec: {{{pod}containers: [{{name: main, image: i, {container}}}]}}}}}}"
    )


def old_dgd(service: str) -> str:
    return f"""
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {{name: a}}
spec: {{services: {{Worker: {{componentType: worker, {service}}}}}}}
"""


def pod(spec: str = "", *, container: str = "", metadata: str = "name: a") -> str:
    return f"""
apiVersion: v1
kind: Pod
metadata: {{{metadata}}}
spec: {{{spec}containers: [{{name: main, image: i, {container}}}]}}
"""


def job(pod_spec: str = "restartPolicy: Never", *, spec: str = "") -> str:
    return f"""
apiVersion: batch/v1
kind: Job
metadata: {{name: a}}
spec: {{{spec}template: {{spec: {{{pod_spec}, containers: [{{name: main, image: i}}]}}}}}}
"""


def deployment(spec: str = "selector: {matchLabels: {a: b}}, ", *, pod_spec: str = "") -> str:
    template = f"{{metadata: {{labels: {{a: b}}}}, spec: {{{pod_spec}containers: [{{name: c, image: i}}]}}}}"
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: a}}
spec: {{{spec}template: {template}}}
"""


def claim(spec: str) -> str:
    return f"{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: a}}, spec: {{{spec}}}}}"


def config_map(rest: str, *, metadata: str = "name: a") -> str:
    return f"{{apiVersion: v1, kind: ConfigMap, metadata: {{{metadata}}}, {rest}}}"


def secret(rest: str) -> str:
    return f"{{apiVersion: v1, kind: Secret, metadata: {{name: a}}, {rest}}}"


def service(spec: str, *, name: str = "a") -> str:
    return f"{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{{spec}}}}}"


def storage_class(rest: str) -> str:
    return f"{{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {{name: a}}, {rest}}}"


def route(rules: str) -> str:
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: a}}
spec: {{parentRefs: [{{name: g}}], rules: {rules}}}
"""


def gateway(addresses: str) -> str:
    return f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: a}}
spec:
  gatewayClassName: x
  addresses: [{addresses}]
  listeners: [{{name: http, port: 80, protocol: HTTP}}]
"""


def pool(spec: str) -> str:
    return f"""
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {{name: a}}
spec: {{{spec}}}
"""


def old_pool(spec: str) -> str:
    return f"""
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferencePool
metadata: {{name: a}}
spec: {{{spec}}}
"""


POOL = "selector: {matchLabels: {a: b}}, endpointPickerRef: {name: x, port: {number: 9002}}, "
STORAGE = "resources: {requests: {storage: 1Gi}}"
