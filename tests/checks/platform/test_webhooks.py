from pathlib import Path
from typing import Any

import pytest

from dynocheck import Finding
from dynocheck.checks.platform import webhooks
from dynocheck.facts import (
    AdmissionWebhooks,
    Certificates,
    Namespace,
    PlatformType,
    PlatformTypes,
    Selector,
    SelectorExpression,
    ServiceEndpoints,
    ServiceName,
    Webhook,
    Workload,
    Workloads,
)
from tests.checks.judging import crd, deploy, make_definitions, outcomes, run_check
from tests.checks.judging import judge as judge_all
from tests.checks.manifests import engine, graph

NOW = 1_000_000
GOOD = Certificates(1, (NOW + 1,))
SERVICE = ServiceName("dynamo-system", "webhook-service")
HERE = Namespace("models")
UP = ServiceEndpoints({str(SERVICE): 1})
NO_TYPES = PlatformTypes()
NO_CERT_MANAGER = make_definitions(), Workloads()
DOWN = ServiceEndpoints({str(SERVICE): 0})


def webhook(bundle: Certificates | None = GOOD, **fields: Any) -> Webhook:
    default: dict[str, Any] = {"kind": "ValidatingWebhookConfiguration", "service": SERVICE, "blocking": True}
    return Webhook(configuration="c", name="v", bundle=bundle, **default | fields)


def judge(*calls: Webhook, services: ServiceEndpoints = UP, types: PlatformTypes = NO_TYPES) -> list[Finding]:
    return run_check(
        webhooks.webhook,
        AdmissionWebhooks(calls, looked=NOW),
        types,
        services,
        HERE,
        *NO_CERT_MANAGER,
        None,
    )


def test_no_webhook() -> None:
    assert outcomes(webhooks.webhook, AdmissionWebhooks(), NO_TYPES, UP, HERE, *NO_CERT_MANAGER, None) == [
        "skip"
    ]


@pytest.mark.parametrize(
    ("call", "services"),
    [
        (webhook(), UP),
        (webhook(Certificates(2, (NOW - 5, NOW + 5))), UP),  # a bundle in rotation
        (webhook(Certificates(2, (NOW - 5,))), UP),  # the other may be valid
        (webhook(None, service=None), ServiceEndpoints()),  # behind a URL
    ],
)
def test_a_webhook_that_can_be_called(call: Webhook, services: ServiceEndpoints) -> None:
    assert judge(call, services=services) == []


@pytest.mark.parametrize(
    ("bundle", "says"),
    [
        (None, "no caBundle"),
        (Certificates(problem="it is not PEM"), "it is not PEM"),
        (Certificates(0), "without a certificate"),
        (Certificates(1, (NOW - 1,)), "1970-01-12"),
    ],
)
def test_a_webhook_that_is_not_trusted(bundle: Certificates | None, says: str) -> None:
    (finding,) = judge(webhook(bundle))
    assert finding.outcome == "fail"
    assert says in finding.message
    (finding,) = judge(webhook(bundle, blocking=False))
    assert finding.outcome == "warn", "requests are not rejected"


def test_a_service_without_endpoints_is_one_finding() -> None:
    both = [webhook(), webhook(kind="MutatingWebhookConfiguration")]
    for services in (ServiceEndpoints({str(SERVICE): 0}), ServiceEndpoints()):
        (finding,) = judge(*both, services=services)
        assert (finding.outcome, str(finding.subject)) == ("fail", f"Service {SERVICE}")


@pytest.mark.parametrize(
    ("served", "converter", "expected"),
    [
        (("v1alpha1", "v1beta1"), webhook(kind="CustomResourceDefinition"), []),
        (("v1alpha1",), None, []),
        (("v1alpha1", "v1beta1"), None, ["warn"]),
    ],
)
def test_a_crd_without_a_conversion_webhook(
    served: tuple[str, ...], converter: Webhook | None, expected: list[str]
) -> None:
    type_ = PlatformType(name="dynamographdeployments.nvidia.com", served=served, converter=converter)
    assert [finding.outcome for finding in judge(webhook(), types=PlatformTypes((type_,)))] == expected


def test_one_bad_bundle_everywhere_is_one_finding() -> None:
    bad = Certificates(1, (NOW - 1,))
    (finding,) = judge(webhook(bad), webhook(bad, kind="MutatingWebhookConfiguration"))
    assert finding.evidence == {"in": ["c"]}


@pytest.mark.parametrize(
    ("namespaces", "outcome"), [(("models",), "fail"), (("other",), "warn"), (("other", "models"), "fail")]
)
def test_a_webhook_for_another_namespace_is_a_warning(namespaces: tuple[str, ...], outcome: str) -> None:
    (finding,) = judge(webhook(namespaces=namespaces), services=DOWN)
    assert finding.outcome == outcome
    assert ", ".join(sorted(namespaces)) in finding.message
    assert [f.outcome for f in judge(webhook(None, namespaces=namespaces))] == [outcome]


def test_webhooks_for_one_and_for_all_namespaces() -> None:
    (finding,) = judge(webhook(namespaces=("other",)), webhook(), services=DOWN)
    assert finding.outcome == "fail"
    assert "other" not in finding.message


# Webhooks of other owners, which are called for pods.

KYVERNO = ServiceName("kyverno", "kyverno-svc")
MODELS_ONLY = Selector({"kubernetes.io/metadata.name": "models"})
OTHERS_ONLY = Selector({"kubernetes.io/metadata.name": "web"})
NOT_ITSELF = Selector(
    expressions=(SelectorExpression("app.kubernetes.io/name", "NotIn", ("aws-load-balancer-controller",)),)
)
INJECTED = Selector({"istio-injection": "enabled"})


def judge_other(services: ServiceEndpoints, **fields: Any) -> list[str]:
    other = webhook(**{"service": KYVERNO} | fields)
    found = AdmissionWebhooks(others=(other,), looked=NOW)
    return judge_all(webhooks.webhook, found, NO_TYPES, services, HERE, *NO_CERT_MANAGER, None)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["fail"]),
        ({"selector": MODELS_ONLY}, ["fail"]),
        ({"selector": OTHERS_ONLY}, []),
        ({"selector": INJECTED}, []),
        ({"blocking": False}, []),
        ({"service": None}, []),
        ({"objects": Selector({"app": "web"})}, ["unjudged"]),
        ({"objects": NOT_ITSELF}, ["fail"]),
        ({"conditional": True}, ["unjudged"]),
        ({"conditional": True, "selector": OTHERS_ONLY}, []),
    ],
)
def test_a_webhook_for_pods_that_nobody_answers(fields: dict[str, Any], expected: list[str]) -> None:
    assert judge_other(UP, **fields) == expected


def test_a_webhook_for_pods_with_a_stale_bundle() -> None:
    up = ServiceEndpoints({str(KYVERNO): 1})
    assert judge_other(up) == []
    assert judge_other(up, bundle=Certificates(1, (NOW - 1,))) == ["fail"]


@pytest.mark.parametrize(
    ("storage", "validated", "expected"),
    [("v1beta1", "v1beta1", "warn"), ("v1alpha1", "v1beta1", "fail"), ("v1beta1", "v1alpha1", "fail")],
)
def test_a_recipe_whose_graphs_need_conversion(
    tmp_path: Path, storage: str, validated: str, expected: str
) -> None:
    served = ("v1alpha1", "v1beta1")
    type_ = PlatformType(name="dynamographdeployments.nvidia.com", served=served, storage=storage)
    called = AdmissionWebhooks((webhook(versions=(validated,)),), looked=NOW)
    recipe = deploy(tmp_path, graph(engine()))
    assert outcomes(
        webhooks.webhook, called, PlatformTypes((type_,)), UP, HERE, *NO_CERT_MANAGER, recipe
    ) == [expected]


def run_cert_manager(*, ready: int) -> Workloads:
    image = ("quay.io/jetstack/cert-manager-controller:v1.20.0",)
    deployment = Workload(
        kind="Deployment", namespace="cert-manager", name="cert-manager", images=image, desired=1, ready=ready
    )
    return Workloads((deployment,))


@pytest.mark.parametrize(
    ("running", "expected"),
    [(run_cert_manager(ready=1), []), (run_cert_manager(ready=0), ["warn"]), (Workloads(), ["warn"])],
)
def test_cert_manager_without_its_controller(running: Workloads, expected: list[str]) -> None:
    defined = make_definitions(crd("certificates.cert-manager.io", "v1"))
    called = AdmissionWebhooks((webhook(),), looked=NOW)
    assert judge_all(webhooks.webhook, called, NO_TYPES, UP, HERE, defined, running, None) == expected
