from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.platform import pod_security
from dynocheck.facts import CustomResourceDefinitions, Namespace
from tests.checks.judging import crd, deploy, make_definitions, outcomes, run_check
from tests.checks.manifests import engine, graph


@pytest.mark.parametrize(
    ("level", "expected"), [(None, {"skip"}), ("privileged", {"skip"}), ("restricted", {"fail"})]
)
def test_a_graph_in_a_namespace_of_a_level(tmp_path: Path, level: str | None, expected: set[str]) -> None:
    namespace = Namespace("default", labels={"pod-security.kubernetes.io/enforce": level} if level else {})
    recipe = deploy(tmp_path, graph(engine()))
    assert (
        set(outcomes(pod_security.pod_security, namespace, CustomResourceDefinitions(), recipe)) == expected
    )


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
    recipe = deploy(tmp_path, graph(engine(pod=pod)))
    findings = run_check(pod_security.pod_security, Namespace("models"), OPENSHIFT, recipe)
    assert [finding.outcome for finding in findings] == (["warn"] if setting else [])
    assert all(setting in finding.message for finding in findings if setting)
