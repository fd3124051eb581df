"""Deployments of controllers, by which their definitions work."""

from collections.abc import Callable, Iterator

from dynocheck import Finding, Subject, warn
from dynocheck.facts import Workload


def check_ready(
    found: list[Workload], what: str, definition: str, report: Callable[..., Finding]
) -> Iterator[Finding]:
    """Report that none of these Deployments is ready; one that is ready in part is a warning."""
    if not found:
        yield report(
            f"{what} has CRDs, but no Deployment of it was found",
            fix="kubectl get deploy -A",
            subject=Subject("CustomResourceDefinition", definition),
        )
    for workload in found:
        if not workload.is_ready:
            yield (warn if workload.ready else report)(
                f"{what} is not ready: {workload.refusal or f'{workload.ready} of {workload.desired}'}",
                fix=f"kubectl describe -n {workload.namespace} deploy/{workload.name}",
                subject=make_subject(workload),
            )


def make_subject(workload: Workload) -> Subject:
    return Subject(workload.kind, workload.name, workload.namespace)


def list_images(workload: Workload) -> list[str]:
    """The names of its images, without registry and tag."""
    return [image.partition("@")[0].rpartition("/")[2].partition(":")[0] for image in workload.images]
