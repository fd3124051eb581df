"""platform.webhook: whether the API server can reach and trust the webhooks for graphs and their pods."""

from collections.abc import Iterator

from dynocheck import Finding, Result, Skip, Subject, check, fail, unjudged, warn
from dynocheck.checks.platform._deployments import check_ready, list_images
from dynocheck.checks.platform._webhooks import explain_distrust, explain_unanswered
from dynocheck.facts import (
    AdmissionWebhooks,
    CustomResourceDefinitions,
    Namespace,
    PlatformType,
    PlatformTypes,
    Recipes,
    ServiceEndpoints,
    ServiceName,
    Webhook,
    Workloads,
    all_hold,
    selects,
)

_CERT_MANAGER = "cert-manager.io"
_NAME = "app.kubernetes.io/name"
_GRAPHS = "dynamographdeployments.nvidia.com"


def _needs_operator(cause: Finding, effect: Finding) -> bool:
    """The operator, which serves the webhooks and sets up conversion, does not run."""
    kind = effect.subject.kind if effect.subject else ""
    return cause.outcome == "fail" and kind in ("Service", "CustomResourceDefinition")


@check(
    "platform.webhook",
    title="Webhooks for graphs and pods are reachable and trusted",
    explained_by={"platform.operator": _needs_operator},
)
def webhook(
    admission: AdmissionWebhooks,
    types: PlatformTypes,
    services: ServiceEndpoints,
    namespace: Namespace,
    definitions: CustomResourceDefinitions | None,
    workloads: Workloads | None,
    recipes: Recipes | None,
) -> Iterator[Result]:
    """While a webhook cannot be called, graphs can be neither created nor changed.

    Admission webhooks validate and complete graphs; a CRD's conversion webhook translates between v1alpha1
    and v1beta1. Each needs a Service with ready endpoints and a CA bundle that has not expired. The serving
    certificate, which is in a Secret, is not read. A webhook that is restricted to namespaces other than the
    run's (`-n`) is a warning.

    Webhooks of other owners, such as policy engines and service meshes, reject every pod or Service while
    they cannot be called, if their failurePolicy is Fail and they select those of the run's namespace. A CRD
    without conversion is a failure for a recipe whose graphs are of another version than is stored or
    validated. Where cert-manager is installed and does not run, certificates of webhooks are not renewed.

    Fix: kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o wide
    """
    converters = [crd.converter for crd in types if crd.converter is not None]
    webhooks = [*admission, *converters]
    unconverted = [crd for crd in types if crd.converter is None and len(crd.served) > 1]
    if not webhooks and not unconverted and not admission.others:
        raise Skip("no webhook for Dynamo objects or pods is configured")
    yield from _report_unreachable(webhooks, services, namespace.name)
    yield from _report_untrusted(
        [*((w, admission.looked) for w in admission), *((w, types.looked) for w in converters)],
        namespace.name,
    )
    yield from _judge_pod_webhooks(admission, services, namespace)
    if definitions is not None and workloads is not None:
        yield from _check_cert_manager(definitions, workloads, recipes)
    else:
        needs = "list customresourcedefinitions and deployments"
        yield unjudged("cert-manager", why="whether it runs could not be read", needs=needs)
    for crd in unconverted:
        lost = _find_lost_version(crd, admission, recipes)
        yield (fail if lost else warn)(
            f"serves {' and '.join(crd.served)}, which have different schemas, without a conversion webhook"
            + (f"; the recipe's graphs are {lost}, so their fields are lost or rejected" if lost else ""),
            fix="helm upgrade dynamo-platform CHART --namespace dynamo-system   # its operator sets it",
            subject=Subject("CustomResourceDefinition", crd.name),
        )


def _excludes_its_own(webhook: Webhook) -> bool:
    """Whether it selects every object but some that its own product is named on, or all."""
    others = (e for e in webhook.objects.expressions if (e.key, e.operator) != (_NAME, "NotIn"))
    return not webhook.objects.labels and not any(others)


def _check_cert_manager(
    definitions: CustomResourceDefinitions, workloads: Workloads, recipes: Recipes | None
) -> Iterator[Finding]:
    """Report a cert-manager that does not run: a failure for a recipe with objects of it."""
    if not any(d.group == _CERT_MANAGER and d.established for d in definitions):
        return
    used = any(m.group == _CERT_MANAGER for recipe in recipes or () for m in recipe.manifests)
    found = [
        w
        for w in workloads
        if w.kind == "Deployment"
        and ("cert-manager-controller" in list_images(w) or "cert-manager" in (w.name, w.labels.get(_NAME)))
    ]
    report = fail if used else warn
    yield from check_ready(found, "cert-manager", f"certificates.{_CERT_MANAGER}", report)


def _find_lost_version(crd: PlatformType, admission: AdmissionWebhooks, recipes: Recipes | None) -> str:
    """A version of the recipe's graphs that the API server has to convert; else empty."""
    if crd.name != _GRAPHS:
        return ""
    targets = [{crd.storage}, *(set(webhook.versions) for webhook in admission if webhook.versions)]
    used = {g.api_version.rpartition("/")[2] for recipe in recipes or () for g in recipe.graphs}
    return next((v for v in sorted(used) if any(t.isdisjoint({v, "*", ""}) for t in targets)), "")


def _judge_pod_webhooks(
    admission: AdmissionWebhooks, services: ServiceEndpoints, namespace: Namespace
) -> Iterator[Result]:
    """Judge the webhooks of others that are called for new pods of this namespace and must answer."""
    labels = {**namespace.labels, "kubernetes.io/metadata.name": namespace.name}
    told = set()
    for item in admission.others:
        called = all_hold(
            (
                selects(item.selector, labels, complete=namespace.exists),
                True if _excludes_its_own(item) else None,
                None if item.conditional else True,
            )
        )
        kinds = {"pods": "pod", "services": "Service"}
        made = next((kind for name, kind in kinds.items() if name in item.resources), None)
        if made is None:
            continue
        problem = explain_unanswered(item, services) or explain_distrust(item, admission.looked)
        if not item.blocking or called is False or not problem or (item.configuration, problem) in told:
            continue
        told.add((item.configuration, problem))
        subject = Subject(item.kind, item.configuration)
        if called is None:
            yield unjudged(
                str(subject),
                why=f"{item.name} {problem}, and selectors or matchConditions decide which {made}s it is for",
                needs=f"the labels and fields of the {made}s that graphs get",
                subject=subject,
            )
            continue
        yield fail(
            f"{item.name} {problem}, so no {made} can be created in namespace {namespace.name}",
            fix=f"kubectl describe {item.kind.lower()} {item.configuration}",
            subject=subject,
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
        problem = explain_distrust(item, looked)
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
