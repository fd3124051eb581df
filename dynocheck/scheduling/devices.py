"""Devices that pods claim through Dynamic Resource Allocation, counted like other resources of a node.

The devices of a node that match a request are counted as one resource, which tells what lacks.
`device_allocation` tells which devices a pod gets.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from dynocheck.facts import (
    AllocatedDevice,
    Device,
    DeviceClasses,
    Node,
    ResourceSlice,
    ResourceSlices,
    parse_quantity,
)
from dynocheck.scheduling.device_claims import DeviceClaim, DeviceRequest, Unmodelled
from dynocheck.scheduling.selectors import find_repelling_taint

_IMPLICIT = "deviceclass.resource.kubernetes.io/"  # prefix of the extended resource that each class has
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\(")
_TEXT = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_DOMAIN = re.compile(r"(?:attributes|capacity)\[\s*['\"]([^'\"]+)['\"]\s*\]")
_FUNCTIONS = frozenset(
    """compareTo contains endsWith exists has in int isGreaterThan isLessThan lowerAscii matches quantity
    semver size startsWith string upperAscii""".split()  # noqa: SIM905
)
_VERSION = re.compile(r"v?([0-9]{1,3})\.([0-9]{1,5})\.([0-9]{1,5})")

DeviceId = tuple[str, str, str]  # driver, pool and name


class OfferedDevice(msgspec.Struct, frozen=True):
    """A device of a driver's pool."""

    driver: str
    pool: str
    device: Device

    @property
    def id(self) -> DeviceId:
        return self.driver, self.pool, self.device.name

    def is_tolerated_by(self, request: DeviceRequest) -> bool:
        return find_repelling_taint(self.device.taints, map(dict, request.tolerations)) is None

    def get_attribute(self, name: str) -> Mapping[str, Any] | None:
        """The type and value of an attribute, by its name with a domain; None without it."""
        domain, _, own = name.partition("/")
        return self.device.attributes.get(name) or (
            self.device.attributes.get(own) if domain == self.driver else None
        )


class DeviceInventory:
    """The devices that DRA drivers offer on nodes, and the classes by which pods request them."""

    def __init__(self, slices: ResourceSlices, classes: DeviceClasses) -> None:
        self.slices = slices
        self.classes = classes
        self._by_node: dict[str | None, list[ResourceSlice]] = defaultdict(list)
        for each in sorted(slices, key=lambda each: (each.driver, each.pool, each.name)):
            self._by_node[each.node].append(each)
        self._matches: dict[tuple[str, DeviceRequest], tuple[OfferedDevice, ...]] = {}

    def match(self, node: Node, request: DeviceRequest) -> tuple[OfferedDevice, ...]:
        """The devices of a node that match a request, held or tainted ones too, in the scheduler's order.

        :raises Unmodelled: whether a device matches cannot be told.
        """
        key = node.name, msgspec.structs.replace(request, count=min(request.count, 1), name="")
        if key not in self._matches:
            self._matches[key] = tuple(self._find_matching(node, request))
        return self._matches[key]

    def add_devices(
        self,
        nodes: Sequence[Node],
        pods: Sequence[tuple[Sequence[DeviceClaim], Iterable[str]]],
        held: Sequence[AllocatedDevice],
    ) -> tuple[list[Node], list[dict[str, int]]]:
        """The nodes with their devices as allocatable resources, and what the pods request of these.

        An allocator decides which devices a pod gets; the amounts tell what lacks.

        :param pods: the claims of each pod, and the names of the resources that it requests.
        :raises Unmodelled: the devices that they request cannot be counted.
        """
        claimed = [_list_fixed(claims) for claims, _ in pods]
        every = [request for requests in claimed for request in requests]
        extended = self._find_extended({name for _, names in pods for name in names})
        if self.slices.allocated is None and any(claims for claims, _ in pods):
            raise Unmodelled("which devices are allocated is unknown")
        all_claimed = [r for claims, _ in pods for c in claims for choices in c.requests for r in choices]
        self._reject_competing(extended.values(), all_claimed, nodes)
        by_name = {_name_resource(request, every): request for request in every}
        added = [self._add_to_node(node, by_name, extended, held) for node in nodes]
        return added, [_sum_requests(requests, every) for requests in claimed]

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
        amounts = {name: len(self._find_usable(node, each) - taken) for name, each in requests.items()}
        for name, request in extended.items():
            if node.allocatable.get(name, "0") == "0" and (offered := self._find_usable(node, request)):
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

    def _reject_competing(
        self, extended: Iterable[DeviceRequest], claimed: Iterable[DeviceRequest], nodes: Sequence[Node]
    ) -> None:
        """Refuse extended resources whose devices are claimed too, since these are only counted."""
        different = [*extended, *dict.fromkeys(claimed)]
        for number, request in enumerate(extended):
            for node in nodes:
                usable = self._find_usable(node, request)
                if any(usable & self._find_usable(node, other) for other in different[number + 1 :]):
                    raise Unmodelled("extended resources and claims for the same devices are not modelled")

    def _find_usable(self, node: Node, request: DeviceRequest) -> frozenset[DeviceId]:
        return frozenset(each.id for each in self.match(node, request) if each.is_tolerated_by(request))

    def _find_matching(self, node: Node, request: DeviceRequest) -> Iterator[OfferedDevice]:
        rules = self.classes.rules.get(request.device_class)
        if rules is None:
            return  # gpu.dra tells of a class that does not exist
        selectors = (*rules.selectors, *request.selectors)
        for each in (*self._by_node[node.name], *self._by_node[None]):
            if request.count == 0 and each.devices and not each.offered:
                raise Unmodelled(f"slices of pool {each.pool} are missing, and its claim wants all devices")
            for device in each.offered:
                matches = all(_evaluate(selector, each.driver, device) for selector in selectors)
                if matches and (each.node is None or each.is_partial):
                    raise Unmodelled("devices of several nodes, or parts of devices, are not modelled")
                if matches:
                    yield OfferedDevice(each.driver, each.pool, device)


def _list_fixed(claims: Iterable[DeviceClaim]) -> list[DeviceRequest]:
    """The requests for a fixed number of devices of one kind, in claims that each pod has of its own."""
    own = [choices for claim in claims if not claim.shared for choices in claim.requests]
    fixed = [choices[0] for choices in own if len(choices) == 1 and choices[0].count]
    return [msgspec.structs.replace(request, name="") for request in fixed]


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
