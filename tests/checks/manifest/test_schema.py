"""YAML that is broken, and objects that do not fit their schema."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dynocheck.checks.manifest import schema
from tests.checks.judging import FRONTEND, GRAPH, get_coverage, outcomes, places, recipes

TWICE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: 1\n  k: 2\n"
PATCH = "kind: DynamoGraphDeployment\napiVersion: nvidia.com/v1beta1\nspec: {nonsense: 1}\n"


def test_each_yaml_mistake_is_placed(tmp_path: Path) -> None:
    """Kubectl takes the last of two values."""
    given = recipes(tmp_path, broken="a: [1\nb: 2\n", twice=TWICE, words="hello\n")
    assert sorted(places(schema.yaml, given)) == [
        ("fail", "broken.yaml:2"),
        ("fail", "words.yaml:1"),
        ("warn", "twice.yaml:6"),
    ]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"deploy": GRAPH + FRONTEND.replace("type:", "typ:")}, [("fail", "deploy.yaml:7")]),
        ({"half": "kind: ConfigMap\nmetadata: {name: a}\n"}, [("fail", "half.yaml:1")]),
        (
            {"a": "apiVersion: 1\nkind: 5\nmetadata: {name: a}\n", "b": "kind: {a: b}\n"},
            [("fail", "a.yaml:1")],
        ),
        ({"values": "image: x\nreplicas: 3\n", "deploy": GRAPH + FRONTEND}, []),
        ({"deploy": GRAPH + FRONTEND, "kustomize__patch": PATCH}, []),  # what kustomize reads is not applied
    ],
)
def test_schema_mistakes(tmp_path: Path, files: dict[str, str], expected: list[tuple[str, str]]) -> None:
    assert places(schema.schema, recipes(tmp_path, **files)) == expected


def test_a_kind_without_a_schema_is_not_judged(tmp_path: Path) -> None:
    widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a}\n"
    given = recipes(tmp_path, widget=widget)
    assert outcomes(schema.schema, given) == []
    assert get_coverage(schema.schema, given) == (0, ["Widget a of example.com/v1"])


def test_rules_that_nothing_evaluates_are_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = recipes(tmp_path, deploy=GRAPH + FRONTEND + FRONTEND.replace("Frontend", "frontend"))
    assert outcomes(schema.schema, twice) == ["fail"]
    monkeypatch.setitem(sys.modules, "cel_expr_python.cel", None)
    assert outcomes(schema.schema, twice) == ["warn"]
