"""Label selectors on what is only partly known: yes, no, or None where it depends on what is not."""

from collections.abc import Iterable, Mapping

from dynocheck.facts.k8s.namespace_policy import Selector, SelectorExpression


def selects(selector: Selector, labels: Mapping[str, str], *, complete: bool = False) -> bool | None:
    """Whether a selector selects what has these labels.

    :param complete: that it has no others.
    """
    wanted = (SelectorExpression(k, "In", (v,)) for k, v in selector.match_labels.items())
    return all_hold(_holds(each, labels, complete) for each in (*wanted, *selector.match_expressions))


def all_hold(answers: Iterable[bool | None]) -> bool | None:
    """Whether all hold: no when one does not, None when one may not."""
    found = set(answers)
    return False if False in found else None if None in found else True


def _holds(expression: SelectorExpression, labels: Mapping[str, str], complete: bool) -> bool | None:
    value = labels.get(expression.key)
    if value is None and not complete:
        return None
    match expression.operator:
        case "In":
            return value in expression.values
        case "NotIn":
            return value not in expression.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return None
