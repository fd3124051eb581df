from __future__ import annotations

from dynocheck.checks.platform import installation
from dynocheck.facts import CustomResourceDefinition
from tests.checks.judging import crd, found, known, said


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
    assert said(installation.crds, known(*dynamo(*ALL))) == []
    assert [o for o, _ in said(installation.crds, known(*dynamo(*ALL[:3])))] == ["warn"] * 3


def test_an_older_platform_has_no_worker_metadata() -> None:
    older = dynamo("graphdeployments", "componentdeployments", *ALL[3:], version="v1alpha1")
    assert said(installation.crds, known(*older)) == []
    assert [
        o
        for o, _ in said(
            installation.crds, known(*dynamo("graphdeployments", "componentdeployments", *ALL[3:]))
        )
    ] == ["fail"]


def test_nothing_of_the_platform() -> None:
    assert [o for o, _ in said(installation.crds, known())] == ["fail", "fail"]


def test_a_definition_that_is_not_established() -> None:
    bad = crd("dynamomodels.nvidia.com", established=False, reason="NamesAccepted is False: taken")
    (finding,) = found(installation.crds, known(*dynamo(*ALL[:-1]), bad))
    assert str(finding.outcome) == "warn"
    assert finding.message.startswith("exists but is not established: NamesAccepted is False: taken")
    bad = crd("dynamographdeployments.nvidia.com", established=False, reason="being deleted")
    assert [o for o, _ in said(installation.crds, known(*dynamo(*ALL[1:]), bad))] == ["fail"]
