"""The area gaie."""

from __future__ import annotations

from tests.clusters import gaie
from tests.controlplane.server import ControlPlane
from tests.situations import Situation

ISTIO = "istio.io/gateway-controller"
GKE = "networking.gke.io/gateway"


def half_of_gaie(cluster: ControlPlane) -> None:
    cluster.remove_crds("inferenceobjectives.inference.networking.x-k8s.io")


def no_pools(cluster: ControlPlane) -> None:
    cluster.remove_crds("inferencepools.inference.networking.k8s.io")


def no_grants(cluster: ControlPlane) -> None:
    cluster.remove_crds("referencegrants.gateway.networking.k8s.io")


def a_subset_of_the_gateway_api(cluster: ControlPlane) -> None:
    for plural in ("backendtlspolicies", "listenersets", "tlsroutes", "grpcroutes"):
        cluster.remove_crds(f"{plural}.gateway.networking.k8s.io")


# Other controllers


def with_controller(cluster: ControlPlane, class_name: str, controller: str, place: str) -> None:
    """Replace agentgateway: its class, the Gateway, and what is said of the route."""
    cluster.delete(gaie.controller())
    cluster.delete(gaie.gateway_class())
    cluster.delete(gaie.gateway())
    cluster.delete(gaie.route())
    cluster.apply(gaie.gateway_class(class_name, controller))
    cluster.apply(gaie.gateway(place, class_name, routes_from="Same" if place == gaie.SERVING else "All"))
    cluster.apply(gaie.route(place, controller))


def istio(cluster: ControlPlane, tag: str = "1.28.1", ready: int = 1) -> None:
    with_controller(cluster, "istio", ISTIO, gaie.SERVING)
    cluster.apply(gaie.namespace("istio-system"))
    labels = {"app": "istiod", "istio": "pilot"}
    image = f"docker.io/istio/pilot:{tag}"
    cluster.apply(gaie.deployment("istiod", "istio-system", labels, image, ready=ready))


def old_istio(cluster: ControlPlane) -> None:
    istio(cluster, "1.27.3")


def istio_down(cluster: ControlPlane) -> None:
    istio(cluster, ready=0)


def istio_elsewhere(cluster: ControlPlane) -> None:
    with_controller(cluster, "istio", ISTIO, gaie.SERVING)


def gke(cluster: ControlPlane) -> None:
    with_controller(cluster, "gke-l7-regional-external-managed", GKE, gaie.SERVING)


def kgateway(cluster: ControlPlane) -> None:
    with_controller(cluster, "kgateway", "kgateway.dev/kgateway", gaie.SERVING)
    cluster.apply(gaie.namespace("kgateway-system"))
    labels = {"kgateway": "kgateway", "app.kubernetes.io/name": "kgateway"}
    image = "cr.kgateway.dev/kgateway-dev/kgateway:v2.1.1"
    cluster.apply(gaie.deployment("kgateway", "kgateway-system", labels, image))


def envoy_gateway(cluster: ControlPlane) -> None:
    with_controller(cluster, "eg", "gateway.envoyproxy.io/gatewayclass-controller", gaie.SERVING)
    cluster.apply(gaie.namespace("envoy-gateway-system"))
    labels = {"control-plane": "envoy-gateway", "app.kubernetes.io/name": "gateway-helm"}
    cluster.apply(gaie.deployment("envoy-gateway", "envoy-gateway-system", labels))


def nginx(cluster: ControlPlane) -> None:
    with_controller(cluster, "nginx", "gateway.nginx.org/nginx-gateway-controller", gaie.SERVING)
    cluster.apply(gaie.namespace("nginx-gateway"))
    labels = {"app.kubernetes.io/name": "nginx-gateway-fabric"}
    image = "ghcr.io/nginx/nginx-gateway-fabric:2.6.0"
    cluster.apply(gaie.deployment("ngf", "nginx-gateway", labels, image))


def unheard_of_controller(cluster: ControlPlane) -> None:
    with_controller(cluster, "mystery", "mystery.example/gateway", gaie.SERVING)


def a_broken_class_that_nobody_uses(cluster: ControlPlane) -> None:
    cluster.apply(gaie.gateway_class("cilium", "io.cilium/gateway-controller", "False"))
    cluster.apply(gaie.gateway("default", "cilium", programmed="False"))


# One broken thing


def no_controller(cluster: ControlPlane) -> None:
    cluster.delete(gaie.controller())


def only_a_proxy_is_left(cluster: ControlPlane) -> None:
    """Its labels are the Gateway's, whose name may be that of the product."""
    no_controller(cluster)
    labels = {
        "app.kubernetes.io/name": "agentgateway",
        "gateway.networking.k8s.io/gateway-name": "agentgateway",
    }
    cluster.apply(gaie.deployment("agentgateway", gaie.SERVING, labels))


def controller_down(cluster: ControlPlane) -> None:
    cluster.apply(gaie.controller(ready=0))


def class_not_accepted(cluster: ControlPlane) -> None:
    cluster.apply(gaie.gateway_class(accepted="False"))


def no_class(cluster: ControlPlane) -> None:
    cluster.delete(gaie.gateway_class())


def not_programmed(cluster: ControlPlane) -> None:
    cluster.apply(gaie.gateway(programmed="False"))


def programmed_once(cluster: ControlPlane) -> None:
    """The Gateway changed, and its controller has not looked since."""
    cluster.apply(gaie.gateway(port=8080))


def routes_of_the_same_namespace_only(cluster: ControlPlane) -> None:
    gateway = gaie.gateway(routes_from="Same")
    gateway["status"]["conditions"] = [
        gaie.condition("Accepted", generation=2),
        gaie.condition("Programmed", generation=2),
    ]
    cluster.apply(gateway)


def wrong_parent_namespace(cluster: ControlPlane) -> None:
    cluster.delete(gaie.route())
    cluster.apply(gaie.route(None, told=False))


def wrong_group(cluster: ControlPlane) -> None:
    cluster.delete(gaie.route())
    cluster.apply(gaie.route(group="inference.networking.x-k8s.io", resolved="False"))


def no_such_pool(cluster: ControlPlane) -> None:
    cluster.delete(gaie.route())
    cluster.apply(gaie.route(pool="qwen"))


def not_resolved(cluster: ControlPlane) -> None:
    cluster.apply(gaie.route(resolved="False"))


def nobody_took_the_route(cluster: ControlPlane) -> None:
    cluster.apply(gaie.route(controller="mystery.example/gateway"))


def no_route(cluster: ControlPlane) -> None:
    cluster.delete(gaie.route())


def selects_nothing(cluster: ControlPlane) -> None:
    cluster.delete(gaie.pool())
    cluster.apply(gaie.pool({"nvidia.com/dynamo-component-class": "decode"}))


def no_worker_is_ready(cluster: ControlPlane) -> None:
    cluster.pod("qwen-worker-0", gaie.SERVING, node="gpu-2", labels=gaie.WORKERS, ready=False)


def no_service(cluster: ControlPlane) -> None:
    cluster.delete(gaie.service())


def another_port(cluster: ControlPlane) -> None:
    cluster.apply(gaie.pool(port=9003))


def picker_down(cluster: ControlPlane) -> None:
    cluster.apply(gaie.picker(ready=0))
    gaie.picker_pod(cluster, ready=False)


def two_pickers(cluster: ControlPlane) -> None:
    cluster.apply(gaie.picker(2))


def two_picker_deployments(cluster: ControlPlane) -> None:
    cluster.apply(gaie.deployment("other-epp", gaie.SERVING, gaie.PICKER))


def no_yaml(cluster: ControlPlane) -> None:
    cluster.apply(gaie.config("plugins: [\n"))


def no_such_plugin(cluster: ControlPlane) -> None:
    cluster.apply(gaie.config(gaie.CONFIG.replace("pluginRef: kv", "pluginRef: kvs")))


def no_config(cluster: ControlPlane) -> None:
    cluster.delete(gaie.config())


def no_gateway(cluster: ControlPlane) -> None:
    cluster.delete(gaie.gateway())
    cluster.delete(gaie.route())


def nothing_of_the_gateway_api(cluster: ControlPlane) -> None:
    no_gateway(cluster)
    for name in ("gateways", "gatewayclasses", "httproutes", "referencegrants"):
        cluster.remove_crds(f"{name}.gateway.networking.k8s.io")


RECIPE = "recipes/llama-3-70b/vllm/agg/gaie"
SKIPPED = {"gaie.controller": "skip", "gaie.compatible": "skip"}
SITUATIONS = [
    Situation(
        "half of the inference extension",
        half_of_gaie,
        {"gaie.crds": "fail"},
        "inferenceobjectives.inference.networking.x-k8s.io",
    ),
    Situation(
        "no pools",
        no_pools,
        {
            "gaie.crds": "fail",
            "gaie.compatible": "skip",
            "gaie.epp": "skip",
            "gaie.pool": "skip",
            "gaie.route": "fail",
        },
        "inferencepools.inference.networking.k8s.io",
    ),
    Situation(
        "no reference grants",
        no_grants,
        {"gaie.gateway-crds": "fail"},
        "referencegrants.gateway.networking.k8s.io",
    ),
    Situation("a subset of the Gateway API", a_subset_of_the_gateway_api),
    Situation("Istio", istio),
    Situation("an Istio of before pools", old_istio, {"gaie.compatible": "fail"}, "istiod"),
    Situation("Istio is down", istio_down, {"gaie.controller": "fail"}, "istiod", "0 of 1 pods of Istio"),
    Situation(
        "Istio runs elsewhere", istio_elsewhere, {"gaie.controller": "warn", "gaie.compatible": "skip"}
    ),
    Situation("GKE", gke, SKIPPED, says="runs outside the cluster"),
    Situation("kgateway", kgateway),
    Situation("Envoy Gateway", envoy_gateway, {"gaie.compatible": "skip"}),
    Situation("NGINX", nginx),
    Situation("an unheard-of controller", unheard_of_controller, SKIPPED, says="is not in the table"),
    Situation("a broken class that nobody uses", a_broken_class_that_nobody_uses),
    Situation(
        "no controller", no_controller, {"gaie.controller": "fail", "gaie.compatible": "skip"}, "agentgateway"
    ),
    Situation(
        "only a proxy is left",
        only_a_proxy_is_left,
        {"gaie.controller": "fail", "gaie.compatible": "skip"},
        says="no workload of its controller",
    ),
    Situation("controller down", controller_down, {"gaie.controller": "fail"}, "agentgateway"),
    Situation("class not accepted", class_not_accepted, {"gaie.class": "fail"}, "agentgateway"),
    Situation(
        "no class", no_class, {"gaie.class": "fail", **SKIPPED}, "inference-gateway", "which does not exist"
    ),
    Situation("Gateway not programmed", not_programmed, {"gaie.gateway": "fail"}, "inference-gateway"),
    Situation(
        "Gateway programmed once", programmed_once, {"gaie.gateway": "fail"}, says="an older generation"
    ),
    Situation(
        "routes of the same namespace only",
        routes_of_the_same_namespace_only,
        {"gaie.route": "fail"},
        "qwen-route",
        "takes HTTPRoutes of namespace serving",
    ),
    Situation(
        "route with the wrong parent namespace",
        wrong_parent_namespace,
        {"gaie.route": "fail", **SKIPPED, "gaie.class": "skip", "gaie.gateway": "skip"},
        "qwen-route",
        "one of that name is in agentgateway-system",
    ),
    Situation(
        "backend of the wrong group",
        wrong_group,
        {"gaie.route": "fail"},
        "qwen-route",
        "the InferencePool with that name has inference.networking.k8s.io",
    ),
    Situation("no such pool", no_such_pool, {"gaie.route": "fail"}, says="which does not exist in serving"),
    Situation("backend not resolved", not_resolved, {"gaie.route": "fail"}, says="ResolvedRefs is False"),
    Situation("nobody took the route", nobody_took_the_route, {"gaie.route": "fail"}, says="no status"),
    Situation(
        "no route",
        no_route,
        {"gaie.route": "warn", **SKIPPED, "gaie.class": "skip", "gaie.gateway": "skip"},
        "qwen-pool",
    ),
    Situation("pool selects nothing", selects_nothing, {"gaie.pool": "fail"}, "qwen-pool"),
    Situation("no worker is ready", no_worker_is_ready, {"gaie.pool": "fail"}, says="none of the 1 pods"),
    Situation("no picker's Service", no_service, {"gaie.pool": "fail", "gaie.epp": "skip"}, "qwen-pool"),
    Situation("picker on another port", another_port, {"gaie.pool": "fail"}, says="on port 9003"),
    Situation("picker down", picker_down, {"gaie.epp": "fail"}, "qwen-epp", "0 of 1 pods"),
    Situation("two pickers", two_pickers, {"gaie.epp": "fail"}, "qwen-epp"),
    Situation("two Deployments of pickers", two_picker_deployments, {"gaie.epp": "fail"}, "qwen-epp"),
    Situation(
        "picker's configuration is no YAML", no_yaml, {"gaie.epp": "fail"}, "qwen-epp-config", "line 2"
    ),
    Situation("picker's plugin is missing", no_such_plugin, {"gaie.epp": "fail"}, says="refers to kvs"),
    Situation("no picker's configuration", no_config, {"gaie.epp": "fail"}, "qwen-epp-config"),
    Situation(
        "a recipe needs a Gateway and there is none",
        no_gateway,
        {"gaie.gateway": "fail", "gaie.class": "skip", "gaie.controller": "skip"},
        says="does not exist in any namespace",
        recipe=RECIPE,
    ),
    Situation(
        "a recipe needs the Gateway API",
        nothing_of_the_gateway_api,
        {
            "gaie.gateway-crds": "fail",
            "gaie.gateway": "fail",
            "gaie.class": "skip",
            "gaie.controller": "skip",
        },
        "gateways.gateway.networking.k8s.io",
        recipe=RECIPE,
    ),
    Situation(
        "a recipe on a cluster that routes through a pool already",
        lambda cluster: None,
        says="without its namespace",
        recipe=RECIPE,
    ),
]
