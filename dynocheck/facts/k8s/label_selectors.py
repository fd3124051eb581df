"""Label selectors, and how they match labels that are known in full or in part."""

from collections.abc import Iterable, Mapping

import msgspec

from dynocheck.facts.recipe.documents import Value


class SelectorExpression(msgspec.Struct, frozen=True):
    """A requirement on a label; `operator` is In, NotIn, Exists or DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, value: str | None) -> bool | None:
        """Whether a label's value, None if absent, meets it; None for any other operator."""
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
        return None


class LabelSelector(msgspec.Struct, frozen=True):
    """A label selector; an empty one matches everything."""

    labels: dict[str, str] = {}
    expressions: tuple[SelectorExpression, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether it matches an object with exactly these labels."""
        return selects(self, labels, complete=True) is True

    @property
    def keys(self) -> set[str]:
        """The labels that it names."""
        return {*self.labels, *(expression.key for expression in self.expressions)}

    @property
    def is_empty(self) -> bool:
        return not self.labels and not self.expressions

    def __str__(self) -> str:
        parts = [f"{key}={value}" for key, value in self.labels.items()]
        for expression in self.expressions:
            values = f" ({', '.join(expression.values)})" if expression.values else ""
            parts.append(f"{expression.key} {expression.operator}{values}")
        return ", ".join(parts) or "everything"


class Selector(LabelSelector, frozen=True):
    """A label selector that is recorded under the API's own field names."""

    labels: dict[str, str] = msgspec.field(default_factory=dict, name="matchLabels")
    expressions: tuple[SelectorExpression, ...] = msgspec.field(default=(), name="matchExpressions")


def selects(selector: LabelSelector, labels: Mapping[str, str], *, complete: bool = False) -> bool | None:
    """Whether a selector matches an object with these labels; None if that depends on labels not known.

    :param complete: whether the object has no other labels.
    """
    expressions = [SelectorExpression(key, "In", (value,)) for key, value in selector.labels.items()]
    return all_hold(
        expression.matches(labels.get(expression.key)) if complete or expression.key in labels else None
        for expression in (*expressions, *selector.expressions)
    )


def all_hold(answers: Iterable[bool | None]) -> bool | None:
    """Three-valued `all`: False if one is False, else None if one is None."""
    unique = set(answers)
    return False if False in unique else None if None in unique else True


def read_expressions(expressions: Iterable[Value]) -> tuple[SelectorExpression, ...]:
    """The expressions in a manifest: `matchExpressions` or `matchFields`."""
    return tuple(
        SelectorExpression(
            expression.get_text("key"),
            expression.get_text("operator"),
            tuple(value.text or "" for value in expression.get_items("values")),
        )
        for expression in expressions
    )
