"""Devices that pods claim, counted on nodes."""

from typing import Any

import pytest

from dynocheck.facts import (
    AllocatedDevice,
    Device,
    DeviceClass,
    DeviceClasses,
    Node,
    ResourceSlice,
    ResourceSlices,
    Taint,
)
from dynocheck.scheduling.device_allocation import Allocation, DeviceAllocator
from dynocheck.scheduling.device_claims import DeviceClaim, DeviceRequest, SameAttribute, Unmodelled
from dynocheck.scheduling.devices import DeviceInventory

DRIVER, CLASS = "gpu.example.com", "gpu"
NAME = f"{CLASS} (DRA)"
CLASSES = DeviceClasses((CLASS,), ("v1",), {CLASS: DeviceClass((f"device.driver == '{DRIVER}'",))})
LARGE = f"device.capacity['{DRIVER}'].memory.compareTo(quantity('100Gi')) >= 0"
SMALL = f"device.capacity['{DRIVER}'].memory.isLessThan(quantity('100Gi'))"
NEW = f"device.attributes['{DRIVER}'].release.isGreaterThan(semver('1.9.0'))"


def device(name: str, memory: str = "80Gi", numa: int | None = None, **more: Any) -> Device:
    attributes: dict[str, dict[str, Any]] = {"release": {"version": "1.10.0"}}
    if numa is not None:
        attributes["numa"] = {"int": numa}
    return Device(name, attributes, {"memory": memory}, **more)


def offered(*devices: Device, held: tuple[str, ...] | None = (), **more: Any) -> ResourceSlices:
    """Devices of node a, some of which claims hold."""
    each = ResourceSlice("s", DRIVER, more.pop("node", "a"), len(devices), pool="a", offered=devices, **more)
    allocated = None if held is None else tuple(AllocatedDevice(DRIVER, "a", name) for name in held)
    return ResourceSlices((each,), allocated=allocated)


def count(slices: ResourceSlices, *requests: DeviceRequest) -> dict[str, str]:
    """What node a has of the devices that one pod requests."""
    claims = tuple(DeviceClaim(((request,),)) for request in requests)
    held = [device for device in slices.allocated or () if device.name != "own"]
    (node,), _ = DeviceInventory(slices, CLASSES).add_devices([Node("a")], [(claims, ())], held)
    return node.allocatable


def allocate(slices: ResourceSlices, *claims: DeviceClaim, taken: tuple[str, ...] = ()) -> set[str] | None:
    """The devices of node a that one pod gets."""
    used = frozenset((DRIVER, "a", name) for name in taken)
    found = DeviceAllocator(DeviceInventory(slices, CLASSES), used).allocate(Node("a"), claims)
    return None if found is None else {name for _, _, name in found.devices}


BROKEN = device("b", taints=(Taint("broken", "NoSchedule"),))
TOLERANT = DeviceRequest(CLASS, 1, tolerations=((("key", "broken"), ("operator", "Exists")),))


@pytest.mark.parametrize(
    ("slices", "request_", "expected"),
    [
        (offered(device("a"), device("b")), DeviceRequest(CLASS, 2), "2"),
        (offered(device("a"), device("b"), held=("b",)), DeviceRequest(CLASS, 2), "1"),
        (offered(device("a"), device("own"), held=("own",)), DeviceRequest(CLASS, 2), "2"),
        (offered(device("a"), node="b"), DeviceRequest(CLASS, 1), "0"),
        (offered(device("a"), device("b", "141Gi")), DeviceRequest(CLASS, 1, (LARGE,)), "1"),
        (offered(device("a")), DeviceRequest(CLASS, 1, (NEW,)), "1"),
        (offered(device("a"), BROKEN), DeviceRequest(CLASS, 1), "1"),
        (offered(device("a"), BROKEN), TOLERANT, "2"),
        (offered(device("a")), DeviceRequest("none", 1), "0"),
    ],
)
def test_devices_are_counted(slices: ResourceSlices, request_: DeviceRequest, expected: str) -> None:
    assert list(count(slices, request_).values()) == [expected]


def test_requests_for_different_devices_are_counted_apart() -> None:
    small, large = DeviceRequest(CLASS, 1, (SMALL,)), DeviceRequest(CLASS, 2, (LARGE,))
    slices = offered(device("a"), device("b", "141Gi"), device("c", "141Gi"))
    assert sorted(count(slices, small, large).values()) == ["1", "2"]


@pytest.mark.parametrize(
    ("slices", "requests"),
    [
        (offered(device("a"), held=None), [DeviceRequest(CLASS, 1)]),
        (offered(device("a"), node=None), [DeviceRequest(CLASS, 1)]),
        (offered(device("a"), is_partial=True), [DeviceRequest(CLASS, 1)]),
        (offered(device("a")), [DeviceRequest(CLASS, 1, ("device.invented()",))]),
        (offered(device("a")), [DeviceRequest(CLASS, 1, (f"device.attributes['{DRIVER}'].missing",))]),
    ],
)
def test_what_is_not_modelled(slices: ResourceSlices, requests: list[DeviceRequest]) -> None:
    with pytest.raises(Unmodelled):
        count(slices, *requests)


ON_NUMA = [device(name, numa=number) for name, number in (("a", 0), ("b", 1), ("c", 1), ("d", None))]
SAME_NUMA = (SameAttribute(f"{DRIVER}/numa"),)
TWO, ALL = DeviceRequest(CLASS, 2, name="gpus"), DeviceRequest(CLASS, 0, name="gpus")
LARGE_FIRST = (DeviceRequest(CLASS, 1, (LARGE,), name="gpu/large"), DeviceRequest(CLASS, 2, name="gpu/any"))


@pytest.mark.parametrize(
    ("devices", "claim", "taken", "expected"),
    [
        ([device("a"), device("b")], DeviceClaim(((ALL,),)), (), {"a", "b"}),
        ([device("a"), device("b")], DeviceClaim(((ALL,),)), ("b",), None),
        ([device("a"), BROKEN], DeviceClaim(((ALL,),)), (), None),
        ([], DeviceClaim(((ALL,),)), (), None),
        (ON_NUMA, DeviceClaim(((TWO,),)), (), {"a", "b"}),
        (ON_NUMA, DeviceClaim(((TWO,),), SAME_NUMA), (), {"b", "c"}),
        (ON_NUMA, DeviceClaim(((TWO,),), SAME_NUMA), ("c",), None),
        (
            ON_NUMA,
            DeviceClaim(((TWO,),), (SameAttribute(f"{DRIVER}/numa", frozenset({"other"})),)),
            (),
            {"a", "b"},
        ),
        ([device("a"), device("b", "141Gi")], DeviceClaim((LARGE_FIRST,)), (), {"b"}),
        ([device("a"), device("b", "141Gi"), device("c")], DeviceClaim((LARGE_FIRST,)), ("b",), {"a", "c"}),
        ([device("a"), device("b", "141Gi")], DeviceClaim((LARGE_FIRST,)), ("b",), None),
        (
            [device("a"), device("b", "141Gi")],
            DeviceClaim(
                ((DeviceRequest(CLASS, 1, name="x"),), (DeviceRequest(CLASS, 1, (SMALL,), name="y"),))
            ),
            (),
            {"a", "b"},
        ),
    ],
)
def test_devices_are_allocated(
    devices: list[Device], claim: DeviceClaim, taken: tuple[str, ...], expected: set[str] | None
) -> None:
    assert allocate(offered(*devices), claim, taken=taken) == expected


def test_all_devices_that_a_constraint_forbids() -> None:
    claim = DeviceClaim(((ALL,),), SAME_NUMA)
    allocator = DeviceAllocator(DeviceInventory(offered(*ON_NUMA), CLASSES))
    assert allocator.allocate(Node("a"), (claim,)) == Allocation(contradicts=True)
    # a device that is in use comes first
    assert allocator.allocate(Node("a"), (claim,), frozenset({(DRIVER, "a", "a")})) is None


def test_claims_with_too_many_combinations_are_not_modelled() -> None:
    many = offered(*(device(f"d{n}", numa=n % 4) for n in range(40)))
    claim = DeviceClaim(((DeviceRequest(CLASS, 11, name="gpus"),),), SAME_NUMA)
    with pytest.raises(Unmodelled):
        allocate(many, claim)
