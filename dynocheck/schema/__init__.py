"""What the API server takes and refuses, told without one."""

from dynocheck.schema.validation import Violation, validate

__all__ = ["Violation", "validate"]
