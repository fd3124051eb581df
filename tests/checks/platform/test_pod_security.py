from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.platform import pod_security
from dynocheck.facts import CustomResourceDefinitions, Namespace
from tests.checks.judging import crd, get_skip_reason, make_definitions, outcomes, recipes, run_check
from tests.checks.manifests import dump_objects, engine, graph

GPU = "nvidia.com/gpu"
NO_TYPES = CustomResourceDefinitions()


def test_a_namespace_that_rejects_nothing(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, a=dump_objects(graph(engine())))
    for labels in ({}, {"pod-security.kubernetes.io/enforce": "privileged"}):
        assert get_skip_reason(
            pod_security.pod_security, Namespace("default", labels=labels), NO_TYPES, recipe
        )


def test_a_graph_in_a_restricted_namespace_is_a_warning(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, a=dump_objects(graph(engine())))
    restricted = Namespace("default", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    assert set(outcomes(pod_security.pod_security, restricted, NO_TYPES, recipe)) == {"warn"}


OPENSHIFT = make_definitions(crd("securitycontextconstraints.security.openshift.io", "v1"))


@pytest.mark.parametrize(
    ("pod", "setting"),
    [
        ({"hostIPC": True}, "hostIPC"),
        ({"securityContext": {"runAsUser": 0}}, "runAsUser 0"),
        ({"securityContext": {"runAsUser": 1000}}, "runAsUser 1000"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/models"}}]}, "a hostPath volume"),
        ({"serviceAccountName": "workers"}, None),
    ],
)
def test_what_openshift_rejects(tmp_path: Path, pod: dict[str, Any], setting: str | None) -> None:
    recipe = recipes(tmp_path, deploy=dump_objects(graph(engine(pod=pod))))
    findings = run_check(pod_security.pod_security, Namespace("models"), OPENSHIFT, recipe)
    assert [str(finding.outcome) for finding in findings] == (["warn"] if setting else [])
    assert all(setting in finding.message for finding in findings if setting)
