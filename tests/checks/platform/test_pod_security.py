from pathlib import Path
from typing import Any

import pytest

from dynocheck import Finding
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


def of_worker(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.message.startswith("component w ")]


RANGES = {"uid-range": "1000650000/10000", "supplemental-groups": "1000660000/10000"}
OWN_GROUP = {"fsGroup": 1000660000}


@pytest.mark.parametrize(
    ("context", "ranges", "setting", "fix"),
    [
        ({}, RANGES, "the operator's fsGroup 1000", "anyuid"),
        ({}, {}, "the operator's fsGroup 1000", "anyuid"),
        (OWN_GROUP, RANGES, None, None),
        (OWN_GROUP, {"uid-range": "1000660000-1000669999"}, None, None),
        (OWN_GROUP, {}, "fsGroup 1000660000", "anyuid"),
        ({"fsGroup": 1000660001}, RANGES, "fsGroup 1000660001", "anyuid"),
        ({**OWN_GROUP, "runAsUser": 1000659999}, RANGES, None, None),
        ({**OWN_GROUP, "runAsUser": 1000660000}, RANGES, "runAsUser 1000660000", "anyuid"),
        (
            {**OWN_GROUP, "runAsUser": 1000650000},
            {"uid-range": "soon"},
            "runAsUser 1000650000, fsGroup 1000660000",
            "anyuid",
        ),
        ({**OWN_GROUP, "capabilities": {"add": ["IPC_LOCK"]}}, RANGES, "IPC_LOCK", "privileged"),
    ],
)
def test_the_users_and_groups_that_openshift_assigns(
    tmp_path: Path, context: dict[str, Any], ranges: dict[str, str], setting: str | None, fix: str | None
) -> None:
    recipe = deploy(tmp_path, graph(engine(pod={"securityContext": context})))
    namespace = Namespace("models", id_ranges=ranges)
    findings = of_worker(run_check(pod_security.pod_security, namespace, OPENSHIFT, recipe))
    assert [finding.outcome for finding in findings] == (["warn"] if setting else [])
    for finding in findings:
        assert f"{setting}, which" in finding.message
        assert f"add-scc-to-user {fix} " in (finding.fix or "")


@pytest.mark.parametrize(
    ("pod", "setting"),
    [
        ({"hostIPC": True}, "hostIPC"),
        ({"securityContext": {"runAsUser": 0}}, "runAsUser 0"),
        ({"securityContext": {"runAsUser": 1000}}, "runAsUser 1000"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/models"}}]}, "a hostPath volume"),
        ({"serviceAccountName": "workers"}, "fsGroup 1000"),
    ],
)
def test_what_openshift_rejects(tmp_path: Path, pod: dict[str, Any], setting: str | None) -> None:
    recipe = deploy(tmp_path, graph(engine(pod=pod)))
    findings = of_worker(run_check(pod_security.pod_security, Namespace("models"), OPENSHIFT, recipe))
    assert [finding.outcome for finding in findings] == (["warn"] if setting else [])
    assert all(setting in finding.message for finding in findings if setting)
