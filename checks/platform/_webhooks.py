"""Why the API server cannot call a webhook."""

import time

from dynocheck.facts import ServiceEndpoints, Webhook


def explain_unanswered(webhook: Webhook, services: ServiceEndpoints) -> str | None:
    """Why nobody answers the webhook, or None."""
    if webhook.service is None or services.ready.get(str(webhook.service)):
        return None
    exists = str(webhook.service) in services.ready
    return f"calls Service {webhook.service}, which " + (
        "has no ready endpoint" if exists else "does not exist or has no endpoints"
    )


def explain_distrust(webhook: Webhook, looked: float) -> str | None:
    """Why the API server would not trust the webhook's server at this time, or None."""
    bundle = webhook.bundle
    if bundle is None:
        # A webhook with a URL may have a certificate of a public authority.
        return "has no caBundle, so its server's certificate is not trusted" if webhook.service else None
    if bundle.problem:
        return f"has an unreadable caBundle: {bundle.problem}"
    if not bundle.count:
        return "has a caBundle without a certificate"
    expiries = bundle.expiries
    if len(expiries) == bundle.count and max(expiries) < looked:
        ended = time.strftime("%Y-%m-%d", time.gmtime(max(expiries)))
        return f"has a caBundle that expired on {ended}"
    return None
