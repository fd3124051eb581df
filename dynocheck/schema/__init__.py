"""What the API server takes and refuses, told without one."""

from dynocheck.schema.definitions import Definitions
from dynocheck.schema.kinds import served_versions, suggest_kind
from dynocheck.schema.rules import can_evaluate_rules as evaluates_rules
from dynocheck.schema.validation import validate, validate_component_pods
from dynocheck.schema.validator import SchemaViolation

__all__ = [
    "Definitions",
    "SchemaViolation",
    "evaluates_rules",
    "served_versions",
    "suggest_kind",
    "validate",
    "validate_component_pods",
]
