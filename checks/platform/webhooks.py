"""Whether the API server can reach and trust the Dynamo operator's webhooks."""

import time
from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.facts.k8s.namespaces import RunNamespace
from dynocheck.facts.k8s.platform import (
    AdmissionWebhooks,
    PlatformTypes,
    ServiceEndpoints,
    ServiceName,
    Webhook,
)


@check("platform.webhook", title="The API server can call the Dynamo operator's webhooks")
def webhook(
    admission: AdmissionWebhooks, types: PlatformTypes, services: ServiceEndpoints, namespace: RunNamespace
) -> Iterator[Finding]:
    """With a webhook that cannot be called, graphs can be neither made nor changed, whoever is right.

    Admission webhooks judge and complete graphs; the conversion webhook of a definition translates between
    v1alpha1 and v1beta1. Each needs a Service with ready endpoints, and a CA bundle that is in force: it is
    looked at by its authorities' dates, not the serving certificate, which lies in a Secret. A webhook that
    is restricted to other namespaces than that of the run (`-n`) is no failure.

    Fix: kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o wide | grep dynamo
    """
    converters = [each.converter for each in types if each.converter is not None]
    webhooks = [*admission, *converters]
    unconverted = [each for each in types if each.converter is None and len(each.served) > 1]
    if not webhooks and not unconverted:
        raise Skip("no webhook for Dynamo's types is configured")
    yield from _report_unreachable(webhooks, services, namespace.name)
    yield from _report_untrusted(
        [*((each, admission.looked) for each in admission), *((each, types.looked) for each in converters)],
        namespace.name,
    )
    for found in unconverted:
        yield warn(
            f"serves {' and '.join(found.served)}, which differ in shape, and has no webhook to convert them",
            fix="helm upgrade dynamo-platform CHART --namespace dynamo-system   # its operator sets it",
            subject=Subject("CustomResourceDefinition", found.name),
        )


def _blocks(found: Webhook, namespace: str) -> bool:
    """Whether requests in this namespace fail with it."""
    return found.blocking and (not found.namespaces or namespace in found.namespaces)


def _report_unreachable(
    webhooks: list[Webhook], services: ServiceEndpoints, namespace: str
) -> Iterator[Finding]:
    callers: dict[ServiceName, list[Webhook]] = {}
    for each in webhooks:
        if each.service is not None:
            callers.setdefault(each.service, []).append(each)
    for service, calling in callers.items():
        if services.ready.get(str(service), 0):
            continue
        blocking = any(_blocks(each, namespace) for each in calling)
        refusing = [each for each in calling if each.blocking]
        limited = sorted({name for each in refusing for name in each.namespaces})
        where = f" in {', '.join(limited)}" if all(each.namespaces for each in refusing) else ""
        there = str(service) in services.ready
        names = sorted({each.configuration for each in calling})
        yield (fail if blocking else warn)(
            ("has no ready endpoint" if there else "does not exist, or has no endpoints")
            + (f", so requests for Dynamo's objects{where} are refused" if refusing else ""),
            fix=f"kubectl get service,endpointslice -n {service.namespace}",
            evidence={"called by": names},
            subject=Subject("Service", service.name, service.namespace),
        )


def _report_untrusted(seen: list[tuple[Webhook, float]], namespace: str) -> Iterator[Finding]:
    causes: dict[tuple[ServiceName | None, str], list[Webhook]] = {}
    for each, looked in seen:
        problem = _explain_distrust(each, looked)
        if problem is not None:
            causes.setdefault((each.service, problem), []).append(each)
    for (_, problem), sharing in causes.items():
        first = sharing[0]
        names = dict.fromkeys(each.configuration for each in sharing)
        yield (fail if any(_blocks(each, namespace) for each in sharing) else warn)(
            problem,
            fix=f"kubectl get {first.kind.lower()} {first.configuration} -o yaml | grep -n caBundle",
            evidence={"in": list(names)},
            subject=Subject(first.kind, first.configuration),
        )


def _explain_distrust(found: Webhook, looked: float) -> str | None:
    """Why the API server would not trust whoever answers, or None."""
    if found.bundle is None:
        # One that is called by a URL may well have a certificate of a public authority.
        return "has no caBundle, so the operator's own certificate is not trusted" if found.service else None
    if found.bundle.problem:
        return f"has a caBundle that cannot be read: {found.bundle.problem}"
    if not found.bundle.count:
        return "has a caBundle without a certificate"
    expiries = found.bundle.expiries
    if len(expiries) == found.bundle.count and max(expiries) < looked:
        ended = time.strftime("%Y-%m-%d", time.gmtime(max(expiries)))
        return f"has a caBundle that expired on {ended}"
    return None
