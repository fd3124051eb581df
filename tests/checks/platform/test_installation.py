from __future__ import annotations

from dynocheck.checks.platform import installation
from dynocheck.facts import CustomResourceDefinition
from tests.checks.judging import crd, list_messages, make_definitions, run_check


def dynamo(*plurals: str, version: str = "v1beta1") -> list[CustomResourceDefinition]:
    return [crd(f"dynamo{plural}.nvidia.com", version) for plural in plurals]


ALL = (
    "graphdeployments",
    "componentdeployments",
    "workermetadatas",
    "graphdeploymentrequests",
    "graphdeploymentscalingadapters",
    "models",
)


def test_the_platform_of_today() -> None:
    assert list_messages(installation.crds, make_definitions(*dynamo(*ALL))) == []
    assert [o for o, _ in list_messages(installation.crds, make_definitions(*dynamo(*ALL[:3])))] == [
        "warn"
    ] * 3


def test_an_older_platform_has_no_worker_metadata() -> None:
    older = dynamo("graphdeployments", "componentdeployments", *ALL[3:], version="v1alpha1")
    assert list_messages(installation.crds, make_definitions(*older)) == []
    assert [
        o
        for o, _ in list_messages(
            installation.crds, make_definitions(*dynamo("graphdeployments", "componentdeployments", *ALL[3:]))
        )
    ] == ["fail"]


def test_nothing_of_the_platform() -> None:
    assert [o for o, _ in list_messages(installation.crds, make_definitions())] == ["fail", "fail"]


def test_a_definition_that_is_not_established() -> None:
    bad = crd("dynamomodels.nvidia.com", established=False, reason="NamesAccepted is False: taken")
    (finding,) = run_check(installation.crds, make_definitions(*dynamo(*ALL[:-1]), bad))
    assert str(finding.outcome) == "warn"
    assert finding.message.startswith("exists but is not established: NamesAccepted is False: taken")
    bad = crd("dynamographdeployments.nvidia.com", established=False, reason="being deleted")
    assert [o for o, _ in list_messages(installation.crds, make_definitions(*dynamo(*ALL[1:]), bad))] == [
        "fail"
    ]
