from __future__ import annotations

import pytest

from dynocheck import Finding
from dynocheck.checks.platform import webhooks
from dynocheck.facts import (
    AdmissionWebhooks,
    Certificates,
    PlatformType,
    PlatformTypes,
    RunNamespace,
    ServiceEndpoints,
    ServiceName,
    Webhook,
)
from tests.checks.judging import get_skip_reason, outcomes, run_check

NOW = 1_000_000
GOOD = Certificates(1, (NOW + 1,))
SERVICE = ServiceName("dynamo-system", "webhook-service")
HERE = RunNamespace("models")
UP = ServiceEndpoints({str(SERVICE): 1})
DOWN = ServiceEndpoints({str(SERVICE): 0})


def webhook(
    bundle: Certificates | None = GOOD,
    *,
    blocking: bool = True,
    service: ServiceName | None = SERVICE,
    kind: str = "ValidatingWebhookConfiguration",
    namespaces: tuple[str, ...] = (),
) -> Webhook:
    return Webhook(
        kind=kind,
        configuration="c",
        name="v",
        service=service,
        bundle=bundle,
        blocking=blocking,
        namespaces=namespaces,
    )


def judge(*calls: Webhook, services: ServiceEndpoints = UP) -> list[Finding]:
    return run_check(webhooks.webhook, AdmissionWebhooks(calls, looked=NOW), PlatformTypes(), services, HERE)


def test_a_webhook_that_can_be_called() -> None:
    assert judge(webhook()) == []
    assert get_skip_reason(webhooks.webhook, AdmissionWebhooks(), PlatformTypes(), UP, HERE)


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


def test_a_bundle_in_rotation_is_trusted() -> None:
    assert judge(webhook(Certificates(2, (NOW - 5, NOW + 5)))) == []
    assert judge(webhook(Certificates(2, (NOW - 5,)))) == [], "the other may be valid"


def test_a_webhook_behind_a_url_needs_no_bundle_and_no_service() -> None:
    assert judge(webhook(None, service=None), services=ServiceEndpoints()) == []


def test_a_service_without_endpoints_is_one_finding() -> None:
    both = [webhook(), webhook(kind="MutatingWebhookConfiguration")]
    for services in (ServiceEndpoints({str(SERVICE): 0}), ServiceEndpoints()):
        (finding,) = judge(*both, services=services)
        assert (str(finding.outcome), str(finding.subject)) == ("fail", f"Service {SERVICE}")


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
    crd = PlatformType(name="dynamographdeployments.nvidia.com", served=served, converter=converter)
    admission = AdmissionWebhooks((webhook(),), looked=NOW)
    assert outcomes(webhooks.webhook, admission, PlatformTypes((crd,)), UP, HERE) == expected


def test_one_bad_bundle_everywhere_is_one_finding() -> None:
    bad = Certificates(1, (NOW - 1,))
    two = AdmissionWebhooks((webhook(bad), webhook(bad, kind="MutatingWebhookConfiguration")), looked=NOW)
    (finding,) = run_check(webhooks.webhook, two, PlatformTypes(), UP, HERE)
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
