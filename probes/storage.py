"""StorageClasses."""

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, StorageClass, StorageClasses
from dynocheck.kube import Cluster
from dynocheck.probes.wire import Meta

_DEFAULT_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


class _Class(msgspec.Struct, rename="camel"):
    metadata: Meta
    provisioner: str
    parameters: dict[str, str] | None = None
    volume_binding_mode: str = "Immediate"
    reclaim_policy: str = "Delete"
    allow_volume_expansion: bool = False


@probe(access=[Access("list", "storageclasses", "storage.k8s.io")])
def storage_classes(cluster: Cluster) -> StorageClasses:
    return StorageClasses(
        tuple(
            StorageClass(
                name=found.metadata.name,
                provisioner=found.provisioner,
                is_default=any(
                    (found.metadata.annotations or {}).get(key) == "true" for key in _DEFAULT_ANNOTATIONS
                ),
                created=found.metadata.creation_timestamp,
                parameters=found.parameters or {},
                binding_mode=found.volume_binding_mode,
                reclaim_policy=found.reclaim_policy,
                allows_expansion=found.allow_volume_expansion,
            )
            for found in cluster.items("/apis/storage.k8s.io/v1/storageclasses", _Class)
        )
    )
