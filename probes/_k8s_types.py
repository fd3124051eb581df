"""Parts that API objects share, as decoded from JSON."""

from collections.abc import Iterable

import msgspec

from dynocheck.facts import Condition

METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"  # Accept header of a list


class ObjectMeta(msgspec.Struct, rename="camel"):
    """The metadata of an object. `creation_timestamp` is null in pod templates of API servers before 1.34."""

    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str = ""
    generation: int = 0


class PartialObject(msgspec.Struct):
    """An object of which only the metadata is read."""

    metadata: ObjectMeta


class StatusCondition(msgspec.Struct):
    """A condition of an object's status."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


def make_conditions(conditions: Iterable[StatusCondition] | None) -> tuple[Condition, ...]:
    return tuple(Condition(c.type, c.status, c.reason, c.message) for c in conditions or ())
