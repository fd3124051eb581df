"""What pods claim through Dynamic Resource Allocation, read from the claims and templates of a recipe."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from dynocheck.facts import Recipe
from dynocheck.scheduling.pod_spec_model import Spec

_GROUP = "resource.k8s.io"
_TEMPLATE = "ResourceClaimTemplate"
# https://github.com/NVIDIA/k8s-dra-driver-gpu/blob/main/templates/compute-domain-workload-claim-template.tmpl.yaml
_CHANNEL = {"name": "channel", "deviceClassName": "compute-domain-default-channel.nvidia.com"}
_UNMODELLED = {
    "adminAccess": "it asks for administrative access to devices",
    "capacity": "it requests a part of a device's capacity",
}


class Unmodelled(Exception):
    """Claims whose devices cannot be allocated here; the message says why."""


class DeviceRequest(msgspec.Struct, frozen=True):
    """A number of devices of a class that a claim requests of one node, or all of them if `count` is 0.

    `name` is that of the request, with /NAME for an alternative of it. Tolerations are pairs of fields.
    """

    device_class: str
    count: int
    selectors: tuple[str, ...] = ()
    tolerations: tuple[tuple[tuple[str, Any], ...], ...] = ()
    name: str = ""


class SameAttribute(msgspec.Struct, frozen=True):
    """The devices of these requests, or of all if none is named, must have equal values of an attribute."""

    attribute: str
    requests: frozenset[str] = frozenset()

    def applies_to(self, request: str) -> bool:
        return not self.requests or not self.requests.isdisjoint((request, request.partition("/")[0]))


class DeviceClaim(msgspec.Struct, frozen=True):
    """A claim: its requests, each a choice of alternatives in order of preference, and its constraints.

    `shared` is the name of a claim that all pods share; it is empty if each pod gets a claim of its own.
    """

    requests: tuple[tuple[DeviceRequest, ...], ...]
    constraints: tuple[SameAttribute, ...] = ()
    shared: str = ""


def read_claims(recipe: Recipe, spec: Spec) -> Iterator[DeviceClaim]:
    """The claims of each pod of a spec, by the ResourceClaims and ResourceClaimTemplates of a recipe.

    :raises Unmodelled: a claim is not in the recipe, or of a form that is not modelled.
    """
    declared = dict(_list_declared(recipe))
    for claim in spec.get("resourceClaims") or ():
        shared, template = claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName")
        kind, name = ("ResourceClaim", shared) if shared else (_TEMPLATE, template or "")
        if (kind, name) not in declared:
            raise Unmodelled(f"its {kind} {name} is not in the recipe")
        content = declared[kind, name].get("spec") or {}
        yield _read_claim(
            (content if shared else content.get("spec") or {}).get("devices") or {}, shared or ""
        )


def _list_declared(recipe: Recipe) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    """The claims and templates of a recipe by kind and name, with those that its ComputeDomains create."""
    for manifest in recipe.manifests:
        if manifest.group == _GROUP:
            yield (manifest.kind, manifest.name), manifest.root.plain
        elif manifest.kind == "ComputeDomain":
            template = manifest.root.get("spec", "channel", "resourceClaimTemplate", "name")
            if template is not None and template.text:
                yield (_TEMPLATE, template.text), {"spec": {"spec": {"devices": {"requests": [_CHANNEL]}}}}


def _read_claim(devices: Mapping[str, Any], shared: str) -> DeviceClaim:
    requests = tuple(tuple(_read_choices(request)) for request in devices.get("requests") or ())
    return DeviceClaim(requests, tuple(_read_constraints(devices.get("constraints") or ())), shared)


def _read_choices(request: Mapping[str, Any]) -> Iterator[DeviceRequest]:
    name = request.get("name") or ""
    for choice in request.get("firstAvailable") or ():
        yield _read_request(choice, f"{name}/{choice.get('name') or ''}")
    if not request.get("firstAvailable"):
        yield _read_request(request.get("exactly") or request, name)  # v1beta1 has no `exactly`


def _read_request(request: Mapping[str, Any], name: str) -> DeviceRequest:
    for key, why in _UNMODELLED.items():
        if request.get(key):
            raise Unmodelled(f"{why}, which is not modelled")
    mode = request.get("allocationMode") or "ExactCount"
    if mode not in ("ExactCount", "All"):
        raise Unmodelled(f"its allocationMode {mode} is not known")
    return DeviceRequest(
        device_class=request.get("deviceClassName") or "",
        count=0 if mode == "All" else int(request.get("count") or 1),
        selectors=tuple(_read_selectors(request.get("selectors") or ())),
        tolerations=tuple(tuple(each.items()) for each in request.get("tolerations") or ()),
        name=name,
    )


def _read_selectors(selectors: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for selector in selectors:
        yield (selector.get("cel") or {}).get("expression") or ""


def _read_constraints(constraints: Iterable[Mapping[str, Any]]) -> Iterator[SameAttribute]:
    for constraint in constraints:
        if not constraint.get("matchAttribute"):
            raise Unmodelled("constraints other than matchAttribute are not modelled")
        yield SameAttribute(constraint["matchAttribute"], frozenset(constraint.get("requests") or ()))
