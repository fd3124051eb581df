"""What the API server takes and refuses, told without one."""

from dynocheck.schema.definitions import Definitions
from dynocheck.schema.kinds import served
from dynocheck.schema.rules import available as evaluates_rules
from dynocheck.schema.validation import validate
from dynocheck.schema.validator import Violation

__all__ = ["Definitions", "Violation", "evaluates_rules", "served", "validate"]
