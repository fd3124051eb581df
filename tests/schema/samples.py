"""Manifests in short, and what is said of them."""

from typing import Any

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


def write(version: str, kind: str, rest: str, metadata: str = "name: a") -> str:
    """An object in four lines, of which the last is what it has besides."""
    return f"\napiVersion: {version}\nkind: {kind}\nmetadata: {{{metadata}}}\n{rest}\n"


def dgd(components: str = "", *, spec: str = "", metadata: str = "name: a") -> str:
    given = f"spec: {{{spec}components: [{components}]}}"
    return write("nvidia.com/v1beta1", "DynamoGraphDeployment", given, metadata)


def worker(fields: str = "", *, pod: str = "", container: str = "") -> str:
    spec = f"{{{pod}containers: [{{name: main, image: i, {container}}}]}}"
    return dgd(f"{{name: w, type: worker, {fields}podTemplate: {{spec: {spec}}}}}")


def old_dgd(service: str) -> str:
    given = f"spec: {{services: {{Worker: {{componentType: worker, {service}}}}}}}"
    return write("nvidia.com/v1alpha1", "DynamoGraphDeployment", given)


def pod(spec: str = "", *, container: str = "", metadata: str = "name: a") -> str:
    given = f"spec: {{{spec}containers: [{{name: main, image: i, {container}}}]}}"
    return write("v1", "Pod", given, metadata)


def job(pod_spec: str = "restartPolicy: Never", *, spec: str = "") -> str:
    template = f"{{spec: {{{pod_spec}, containers: [{{name: main, image: i}}]}}}}"
    return write("batch/v1", "Job", f"spec: {{{spec}template: {template}}}")


def deployment(spec: str = "selector: {matchLabels: {a: b}}, ", *, pod_spec: str = "") -> str:
    template = f"{{metadata: {{labels: {{a: b}}}}, spec: {{{pod_spec}containers: [{{name: c, image: i}}]}}}}"
    return write("apps/v1", "Deployment", f"spec: {{{spec}template: {template}}}")


def claim(spec: str) -> str:
    return write("v1", "PersistentVolumeClaim", f"spec: {{{spec}}}")


def config_map(rest: str, *, metadata: str = "name: a") -> str:
    return f"{{apiVersion: v1, kind: ConfigMap, metadata: {{{metadata}}}, {rest}}}"


def secret(rest: str) -> str:
    return f"{{apiVersion: v1, kind: Secret, metadata: {{name: a}}, {rest}}}"


def service(spec: str, *, name: str = "a") -> str:
    return write("v1", "Service", f"spec: {{{spec}}}", f"name: {name}")


def storage_class(rest: str) -> str:
    return f"{{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {{name: a}}, {rest}}}"


def route(rules: str) -> str:
    given = f"spec: {{parentRefs: [{{name: g}}], rules: {rules}}}"
    return write("gateway.networking.k8s.io/v1", "HTTPRoute", given)


def gateway(address: str) -> str:
    listeners = "listeners: [{name: http, port: 80, protocol: HTTP}]"
    given = f"spec: {{gatewayClassName: x, addresses: [{address}], {listeners}}}"
    return write("gateway.networking.k8s.io/v1", "Gateway", given)


def pool(spec: str) -> str:
    return write("inference.networking.k8s.io/v1", "InferencePool", f"spec: {{{spec}}}")


def old_pool(spec: str) -> str:
    return write("inference.networking.x-k8s.io/v1alpha2", "InferencePool", f"spec: {{{spec}}}")


def render(given: str | dict[str, Any]) -> str:
    """A text, or the one that the named builder makes of its first argument or of arguments by name.

    `replace` changes one word of it.
    """
    if isinstance(given, str):
        return given
    old, new = given.get("replace", ("", ""))
    builder, arguments = next(iter(given.items()))
    build = globals()[builder]
    text: str = build(**arguments) if isinstance(arguments, dict) else build(arguments)
    return text.replace(old, new, 1)


POOL = "selector: {matchLabels: {a: b}}, endpointPickerRef: {name: x, port: {number: 9002}}, "
STORAGE = "resources: {requests: {storage: 1Gi}}"
