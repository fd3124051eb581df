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
from dynocheck.scheduling.devices import DeviceInventory, DeviceRequest, Unmodelled

DRIVER, CLASS = "gpu.example.com", "gpu"
NAME = f"{CLASS} (DRA)"
CLASSES = DeviceClasses((CLASS,), ("v1",), {CLASS: DeviceClass((f"device.driver == '{DRIVER}'",))})
LARGE = f"device.capacity['{DRIVER}'].memory.compareTo(quantity('100Gi')) >= 0"
SMALL = f"device.capacity['{DRIVER}'].memory.isLessThan(quantity('100Gi'))"
NEW = f"device.attributes['{DRIVER}'].release.isGreaterThan(semver('1.9.0'))"


def device(name: str, memory: str = "80Gi", **more: Any) -> Device:
    return Device(name, {"release": {"version": "1.10.0"}}, {"memory": memory}, **more)


def offered(*devices: Device, held: tuple[str, ...] | None = (), **more: Any) -> ResourceSlices:
    """Devices of node a, some of which claims hold."""
    each = ResourceSlice("s", DRIVER, more.pop("node", "a"), len(devices), pool="a", offered=devices, **more)
    allocated = None if held is None else tuple(AllocatedDevice(DRIVER, "a", name) for name in held)
    return ResourceSlices((each,), allocated=allocated)


def count(slices: ResourceSlices, *requests: DeviceRequest) -> dict[str, str]:
    """What node a has of the devices that one pod requests."""
    (node,), _ = DeviceInventory(slices, CLASSES).add_devices(
        [Node("a")], [(requests, ())], lambda device: device.name == "own"
    )
    return node.allocatable


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
        (offered(device("a")), [DeviceRequest(CLASS, 1), DeviceRequest(CLASS, 1, (SMALL,))]),
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
