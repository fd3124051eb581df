"""Facts: small, typed, immutable values that probes collect, checks take, and snapshots record.

This is the one place to import them from; `make renew` writes its two lists. A module is loaded when one of
its names is first used, so that commands that need no facts start quickly.
"""

# ruff: noqa: F403
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynocheck.facts.base import *
    from dynocheck.facts.endpoint.answers import *
    from dynocheck.facts.identity_cache import *
    from dynocheck.facts.k8s.autoscaling import *
    from dynocheck.facts.k8s.capacity import *
    from dynocheck.facts.k8s.cluster import *
    from dynocheck.facts.k8s.credentials import *
    from dynocheck.facts.k8s.definitions import *
    from dynocheck.facts.k8s.gaie import *
    from dynocheck.facts.k8s.gpu import *
    from dynocheck.facts.k8s.label_selectors import *
    from dynocheck.facts.k8s.labels import *
    from dynocheck.facts.k8s.live_objects import *
    from dynocheck.facts.k8s.monitoring import *
    from dynocheck.facts.k8s.namespace_policy import *
    from dynocheck.facts.k8s.namespace_state import *
    from dynocheck.facts.k8s.namespaces import *
    from dynocheck.facts.k8s.platform import *
    from dynocheck.facts.k8s.pods import *
    from dynocheck.facts.k8s.quantity import *
    from dynocheck.facts.k8s.rdma import *
    from dynocheck.facts.k8s.scheduling_constraints import *
    from dynocheck.facts.k8s.serving_runtimes import *
    from dynocheck.facts.k8s.storage import *
    from dynocheck.facts.k8s.workloads import *
    from dynocheck.facts.load.limits import *
    from dynocheck.facts.load.run import *
    from dynocheck.facts.node.cluster import *
    from dynocheck.facts.node.machine import *
    from dynocheck.facts.recipe.containers import *
    from dynocheck.facts.recipe.documents import *
    from dynocheck.facts.recipe.engines import *
    from dynocheck.facts.recipe.hub import *
    from dynocheck.facts.recipe.inline_suppressions import *
    from dynocheck.facts.recipe.recipes import *
    from dynocheck.facts.recipe.unfilled import *

_NAMES = {
    "base": "Fact FactList Settings Unavailable",
    "endpoint.answers": """
        Adapter AdapterReplies AdapterReply Address Answers Brim CAPITAL_SCHEMA CITY_SCHEMA Cancellation
        EndpointFact MISSING_PATH_STATUSES NO_CHAT_STATUSES Prefix REJECTED_STATUSES Readiness Refusals Reply
        RequestFailure Rollout SIMULATED_OWNER Server ServingWorker Skills Spread TOOL_NAME
    """,
    "identity_cache": "IdentityCache",
    "k8s.autoscaling": "Autoscalers",
    "k8s.capacity": "LimitRangeItem NamespaceLimits Quota RunningPod RunningPods",
    "k8s.cluster": """
        Access AccessReview AllocatedDevice ApiServer ClusterFact Condition CustomResourceDefinition
        CustomResourceDefinitions Device Node Nodes OperatorPods Permissions Pod RequiredAccess ResourceSlice
        ResourceSlices StorageClass StorageClasses Taint
    """,
    "k8s.credentials": "Credential Credentials",
    "k8s.definitions": "CustomKind CustomVersion DefinitionPaths GivenKinds ServedKinds ServerVersion",
    "k8s.gaie": """
        ControllerCondition EndpointPicker GAIE GAIE_EXPERIMENTAL GATEWAY_API Gateway GatewayClass
        GatewayClasses Gateways InferencePool InferencePools InferenceRoutes Listener ObjectReference
        PickerConfig Route RouteParent
    """,
    "k8s.gpu": """
        DRA_DRIVER DeviceClass DeviceClasses DriverSettings GpuNode OperatorResource OperatorResources
        find_dra_nodes has_gpus list_gpu_nodes
    """,
    "k8s.label_selectors": "LabelSelector Selector SelectorExpression all_hold read_expressions selects",
    "k8s.labels": """
        CLASS_LABEL COMPONENT_LABEL GRAPH_LABEL LabelledPod SUBTYPE_LABEL TYPE_LABEL label_pods list_matching
        may_match_any to_selector
    """,
    "k8s.live_objects": "LiveObjects",
    "k8s.monitoring": "Collector PodMonitor PodMonitors",
    "k8s.namespace_policy": """
        IpBlock NamedSecret NamedSecrets Namespace NetworkPolicies NetworkPolicy NetworkPolicyPeer
        NetworkPolicyPort NetworkPolicyRule PodClasses RuntimeRule
    """,
    "k8s.namespace_state": """
        ContainerLog ContainerLogs ContainerState DeployedObject DeployedPod DiagnosisFact EarlierState
        HostState MetricValue MetricsPage NamespaceState ObjectEvent ObjectKey OperatorState PoolState
        PortState ServingMetrics Termination
    """,
    "k8s.namespaces": "LabelledNamespace Namespaces RunNamespace",
    "k8s.platform": """
        AdmissionWebhooks Certificates KaiQueue KaiQueues OperatorConfig OperatorConfigs OperatorLease
        OperatorLeases PlatformType PlatformTypes ServiceEndpoints ServiceName Webhook find_operators
        is_operator
    """,
    "k8s.pods": """
        POD_TEMPLATE_PATHS PodTemplate SECRET_MAKERS SecretReference find_implied_claims
        find_secret_references find_server_template index_containers list_pod_templates read_pod_templates
    """,
    "k8s.quantity": "QUANTITY_PATTERN parse_count parse_device_count parse_quantity",
    "k8s.rdma": "AppliedState NicPolicies NicPolicy",
    "k8s.scheduling_constraints": "Placement list_placements",
    "k8s.serving_runtimes": "SERVING_RUNTIMES find_nearest_runtime merge_serving_runtimes",
    "k8s.storage": """
        ClaimEvent CsiDrivers CsiNode NodeDriver PersistentVolume PersistentVolumeClaim PersistentVolumeClaims
        PersistentVolumes PlatformClaim PlatformClaims PlatformPod StorageCapacity
    """,
    "k8s.workloads": "Workload Workloads",
    "load.limits": "LIMITS_ANNOTATION parse_annotation parse_limits",
    "load.run": """
        ClientLoad CounterGrowth ERROR_RATE FailureCount Histogram InvalidLimit LATENCIES LoadBaseline
        LoadFact LoadLimit LoadLimits LoadPoint LoadRun RATES REQUEST_LATENCIES Sample
    """,
    "node.cluster": "NodeReport NodeReports apply_reports",
    "node.machine": """
        CachedModel ExerciseRequest ExercisedGpu LinkCounter MeasuredTransfer NodeCounters NodeEnvironment
        NodeExercise NodeFabric NodeFact NodeGpu NodeGpus NodeHost NodeKernelLog NodeModelCache NodePackage
        NodePackages NodeRdma NodeRequest NodeRoot NodeTopology NodeTransfer PciDevice RdmaPort
        TransferRequest
    """,
    "recipe.containers": "ConfigFile Container EnvVar Launch Mount TritonModel Word",
    "recipe.documents": "Manifest Problem Role SourceFile Value is_openshift_template",
    "recipe.engines": "EngineParsers Ruling Rulings",
    "recipe.hub": "HubAccess HubModel HubModels",
    "recipe.inline_suppressions": "IgnoreComment",
    "recipe.recipes": """
        AdapterConfig Benchmark Claim Component Download EngineBuild Graph IgnoreUse IgnoreUses Mention
        ModelConfig Page PlaceholderFile ReadmeRow Recipe RecipeFact RecipePaths Recipes UnreadPart
    """,
    "recipe.unfilled": "find_unfilled has_variable is_unfilled list_unfilled",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = sorted(_MODULES)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return list(__all__)
