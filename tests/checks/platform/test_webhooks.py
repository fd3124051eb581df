from __future__ import annotations

import pytest

from dynocheck.checks.platform import webhooks
from dynocheck.facts.k8s.namespaces import RunNamespace
from dynocheck.facts.k8s.platform import (
    AdmissionWebhooks,
    Certificates,
    PlatformType,
    PlatformTypes,
    ServiceEndpoints,
    ServiceName,
    Webhook,
)
from tests.checks.judging import get_skip_reason, list_messages, run_check

NOW = 1_000_000
GOOD = Certificates(1, (NOW + 1,))
SERVICE = ServiceName("dynamo-system", "webhook-service")
HERE = RunNamespace("models")
UP = ServiceEndpoints({str(SERVICE): 1})


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


def judged(*given: Webhook, services: ServiceEndpoints = UP) -> list[tuple[str, str]]:
    return list_messages(
        webhooks.webhook, AdmissionWebhooks(given, looked=NOW), PlatformTypes(), services, HERE
    )


def test_a_webhook_that_can_be_called() -> None:
    assert judged(webhook()) == []
    assert get_skip_reason(webhooks.webhook, AdmissionWebhooks(), PlatformTypes(), UP, HERE)


@pytest.mark.parametrize(
    ("bundle", "says"),
    [
        (None, "has no caBundle"),
        (Certificates(problem="it is not PEM"), "has a caBundle that cannot be read: it is not PEM"),
        (Certificates(0), "has a caBundle without a certificate"),
        (Certificates(1, (NOW - 1,)), "has a caBundle that expired on 1970-01-12"),
    ],
)
def test_a_webhook_that_is_not_trusted(bundle: Certificates | None, says: str) -> None:
    ((outcome, message),) = judged(webhook(bundle))
    assert outcome == "fail"
    assert message.startswith(says)
    ((outcome, _),) = judged(webhook(bundle, blocking=False))
    assert outcome == "warn", "requests go on without it"


def test_a_bundle_in_rotation_is_trusted() -> None:
    assert judged(webhook(Certificates(2, (NOW - 5, NOW + 5)))) == []
    assert judged(webhook(Certificates(2, (NOW - 5,)))) == [], (
        "the other is no authority, and may be in force"
    )


def test_a_webhook_behind_a_url_needs_no_bundle_and_no_service() -> None:
    assert judged(webhook(None, service=None), services=ServiceEndpoints()) == []


def test_a_service_without_endpoints_is_one_finding() -> None:
    both = [webhook(), webhook(kind="MutatingWebhookConfiguration")]
    ((outcome, message),) = judged(*both, services=ServiceEndpoints({str(SERVICE): 0}))
    assert outcome == "fail"
    assert message == "has no ready endpoint, so requests for Dynamo's objects are refused"
    ((_, message),) = judged(*both, services=ServiceEndpoints())
    assert message.startswith("does not exist, or has no endpoints")


def test_a_type_that_nobody_converts() -> None:
    def ask(*served: str, converter: Webhook | None = None) -> list[tuple[str, str]]:
        made = PlatformType(name="dynamographdeployments.nvidia.com", served=served, converter=converter)
        return list_messages(
            webhooks.webhook, AdmissionWebhooks((webhook(),), looked=NOW), PlatformTypes((made,)), UP, HERE
        )

    assert ask("v1alpha1", "v1beta1", converter=webhook(kind="CustomResourceDefinition")) == []
    assert ask("v1alpha1") == []
    ((outcome, message),) = ask("v1alpha1", "v1beta1")
    assert outcome == "warn"
    assert "has no webhook to convert them" in message


def test_one_bad_bundle_everywhere_is_one_finding() -> None:
    bad = Certificates(1, (NOW - 1,))
    two = AdmissionWebhooks((webhook(bad), webhook(bad, kind="MutatingWebhookConfiguration")), looked=NOW)
    (finding,) = run_check(webhooks.webhook, two, PlatformTypes(), UP, HERE)
    assert finding.evidence == {"in": ["c"]}


def test_a_webhook_for_another_namespace_stops_nobody_here() -> None:
    down = ServiceEndpoints({str(SERVICE): 0})
    for namespaces, outcome in [(("models",), "fail"), (("other",), "warn"), (("other", "models"), "fail")]:
        ((said_of_service, message),) = judged(webhook(namespaces=namespaces), services=down)
        assert said_of_service == outcome
        assert f"requests for Dynamo's objects in {', '.join(sorted(namespaces))} are refused" in message
        assert [o for o, _ in judged(webhook(None, namespaces=namespaces))] == [outcome]
    ((outcome, message),) = judged(webhook(namespaces=("other",)), webhook(), services=down)
    assert (outcome, message.endswith("requests for Dynamo's objects are refused")) == ("fail", True)
