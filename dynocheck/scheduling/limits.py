"""What a namespace's LimitRanges give and its quotas count."""

from fractions import Fraction

from dynocheck.facts.capacity import NamespaceLimits
from dynocheck.scheduling.quantities import quantity


def defaults_of(limits: NamespaceLimits) -> dict[str, dict[str, Fraction]]:
    """The limits and requests that containers get that state none; the first LimitRange wins."""
    found: dict[str, dict[str, Fraction]] = {"default": {}, "defaultRequest": {}}
    for limit in limits.limits:
        if limit.type == "Container":
            for name, values in (("default", limit.default), ("defaultRequest", limit.default_request)):
                for resource, value in values.items():
                    found[name].setdefault(resource, quantity(value))
    return found
