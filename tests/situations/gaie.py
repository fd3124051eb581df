"""Situations of the checks of gateways and the inference extension."""

from tests.clusters import gaie
from tests.clusters.objects import make_namespace, make_workload
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.situations import Change, Situation, applied, deleted, steps, undefined, with_recipe

GATEWAY_API = "gateway.networking.k8s.io"
EXTENSION = "inference.networking.k8s.io"
OBJECTIVES = "inferenceobjectives.inference.networking.x-k8s.io"


def of_gateway_api(*plurals: str) -> Change:
    return undefined(*(f"{plural}.{GATEWAY_API}" for plural in plurals))


def replaced(old: Object, *new: Object) -> Change:
    return steps(deleted(old), applied(*new))


def with_controller(class_name: str, controller: str, *running: Object) -> Change:
    """Replace agentgateway: its controller, its class, the Gateway, and what is said of the route."""
    namespaces = [make_namespace(each["metadata"]["namespace"]) for each in running]
    return steps(
        deleted(gaie.controller(), gaie.gateway_class(), gaie.gateway(), gaie.route()),
        applied(gaie.gateway_class(class_name, controller)),
        applied(gaie.gateway(gaie.SERVING, class_name, routes_from="Same")),
        applied(gaie.route(gaie.SERVING, controller), *namespaces, *running),
    )


def istio(tag: str = "1.28.1", ready: int = 1) -> Change:
    image, labels = f"docker.io/istio/pilot:{tag}", {"app": "istiod", "istio": "pilot"}
    istiod = make_workload("Deployment", "istiod", "istio-system", image, labels, ready=ready)
    return with_controller("istio", ISTIO, istiod)


NAME = "app.kubernetes.io/name"
ISTIO = "istio.io/gateway-controller"
KGATEWAY = make_workload(
    *("Deployment", "kgateway", "kgateway-system", "cr.kgateway.dev/kgateway-dev/kgateway:v2.1.1"),
    labels={NAME: "kgateway", "kgateway": "kgateway"},
)
ENVOY = make_workload(
    *("Deployment", "envoy-gateway", "envoy-gateway-system"),
    labels={NAME: "gateway-helm", "control-plane": "envoy-gateway"},
)
NGINX = make_workload(
    *("Deployment", "ngf", "nginx-gateway", "ghcr.io/nginx/nginx-gateway-fabric:2.6.0"),
    labels={NAME: "nginx-gateway-fabric"},
)
# Its labels are the Gateway's, whose name may be that of the product.
PROXY_LABELS = {NAME: "agentgateway", f"{GATEWAY_API}/gateway-name": "agentgateway"}
PROXY = make_workload("Deployment", "agentgateway", gaie.SERVING, labels=PROXY_LABELS)
BROKEN_CLASS = gaie.gateway_class("cilium", "io.cilium/gateway-controller", "False")
BROKEN_GATEWAY = gaie.gateway("default", "cilium", programmed="False")


def no_worker_is_ready(cluster: ControlPlane) -> None:
    cluster.pod("qwen-worker-0", gaie.SERVING, node="gpu-2", labels=gaie.WORKERS, ready=False)


def picker_down(cluster: ControlPlane) -> None:
    cluster.apply(gaie.picker(ready=0))
    gaie.picker_pod(cluster, ready=False)


NO_ROUTE = deleted(gaie.route())
NO_GATEWAY = deleted(gaie.gateway(), gaie.route())
NO_GATEWAY_API = of_gateway_api("gateways", "gatewayclasses", "httproutes", "referencegrants")
WRONG_GROUP = gaie.route(group="inference.networking.x-k8s.io", resolved="False")
WRONG_PLUGIN = gaie.config(gaie.CONFIG.replace("pluginRef: kv", "pluginRef: kvs"))

SKIPPED = {"gaie.controller": "skip", "gaie.compatible": "skip"}
UNKNOWN = {"gaie.controller": "unjudged", "gaie.compatible": "skip"}
NO_CONTROLLER = {"gaie.controller": "fail", "gaie.compatible": "skip"}
NOT_REACHED = {**SKIPPED, "gaie.class": "skip", "gaie.gateway": "skip"}
UNROUTED = {"gaie.class": "skip", "gaie.compatible": "skip", "gaie.route": "warn"}
NEEDED = {"gaie.gateway": "fail", "gaie.class": "skip", "gaie.controller": "skip"}
GATEWAY, ROUTE = {"gaie.gateway": "fail"}, {"gaie.route": "fail"}
POOL, PICKER = {"gaie.pool": "fail"}, {"gaie.epp": "fail"}

SITUATIONS = [
    # https://github.com/kubernetes-sigs/gateway-api-inference-extension/issues/476
    Situation(
        "a Gateway is not programmed before anything routes to it",
        steps(NO_ROUTE, applied(gaie.gateway(programmed="False"))),
        {**UNROUTED, "gaie.gateway": "warn"},
    ),
    Situation("no route", NO_ROUTE, UNROUTED, "qwen-pool"),
    Situation("half of the inference extension", undefined(OBJECTIVES), {"gaie.crds": "fail"}, OBJECTIVES),
    Situation(
        "no pools",
        undefined(f"inferencepools.{EXTENSION}"),
        {**ROUTE, "gaie.crds": "fail", **dict.fromkeys(("gaie.compatible", "gaie.epp", "gaie.pool"), "skip")},
        f"inferencepools.{EXTENSION}",
    ),
    Situation(
        "no reference grants",
        of_gateway_api("referencegrants"),
        {"gaie.gateway-crds": "fail"},
        f"referencegrants.{GATEWAY_API}",
    ),
    Situation(
        "a subset of the Gateway API",
        of_gateway_api("backendtlspolicies", "listenersets", "tlsroutes", "grpcroutes"),
    ),
    Situation("Istio", istio()),
    Situation("an Istio of before pools", istio("1.27.3"), {"gaie.compatible": "fail"}, "istiod"),
    Situation("Istio is down", istio(ready=0), {"gaie.controller": "fail"}, "istiod", "0 of 1 pods"),
    Situation(
        "Istio runs elsewhere",
        with_controller("istio", ISTIO),
        {"gaie.controller": "warn", "gaie.compatible": "skip"},
    ),
    Situation(
        "GKE",
        with_controller("gke-l7-regional-external-managed", "networking.gke.io/gateway"),
        UNKNOWN,
        says="outside the cluster",
    ),
    Situation("kgateway", with_controller("kgateway", "kgateway.dev/kgateway", KGATEWAY)),
    Situation(
        "Envoy Gateway",
        with_controller("eg", "gateway.envoyproxy.io/gatewayclass-controller", ENVOY),
        {"gaie.compatible": "skip"},
    ),
    Situation("NGINX", with_controller("nginx", "gateway.nginx.org/nginx-gateway-controller", NGINX)),
    Situation(
        "an unheard-of controller",
        with_controller("mystery", "mystery.example/gateway"),
        UNKNOWN,
        says="mystery.example/gateway",
    ),
    Situation("a broken class that nobody uses", applied(BROKEN_CLASS, BROKEN_GATEWAY)),
    Situation("no controller", deleted(gaie.controller()), NO_CONTROLLER, "agentgateway"),
    Situation(
        "only a proxy is left",
        replaced(gaie.controller(), PROXY),
        NO_CONTROLLER,
        says="no workload of its controller",
    ),
    Situation(
        "controller down", applied(gaie.controller(ready=0)), {"gaie.controller": "fail"}, "agentgateway"
    ),
    Situation(
        "class not accepted",
        applied(gaie.gateway_class(accepted="False")),
        {"gaie.class": "fail"},
        "agentgateway",
    ),
    Situation(
        "no class",
        deleted(gaie.gateway_class()),
        {"gaie.class": "fail", **SKIPPED},
        "inference-gateway",
        "GatewayClass agentgateway",
    ),
    Situation(
        "Gateway not programmed", applied(gaie.gateway(programmed="False")), GATEWAY, "inference-gateway"
    ),
    Situation(
        "Gateway programmed before it changed", applied(gaie.gateway(port=8080)), GATEWAY, says="generation"
    ),
    Situation(
        "routes of the same namespace only",
        applied(gaie.gateway(routes_from="Same", generation=2)),
        ROUTE,
        "qwen-route",
        "namespace serving",
    ),
    Situation(
        "route with the wrong parent namespace",
        replaced(gaie.route(), gaie.route(None, told=False)),
        ROUTE | NOT_REACHED,
        "qwen-route",
        "agentgateway-system",
    ),
    Situation(
        "backend of the wrong group",
        replaced(gaie.route(), WRONG_GROUP),
        ROUTE,
        "qwen-route",
        "inference.networking.k8s.io",
    ),
    Situation(
        "no such pool", replaced(gaie.route(), gaie.route(pool="qwen")), ROUTE, says="InferencePool qwen "
    ),
    Situation(
        "backend not resolved", applied(gaie.route(resolved="False")), ROUTE, says="ResolvedRefs is False"
    ),
    Situation(
        "nobody took the route",
        applied(gaie.route(controller="mystery.example/gateway")),
        ROUTE,
        says="no status",
    ),
    Situation(
        "pool selects nothing",
        replaced(gaie.pool(), gaie.pool({"nvidia.com/dynamo-component-class": "decode"})),
        POOL,
        "qwen-pool",
    ),
    Situation("no worker is ready", no_worker_is_ready, POOL, says="1 pods"),
    Situation("no picker's Service", deleted(gaie.service()), {**POOL, "gaie.epp": "skip"}, "qwen-pool"),
    Situation("picker on another port", applied(gaie.pool(port=9003)), POOL, says="port 9003"),
    Situation("picker down", picker_down, PICKER, "qwen-epp", "0 of 1 pods"),
    Situation("two pickers", applied(gaie.picker(2)), PICKER, "qwen-epp"),
    Situation("two Deployments of pickers", applied(gaie.picker(name="other-epp")), PICKER, "qwen-epp"),
    Situation(
        "picker's configuration is no YAML",
        applied(gaie.config("plugins: [\n")),
        PICKER,
        "qwen-epp-config",
        "line 2",
    ),
    Situation("picker's plugin is missing", applied(WRONG_PLUGIN), PICKER, says="kvs"),
    Situation("no picker's configuration", deleted(gaie.config()), PICKER, "qwen-epp-config"),
    *with_recipe(
        "recipes/llama-3-70b/vllm/agg/gaie",
        Situation("a recipe needs a Gateway and there is none", NO_GATEWAY, NEEDED, says="any namespace"),
        Situation(
            "a recipe needs the Gateway API",
            steps(NO_GATEWAY, NO_GATEWAY_API),
            {**NEEDED, "gaie.gateway-crds": "fail"},
            f"gateways.{GATEWAY_API}",
        ),
        Situation(
            "a recipe on a cluster that routes through a pool already", steps(), says="agentgateway-system"
        ),
    ),
]
