"""What servers need in production, graphs and engines without Dynamo: told with --select production."""

from collections.abc import Iterator

from dynocheck import Result, Skip, check
from dynocheck.checks.production._servers import (
    Server,
    describe_unseen,
    lacks_object,
    list_objects,
    list_servers,
    warn_lacking,
)
from dynocheck.core.fixes import set_value, set_variable
from dynocheck.engines.instances import find_component_instances
from dynocheck.facts import LiveObjects, Recipes, list_pod_templates
from dynocheck.secrets import HIDDEN

_KEYS = ("--api-key", "VLLM_API_KEY", "SGLANG_API_KEY", "LLAMA_API_KEY", "API_KEY")
_MONITORS = ("PodMonitor", "ServiceMonitor", "PodMonitoring", "ClusterPodMonitoring", "VMPodScrape")
_SCRAPED = "prometheus.io/scrape"
_ALERTS = ("PrometheusRule", "Rules", "ClusterRules", "VMRule")
_AUTOSCALERS = ("HorizontalPodAutoscaler", "ScaledObject", "DynamoGraphDeploymentScalingAdapter")
_BUDGET = "PodDisruptionBudget"
_BACKUPS = ("VolumeSnapshot", "Schedule", "ScheduledBackup", "RecurringJob", "ReplicationSource")
_POLICIES = ("NetworkPolicy", "CiliumNetworkPolicy", "AuthorizationPolicy")
_ALL = ("1", "1.0", "")
_OWN_PODS = ("Deployment", "StatefulSet", "LeaderWorkerSet", "ReplicaSet", "DaemonSet", "Pod")
_GRACE_S = 30  # Kubernetes' default


@check("production.replicas", title="Servers survive the loss of a pod, a node and a drain", on_request=True)
def replicas(recipes: Recipes | None = None, live: LiveObjects | None = None) -> Iterator[Result]:
    """One replica is an outage with each update, eviction and failed node, for as long as weights take to
    load. Several on one node fail with it, and without a PodDisruptionBudget a drain takes them all at once.
    An autoscaler's lower bound counts as replicas. The operator makes budgets and spread of a graph's pods.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/

    Fix: replicas: 2, topologySpreadConstraints by kubernetes.io/hostname, and a PodDisruptionBudget
    """
    servers = list_servers(recipes, live)
    several = [server for server in servers if _count_replicas(server) > 1]
    single = [server for server in servers if server not in several]
    yield from warn_lacking(
        single, "one replica: an update or a lost node is an outage", set_value("replicas", 2)
    )
    plain = [server for server in several if not server.deployment.of_dynamo]
    yield from describe_unseen(plain, _BUDGET)
    yield from warn_lacking(
        (s for s in plain if not _is_spread(s)),
        "its replicas may be on one node",
        "add topologySpreadConstraints with topologyKey: kubernetes.io/hostname",
    )
    yield from warn_lacking(
        (s for s in plain if not _has_budget(s)),
        "no PodDisruptionBudget: a drain may end all replicas at once",
        "add a PodDisruptionBudget with maxUnavailable: 1",
    )


def _count_replicas(server: Server) -> int:
    """The replicas that a server has at least."""
    bounds = [server.component.replicas]
    for scaler in list_objects(server.recipe, *_AUTOSCALERS):
        if scaler.root.get_text("spec", "scaleTargetRef", "name") == server.deployment.name:
            least = scaler.root.get("spec", "minReplicas") or scaler.root.get("spec", "minReplicaCount")
            bounds.append(least.data if least is not None and isinstance(least.data, int) else 1)
    return max(bounds)


def _is_spread(server: Server) -> bool:
    spec = server.template.spec
    return bool(spec.get_items("topologySpreadConstraints") or spec.get("affinity", "podAntiAffinity"))


def _has_budget(server: Server) -> bool:
    """Whether a budget may select a server's pods: one by expressions might, and one that is not seen."""
    labels = {key: value.data for key, value in server.labels.items()}
    budgets = list(list_objects(server.recipe, _BUDGET))
    selected = (budget.root.get("spec", "selector", "matchLabels") for budget in budgets)
    return any(
        wanted is None or all(labels.get(key) == value.data for key, value in wanted.mapping.items())
        for wanted in selected
    ) or not (budgets or lacks_object(_BUDGET)(server))


@check("production.shutdown", title="Servers finish their answers before they end", on_request=True)
def shutdown(recipes: Recipes | None = None, live: LiveObjects | None = None) -> Iterator[Result]:
    """A pod that ends is killed after terminationGracePeriodSeconds, 30 unless it is set, and with it the
    answers that take longer. Without a preStop hook, requests arrive while the Service still names the pod.
    Dynamo's components drain by themselves, and the operator sets their time.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination

    Fix: terminationGracePeriodSeconds: 300, lifecycle: {preStop: {sleep: {seconds: 10}}}
    """
    servers = [server for server in list_servers(recipes, live) if not server.deployment.of_dynamo]
    if not servers:
        raise Skip("no engine without Dynamo")
    yield from warn_lacking(
        (s for s in servers if not _has_grace(s)),
        f"answers that take more than {_GRACE_S} s are cut off when its pod ends",
        set_value("terminationGracePeriodSeconds", 300, "more than the longest answer"),
    )
    yield from warn_lacking(
        (s for s in servers if s.main.get("lifecycle", "preStop") is None),
        "no preStop hook: requests still arrive while it ends",
        set_value("lifecycle", {"preStop": {"sleep": {"seconds": 10}}}),
    )


def _has_grace(server: Server) -> bool:
    seconds = server.template.spec.get("terminationGracePeriodSeconds")
    return seconds is not None and isinstance(seconds.data, int) and seconds.data > _GRACE_S


@check(
    "production.probes",
    title="Servers get requests once they answer, and restart when they hang",
    on_request=True,
)
def probes(recipes: Recipes | None = None, live: LiveObjects | None = None) -> Iterator[Result]:
    """Without a readinessProbe a pod is ready when its process starts, minutes before its model is loaded:
    its Service sends it requests, which are refused, and a rollout ends the old pods. Without a livenessProbe
    a server that hangs is not restarted. Dynamo's operator, KServe and KubeRay add probes of their own.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/probes/

    Fix: readinessProbe: {httpGet: {path: /health, port: 8000}}
    """
    servers = [server for server in list_servers(recipes, live) if server.deployment.kind in _OWN_PODS]
    if not servers:
        raise Skip("no engine whose probes are its own")
    health = {"httpGet": {"path": "/health", "port": 8000}}
    yield from warn_lacking(
        (s for s in servers if s.main.get("readinessProbe") is None),
        "no readinessProbe: requests come, and old pods end, before its model is loaded",
        set_value("readinessProbe", health),
    )
    yield from warn_lacking(
        (s for s in servers if s.main.get("livenessProbe") is None),
        "no livenessProbe: a server that hangs is not restarted",
        set_value("livenessProbe", health, "with a startupProbe that outlasts the loading"),
    )


@check("production.isolation", title="Servers have resources and nodes of their own", on_request=True)
def isolation(recipes: Recipes | None = None, live: LiveObjects | None = None) -> Iterator[Result]:
    """A container without a request for memory is among the first that a full node kills, and one without a
    limit may fill the node. GPU nodes that nothing sets apart also run pods that need no GPU, which then
    stand in the way of one that does; a node selector or a toleration tells that they are set apart.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/

    Fix: resources: {requests: {cpu: "8", memory: 64Gi}, limits: {memory: 64Gi}}
    """
    servers = list_servers(recipes, live)
    yield from warn_lacking(
        (s for s in servers if not _asks_for(s, "memory")),
        "no request or limit for memory: a full node kills it first",
        set_value("resources.requests.memory", "64Gi"),
    )
    yield from warn_lacking(
        (s for s in servers if s.component.gpus and not _is_set_apart(s)),
        "neither a node selector nor a toleration: its GPU nodes are not set apart",
        set_value("tolerations", [{"key": "nvidia.com/gpu", "operator": "Exists"}]),
    )


def _asks_for(server: Server, resource: str) -> bool:
    holders = (server.main, server.template.around)
    parts = ("requests", "limits")
    return any(holder.get("resources", part, resource) is not None for holder in holders for part in parts)


def _is_set_apart(server: Server) -> bool:
    spec = server.template.spec
    return any(
        spec.get(*path) for path in (("nodeSelector",), ("tolerations",), ("affinity", "nodeAffinity"))
    )


@check("production.signals", title="Servers are monitored, alerted on and scaled by load", on_request=True)
def signals(recipes: Recipes | None = None, live: LiveObjects | None = None) -> Iterator[Result]:
    """Without metrics nobody sees that requests wait or fail; without an alert nobody is told; without an
    autoscaler GPUs idle at night, which is most of what serving costs, or too few serve by day. Traces of
    every request cost more than they tell. What another repository or a chart adds is not seen here. Dynamo's
    chart makes PodMonitors for graphs, whose planner scales them.

    Source: https://docs.vllm.ai/en/latest/usage/metrics.html

    Fix: add a PodMonitor, a PrometheusRule and a HorizontalPodAutoscaler or ScaledObject
    """
    servers = list_servers(recipes, live)
    plain = [server for server in servers if not server.deployment.of_dynamo]
    yield from describe_unseen(servers, *_MONITORS, *_ALERTS, *_AUTOSCALERS)
    unscraped = (s for s in plain if lacks_object(*_MONITORS)(s) and not _is_annotated(s))
    yield from warn_lacking(unscraped, "no monitor collects its metrics", "add a PodMonitor that selects it")
    yield from warn_lacking(
        filter(lacks_object(*_ALERTS), servers),
        "no alert rule is in the recipe",
        "add a PrometheusRule, with an alert on waiting requests",
    )
    yield from warn_lacking(
        (s for s in servers if lacks_object(*_AUTOSCALERS)(s) and not _has_planner(s)),
        "nothing scales it with its load",
        "add a HorizontalPodAutoscaler or a ScaledObject by waiting requests",
    )
    yield from warn_lacking(
        filter(_traces_all, servers),
        "it traces each request",
        set_variable("OTEL_TRACES_SAMPLER", "parentbased_traceidratio", "and OTEL_TRACES_SAMPLER_ARG=0.05"),
    )


def _traces_all(server: Server) -> bool:
    """Whether a vLLM or SGLang sends a trace of each request that has no parent, as SDKs do by default."""
    for engine in find_component_instances(server.deployment, server.component):
        sampler = engine.find_variable("OTEL_TRACES_SAMPLER")
        share = engine.find_variable("OTEL_TRACES_SAMPLER_ARG")
        ratio = sampler is not None and (sampler.value is None or "traceidratio" in sampler.value)
        off = sampler is not None and (sampler.value or "").endswith("always_off")
        part = share is not None and share.value not in _ALL
        if engine.given.get("otlp-traces-endpoint") is not None and not off and not (ratio and part):
            return True
    return False


def _is_annotated(server: Server) -> bool:
    annotations = server.template.manifest.root.get("spec", "template", "metadata", "annotations")
    return annotations is not None and annotations.get(_SCRAPED) is not None


def _has_planner(server: Server) -> bool:
    return any(component.role == "planner" for component in server.deployment.components)


@check("production.access", title="Only who may can reach a server", on_request=True)
def access(recipes: Recipes | None = None, live: LiveObjects | None = None) -> Iterator[Result]:
    """Engines answer whoever reaches them, and serve internal routes beside the API: without a NetworkPolicy
    that is each pod of the cluster. An API key is the engine's own defence; a gateway in front that
    authenticates does as well, and is not seen here. In files security.secrets finds secrets that are spelled
    out; in the cluster this does.

    Source: https://docs.vllm.ai/en/latest/usage/security.html

    Fix: add a NetworkPolicy that lets only the gateway in; --api-key from a Secret
    """
    servers = list_servers(recipes, live)
    yield from describe_unseen(servers, *_POLICIES)
    yield from warn_lacking(
        filter(lacks_object(*_POLICIES), servers),
        "no NetworkPolicy: each pod of the cluster reaches it",
        "add a NetworkPolicy that lets in the gateway and Prometheus",
    )
    yield from warn_lacking(
        (s for s in servers if not s.deployment.of_dynamo and not _has_key(s)),
        "it asks for no API key",
        "add --api-key $(API_KEY), with API_KEY from a Secret",
    )
    yield from warn_lacking(
        (s for s in servers if s.live is not None and _spells_secret(s)),
        "a secret stands in its pod's specification, for all who may read it",
        "keep a new one in a Secret, and take it by valueFrom.secretKeyRef",
    )


def _has_key(server: Server) -> bool:
    words = [value.text or "" for key in ("command", "args") for value in server.main.get_items(key)]
    names = {entry.get_text("name") for entry in server.main.get_items("env")}
    return bool(names & {*_KEYS}) or any("--api-key" in word for word in words)


def _spells_secret(server: Server) -> bool:
    """Whether a value of its pod was withheld because it is a secret."""
    return any(HIDDEN in (value.text or "") for value in server.template.spec.walk())


@check("production.backups", title="Data that no download restores is backed up", on_request=True)
def backups(recipes: Recipes | None = None, live: LiveObjects | None = None) -> Iterator[Result]:
    """Weights of the hub are downloaded again; a fine-tuned model, adapters and engines that took hours to
    build are gone with their claim. Counted as backups are snapshots, schedules of Velero, K8up, Longhorn or
    VolSync, and CronJobs that mount the claim.

    Judged are claims from which a server loads a model or adapters by path, if neither a Job nor an init
    container of its pod can have brought it there. What backs them up from elsewhere is not seen here.

    Source: https://kubernetes.io/docs/concepts/storage/volume-snapshots/

    Fix: a VolumeSnapshot of the claim, a Schedule of Velero, or a copy of the data in an object store
    """
    servers = list_servers(recipes, live)
    yield from describe_unseen(servers, *_BACKUPS)
    unsaved = filter(lacks_object(*_BACKUPS), servers)
    yield from warn_lacking(
        (s for s in unsaved if any(not _is_copied(s, claim) for claim in _list_own_data(s))),
        "what it loads from its claim is downloaded by nothing and backed up by nothing",
        "add a VolumeSnapshot of the claim, or a Schedule of Velero",
    )


def _list_own_data(server: Server) -> set[str]:
    """The claims from which it loads a model or adapters that no download of its recipe brings there."""
    found: set[str] = set()
    if server.template.spec.get_items("initContainers") or any(d.model for d in server.recipe.downloads):
        return found
    for engine in find_component_instances(server.deployment, server.component):
        words = [word.text or "" for word in engine.launch.words]
        paths = [engine.model or "", *(text.rpartition("=")[2] for text in words if "=/" in text)]
        places = {engine.container.resolve_on_claim(path) for path in paths if path.startswith("/")} - {None}
        found |= {str(place).partition(":")[0] for place in places if "models--" not in str(place)}
    return found


def _is_copied(server: Server, claim: str) -> bool:
    """Whether a CronJob mounts a claim."""
    return any(
        name.text == claim
        for template in list_pod_templates(server.recipe)
        if template.manifest.kind == "CronJob"
        for name in template.spec.find_all("claimName")
    )
