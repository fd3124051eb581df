"""What can be known: small, typed, immutable values that can be written to a file and read back."""

from dynocheck.facts.base import Fact, Many, Settings, Unavailable
from dynocheck.facts.cluster import (
    Access,
    AccessReview,
    ApiServer,
    ClusterFact,
    Condition,
    CustomResourceDefinition,
    CustomResourceDefinitions,
    Node,
    Nodes,
    OperatorPods,
    Permissions,
    Pod,
    ResourceSlices,
    Slice,
    StorageClass,
    StorageClasses,
    Taint,
)
from dynocheck.facts.recipe import RecipeFact, Recipes

__all__ = [
    "Access",
    "AccessReview",
    "ApiServer",
    "ClusterFact",
    "Condition",
    "CustomResourceDefinition",
    "CustomResourceDefinitions",
    "Fact",
    "Many",
    "Node",
    "Nodes",
    "OperatorPods",
    "Permissions",
    "Pod",
    "RecipeFact",
    "Recipes",
    "ResourceSlices",
    "Settings",
    "Slice",
    "StorageClass",
    "StorageClasses",
    "Taint",
    "Unavailable",
]
