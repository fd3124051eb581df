"""Devices that pods claim through Dynamic Resource Allocation, counted like other resources of a node.

The devices of a node that match a request are counted as one resource. That is what kube-scheduler finds when
requests for different devices do not compete; what it may find otherwise is not modelled.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from dynocheck.facts import (
    AllocatedDevice,
    Device,
    DeviceClasses,
    Node,
    Recipe,
    ResourceSlices,
    parse_quantity,
)
from dynocheck.scheduling.pod_spec_model import Spec
from dynocheck.scheduling.selectors import find_repelling_taint

_TEMPLATE = "ResourceClaimTemplate"
_GROUP = "resource.k8s.io"
_IMPLICIT = "deviceclass.resource.kubernetes.io/"  # prefix of the extended resource that each class has
_UNMODELLED = ("firstAvailable", "adminAccess", "capacity")
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\(")
_TEXT = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_DOMAIN = re.compile(r"(?:attributes|capacity)\[\s*['\"]([^'\"]+)['\"]\s*\]")
_FUNCTIONS = frozenset(
    """compareTo contains endsWith exists has in int isGreaterThan isLessThan lowerAscii matches quantity
    semver size startsWith string upperAscii""".split()  # noqa: SIM905
)
_VERSION = re.compile(r"v?([0-9]{1,3})\.([0-9]{1,5})\.([0-9]{1,5})")

DeviceId = tuple[str, str, str]  # driver, pool and name


class Unmodelled(Exception):
    """Claims whose devices cannot be counted; the message says why."""


class DeviceRequest(msgspec.Struct, frozen=True):
    """A number of devices of a class that a claim requests of one node; tolerations are pairs of fields."""

    device_class: str
    count: int
    selectors: tuple[str, ...] = ()
    tolerations: tuple[tuple[tuple[str, Any], ...], ...] = ()


def read_requests(recipe: Recipe, spec: Spec) -> Iterator[DeviceRequest]:
    """The devices that each pod of a spec requests by the ResourceClaimTemplates of a recipe.

    :raises Unmodelled: a claim is not in the recipe, or of a form that is not modelled.
    """
    templates = {
        manifest.name: manifest.root.plain
        for manifest in recipe.manifests
        if manifest.kind == _TEMPLATE and manifest.group == _GROUP
    }
    for claim in spec.get("resourceClaims") or ():
        name = claim.get("resourceClaimTemplateName") or ""
        if not name:
            raise Unmodelled(
                f"its ResourceClaim {claim.get('resourceClaimName')} may be shared with other pods"
            )
        if name not in templates:
            raise Unmodelled(f"its ResourceClaimTemplate {name} is not in the recipe")
        yield from _read_devices(((templates[name].get("spec") or {}).get("spec") or {}).get("devices") or {})


def _read_devices(devices: Mapping[str, Any]) -> Iterator[DeviceRequest]:
    if devices.get("constraints"):
        raise Unmodelled("constraints between the devices of its claim are not modelled")
    for request in devices.get("requests") or ():
        exact = request.get("exactly") or request  # v1beta1 has no `exactly`
        if any(request.get(key) or exact.get(key) for key in _UNMODELLED) or (
            exact.get("allocationMode", "ExactCount") != "ExactCount"
        ):
            raise Unmodelled("its claim does not request a fixed number of devices, which is not modelled")
        yield DeviceRequest(
            device_class=exact.get("deviceClassName") or "",
            count=int(exact.get("count") or 1),
            selectors=tuple(_read_selectors(exact.get("selectors") or ())),
            tolerations=tuple(tuple(each.items()) for each in exact.get("tolerations") or ()),
        )


def _read_selectors(selectors: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for selector in selectors:
        yield (selector.get("cel") or {}).get("expression") or ""


class DeviceInventory:
    """The devices that DRA drivers offer on nodes, and the classes by which pods request them."""

    def __init__(self, slices: ResourceSlices, classes: DeviceClasses) -> None:
        self.slices = slices
        self.classes = classes
        self._matches: dict[tuple[str, DeviceRequest], frozenset[DeviceId]] = {}

    def add_devices(
        self,
        nodes: Sequence[Node],
        pods: Sequence[tuple[Sequence[DeviceRequest], Iterable[str]]],
        is_free: Callable[[AllocatedDevice], bool],
    ) -> tuple[list[Node], list[dict[str, int]]]:
        """The nodes with their devices as allocatable resources, and what the pods request of these.

        :param pods: the device requests of each pod, and the names of the resources that it requests.
        :param is_free: whether an allocated device counts as free.
        :raises Unmodelled: the devices that they request cannot be counted.
        """
        every = [request for requests, _ in pods for request in requests]
        extended = self._find_extended({name for _, names in pods for name in names})
        if every and self.slices.allocated is None:
            raise Unmodelled("which devices are allocated is unknown")
        by_name = {_name_resource(request, every): request for request in every}
        self._reject_competing((*by_name.values(), *extended.values()), nodes)
        held = [device for device in self.slices.allocated or () if not is_free(device)]
        added = [self._add_to_node(node, by_name, extended, held) for node in nodes]
        return added, [_sum_requests(requests, every) for requests, _ in pods]

    def _add_to_node(
        self,
        node: Node,
        requests: Mapping[str, DeviceRequest],
        extended: Mapping[str, DeviceRequest],
        held: Sequence[AllocatedDevice],
    ) -> Node:
        taken = {(device.driver, device.pool, device.name) for device in held}
        # what pods hold of an extended resource is in their requests
        claimed = {(device.driver, device.pool, device.name) for device in held if not device.extended}
        amounts = {name: len(self._match(node, each) - taken) for name, each in requests.items()}
        for name, request in extended.items():
            if node.allocatable.get(name, "0") == "0" and (offered := self._match(node, request)):
                amounts[name] = len(offered - claimed)
        stated = {name: str(amount) for name, amount in amounts.items()}
        return msgspec.structs.replace(node, allocatable={**node.allocatable, **stated}) if stated else node

    def _find_extended(self, names: Iterable[str]) -> dict[str, DeviceRequest]:
        """By extended resource that a DeviceClass serves, a request of one of its devices."""
        found = {}
        for name in names:
            served = (key for key, c in self.classes.rules.items() if c.extended_resource == name)
            device_class = next(served, name.removeprefix(_IMPLICIT) if name.startswith(_IMPLICIT) else "")
            if device_class in self.classes.rules:
                found[name] = DeviceRequest(device_class, 1)
        return found

    def _reject_competing(self, requests: Iterable[DeviceRequest], nodes: Sequence[Node]) -> None:
        """Refuse requests for sets of devices that overlap and differ, since which are taken then matters."""
        different = list(dict.fromkeys(msgspec.structs.replace(each, count=1) for each in requests))
        for node in nodes:
            sets = [self._match(node, each) for each in different]
            if any(one & other for i, one in enumerate(sets) for other in sets[:i]):
                raise Unmodelled("requests that compete for the same devices are not modelled")

    def _match(self, node: Node, request: DeviceRequest) -> frozenset[DeviceId]:
        key = node.name, msgspec.structs.replace(request, count=1)
        if key not in self._matches:
            self._matches[key] = frozenset(self._find_matching(node, request))
        return self._matches[key]

    def _find_matching(self, node: Node, request: DeviceRequest) -> Iterator[DeviceId]:
        rules = self.classes.rules.get(request.device_class)
        if rules is None:
            return  # gpu.dra tells of a class that does not exist
        selectors = (*rules.selectors, *request.selectors)
        for each in self.slices:
            if each.node not in (None, node.name):
                continue
            for device in each.offered:
                matches = all(_evaluate(selector, each.driver, device) for selector in selectors)
                if matches and (each.node is None or each.is_partial):
                    raise Unmodelled("devices of several nodes, or parts of devices, are not modelled")
                if matches and not find_repelling_taint(device.taints, map(dict, request.tolerations)):
                    yield each.driver, each.pool, device.name


def _name_resource(request: DeviceRequest, every: Sequence[DeviceRequest]) -> str:
    """A name for the devices of a request: that of the class, numbered where several requests name it."""
    alike = dict.fromkeys(
        msgspec.structs.replace(each, count=1) for each in every if each.device_class == request.device_class
    )
    number = list(alike).index(msgspec.structs.replace(request, count=1))
    return f"{request.device_class} (DRA)" if number == 0 else f"{request.device_class} (DRA, {number + 1})"


def _sum_requests(requests: Sequence[DeviceRequest], every: Sequence[DeviceRequest]) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for request in requests:
        name = _name_resource(request, every)
        amounts[name] = amounts.get(name, 0) + request.count
    return amounts


def _evaluate(expression: str, driver: str, device: Device) -> bool:
    """Whether a device matches a selector in CEL.

    :raises Unmodelled: the selector cannot be evaluated.
    """
    called = set(_CALL.findall(_TEXT.sub("", expression)))
    if not called <= _FUNCTIONS:
        raise Unmodelled(f"the CEL function {min(called - _FUNCTIONS)} of a device selector is not known")
    attributes: dict[str, dict[str, Any]] = {name: {} for name in _DOMAIN.findall(expression)}
    capacity: dict[str, dict[str, Any]] = {name: {} for name in attributes}
    for name, value in device.attributes.items():
        _place(attributes, driver, name, _convert_attribute(value))
    for name, amount in device.capacity.items():
        _place(capacity, driver, name, float(parse_quantity(amount) or 0))
    data = {"driver": driver, "attributes": attributes, "capacity": capacity}
    try:
        result = _compile(expression).eval(data={"device": data})
    except (ImportError, RuntimeError) as error:
        raise Unmodelled(f"a device selector cannot be evaluated: {error}") from error
    if result.type().name() == "ERROR":
        raise Unmodelled(f"a device selector cannot be evaluated: {result.plain_value()}")
    return bool(result.plain_value())


def _place(values: dict[str, dict[str, Any]], driver: str, name: str, value: Any) -> None:
    domain, _, own = name.rpartition("/")
    values.setdefault(domain or driver, {})[own] = value


def _convert_attribute(value: Mapping[str, Any]) -> Any:
    if "version" in value:
        return _parse_semver(str(value["version"]))
    return next(iter(value.values()), None)


def _parse_semver(text: str) -> float:
    """A release as a number that compares like it; one with a suffix is not modelled."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise Unmodelled(f"the version {text} of a device is not modelled")
    major, minor, patch = map(int, match.groups())
    return float((major * 10**5 + minor) * 10**5 + patch)


@cache
def _compile(expression: str) -> Any:
    return _create_environment().compile(expression, disable_check=True)


@cache
def _create_environment() -> Any:
    """CEL with what Kubernetes adds to it for devices; quantities and versions are numbers."""
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_strings

    text, number, truth, integer = cel.Type.STRING, cel.Type.DOUBLE, cel.Type.BOOL, cel.Type.INT

    def declare(name: str, parameters: list[Any], result: Any, function: Any) -> Any:
        is_member = len(parameters) == 2
        overload = cel.Overload(
            f"device_{name}", return_type=result, parameters=parameters, is_member=is_member, impl=function
        )
        return cel.FunctionDecl(name, [overload])

    return cel.NewEnv(
        variables={"device": cel.Type.DYN},
        extensions=[ext_strings.ExtStrings()],
        functions=[
            declare("quantity", [text], number, lambda amount: float(parse_quantity(amount) or 0)),
            declare("semver", [text], number, _parse_semver),
            declare("compareTo", [number, number], integer, lambda one, other: (one > other) - (one < other)),
            declare("isGreaterThan", [number, number], truth, lambda one, other: one > other),
            declare("isLessThan", [number, number], truth, lambda one, other: one < other),
        ],
    )
