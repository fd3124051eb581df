"""Tests of Acme's checks, with facts made by hand."""

from acme_dynocheck.checks import namespace_owner, priority_class
from acme_dynocheck.facts import NamespaceOwner, PriorityClass, PriorityClasses


def test_a_missing_priority_class_fails() -> None:
    (finding,) = priority_class(PriorityClasses())
    assert finding.outcome == "fail"
    assert not list(priority_class(PriorityClasses((PriorityClass("acme-serving", 1_000_000),))))


def test_a_namespace_without_an_owner_is_named() -> None:
    (finding,) = namespace_owner(NamespaceOwner("models", None))
    assert finding.outcome == "warn"
    assert finding.subject is not None
    assert finding.subject.name == "models"
    assert not list(namespace_owner(NamespaceOwner("models", "serving")))
