"""platform.webhook: whether the API server can reach and trust the Dynamo operator's webhooks."""

import time
from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.facts import (
    AdmissionWebhooks,
    PlatformTypes,
    RunNamespace,
    ServiceEndpoints,
    ServiceName,
    Webhook,
)


def _needs_operator(cause: Finding, effect: Finding) -> bool:
    """The operator, which serves the webhooks and sets up conversion, does not run."""
    kind = effect.subject.kind if effect.subject else ""
    return cause.outcome == "fail" and kind in ("Service", "CustomResourceDefinition")


@check(
    "platform.webhook",
    title="Dynamo operator webhooks are reachable and trusted",
    explained_by={"platform.operator": _needs_operator},
)
def webhook(
    admission: AdmissionWebhooks, types: PlatformTypes, services: ServiceEndpoints, namespace: RunNamespace
) -> Iterator[Finding]:
    """While a webhook cannot be called, graphs can be neither created nor changed.

    Admission webhooks validate and complete graphs; a CRD's conversion webhook translates between v1alpha1
    and v1beta1. Each needs a Service with ready endpoints and a CA bundle that has not expired. The serving
    certificate, which is in a Secret, is not read. A webhook that is restricted to namespaces other than the
    run's (`-n`) is a warning.

    Fix: kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o wide | grep dynamo
    """
    converters = [crd.converter for crd in types if crd.converter is not None]
    webhooks = [*admission, *converters]
    unconverted = [crd for crd in types if crd.converter is None and len(crd.served) > 1]
    if not webhooks and not unconverted:
        raise Skip("no webhook for Dynamo objects is configured")
    yield from _report_unreachable(webhooks, services, namespace.name)
    yield from _report_untrusted(
        [*((w, admission.looked) for w in admission), *((w, types.looked) for w in converters)],
        namespace.name,
    )
    for crd in unconverted:
        yield warn(
            f"serves {' and '.join(crd.served)}, which have different schemas, without a conversion webhook",
            fix="helm upgrade dynamo-platform CHART --namespace dynamo-system   # its operator sets it",
            subject=Subject("CustomResourceDefinition", crd.name),
        )


def _blocks(webhook: Webhook, namespace: str) -> bool:
    """Whether requests in this namespace fail when the webhook does."""
    return webhook.blocking and (not webhook.namespaces or namespace in webhook.namespaces)


def _report_unreachable(
    webhooks: list[Webhook], services: ServiceEndpoints, namespace: str
) -> Iterator[Finding]:
    callers: dict[ServiceName, list[Webhook]] = {}
    for item in webhooks:
        if item.service is not None:
            callers.setdefault(item.service, []).append(item)
    for service, calling in callers.items():
        if services.ready.get(str(service), 0):
            continue
        blocking = [item for item in calling if item.blocking]
        namespaces = sorted({name for item in blocking for name in item.namespaces})
        where = f" in {', '.join(namespaces)}" if all(item.namespaces for item in blocking) else ""
        exists = str(service) in services.ready
        yield (fail if any(_blocks(item, namespace) for item in calling) else warn)(
            ("has no ready endpoint" if exists else "does not exist or has no endpoints")
            + (f", so requests for Dynamo objects{where} are rejected" if blocking else ""),
            fix=f"kubectl get service,endpointslice -n {service.namespace}",
            evidence={"called by": sorted({item.configuration for item in calling})},
            subject=Subject("Service", service.name, service.namespace),
        )


def _report_untrusted(webhooks: list[tuple[Webhook, float]], namespace: str) -> Iterator[Finding]:
    """Judge each webhook's CA bundle at the time (Unix seconds) when it was read."""
    causes: dict[tuple[ServiceName | None, str], list[Webhook]] = {}
    for item, looked in webhooks:
        problem = _explain_distrust(item, looked)
        if problem is not None:
            causes.setdefault((item.service, problem), []).append(item)
    for (_, problem), sharing in causes.items():
        first = sharing[0]
        names = dict.fromkeys(item.configuration for item in sharing)
        yield (fail if any(_blocks(item, namespace) for item in sharing) else warn)(
            problem,
            fix=f"kubectl get {first.kind.lower()} {first.configuration} -o yaml | grep -n caBundle",
            evidence={"in": list(names)},
            subject=Subject(first.kind, first.configuration),
        )


def _explain_distrust(webhook: Webhook, looked: float) -> str | None:
    """Why the API server would not trust the webhook's server at this time, or None."""
    bundle = webhook.bundle
    if bundle is None:
        # A webhook with a URL may have a certificate of a public authority.
        return "has no caBundle, so the operator's certificate is not trusted" if webhook.service else None
    if bundle.problem:
        return f"has an unreadable caBundle: {bundle.problem}"
    if not bundle.count:
        return "has a caBundle without a certificate"
    expiries = bundle.expiries
    if len(expiries) == bundle.count and max(expiries) < looked:
        ended = time.strftime("%Y-%m-%d", time.gmtime(max(expiries)))
        return f"has a caBundle that expired on {ended}"
    return None
