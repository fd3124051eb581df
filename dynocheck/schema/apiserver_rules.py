"""What the API server enforces of Kubernetes' own kinds beside, or in spite of, their published schemas.

Those schemas know no enumerations, and what they call required is not what the server refuses without. The
rules here are schemas too, and hold in addition, with two words of their own: `x-unique` names the keys that
tell the elements of a list apart, or none where whole elements are compared, `x-says` words what is wrong.
They are rules about one place; what it takes two to break, such as a selector that does not match or a mount
without its volume, is not here.
"""

from typing import Any

Schema = dict[str, Any]


def _one_of(*values: str) -> Schema:
    return {"enum": list(values)}


def _fields(**properties: Schema) -> Schema:
    return {"properties": properties}


def _require(*names: str, **properties: Schema) -> Schema:
    return {"required": list(names), "properties": properties}


def _require_one(*names: str) -> Schema:
    return {
        "anyOf": [{"required": [name]} for name in names],
        "x-says": f"needs one of {', '.join(names)}",
    }


def _all(*parts: Schema, **more: Any) -> Schema:
    return {**more, "allOf": list(parts)}


def _when(condition: Schema, then: Schema, says: str) -> Schema:
    return {"anyOf": [{"not": condition}, then], "x-says": says}


def _where(condition: Schema, then: Schema) -> Schema:
    """What holds of a value under a condition; what breaks it is reported where it stands."""
    return {"if": condition, "then": then}


def _not_both(*names: str, **fields: Schema) -> Schema:
    """Of these fields at most one; with `fields`, the values with which they exclude each other."""
    pairs = [_require(a, b, **fields) for i, a in enumerate(names) for b in names[i + 1 :]]
    return {"not": {"anyOf": pairs}, "x-says": f"has more than one of {', '.join(names)}"}


def _select_by(*operators: str, **fields: Schema) -> Schema:
    alone, others = _one_of("Exists", "DoesNotExist"), _one_of("In", "NotIn", *operators)
    return {
        **_fields(operator=_one_of("In", "NotIn", "Exists", "DoesNotExist", *operators), **fields),
        "anyOf": [
            _require("values", operator=others),
            {**_fields(operator=alone), "not": _require("values")},
        ],
        "x-says": "needs values with In and NotIn, and none with Exists and DoesNotExist",
    }


def _require_unique(key: str) -> Schema:
    return {"x-unique": [key]}


_DISTINCT: Schema = {"x-unique": []}
_NEVER: Schema = {"not": {}, "x-says": "must not be set here"}
_PORT = {"minimum": 1, "maximum": 65535}
_NOT_NEGATIVE = {"minimum": 0}
_WEIGHT = {"minimum": 1, "maximum": 100}
_ONCE = _fields(successThreshold={"maximum": 1})
_HANDLERS = ("httpGet", "exec", "tcpSocket", "grpc")
_INSIDE = {"format": "path-inside"}
_USER = {"minimum": 0, "maximum": 2**31 - 1}
_MODE = {"minimum": 0, "maximum": 0o777}
_PORT_OR_NAME = {**_PORT, "format": "port-name"}
_RESOURCES = {"propertyNames": {"format": "resource-name"}, "additionalProperties": _NOT_NEGATIVE}
_DNS_LABEL = {"format": "dns-label"}
_SUBDOMAIN = {"format": "dns-subdomain"}
_LABEL_KEY = {"format": "label-key"}
_VOLUME_MODE = {"minLength": 1, **_one_of("Filesystem", "Block")}
_LABELS = {"propertyNames": {"format": "label-key"}, "additionalProperties": {"format": "label-value"}}
_CONFIG_KEYS = {"propertyNames": {"format": "config-key"}}
_REFERENCE = _require("name", name=_SUBDOMAIN)
_KEY_OF = _require("name", name=_SUBDOMAIN, key={"format": "config-key"})
_PROTOCOL = _one_of("TCP", "UDP", "SCTP")
_ACCESS_MODES = {
    "items": {
        "minLength": 1,
        **_one_of("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"),
    }
}
_FIELD = (
    r"^(metadata\.(name|namespace|uid|labels|annotations|(labels|annotations)\['.*'\])"
    r"|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?))$"
)
_ON = {"enum": [True]}
_LOCALITY = _one_of("Cluster", "Local")
_RUNS_FOREVER = _fields(
    selector={"minProperties": 1},
    template=_fields(spec=_fields(restartPolicy=_one_of("Always"), activeDeadlineSeconds=_NEVER)),
    minReadySeconds=_NOT_NEGATIVE,
)
_RUNS_TO_ITS_END = _fields(spec=_require("restartPolicy", restartPolicy=_one_of("OnFailure", "Never")))

_ZERO = {"enum": [0, "0", "0%"]}
_PERCENT = {"format": "percent"}
_SHARE = {"format": "percent-of-all"}
_DOMAIN_PATH = {"format": "domain-path"}
_HOST = {"format": "host-name"}
_CIDR = {"format": "cidr"}
_NAMES_OF_METRICS = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
_METRIC_BLOCKS = tuple(_NAMES_OF_METRICS.values())
_DISKS = (
    *("awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume"),
    *("flocker", "gcePersistentDisk", "glusterfs", "hostPath", "iscsi", "local", "nfs"),
    *("photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume"),
)
_BALANCED = {"type": {"enum": ["LoadBalancer"]}}
_FROM_OUTSIDE = {"type": {"enum": ["LoadBalancer", "NodePort"]}}
_QUOTA_SCOPES = (
    *("Terminating", "NotTerminating", "BestEffort", "NotBestEffort"),
    *("PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass"),
)
_LIMITED = {"propertyNames": {"format": "limited-resource"}}
_RBAC = "rbac.authorization.k8s.io"


def _target_by(*names: str) -> Schema:
    """The target of a metric, which is by one of these values."""
    return _fields(target=_all(_require_one(*names), _not_both(*names)))


_COUNTED = _all(
    _when(
        _require("allocationMode", allocationMode=_one_of("All")),
        {"not": _require("count")},
        "has a count, which there is none of with allocationMode: All",
    ),
    **_fields(allocationMode=_one_of("ExactCount", "All"), count=_NOT_NEGATIVE, deviceClassName=_SUBDOMAIN),
)
_TEMPLATE_METADATA = _fields(labels=_LABELS, annotations={"propertyNames": {"format": "annotation-key"}})
METADATA: Schema = {
    "allOf": [_TEMPLATE_METADATA],
    **_fields(ownerReferences={"items": _require("apiVersion", "kind", "name", "uid")}),
}

ENFORCED: dict[str, Schema] = {
    "api.apps.v1.DaemonSetSpec": _all(
        _RUNS_FOREVER,
        _fields(
            revisionHistoryLimit=_NOT_NEGATIVE, selector={"not": _fields(matchLabels={"maxProperties": 0})}
        ),
    ),
    "api.apps.v1.DaemonSetUpdateStrategy": _fields(type=_one_of("RollingUpdate", "OnDelete")),
    "api.apps.v1.DeploymentSpec": _all(
        _RUNS_FOREVER,
        _fields(
            replicas=_NOT_NEGATIVE, revisionHistoryLimit=_NOT_NEGATIVE, progressDeadlineSeconds={"minimum": 1}
        ),
    ),
    "api.apps.v1.DeploymentStrategy": {
        **_fields(type=_one_of("Recreate", "RollingUpdate")),
        "not": _require("type", "rollingUpdate", type=_one_of("Recreate")),
        "x-says": "has rollingUpdate, though its type is Recreate",
    },
    "api.apps.v1.ReplicaSetSpec": _all(_RUNS_FOREVER, _fields(replicas=_NOT_NEGATIVE), required=["template"]),
    "api.apps.v1.RollingUpdateDaemonSet": {
        **_fields(maxSurge=_SHARE, maxUnavailable=_SHARE),
        "anyOf": [
            _fields(maxSurge=_ZERO, maxUnavailable={"not": _ZERO}),
            _require("maxSurge", "maxUnavailable", maxSurge={"not": _ZERO}, maxUnavailable=_ZERO),
        ],
        "x-says": "needs one of maxSurge and maxUnavailable, which is 1 unless it is given, to be 0",
    },
    "api.apps.v1.RollingUpdateDeployment": {
        **_fields(maxSurge=_PERCENT, maxUnavailable=_SHARE),
        "not": _require("maxSurge", "maxUnavailable", maxSurge=_ZERO, maxUnavailable=_ZERO),
        "x-says": "has 0 for both maxSurge and maxUnavailable",
    },
    "api.apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy": _fields(
        whenDeleted=_one_of("Retain", "Delete"), whenScaled=_one_of("Retain", "Delete")
    ),
    "api.apps.v1.StatefulSetSpec": _all(
        _RUNS_FOREVER,
        _fields(
            serviceName=_DNS_LABEL,
            replicas=_NOT_NEGATIVE,
            podManagementPolicy=_one_of("OrderedReady", "Parallel"),
            ordinals=_fields(start=_NOT_NEGATIVE),
        ),
    ),
    "api.apps.v1.RollingUpdateStatefulSetStrategy": _fields(partition=_NOT_NEGATIVE),
    "api.apps.v1.StatefulSetUpdateStrategy": {
        **_fields(type=_one_of("RollingUpdate", "OnDelete")),
        "not": _require("type", "rollingUpdate", type=_one_of("OnDelete")),
        "x-says": "has rollingUpdate, though its type is OnDelete",
    },
    "api.autoscaling.v1.HorizontalPodAutoscalerSpec": _fields(
        minReplicas={"minimum": 1}, maxReplicas={"minimum": 1}, targetCPUUtilizationPercentage={"minimum": 1}
    ),
    "api.autoscaling.v1.CrossVersionObjectReference": _fields(name={"format": "path-segment"}),
    "api.autoscaling.v2.CrossVersionObjectReference": _fields(name={"format": "path-segment"}),
    "api.autoscaling.v2.ExternalMetricSource": _target_by("value", "averageValue"),
    "api.autoscaling.v2.HPAScalingPolicy": _fields(
        type=_one_of("Pods", "Percent"),
        value={"minimum": 1},
        periodSeconds={"minimum": 1, "maximum": 1800},
    ),
    "api.autoscaling.v2.HPAScalingRules": _fields(
        selectPolicy={"minLength": 1, **_one_of("Max", "Min", "Disabled")},
        stabilizationWindowSeconds={"minimum": 0, "maximum": 3600},
        policies={"minItems": 1},
    ),
    "api.autoscaling.v2.HorizontalPodAutoscalerSpec": _fields(
        minReplicas={"minimum": 1}, maxReplicas={"minimum": 1}
    ),
    "api.autoscaling.v2.MetricIdentifier": _fields(name={"format": "path-segment"}),
    "api.autoscaling.v2.MetricSpec": _all(
        _not_both(*_METRIC_BLOCKS),
        *(
            _when(_require("type", type=_one_of(kind)), _require(block), f"needs {block} for its type {kind}")
            for kind, block in _NAMES_OF_METRICS.items()
        ),
        **_fields(type=_one_of(*_NAMES_OF_METRICS)),
    ),
    "api.autoscaling.v2.MetricTarget": _fields(
        type={"minLength": 1, **_one_of("Utilization", "Value", "AverageValue")},
        averageUtilization={"minimum": 1},
    ),
    "api.autoscaling.v2.ObjectMetricSource": _target_by("value", "averageValue"),
    "api.autoscaling.v2.PodsMetricSource": _fields(
        target=_require("averageValue", type=_one_of("AverageValue"))
    ),
    "api.autoscaling.v2.ContainerResourceMetricSource": _target_by("averageValue", "averageUtilization"),
    "api.autoscaling.v2.ResourceMetricSource": _target_by("averageValue", "averageUtilization"),
    "api.batch.v1.CronJobSpec": _fields(
        concurrencyPolicy=_one_of("Allow", "Forbid", "Replace"),
        schedule={"format": "cron"},
        timeZone={"format": "time-zone"},
        startingDeadlineSeconds=_NOT_NEGATIVE,
        successfulJobsHistoryLimit=_NOT_NEGATIVE,
        failedJobsHistoryLimit=_NOT_NEGATIVE,
    ),
    "api.batch.v1.Job": _require("spec"),
    "api.batch.v1.JobSpec": {
        "allOf": [
            _when(
                _require("podFailurePolicy"),
                _fields(template=_fields(spec=_fields(restartPolicy=_one_of("Never")))),
                "has podFailurePolicy, for which its restartPolicy must be Never",
            ),
            _when(
                _require("podFailurePolicy"),
                _fields(podReplacementPolicy=_one_of("Failed")),
                "has podFailurePolicy, for which its podReplacementPolicy must be Failed",
            ),
            _when(
                _require("backoffLimitPerIndex"),
                _require("completionMode", completionMode=_one_of("Indexed")),
                "has backoffLimitPerIndex, for which its completionMode must be Indexed",
            ),
            _when(
                _require("maxFailedIndexes"),
                _require("backoffLimitPerIndex"),
                "has maxFailedIndexes, which needs backoffLimitPerIndex",
            ),
            _when(
                _require("successPolicy"),
                _require("completionMode", completionMode=_one_of("Indexed")),
                "has successPolicy, for which its completionMode must be Indexed",
            ),
            _when(
                _require("completionMode", completionMode=_one_of("Indexed")),
                _fields(parallelism={"maximum": 100_000}),
                "is Indexed, for which parallelism must be at most 100000",
            ),
            _when(
                _require("selector"),
                _require("manualSelector", manualSelector=_ON),
                "has a selector, which the server makes itself unless manualSelector is true",
            ),
        ],
        **_fields(
            backoffLimitPerIndex=_NOT_NEGATIVE,
            maxFailedIndexes=_NOT_NEGATIVE,
            podReplacementPolicy={"minLength": 1, **_one_of("Failed", "TerminatingOrFailed")},
            activeDeadlineSeconds=_NOT_NEGATIVE,
            backoffLimit=_NOT_NEGATIVE,
            completionMode=_one_of("NonIndexed", "Indexed"),
            completions=_NOT_NEGATIVE,
            managedBy=_DOMAIN_PATH,
            parallelism=_NOT_NEGATIVE,
            template=_RUNS_TO_ITS_END,
            ttlSecondsAfterFinished=_NOT_NEGATIVE,
        ),
        "anyOf": [
            _require("completions"),
            _fields(completionMode=_one_of("NonIndexed")),
            {"not": {"required": ["parallelism"]}},
        ],
        "x-says": "needs completions when it is Indexed and says how many run in parallel",
    },
    "api.batch.v1.JobTemplateSpec": _require("spec"),
    "api.batch.v1.PodFailurePolicyOnExitCodesRequirement": _all(
        _when(
            _require("operator", operator=_one_of("In")),
            _fields(values={"items": {"not": {"enum": [0]}}}),
            "has 0 among its values, with which no container fails",
        ),
        **_require("values", operator={"minLength": 1, **_one_of("In", "NotIn")}, values=_DISTINCT),
    ),
    "api.batch.v1.PodFailurePolicyOnPodConditionsPattern": _fields(
        status={"minLength": 1, **_one_of("False", "True", "Unknown")}
    ),
    "api.batch.v1.PodFailurePolicyRule": _all(
        _require_one("onExitCodes", "onPodConditions"),
        _not_both("onExitCodes", "onPodConditions"),
        **_fields(action={"minLength": 1, **_one_of("Count", "FailIndex", "FailJob", "Ignore")}),
    ),
    "api.batch.v1.SuccessPolicyRule": _require_one("succeededCount", "succeededIndexes"),
    "api.core.v1.AppArmorProfile": _fields(
        type={"minLength": 1, **_one_of("Localhost", "RuntimeDefault", "Unconfined")},
        localhostProfile={"format": "trimmed"},
    ),
    "api.core.v1.CSIPersistentVolumeSource": _fields(driver={"maxLength": 63, **_SUBDOMAIN}),
    "api.core.v1.CSIVolumeSource": _fields(driver={"maxLength": 63, **_SUBDOMAIN}),
    "api.core.v1.ConfigMap": _fields(data=_CONFIG_KEYS, binaryData=_CONFIG_KEYS),
    "api.core.v1.ConfigMapEnvSource": _REFERENCE,
    "api.core.v1.ConfigMapKeySelector": _KEY_OF,
    "api.core.v1.ConfigMapProjection": _require("name"),
    "api.core.v1.ConfigMapVolumeSource": _require("name", defaultMode=_MODE),
    "api.core.v1.Container": _require(
        "image",
        name=_DNS_LABEL,
        image={"format": "trimmed"},
        livenessProbe=_ONCE,
        startupProbe=_ONCE,
        ports=_require_unique("name"),
        readinessProbe=_fields(terminationGracePeriodSeconds=_NEVER),
        resizePolicy=_require_unique("resourceName"),
        restartPolicy=_one_of("Always", "Never", "OnFailure"),
        imagePullPolicy=_one_of("Always", "IfNotPresent", "Never"),
        terminationMessagePolicy=_one_of("File", "FallbackToLogsOnError"),
        volumeMounts=_require_unique("mountPath"),
    ),
    "api.core.v1.ContainerResizePolicy": _fields(
        resourceName={"minLength": 1, **_one_of("cpu", "memory")},
        restartPolicy={"minLength": 1, **_one_of("NotRequired", "RestartContainer")},
    ),
    "api.core.v1.ContainerPort": _fields(
        containerPort=_PORT,
        hostPort={**_PORT, "minimum": 0},
        name={"format": "port-name"},
        protocol=_PROTOCOL,
    ),
    "api.core.v1.DownwardAPIVolumeFile": _fields(
        path=_INSIDE, fieldRef=_fields(fieldPath={"pattern": r"^metadata\."})
    ),
    "api.core.v1.EnvFromSource": _all(
        _require_one("configMapRef", "secretRef"),
        _not_both("configMapRef", "secretRef"),
        **_fields(prefix={"format": "variable-name"}),
    ),
    "api.core.v1.EnvVar": {
        **_fields(name={"format": "variable-name"}),
        "not": {"required": ["value", "valueFrom"]},
        "x-says": "has both value and valueFrom",
    },
    "api.core.v1.EnvVarSource": {
        **_fields(fieldRef=_fields(fieldPath={"not": {"pattern": r"^metadata\.(labels|annotations)$"}})),
        "minProperties": 1,
        "maxProperties": 1,
    },
    "api.core.v1.EphemeralVolumeSource": _require("volumeClaimTemplate"),
    "api.core.v1.ExecAction": _require("command", command={"minItems": 1}),
    "api.core.v1.GRPCAction": _fields(port=_PORT),
    "api.core.v1.HTTPHeader": _fields(name={"format": "header-name"}),
    "api.core.v1.HTTPGetAction": _fields(port=_PORT_OR_NAME, scheme=_one_of("HTTP", "HTTPS")),
    "api.core.v1.HostAlias": _fields(ip={"format": "ip"}, hostnames={"items": _SUBDOMAIN}),
    "api.core.v1.HostPathVolumeSource": _fields(
        path={"format": "path-without-up"},
        type=_one_of(
            "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"
        ),
    ),
    "api.core.v1.ImageVolumeSource": _require(
        "reference", pullPolicy=_one_of("Always", "IfNotPresent", "Never")
    ),
    "api.core.v1.KeyToPath": _fields(mode=_MODE, path=_INSIDE),
    "api.core.v1.LifecycleHandler": {"minProperties": 1, "maxProperties": 1},
    "api.core.v1.LimitRangeItem": _all(
        _when(
            _require("type", type=_one_of("Pod")),
            _fields(default={"maxProperties": 0}, defaultRequest={"maxProperties": 0}),
            "has a default, which there is none of for type Pod",
        ),
        _when(
            _require("type", type=_one_of("PersistentVolumeClaim")),
            {"anyOf": [_require(side, **{side: _require("storage")}) for side in ("min", "max")]},
            "needs a min or max of storage, for its type",
        ),
        **_fields(
            type={"pattern": "^(Container|Pod|PersistentVolumeClaim|$|[^/]+/[^/]+$)"},
            default=_LIMITED,
            defaultRequest=_LIMITED,
            max=_LIMITED,
            maxLimitRequestRatio=_LIMITED,
            min=_LIMITED,
        ),
    ),
    "api.core.v1.LimitRangeSpec": _fields(limits=_require_unique("type")),
    "api.core.v1.NodeSelector": _fields(
        nodeSelectorTerms={
            "items": _fields(matchExpressions={"items": _fields(values={"items": {"format": "label-value"}})})
        }
    ),
    "api.core.v1.NFSVolumeSource": _fields(path={"pattern": "^(/|$)"}),
    "api.core.v1.NodeSelectorTerm": _fields(
        matchFields={
            "items": _fields(
                key=_one_of("metadata.name"), operator=_one_of("In", "NotIn"), values={"maxItems": 1}
            )
        }
    ),
    "api.core.v1.NodeSelectorRequirement": _all(
        _when(
            _require("operator", operator=_one_of("Gt", "Lt")),
            _fields(values={"maxItems": 1}),
            "needs exactly one value with Gt and Lt",
        ),
        **_select_by("Gt", "Lt", key={"format": "label-key"}),
    ),
    "api.core.v1.ObjectFieldSelector": _fields(fieldPath={"pattern": _FIELD}),
    "api.core.v1.PersistentVolume": _require("spec"),
    "api.core.v1.PersistentVolumeClaim": _require("spec"),
    "api.core.v1.PersistentVolumeClaimSpec": _require(
        "accessModes",
        "resources",
        accessModes=_all(
            _ACCESS_MODES,
            {
                "anyOf": [{"maxItems": 1}, {"items": {"not": _one_of("ReadWriteOncePod")}}],
                "x-says": "has ReadWriteOncePod beside other modes",
            },
        ),
        resources=_require("requests", requests=_require("storage")),
        dataSource=_when(
            {
                "anyOf": [  # the server drops every other
                    {
                        **_require("kind", kind=_one_of("PersistentVolumeClaim")),
                        "not": _require("apiGroup", apiGroup={"minLength": 1}),
                    },
                    _require(
                        "kind",
                        "apiGroup",
                        kind=_one_of("VolumeSnapshot"),
                        apiGroup=_one_of("snapshot.storage.k8s.io"),
                    ),
                ]
            },
            _require("name"),
            "needs a name",
        ),
        storageClassName=_SUBDOMAIN,
        volumeMode=_VOLUME_MODE,
    ),
    "api.core.v1.PodOS": _require("name", name=_one_of("linux", "windows")),
    "api.core.v1.PodReadinessGate": _fields(conditionType={"format": "label-key"}),
    "api.core.v1.PodSchedulingGate": _fields(name={"format": "label-key"}),
    "api.core.v1.PersistentVolumeSpec": _all(
        _require_one(*_DISKS),
        _not_both(*_DISKS),
        _when(_require("local"), _require("nodeAffinity"), "is local, and needs nodeAffinity"),
        **_require(
            "accessModes",
            "capacity",
            accessModes=_ACCESS_MODES,
            capacity=_require("storage", propertyNames={"enum": ["storage"]}),
            nodeAffinity=_require("required"),
            persistentVolumeReclaimPolicy=_one_of("Retain", "Delete", "Recycle"),
            storageClassName=_SUBDOMAIN,
            volumeMode=_VOLUME_MODE,
        ),
    ),
    "api.core.v1.Pod": _require("spec"),
    "api.core.v1.PodAffinityTerm": _fields(topologyKey={"format": "label-key"}),
    "api.core.v1.PodResourceClaim": _all(
        _require_one("resourceClaimName", "resourceClaimTemplateName"),
        _not_both("resourceClaimName", "resourceClaimTemplateName"),
        **_fields(resourceClaimName=_SUBDOMAIN, resourceClaimTemplateName=_SUBDOMAIN),
    ),
    "api.core.v1.PodSecurityContext": _fields(
        sysctls=_require_unique("name"),
        fsGroup=_USER,
        fsGroupChangePolicy=_one_of("Always", "OnRootMismatch"),
        supplementalGroupsPolicy=_one_of("Merge", "Strict"),
        seLinuxChangePolicy=_one_of("MountOption", "Recursive"),
        runAsGroup=_USER,
        runAsUser=_USER,
    ),
    "api.core.v1.PodSpec": _all(
        _when(
            _require("dnsPolicy", dnsPolicy=_one_of("None")),
            _require("dnsConfig"),
            "needs dnsConfig when its dnsPolicy is None",
        ),
        _not_both("hostPID", "shareProcessNamespace", hostPID=_ON, shareProcessNamespace=_ON),
        *(
            _when(
                _require("hostUsers", hostUsers={"enum": [False]}),
                _fields(**{space: {"not": _ON}}),
                f"has hostUsers: false, for which {space} must not be true",
            )
            for space in ("hostPID", "hostIPC")  # the network may be shared where a feature gate is on
        ),
        **_fields(
            activeDeadlineSeconds={"minimum": 1, "maximum": 2**31 - 1},
            containers=_require_unique("name"),
            dnsPolicy=_one_of("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
            hostname=_DNS_LABEL,
            initContainers=_require_unique("name"),
            nodeName=_SUBDOMAIN,
            nodeSelector=_LABELS,
            preemptionPolicy={"minLength": 1, **_one_of("PreemptLowerPriority", "Never")},
            ephemeralContainers={"maxItems": 0},
            schedulingGates=_require_unique("name"),
            priorityClassName=_SUBDOMAIN,
            resourceClaims=_require_unique("name"),
            restartPolicy=_one_of("Always", "OnFailure", "Never"),
            runtimeClassName=_SUBDOMAIN,
            serviceAccountName=_SUBDOMAIN,
            subdomain=_DNS_LABEL,
            topologySpreadConstraints={"x-unique": ["topologyKey", "whenUnsatisfiable"]},
            volumes=_require_unique("name"),
        ),
    ),
    "api.core.v1.PodTemplateSpec": _require("spec", metadata=_TEMPLATE_METADATA),
    "api.core.v1.PreferredSchedulingTerm": _fields(weight=_WEIGHT),
    "api.core.v1.Probe": _all(
        _require_one(*_HANDLERS),
        _not_both(*_HANDLERS),
        **_fields(
            failureThreshold=_NOT_NEGATIVE,
            initialDelaySeconds=_NOT_NEGATIVE,
            periodSeconds=_NOT_NEGATIVE,
            successThreshold=_NOT_NEGATIVE,
            terminationGracePeriodSeconds={"minimum": 1},
            timeoutSeconds=_NOT_NEGATIVE,
        ),
    ),
    "api.core.v1.ProjectedVolumeSource": _fields(defaultMode=_MODE),
    "api.core.v1.ResourceRequirements": _fields(
        limits=_RESOURCES,
        requests=_RESOURCES,
        claims={"x-unique": ["name", "request"], "items": _fields(request={"default": ""})},
    ),
    "api.core.v1.ResourceQuotaSpec": _fields(
        scopes=_all(
            *(
                {
                    "not": {"allOf": [{"not": {"items": {"not": _one_of(scope)}}} for scope in pair]},
                    "x-says": f"has both {pair[0]} and {pair[1]}",
                }
                for pair in (("Terminating", "NotTerminating"), ("BestEffort", "NotBestEffort"))
            ),
            items=_one_of(*_QUOTA_SCOPES),
        ),
        hard={"propertyNames": {"format": "quota-resource"}, "additionalProperties": _NOT_NEGATIVE},
    ),
    "api.core.v1.ScopedResourceSelectorRequirement": _select_by(scopeName=_one_of(*_QUOTA_SCOPES)),
    "api.core.v1.ResourceFieldSelector": _fields(resource={"format": "downward-resource"}),
    "api.core.v1.SeccompProfile": _all(
        _when(
            _require("type", type=_one_of("Localhost")),
            _require("localhostProfile", localhostProfile={"minLength": 1}),
            "needs localhostProfile for its type Localhost",
        ),
        _when(
            _require("localhostProfile", localhostProfile={"minLength": 1}),
            _require("type", type=_one_of("Localhost")),
            "has localhostProfile, for which its type must be Localhost",
        ),
        **_fields(type=_one_of("Localhost", "RuntimeDefault", "Unconfined")),
    ),
    "api.core.v1.ServiceAccountTokenProjection": _fields(
        expirationSeconds={"minimum": 600, "maximum": 2**32}
    ),
    "api.core.v1.Sysctl": _fields(name={"format": "sysctl"}),
    "api.core.v1.Secret": _fields(data=_CONFIG_KEYS, stringData=_CONFIG_KEYS),
    "api.core.v1.SecretEnvSource": _REFERENCE,
    "api.core.v1.SecretKeySelector": _KEY_OF,
    "api.core.v1.SecretProjection": _require("name"),
    "api.core.v1.SecretVolumeSource": _require("secretName", defaultMode=_MODE),
    "api.core.v1.SecurityContext": {
        **_fields(runAsGroup=_USER, runAsUser=_USER),
        "not": _require(
            "privileged",
            "allowPrivilegeEscalation",
            privileged=_ON,
            allowPrivilegeEscalation={"enum": [False]},
        ),
        "x-says": "is privileged and has allowPrivilegeEscalation: false",
    },
    "api.core.v1.Service": _require("spec"),
    "api.core.v1.ServicePort": _fields(
        appProtocol=_LABEL_KEY,
        name=_DNS_LABEL,
        port=_PORT,
        protocol=_PROTOCOL,
        targetPort={**_PORT_OR_NAME, "minimum": 0},
    ),
    "api.core.v1.ServiceSpec": {
        "allOf": [
            _when(
                _require("type", type=_one_of("ExternalName")),
                {**_require("externalName"), "not": _require("clusterIP", clusterIP={"minLength": 1})},
                "needs externalName and no clusterIP for its type ExternalName",
            ),
            _when(
                _require("loadBalancerSourceRanges"),
                _require("type", **_BALANCED),
                "has loadBalancerSourceRanges, for which its type must be LoadBalancer",
            ),
            _when(
                _require("loadBalancerClass"),
                _require("type", **_BALANCED),
                "has loadBalancerClass, for which its type must be LoadBalancer",
            ),
            _when(
                _require("type", **_FROM_OUTSIDE),
                {"not": _require("clusterIP", clusterIP=_one_of("None"))},
                "is headless (clusterIP: None), for which its type must be ClusterIP",
            ),
            _when(
                _require("healthCheckNodePort", healthCheckNodePort={"minimum": 1}),
                _require("externalTrafficPolicy", externalTrafficPolicy=_one_of("Local")),
                "has healthCheckNodePort, for which its externalTrafficPolicy must be Local",
            ),
            _when(
                _require("externalTrafficPolicy"),
                _require("type", **_FROM_OUTSIDE),
                "has externalTrafficPolicy, for which its type must be LoadBalancer or NodePort",
            ),
        ],
        **_fields(
            externalName=_SUBDOMAIN,
            ipFamilies={**_DISTINCT, "items": {"minLength": 1, **_one_of("IPv4", "IPv6")}},
            loadBalancerSourceRanges={"items": _CIDR},
            trafficDistribution={
                "minLength": 1,
                **_one_of("PreferClose", "PreferSameZone", "PreferSameNode"),
            },
            sessionAffinityConfig=_fields(clientIP=_fields(timeoutSeconds={"minimum": 1, "maximum": 86_400})),
            clusterIP={"format": "cluster-ip"},
            externalTrafficPolicy=_LOCALITY,
            internalTrafficPolicy={"minLength": 1, **_LOCALITY},
            ports=_require_unique("name"),
            ipFamilyPolicy=_one_of("SingleStack", "PreferDualStack", "RequireDualStack"),
            selector=_LABELS,
            sessionAffinity=_one_of("None", "ClientIP"),
            type=_one_of("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"),
        ),
        "anyOf": [
            _require("ports"),
            _require("clusterIP", clusterIP=_one_of("None")),
            _require("type", type=_one_of("ExternalName")),
        ],
        "x-says": "needs ports, unless it is headless (clusterIP: None) or of type ExternalName",
    },
    "api.core.v1.TCPSocketAction": _fields(port=_PORT_OR_NAME),
    "api.core.v1.Toleration": _all(
        _when(
            _require("operator", operator=_one_of("Exists")),
            {"not": _require("value")},
            "has a value, though its operator is Exists",
        ),
        _when(
            {"not": _require("key")},
            _require("operator", operator=_one_of("Exists")),
            "needs a key, or operator: Exists",
        ),
        _when(
            _require("tolerationSeconds"),
            _require("effect", effect=_one_of("NoExecute")),
            "has tolerationSeconds, for which its effect must be NoExecute",
        ),
        **_fields(
            effect=_one_of("NoSchedule", "PreferNoSchedule", "NoExecute"),
            key={"format": "label-key-or-empty"},
            operator=_one_of("Exists", "Equal", "Lt", "Gt"),
            value={"format": "label-value"},
        ),
    ),
    "api.core.v1.TopologySpreadConstraint": _all(
        _when(
            _require("minDomains"),
            _require("whenUnsatisfiable", whenUnsatisfiable=_one_of("DoNotSchedule")),
            "has minDomains, for which whenUnsatisfiable must be DoNotSchedule",
        ),
        _when(
            _require("matchLabelKeys", matchLabelKeys={"minItems": 1}),
            _require("labelSelector"),
            "has matchLabelKeys, which need a labelSelector",
        ),
        **_fields(
            maxSkew={"minimum": 1},
            minDomains={"minimum": 1},
            whenUnsatisfiable=_one_of("DoNotSchedule", "ScheduleAnyway"),
        ),
    ),
    "api.core.v1.Volume": {
        **_fields(name=_DNS_LABEL),
        "maxProperties": 2,
        "x-says": "has more than one kind of source",
    },
    "api.core.v1.VolumeProjection": {"maxProperties": 1},
    "api.core.v1.VolumeMount": _all(
        _not_both("subPath", "subPathExpr"),
        _when(
            _require("recursiveReadOnly", recursiveReadOnly=_one_of("Enabled", "IfPossible")),
            _require("readOnly", readOnly=_ON),
            "has recursiveReadOnly, for which readOnly must be true",
        ),
        **_fields(
            subPath=_INSIDE,
            subPathExpr=_INSIDE,
            mountPropagation=_one_of("Bidirectional", "HostToContainer", "None"),
        ),
    ),
    "api.core.v1.WeightedPodAffinityTerm": _fields(weight=_WEIGHT),
    "api.networking.v1.HTTPIngressPath": _all(
        _when(
            _require("pathType", pathType=_one_of("Exact", "Prefix")),
            _require("path", path={"minLength": 1}),
            "needs a path that begins with /, for its pathType",
        ),
        _when(
            _require("pathType", pathType=_one_of("Exact", "Prefix")),
            _fields(path={"format": "plain-path"}),
            "has a path with //, /./, /../ or a / in percent encoding, which its pathType does not allow",
        ),
        **_fields(
            path={"pattern": "^(/|$)"},
            pathType={"minLength": 1, **_one_of("Exact", "Prefix", "ImplementationSpecific")},
        ),
    ),
    "api.networking.v1.IPBlock": _fields(cidr=_CIDR, **{"except": {"items": _CIDR}}),
    "api.networking.v1.IngressBackend": _all(
        _require_one("service", "resource"),
        _not_both("service", "resource"),
        **_fields(resource=_require("kind", "name")),
    ),
    "api.networking.v1.IngressClassParametersReference": _all(
        _when(
            _require("scope", scope=_one_of("Namespace")),
            _require("namespace"),
            "needs a namespace for its scope Namespace",
        ),
        **_fields(scope={"minLength": 1, **_one_of("Cluster", "Namespace")}),
    ),
    "api.networking.v1.IngressClassSpec": _fields(controller=_DOMAIN_PATH),
    "api.networking.v1.IngressRule": _fields(host=_HOST),
    "api.networking.v1.IngressServiceBackend": _require("name", "port", name=_DNS_LABEL),
    "api.networking.v1.Ingress": _require("spec"),
    "api.networking.v1.IngressSpec": _all(
        _require_one("defaultBackend", "rules"), **_fields(ingressClassName=_SUBDOMAIN)
    ),
    "api.networking.v1.IngressTLS": _fields(
        hosts={"items": {"minLength": 1, **_HOST}}, secretName=_SUBDOMAIN
    ),
    "api.networking.v1.NetworkPolicyPeer": {
        "minProperties": 1,
        "not": {**_require("ipBlock"), "minProperties": 2},
        "x-says": "must be an ipBlock, or select pods and namespaces",
    },
    "api.networking.v1.NetworkPolicyPort": _fields(
        port=_PORT_OR_NAME, endPort=_PORT, protocol={"minLength": 1, **_PROTOCOL}
    ),
    "api.networking.v1.NetworkPolicySpec": _fields(
        policyTypes={"maxItems": 2, "items": {"minLength": 1, **_one_of("Ingress", "Egress")}}
    ),
    "api.networking.v1.ServiceBackendPort": _all(
        _require_one("name", "number"),
        _not_both("name", "number"),
        **_fields(name={"format": "port-name"}, number=_PORT),
    ),
    "api.policy.v1.PodDisruptionBudgetSpec": _all(
        _not_both("minAvailable", "maxUnavailable"),
        **_fields(
            minAvailable={**_SHARE, **_NOT_NEGATIVE},
            maxUnavailable={**_SHARE, **_NOT_NEGATIVE},
            unhealthyPodEvictionPolicy={"minLength": 1, **_one_of("AlwaysAllow", "IfHealthyBudget")},
        ),
    ),
    "api.node.v1.Overhead": _fields(podFixed=_RESOURCES),
    "api.node.v1.RuntimeClass": _require("handler", handler={"minLength": 1, **_DNS_LABEL}),
    "api.rbac.v1.AggregationRule": _require("clusterRoleSelectors", clusterRoleSelectors={"minItems": 1}),
    "api.rbac.v1.PolicyRule": {
        "anyOf": [_require("apiGroups", "resources"), _require("nonResourceURLs")],
        "not": {
            "anyOf": [_require("nonResourceURLs", part) for part in ("apiGroups", "resources")],
        },
        "x-says": "needs either apiGroups and resources, or nonResourceURLs",
    },
    "api.rbac.v1.Role": _fields(rules={"items": _fields(nonResourceURLs={"maxItems": 0})}),
    "api.rbac.v1.ClusterRoleBinding": _fields(
        roleRef=_fields(kind=_one_of("ClusterRole")),
        subjects={
            "items": _when(
                _require("kind", kind=_one_of("ServiceAccount")),
                _require("namespace"),
                "needs the namespace of its ServiceAccount",
            )
        },
    ),
    "api.rbac.v1.RoleRef": _fields(apiGroup=_one_of(_RBAC), kind=_one_of("Role", "ClusterRole")),
    "api.rbac.v1.Subject": {
        "allOf": [
            _when(
                _require("kind", kind=_one_of("User", "Group")),
                _fields(apiGroup=_one_of(_RBAC)),
                f"is of the group {_RBAC}, if it is of any",
            )
        ],
        **_fields(kind=_one_of("ServiceAccount", "User", "Group")),
        **_where(
            _require("kind", kind=_one_of("ServiceAccount")),
            _fields(name=_SUBDOMAIN, apiGroup={"enum": [""]}),
        ),
    },
    "api.resource.v1.DeviceClaim": _fields(requests=_require_unique("name")),
    "api.resource.v1.DeviceConstraint": _fields(matchAttribute={"format": "domain-path"}),
    "api.resource.v1.DeviceRequest": _all(
        _require_one("exactly", "firstAvailable"),
        _not_both("exactly", "firstAvailable"),
        **_fields(name=_DNS_LABEL, firstAvailable=_require_unique("name")),
    ),
    "api.resource.v1.DeviceSubRequest": _all(_COUNTED, **_fields(name=_DNS_LABEL)),
    "api.resource.v1.DeviceSelector": _require("cel"),
    "api.resource.v1.ExactDeviceRequest": _COUNTED,
    "api.resource.v1.OpaqueDeviceConfiguration": _fields(driver={"maxLength": 63, **_SUBDOMAIN}),
    "api.scheduling.v1.PriorityClass": _fields(
        preemptionPolicy={"minLength": 1, **_one_of("PreemptLowerPriority", "Never")},
    ),
    "api.coordination.v1.LeaseSpec": _fields(leaseDurationSeconds={"minimum": 1}),
    "api.discovery.v1.EndpointPort": _fields(name=_DNS_LABEL),
    "api.discovery.v1.EndpointSlice": _fields(
        addressType={"minLength": 1, **_one_of("IPv4", "IPv6", "FQDN")}, ports=_require_unique("name")
    ),
    "api.core.v1.PodDNSConfig": _fields(
        nameservers={"maxItems": 3, "items": {"format": "ip"}}, searches={"maxItems": 32}
    ),
    "api.core.v1.PodDNSConfigOption": _require("name"),
    "api.core.v1.TopologySelectorLabelRequirement": _fields(key=_LABEL_KEY, values=_DISTINCT),
    "api.core.v1.TopologySelectorTerm": _require(
        "matchLabelExpressions", matchLabelExpressions=_require_unique("key")
    ),
    "api.storage.v1.StorageClass": _fields(
        parameters={"propertyNames": {"minLength": 1}},
        provisioner={"format": "label-key"},
        allowedTopologies=_DISTINCT,
        reclaimPolicy={"minLength": 1, **_one_of("Delete", "Retain", "Recycle")},
        volumeBindingMode={"minLength": 1, **_one_of("Immediate", "WaitForFirstConsumer")},
    ),
    "apimachinery.pkg.apis.meta.v1.LabelSelector": _fields(matchLabels=_LABELS),
    "apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement": _select_by(
        key={"format": "label-key"}, values={"items": {"format": "label-value"}}
    ),
}

# What a release enforces in place of the above, from that minor release of Kubernetes 1 on.
ENFORCED_SINCE: dict[int, dict[str, Schema]] = {
    37: {  # HPAScaleToZero is on: relations.py asks for a metric that is not of the pods
        "api.autoscaling.v2.HorizontalPodAutoscalerSpec": _fields(
            minReplicas=_NOT_NEGATIVE, maxReplicas={"minimum": 1}
        ),
    },
}

NOT_REQUIRED: dict[str, tuple[str, ...]] = {
    "api.batch.v1.PodFailurePolicy": ("rules",),
    "api.core.v1.ClusterTrustBundleProjection": ("path",),
    "api.core.v1.HTTPHeader": ("value",),
    "api.core.v1.ISCSIPersistentVolumeSource": ("lun",),
    "api.core.v1.ISCSIVolumeSource": ("lun",),
    "api.core.v1.LimitRangeSpec": ("limits",),
    "api.core.v1.PreferredSchedulingTerm": ("preference",),
    "api.core.v1.SleepAction": ("seconds",),
    "api.core.v1.Sysctl": ("value",),
    "api.core.v1.TypedLocalObjectReference": ("kind", "name"),
    "api.discovery.v1.ForZone": ("name",),
    "api.resource.v1.ResourcePool": ("generation", "resourceSliceCount"),
    "api.storage.v1.CSIDriver": ("spec",),
    "api.storage.v1.TokenRequest": ("audience",),
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion": (
        "served",
        "storage",
    ),
    "apimachinery.pkg.apis.meta.v1.OwnerReference": ("apiVersion", "kind", "name", "uid"),
}
"""What the server does without though the schema requires it: there the zero value is as good."""

REPLACED: dict[str, Schema] = {
    "apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"], "format": "quantity"},
    "apimachinery.pkg.apis.meta.v1.MicroTime": {"type": "string", "format": "micro-time"},
    "apimachinery.pkg.util.intstr.IntOrString": {"x-kubernetes-int-or-string": True, "format": "int32"},
}
"""Types that decode themselves."""

_PATH_SEGMENT = {"format": "path-segment"}
NAMES: dict[tuple[str, str], Schema] = {
    ("", "Event"): _PATH_SEGMENT,
    ("", "Namespace"): _DNS_LABEL,
    ("", "Service"): _DNS_LABEL,  # before Kubernetes 1.36 it had to start with a letter, too
    ("apps", "StatefulSet"): _DNS_LABEL,
    ("batch", "CronJob"): {**_SUBDOMAIN, "maxLength": 52},
    ("batch", "Job"): {**_SUBDOMAIN, "maxLength": 63},
    ("policy", "PodDisruptionBudget"): _PATH_SEGMENT,
    ("rbac.authorization.k8s.io", "ClusterRole"): _PATH_SEGMENT,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _PATH_SEGMENT,
    ("rbac.authorization.k8s.io", "Role"): _PATH_SEGMENT,
    ("rbac.authorization.k8s.io", "RoleBinding"): _PATH_SEGMENT,
}
"""What a name must be, by group and kind, where a DNS subdomain is not it."""
ANY_NAME = _SUBDOMAIN
