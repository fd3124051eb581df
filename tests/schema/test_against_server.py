"""That a real API server is of the same mind."""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from dynocheck.facts import Manifest, Role
from dynocheck.recipe.discover import load_recipes
from dynocheck.schema import validate, validate_component_pods
from dynocheck.schema.pods import list_component_pods
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.schema.mistakes import mistaken
from tests.schema.samples import (
    POOL,
    STORAGE,
    claim,
    config_map,
    deployment,
    dgd,
    gateway,
    job,
    manifests,
    old_dgd,
    old_pool,
    pod,
    pool,
    route,
    said,
    secret,
    service,
    storage_class,
    worker,
    write,
)

RECIPES = Path(__file__).parents[2] / "recipes"
CORPUS = RECIPES.parent.parent / "shared" / "corpus"
FOLDERS = [folder for folder in (RECIPES, CORPUS / "recipes") if folder.is_dir()]
OTHERS = [
    pytest.param(folder, marks=pytest.mark.verify)
    for folder in sorted(CORPUS.glob("*/"))
    if folder not in FOLDERS
]
CRDS = (
    "dynamo/main-2026-08/nvidia.com_dynamographdeploymentrequests.yaml",
    "dynamo/main-2026-08/nvidia.com_dynamographdeployments.yaml",
    "dynamo/main-2026-08/nvidia.com_dynamomodels.yaml",
    "gaie/v1.2.1/inference.networking.k8s.io_inferencepools.yaml",
    "gaie/v1.2.1/inference.networking.x-k8s.io_inferencepools.yaml",
    "gateway-api/v1.5.1/gateway.networking.k8s.io_gateways.yaml",
    "gateway-api/v1.5.1/gateway.networking.k8s.io_httproutes.yaml",
    "gpu-operator/resource.nvidia.com_computedomains.yaml",
    "prometheus-operator/monitoring.coreos.com_prometheusrules.yaml",
    "prometheus-operator/monitoring.coreos.com_servicemonitors.yaml",
)
NO_VALUES = "{matchExpressions: [{key: a, operator: In}]}"
PREFERRED = "{matchExpressions: [{key: a, operator: In, values: ['a b']}]}"
NUMBERED = "{metadata: {labels: {a: 1}}, spec: {containers: []}}"
NO_PORT = "selector: {matchLabels: {a: b}}, endpointPickerRef: {name: x}, targetPorts: [{number: 1}]"
OLD_POOL = "selector: {a: b}, targetPortNumber: 8000, extensionRef: {name: x}"
PORT = "{containerPort: 1}, {containerPort: 1, protocol: TCP}"
SIDECAR = "{spec: {containers: [{name: main}, {name: side}]}}"
INIT = "initContainers: [{name: i, image: i, volumeMounts: [{name: v, mountPath: /a}]}]"
_TO_ROOT = "{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}"
REWRITE = f"matches: [{{path: {{type: Exact, value: /a}}}}], filters: [{_TO_ROOT}]"
_ONCE = f"{{accessModes: [ReadWriteOnce], {STORAGE}}}"
ODD_CLAIM = f"{{kind: Claim, apiVersion: v0, metadata: {{name: v}}, spec: {_ONCE}}}"
TO_POOL = "{group: inference.networking.k8s.io, kind: InferencePool, name: p}"
DOMAINS, CHANNEL = "resource.nvidia.com/v1beta1", "{resourceClaimTemplate: {name: x}}"


def binding(account: str, *, kind: str = "RoleBinding") -> str:
    role = "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}"
    subjects = f"subjects: [{{kind: ServiceAccount, {account}}}]"
    return write("rbac.authorization.k8s.io/v1", kind, f"{role}\n{subjects}")


def amounts(requests: str, limits: str) -> str:
    return pod(container=f"resources: {{requests: {{{requests}}}, limits: {{{limits}}}}}")


def env(source: str) -> str:
    """A pod with a variable from somewhere."""
    return pod(container=f"env: [{{name: A, valueFrom: {{{source}}}}}]")


def near(rule: str) -> str:
    """A pod that wants to be near others."""
    return pod(
        f"affinity: {{podAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: [{{{rule}}}]}}}}, "
    )


BAD = {
    "an unknown field": worker("replica: 1, "),
    "an unknown field that is null": worker("replica: null, "),
    "an unknown field of the metadata": dgd(metadata="name: a, label: {a: b}"),
    "an unknown field of a container": worker(container="arg: [a]"),
    "a field of the newer version in the older": old_dgd("podTemplate: {}"),
    "a quoted number": worker("replicas: '1', "),
    "a fraction for an integer": worker("replicas: 1.5, "),
    "a quoted boolean": worker(container="tty: 'yes'"),
    "a number for a boolean": worker(container="tty: 1"),
    "an impossible role": dgd("{name: a, type: werker}"),
    "a component without name": dgd("{type: worker}"),
    "a component whose name is null": dgd("{name: null}"),
    "a component whose name is empty": dgd("{name: ''}"),
    "a component that is null": dgd("null"),
    "components by name": dgd().replace("[]", "{}"),
    "a spec that is text": dgd().replace("{components: []}", "text"),
    "a variable that is a number": worker(container="env: [{name: A, value: 1}]"),
    "a variable without name": worker(container="env: [{value: a}]"),
    "a null variable": worker(container="env: [null]"),
    "an argument that is a number": worker(container="args: [--port, 8000]"),
    "a null argument": worker(container="args: [null]"),
    "memory in a unit there is not": worker(container="resources: {limits: {memory: 80GB}}"),
    "an empty quantity": worker(container="resources: {limits: {memory: ''}}"),
    "half a CPU of a custom kind": worker(container="resources: {limits: {cpu: 0.5}}"),
    "a boolean quantity": worker(container="resources: {limits: {cpu: yes}}"),
    "a label of the template that is a number": dgd(f"{{name: w, podTemplate: {NUMBERED}}}"),
    "GPUs as a number in v1alpha1": old_dgd("resources: {limits: {gpu: 8}}"),
    "replicas as text in v1alpha1": old_dgd("replicas: one"),
    "a name in capitals": dgd(metadata="name: Llama"),
    "a name with an underscore": dgd(metadata="name: llama_70b"),
    "a name that is a number": dgd(metadata="name: 70"),
    "no name": dgd(metadata="labels: {a: b}"),
    "a label that is a number": dgd(metadata="name: a, labels: {size: 70}"),
    "a label with a space": dgd(metadata="name: a, labels: {size: 70 B}"),
    "a label that is long": dgd(metadata=f"name: a, labels: {{size: {'x' * 64}}}"),
    "an annotation that is on": dgd(metadata="name: a, annotations: {feature: on}"),
    "a label's key with two slashes": dgd(metadata="name: a, labels: {a/b/c: d}"),
    "text for creationTimestamp": dgd(metadata="name: a, creationTimestamp: yesterday"),
    "a day that there is not": dgd(metadata="name: a, creationTimestamp: '2026-02-30T00:00:00Z'"),
    "an incomplete owner": dgd(metadata="name: a, ownerReferences: [{name: b}]"),
    "no containers": pod().replace('[{name: main, image: i, }]', '[]'),
    "an image with a space": pod().replace('image: i', "image: ' i'"),
    "a label of a pod with a space": pod(metadata="name: a, labels: {a: 'b c'}"),
    "a Deployment without selector": deployment(""),
    "a Deployment whose selector is empty": deployment("selector: {}, "),
    "a Deployment that ends": deployment(pod_spec="restartPolicy: Never, "),
    "a Deployment without template": deployment().replace("template: {", "templates: {"),
    "a Job that restarts by default": job("hostNetwork: false"),
    "a Job that restarts always": job("restartPolicy: Always"),
    "a Job with a null policy": job("restartPolicy: null"),
    "a Job of -1 tries": job(spec="backoffLimit: -1, "),
    "a Job whose name is too long": job().replace("name: a", f"name: {'a' * 64}", 1),
    "a container without image": pod().replace("image: i, ", ""),
    "a container without name": pod().replace("name: main, ", ""),
    "containers of one name": pod().replace("[{", "[{name: main, image: j}, {"),
    "a pull policy there is not": pod(container="imagePullPolicy: Sometimes"),
    "a port that is text": pod(container="ports: [{containerPort: '80'}]"),
    "a port that is too high": pod(container="ports: [{containerPort: 80000}]"),
    "a probe that does nothing": pod(container="livenessProbe: {periodSeconds: 1}"),
    "a Secret's name with underscores": pod(container="envFrom: [{secretRef: {name: hf_token}}]"),
    "a negative limit": pod(container="resources: {limits: {memory: -1}}"),
    "a selector without values": near(f"topologyKey: a, labelSelector: {NO_VALUES}"),
    "a variable from nowhere": env(""),
    "a Secret's key without its name": env("secretKeyRef: {key: k}"),
    "a resource without domain": pod(container="resources: {limits: {gpu: 1}}"),
    "a mount without path": pod("volumes: [{name: v}], ", container="volumeMounts: [{name: v}]"),
    "a volume of two kinds": pod("volumes: [{name: v, emptyDir: {}, hostPath: {path: /a}}], "),
    "a mode in decimal": pod("volumes: [{name: v, configMap: {name: a, defaultMode: 755}}], "),
    "a toleration there is not": pod("tolerations: [{key: a, operator: Is}], "),
    "a number in 32 bits that is larger": pod(container="ports: [{containerPort: 8000000000}]"),
    "a claim without size": claim("accessModes: [ReadWriteMany]"),
    "a claim without access modes": claim(STORAGE),
    "a claim whose access mode is text": claim(f"accessModes: ReadWriteMany, {STORAGE}"),
    "an abbreviated access mode": claim(f"accessModes: [RWX], {STORAGE}"),
    "a null access mode": claim(f"accessModes: [null], {STORAGE}"),
    "a claim in gibibits": claim("accessModes: [ReadWriteMany], resources: {requests: {storage: 1gi}}"),
    "a ConfigMap of numbers": config_map("data: {a: 1}"),
    "a ConfigMap as a list": config_map("data: [a]"),
    "a ConfigMap's key with a slash": config_map("data: {a/b: c}"),
    "a Secret in plain text": secret("data: {token: 'not base64'}"),
    "a Secret of numbers": secret("stringData: {token: 1}"),
    "a Service without ports": service("selector: {a: b}"),
    "a Service's port in quotes": service("ports: [{port: '80'}]"),
    "a Service's target in quotes": service("ports: [{port: 80, targetPort: '80'}]"),
    "a Service's name with a dot": service("ports: [{port: 80}]", name="a.b"),
    "a Service of no type": service("type: Public, ports: [{port: 80}]"),
    "a StorageClass without provisioner": storage_class("reclaimPolicy: Delete"),
    "a StorageClass with a boolean parameter": storage_class("provisioner: a.b/c, parameters: {fast: yes}"),
    "a StorageClass that binds at some time": storage_class("provisioner: a.b/c, volumeBindingMode: Later"),
    "a route to port 0": route("[{backendRefs: [{name: a, port: 0}]}]"),
    "a route without rules": route("[]"),
    "a route with a timeout in words": route("[{timeouts: {request: 10 s}}]"),
    "a route of an unknown match": route("[{matches: [{path: {type: Regex, value: /a}}]}]"),
    "a pool without selector": pool(POOL.replace("selector", "selectors") + "targetPorts: [{number: 8000}]"),
    "a pool of the older version": pool(OLD_POOL),
    "a pool without ports": pool(f"{POOL}targetPorts: []"),
    "an older pool of the newer version": old_pool(f"{POOL}targetPorts: [{{number: 8000}}]"),
    "an older pool whose port is too high": old_pool(OLD_POOL.replace("8000", "80000")),
    "a ServiceAccount of a name that there is not": binding("name: $NAME"),
    "a ServiceAccount in a group": binding("name: a, apiGroup: rbac.authorization.k8s.io"),
    "a ServiceAccount in no namespace": binding("name: a", kind="ClusterRoleBinding"),
    "a domain without channel": write(DOMAINS, "ComputeDomain", "spec: {numNodes: 0}"),
    "components of one name": dgd("{name: w}, {name: w}"),
    "a variable twice": worker(container="env: [{name: A, value: a}, {name: A, value: b}]"),
    "a port twice, once by default": worker(container=f"ports: [{PORT}]"),
    "more replicas than 32 bits count": worker("replicas: 3000000000, "),
    "an address that is none": gateway("{type: IPAddress, value: example}"),
    "two endpoint pickers": dgd("{name: a, type: epp}, {name: b, type: epp}"),
    "components of one name but for its case": dgd("{name: w}, {name: W}"),
    "more pods at least than at most": worker("replicas: 1, minAvailable: 2, "),
    "a restart of what is not there": dgd(spec="restart: {id: now}, "),
    "a sidecar without image": dgd(f"{{name: w, podTemplate: {SIDECAR}}}"),
    "shared memory as a number": old_dgd("sharedMemory: {size: 16}"),
    "shared memory of nothing": old_dgd("sharedMemory: {size: '0'}"),
    "a Service's route without port": route("[{backendRefs: [{name: a}]}]"),
    "a route of a relative path": route("[{matches: [{path: {value: v1}}]}]"),
    "a route that rewrites what it does not match": route(f"[{{{REWRITE}}}]"),
    "a pool without the picker's port": pool(NO_PORT),
    "a mount of no volume": pod(container="volumeMounts: [{name: v, mountPath: /a}]"),
    "more than its limit": amounts("memory: 2Gi", "memory: 2G"),
    "more than a limit of null": amounts("cpu: 1", "cpu: null"),
    "less than its limit of GPUs": amounts("nvidia.com/gpu: 1", "nvidia.com/gpu: 2"),
    "GPUs without limit": pod(container="resources: {requests: {nvidia.com/gpu: 1}}"),
    "a negative amount as text": pod(container="resources: {limits: {memory: '-1Gi'}}"),
    "a field of no pod": env("fieldRef: {fieldPath: metadata.nam}"),
    "a user below zero": pod("securityContext: {runAsUser: -1}, "),
    "a key of a Secret with a slash": env("secretKeyRef: {name: a, key: b/c}"),
    "a domain in capitals": near("topologyKey: KUBERNETES.IO/HOSTNAME"),
    "a Job by index without number": job(spec="completionMode: Indexed, parallelism: 2, "),
    "a claim of nothing": claim("accessModes: [ReadWriteMany], resources: {requests: {storage: 0}}"),
}  # fmt: skip

REFUSED: dict[str, dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("refused.yaml").read_text(encoding="utf-8")
)


def _write(parts: dict[str, Any]) -> str:
    """A Service or Deployment with this spec, or a pod with this in its spec and its container."""
    if "service" in parts:
        return service(json.dumps(parts["service"])[1:-1])
    if "deployment" in parts:
        return deployment(json.dumps(parts["deployment"])[1:-1] + ", ")
    fields, container = (json.dumps(parts.get(key, {}))[1:-1] for key in ("pod", "container"))
    return pod(f"{fields}, " if fields else "", container=container)


BAD |= {title: _write(parts) for title, parts in REFUSED.items()}
OF_PODS = {title: parts for title, parts in REFUSED.items() if {*parts} <= {"pod", "container"}}

GOOD = {
    "a graph": worker("replicas: 2, "),
    "a graph of nothing": dgd(),
    "a graph whose components are null": dgd().replace("[]", "null"),
    "a graph whose spec is null": dgd().replace("{components: []}", "null"),
    "a whole number written as a fraction": worker("replicas: 2.0, "),
    "a null that a default stands for": dgd("{name: w, replicas: null, type: null}"),
    "GPUs as a number": worker(container="resources: {limits: {nvidia.com/gpu: 8}}"),
    "GPUs as text": worker(container="resources: {limits: {nvidia.com/gpu: '8'}}"),
    "GPUs as null": worker(container="resources: {limits: {nvidia.com/gpu: null}}"),
    "GPUs as text in v1alpha1": old_dgd("resources: {limits: {gpu: '8'}}"),
    "y for a boolean": worker(container="tty: y"),
    "on for a boolean": pod(container="tty: on"),
    "a preferred node affinity with a space": pod(
        "affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: "
        f"[{{weight: 1, preference: {PREFERRED}}}]}}}}, "
    ),
    "a variable's value that is null": worker(container="env: [{name: A, value: null}]"),
    "arguments that are null": worker(container="args: null"),
    "a selector of a null label": worker(pod="nodeSelector: {a: null}, "),
    "a port of a name or number": worker(container="livenessProbe: {httpGet: {port: http}}"),
    "a name with dots": dgd(metadata="name: llama-3.1"),
    "a generated name": dgd(metadata="generateName: a-"),
    "a null label": dgd(metadata="name: a, labels: {a: null}"),
    "a null creationTimestamp": dgd(metadata="name: a, creationTimestamp: null"),
    "an annotation's key in capitals": dgd(metadata="name: a, annotations: {Example.COM/A: b}"),
    "a pod": pod(),
    "a pod of nulls": pod("nodeSelector: null, volumes: null, imagePullSecrets: [null], "),
    "null arguments of a pod": pod(container="args: [null]"),
    "a pod's quantities that are null": pod(container="resources: {limits: {cpu: null}, requests: null}"),
    "half a CPU": pod(container="resources: {limits: {cpu: 0.5, memory: 1e9}}"),
    "quantities of every sort": amounts("", "cpu: 1500m, memory: '1.5Gi', ephemeral-storage: 1E"),
    "variables twice": pod(container="env: [{name: A, value: a}, {name: A, value: b}]"),
    "empty choices": pod("restartPolicy: '', ", container="imagePullPolicy: ''"),
    "a volume of nothing": pod("volumes: [{name: v}], "),
    "a mode in octal": pod("volumes: [{name: v, configMap: {name: a, defaultMode: 0755}}], "),
    "a Deployment": deployment(),
    "a Job": job(),
    "a Job that sleeps": job("restartPolicy: OnFailure, terminationGracePeriodSeconds: 1e2"),
    "a claim": claim(f"accessModes: [ReadWriteMany], {STORAGE}"),
    "a claim of no class": claim(f"accessModes: [ReadWriteMany], storageClassName: '', {STORAGE}"),
    "a ConfigMap": config_map("data: {a: b, c: null}, binaryData: null"),
    "bytes as numbers": config_map("binaryData: {a: [], b: [0, 255]}"),
    "a Secret": secret("data: {a: aGVsbG8=, b: null}, stringData: {c: 'yes'}"),
    "a headless Service": service("clusterIP: None"),
    "a Service elsewhere": service("type: ExternalName, externalName: example.com"),
    "a Service": service("ports: [{port: 80, targetPort: http}]"),
    "a StorageClass": storage_class("provisioner: a.b/c, parameters: null, mountOptions: [null]"),
    "a role of any name": "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: 'A:b'}}",
    "a binding": binding("name: a"),
    "a binding of the cluster": binding("name: a, namespace: b", kind="ClusterRoleBinding"),
    "a route": route("[{backendRefs: [{name: a, port: 80}]}]"),
    "a route without rules of its own": route("null"),
    "a route of defaults": route("[{matches: [{path: {type: null, value: null}}]}]"),
    "a gateway's address": gateway("{type: IPAddress, value: 192.0.2.1}"),
    "a gateway's name": gateway("{type: Hostname, value: example.com}"),
    "a pool": pool(f"{POOL}targetPorts: [{{number: 8000}}]"),
    "an older pool": old_pool(OLD_POOL),
    "an endpoint picker": dgd("{name: a, type: epp, eppConfig: {configMapRef: {name: c, key: k}}}"),
    "no shared memory": old_dgd("sharedMemory: {disabled: true}"),
    "a main container without image": dgd("{name: w, podTemplate: {spec: {containers: [{name: main}]}}}"),
    "a route to a pool without port": route(f"[{{backendRefs: [{TO_POOL}]}}]"),
    "a mount of a volume of an init container": pod(f"volumes: [{{name: v, emptyDir: {{}}}}], {INIT}, "),
    "as much as its limit": amounts("memory: 1024Mi, nvidia.com/gpu: 1", "memory: 1Gi, nvidia.com/gpu: '1'"),
    "a label of the pod": env("fieldRef: {fieldPath: \"metadata.labels['a']\"}"),
    "a Job by index": job(spec="completionMode: Indexed, "),
    "a claim of data from nowhere": claim(f"accessModes: [ReadWriteMany], dataSource: {{}}, {STORAGE}"),
    "a claim of a StatefulSet under another name": deployment(
        f"selector: {{matchLabels: {{a: b}}}}, volumeClaimTemplates: [{ODD_CLAIM}], "
    ).replace("kind: Deployment", "kind: StatefulSet"),
    "a domain": write(DOMAINS, "ComputeDomain", f"spec: {{numNodes: 0, channel: {CHANNEL}}}"),
}  # fmt: skip


# A refusal for another reason than the schema of one object: the server did not look at everything.
ELSEWHERE = r"Invalid value: null: some validation rules were not checked because the object was invalid.*"


class Server:
    """Says of a manifest why a real API server would refuse it."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._kinds = cluster.discover()

    def serves(self, manifest: Manifest) -> bool:
        return (manifest.api_version, manifest.kind) in self._kinds

    def causes(self, item: Object, text: str | None = None) -> list[str]:
        """Every cause of a refusal, of which there is none when the server would take it."""
        resource = self._cluster.resource(item)
        folder, _, plural = resource.path.rpartition("/")
        answer = self._cluster.http.post(
            f"{folder}/namespaces/default/{plural}" if resource.namespaced else resource.path,
            params={"dryRun": "All", "fieldValidation": "Strict"},
            content=(text or json.dumps(item)).encode(),
            headers={"Content-Type": "application/yaml" if text else "application/json"},
        )
        if answer.is_success or answer.status_code == 409:  # it exists already, which is told after all else
            return []
        status = answer.json()
        assert answer.status_code in (400, 422), status["message"]
        causes = status.get("details", {}).get("causes") or [status]
        return [cause["message"] for cause in causes]

    def of_the_schema(self, causes: list[str]) -> list[str]:
        """The causes without those that are elsewhere's."""
        return [cause for cause in causes if not re.fullmatch(ELSEWHERE, cause, re.DOTALL)]


@pytest.fixture(scope="module")
def server(controlplane: ControlPlane, published_crds: Path) -> Iterator[Server]:
    """The real API server with the custom kinds defined."""
    before = controlplane.snapshot()
    controlplane.load_crds(*(published_crds / name for name in CRDS))
    yield Server(controlplane)
    controlplane.reset(before)


def compare(server: Server, text: str) -> tuple[list[str], list[str]]:
    (manifest,) = manifests(text)
    return server.causes(manifest.root.plain, text), said(text)


@pytest.mark.parametrize("title", BAD)
def test_the_server_refuses(server: Server, title: str) -> None:
    causes, ours = compare(server, BAD[title])
    assert causes
    assert ours


@pytest.mark.parametrize("title", GOOD)
def test_the_server_takes(server: Server, title: str) -> None:
    causes, ours = compare(server, GOOD[title])
    assert not causes
    assert not ours


@pytest.mark.parametrize("title", OF_PODS)
def test_a_template_is_judged_as_the_pod_that_is_made_of_it(title: str) -> None:
    fields, container = OF_PODS[title].get("pod", {}), OF_PODS[title].get("container", {})
    main = {"name": "main", "image": "i", **container}
    newer = yaml.safe_load(worker())
    newer["spec"]["components"][0]["podTemplate"] = {"spec": {**fields, "containers": [main]}}
    older = yaml.safe_load(old_dgd("extraPodSpec: {}"))
    older["spec"]["services"]["Worker"]["extraPodSpec"] = {**fields, "mainContainer": main}
    for graph in (newer, older):
        (manifest,) = manifests(json.dumps(graph))
        assert validate(manifest) or any(validate_component_pods(manifest))


def test_what_the_operator_adds_is_there() -> None:
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("shared-memory", "cache")]
    main = {"name": "main", "volumeMounts": mounts}
    newer = yaml.safe_load(worker("compilationCache: {pvcName: cache, mountPath: /c}, "))
    newer["spec"]["components"][0]["podTemplate"] = {"spec": {"containers": [main]}}
    older = yaml.safe_load(old_dgd("volumeMounts: [{name: cache, mountPoint: /c}]"))
    older["spec"]["services"]["Worker"]["extraPodSpec"] = {"mainContainer": main}
    for graph in (newer, older):
        (manifest,) = manifests(json.dumps(graph))
        assert [*validate_component_pods(manifest)] == []


def _without_namespace(manifest: Manifest) -> Object:
    item: Object = manifest.root.plain
    item["metadata"].pop("namespace", None)
    return item


def _applied(folder: Path) -> Iterator[Manifest]:
    for recipe in load_recipes([str(folder)]):
        for file in recipe.files:
            for manifest in file.manifests if file.role is Role.MANIFEST else ():
                if not any(file.is_open(value) for value in manifest.root.walk()):
                    yield manifest


@pytest.mark.parametrize(
    "folder", [*FOLDERS, *OTHERS], ids=lambda folder: f"{folder.parent.name}-{folder.name}"
)
def test_recipes_get_the_verdict_of_the_server(server: Server, folder: Path) -> None:
    for manifest in _applied(folder):
        if not server.serves(manifest):
            assert validate(manifest) is None
            continue
        causes = server.of_the_schema(server.causes(_without_namespace(manifest)))
        assert bool(validate(manifest)) == bool(causes), (manifest.file, causes, validate(manifest))


# Mistakes that nobody thought of

KINDS = (
    ("nvidia.com/v1alpha1", "DynamoGraphDeployment"),
    ("nvidia.com/v1beta1", "DynamoGraphDeployment"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "ConfigMap"),
    ("batch/v1", "Job"),
    ("v1", "Pod"),
)


@functools.cache
def _sources(version: str, kind: str) -> list[str]:
    """The objects of a kind that mistakes are made in, as JSON."""
    rich = manifests((Path(__file__).parent / "rich.yaml").read_text())
    real = [manifest for folder in FOLDERS for manifest in _applied(folder)]
    found = [m for m in rich * max(1, len(real) // 10) + real if (m.api_version, m.kind) == (version, kind)]
    if kind == "Pod":
        found += [each.manifest for manifest in rich + real for each in list_component_pods(manifest)]
    return [json.dumps(_of_a_bare_cluster(manifest)) for manifest in found]


def _of_a_bare_cluster(manifest: Manifest) -> Object:
    """An object without references that admission follows before the server validates."""
    item = _without_namespace(manifest)
    if manifest.kind == "Pod":
        for reference in ("runtimeClassName", "priorityClassName", "serviceAccountName"):
            item["spec"].pop(reference, None)
    return item


def _disagreement(server: Server, item: Object) -> str | None:
    (manifest,) = manifests(json.dumps(item, ensure_ascii=False))
    ours, causes = validate(manifest), server.causes(item)
    if ours and not causes:
        return f"refused here alone: {ours}"
    if not ours and (alone := server.of_the_schema(causes)):
        return f"refused by the server alone: {alone}"
    return None


@pytest.mark.parametrize(
    ("count", "seed"), [(30, 1), pytest.param(500, 2, marks=pytest.mark.verify)], ids=["a sample", "hundreds"]
)
@pytest.mark.parametrize(("version", "kind"), KINDS)
def test_mistakes_are_told_as_the_server_tells_them(
    server: Server, version: str, kind: str, count: int, seed: int
) -> None:
    chance, sources = Random(seed), _sources(version, kind)
    found = (_disagreement(server, mistaken(chance.choice(sources), chance)) for _ in range(count))
    assert [disagreement for disagreement in found if disagreement] == []
