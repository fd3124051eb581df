"""The shapes that API objects share on the wire."""

import msgspec

METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"  # to be accepted for a list


class ObjectMeta(msgspec.Struct, rename="camel"):
    """`creation_timestamp` is null in pod templates of API servers before 1.34."""

    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str = ""
    generation: int = 0


class PartialObject(msgspec.Struct):
    """An object of which no more than its metadata is read."""

    metadata: ObjectMeta


class StatusCondition(msgspec.Struct):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
