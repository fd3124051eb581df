"""What the API server takes and refuses, told without one."""

from dynocheck.schema.definitions import Definitions
from dynocheck.schema.kinds import served_versions, suggest_kind
from dynocheck.schema.rules import explain_no_rules
from dynocheck.schema.validation import validate, validate_component_pods, validate_metadata
from dynocheck.schema.validator import SchemaViolation

__all__ = [
    "Definitions",
    "SchemaViolation",
    "explain_no_rules",
    "served_versions",
    "suggest_kind",
    "validate",
    "validate_component_pods",
    "validate_metadata",
]
