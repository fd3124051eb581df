"""agentgateway, a Gateway and a route through it to a pool with its endpoint picker, as Dynamo has them."""

from tests.clusters.objects import make_condition, make_namespace, make_object, make_workload
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane

CRDS: tuple[str, ...] = ("gateway-api/v1.5.1", "gaie/v1.2.1")
CONTROLLER = "agentgateway.dev/agentgateway"
CONTROLLER_NAMESPACE = "agentgateway-system"
SERVING = "serving"
COMPONENT = "nvidia.com/dynamo-component-type"
GRAPH = "nvidia.com/dynamo-graph-deployment-name"
PICKER = {GRAPH: "qwen", COMPONENT: "epp"}
WORKERS = {"nvidia.com/dynamo-component-class": "worker", "nvidia.com/dynamo-namespace": "serving-qwen"}
GROUP = "inference.networking.k8s.io"
GATEWAY_API = "gateway.networking.k8s.io"
CONFIG = """\
apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- {name: kv, type: dyn-decode-scorer}
- {type: max-score-picker}
schedulingProfiles:
- name: decode
  plugins:
  - {pluginRef: kv, weight: 1}
  - {pluginRef: max-score-picker}
"""


def gateway_class(name: str = "agentgateway", controller: str = CONTROLLER, accepted: str = "True") -> Object:
    status = {"conditions": [make_condition("Accepted", accepted)]}
    spec = {"controllerName": controller}
    return make_object(f"{GATEWAY_API}/v1 GatewayClass", name, spec=spec, status=status)


def gateway(
    place: str = CONTROLLER_NAMESPACE,
    class_name: str = "agentgateway",
    *,
    routes_from: str = "All",
    programmed: str = "True",
    port: int = 80,
    generation: int = 1,
) -> Object:
    """The Gateway of Dynamo's installer."""
    allowed = {"namespaces": {"from": routes_from}}
    listener = {"name": "http", "port": port, "protocol": "HTTP", "allowedRoutes": allowed}
    states = {"Accepted": "True", "Programmed": programmed}
    conditions = [make_condition(kind, state, generation=generation) for kind, state in states.items()]
    return make_object(
        f"{GATEWAY_API}/v1 Gateway",
        "inference-gateway",
        place,
        spec={"gatewayClassName": class_name, "listeners": [listener]},
        status={"conditions": conditions},
    )


def route(
    gateway_namespace: str | None = CONTROLLER_NAMESPACE,
    controller: str = CONTROLLER,
    *,
    group: str = GROUP,
    pool: str = "qwen-pool",
    accepted: str = "True",
    resolved: str = "True",
    told: bool = True,
) -> Object:
    """A route to the pool, and what its controller says of it."""
    place = {"namespace": gateway_namespace} if gateway_namespace else {}
    parent = {"group": GATEWAY_API, "kind": "Gateway", "name": "inference-gateway", **place}
    backend = {"group": group, "kind": "InferencePool", "name": pool, "port": 8000}
    conditions = [make_condition("Accepted", accepted), make_condition("ResolvedRefs", resolved)]
    status = {"parentRef": parent, "controllerName": controller, "conditions": conditions}
    return make_object(
        f"{GATEWAY_API}/v1 HTTPRoute",
        "qwen-route",
        SERVING,
        spec={"parentRefs": [parent], "rules": [{"backendRefs": [backend]}]},
        status={"parents": [status] if told else []},
    )


def pool(labels: dict[str, str] | None = None, *, port: int = 9002, name: str = "qwen-pool") -> Object:
    """The pool that Dynamo's operator makes for a graph."""
    spec = {
        "selector": {"matchLabels": labels or WORKERS},
        "targetPorts": [{"number": 8000}],
        "endpointPickerRef": {"name": "qwen-epp", "port": {"number": port}},
    }
    return make_object(f"{GROUP}/v1 InferencePool", name, SERVING, spec=spec)


def service(name: str = "qwen-epp") -> Object:
    spec = {"selector": PICKER, "ports": [{"name": "grpc", "port": 9002}]}
    return make_object("Service", name, SERVING, labels=PICKER, spec=spec)


def config(text: str = CONFIG) -> Object:
    return make_object("ConfigMap", "qwen-epp-config", SERVING, data={"epp-config-dynamo.yaml": text})


def controller(image: str = "cr.agentgateway.dev/controller:v1.0.0", *, ready: int = 1) -> Object:
    """The control plane of agentgateway, as its chart has it."""
    labels = {"agentgateway": "agentgateway", "app.kubernetes.io/name": "agentgateway"}
    return make_workload("Deployment", "agentgateway", CONTROLLER_NAMESPACE, image, labels, ready=ready)


def picker(replicas: int = 1, *, ready: int | None = None, name: str = "qwen-epp") -> Object:
    return make_workload("Deployment", name, SERVING, labels=PICKER, desired=replicas, ready=ready)


def picker_pod(cluster: ControlPlane, *, ready: bool = True) -> None:
    """A pod of the endpoint picker, which starts from its ConfigMap."""
    item = {"key": "epp-config-dynamo.yaml", "path": "epp-config-dynamo.yaml"}
    container = {
        "name": "main",
        "image": "registry.example/epp:1",
        "args": ["--config-file", "/etc/epp/epp-config-dynamo.yaml"],
        "volumeMounts": [{"name": "epp-config", "mountPath": "/etc/epp"}],
    }
    volume = {"name": "epp-config", "configMap": {"name": "qwen-epp-config", "items": [item]}}
    spec = {"containers": [container], "volumes": [volume]}
    cluster.pod("qwen-epp-0", SERVING, node="gpu-1", labels=PICKER, ready=ready, spec=spec)


def furnish(cluster: ControlPlane) -> None:
    """Dynamo's installer for agentgateway was run, and a graph with an endpoint picker applied."""
    cluster.apply(make_namespace(CONTROLLER_NAMESPACE), make_namespace(SERVING))
    cluster.apply(controller(), gateway_class(), gateway(), route(), pool(), service(), config(), picker())
    cluster.pod("qwen-worker-0", SERVING, node="gpu-2", labels=WORKERS)
    picker_pod(cluster)
