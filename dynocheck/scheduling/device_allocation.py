"""Gives the devices of a node to claims, as kube-scheduler does: the first that it finds, depth first.

See https://github.com/kubernetes/kubernetes/tree/v1.36.3/staging/src/k8s.io/dynamic-resource-allocation/structured
"""

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import NamedTuple

import msgspec

from dynocheck.facts import Node
from dynocheck.scheduling.device_claims import DeviceClaim, DeviceRequest, Unmodelled
from dynocheck.scheduling.devices import DeviceId, DeviceInventory, OfferedDevice

_MAX_DEVICES = 32  # of a claim
_MAX_CHOICES = 8  # of a request
_MAX_REQUESTS = 64  # of a pod
_MAX_STEPS = 5_000

Devices = frozenset[DeviceId]


class Allocation(msgspec.Struct, frozen=True):
    """The devices that claims get on a node; `score` is higher the earlier the alternatives taken stand.

    `contradicts` is true if a claim wants all devices of the node and a constraint of it forbids one: for
    that error kube-scheduler places the pod on no node at all.
    """

    devices: Devices = frozenset()
    score: int = 0
    contradicts: bool = False


class DeviceAllocator:
    """Allocates devices, some of which are `held` from the start."""

    def __init__(self, inventory: DeviceInventory, held: Devices = frozenset()) -> None:
        self._inventory = inventory
        self._held = held
        self._known: dict[tuple[str, tuple[DeviceClaim, ...], Devices], Allocation | None] = {}

    def allocate(
        self, node: Node, claims: tuple[DeviceClaim, ...], taken: Devices = frozenset()
    ) -> Allocation | None:
        """The devices of a node for these claims beside those that are held and taken; None if they lack.

        :raises Unmodelled: there are too many combinations to try, or a device is not modelled.
        """
        key = node.name, claims, taken
        if key not in self._known:
            search = _Search(self._inventory, node, claims, self._held | taken)
            self._known[key] = search.run()
        return self._known[key]


class _Contradiction(Exception):
    """A claim wants all devices of a node, and a constraint of it forbids one."""


class _Choice(NamedTuple):
    """A device for a request of the claim with this index."""

    claim: int
    request: DeviceRequest
    device: OfferedDevice


_Choices = tuple[_Choice, ...]


class _Search:
    """One depth-first search for the devices of some claims."""

    def __init__(
        self, inventory: DeviceInventory, node: Node, claims: Sequence[DeviceClaim], taken: Devices
    ) -> None:
        self.inventory, self.node, self.claims, self.taken = inventory, node, claims, taken
        self.wanted = [(i, alternatives) for i, claim in enumerate(claims) for alternatives in claim.requests]
        self.steps = 0

    def run(self) -> Allocation | None:
        if len(self.wanted) > _MAX_REQUESTS:
            raise Unmodelled(f"its claims have more than {_MAX_REQUESTS} requests")
        try:
            choices = next(self._fill(0, ()), None)
        except _Contradiction:
            return Allocation(contradicts=True)
        if choices is None:
            return None
        taken = {(choice.claim, choice.request) for choice in choices}
        score = sum(
            _MAX_CHOICES - rank
            for claim, alternatives in self.wanted
            for rank, request in enumerate(alternatives)
            if "/" in request.name and (claim, request) in taken
        )
        return Allocation(frozenset(choice.device.id for choice in choices), score)

    def _fill(self, index: int, before: _Choices) -> Iterator[_Choices]:
        """Every way to fill the wanted requests from this index on."""
        if index == len(self.wanted):
            yield before
            return
        claim, alternatives = self.wanted[index]
        for request in alternatives:
            for choices in self._fill_request(claim, request, before):
                yield from self._fill(index + 1, choices)

    def _fill_request(self, claim: int, request: DeviceRequest, before: _Choices) -> Iterator[_Choices]:
        matching = self.inventory.match(self.node, request)
        used = self.taken.union(choice.device.id for choice in before)
        usable = [each.id not in used and each.is_tolerated_by(request) for each in matching]
        count = request.count or len(matching)
        own = sum(choice.claim == claim for choice in before)
        if not count or own + count > _MAX_DEVICES:
            return
        if request.count:
            yield from self._pick(claim, request, list(compress(matching, usable)), count, before)
        elif (choices := self._take_all(claim, request, matching, usable, before)) is not None:
            yield choices

    def _take_all(
        self,
        claim: int,
        request: DeviceRequest,
        matching: Sequence[OfferedDevice],
        usable: Sequence[bool],
        choices: _Choices,
    ) -> _Choices | None:
        for device, is_usable in zip(matching, usable, strict=True):
            if not is_usable:
                return None
            choices = (*choices, _Choice(claim, request, device))
            if not self._keeps_constraints(claim, choices):
                raise _Contradiction
        return choices

    def _pick(
        self,
        claim: int,
        request: DeviceRequest,
        free: Sequence[OfferedDevice],
        count: int,
        before: _Choices,
    ) -> Iterator[_Choices]:
        """Every way to pick this many devices, in their order, that keeps the constraints of the claim."""
        if count == 0:
            yield before
        for number in range(len(free) - count + 1 if count else 0):
            self.steps += 1
            if self.steps > _MAX_STEPS:
                raise Unmodelled("its claims have too many combinations of devices to try")
            choices = (*before, _Choice(claim, request, free[number]))
            if self._keeps_constraints(claim, choices):
                yield from self._pick(claim, request, free[number + 1 :], count - 1, choices)

    def _keeps_constraints(self, claim: int, choices: _Choices) -> bool:
        for constraint in self.claims[claim].constraints:
            values = [
                choice.device.get_attribute(constraint.attribute)
                for choice in choices
                if choice.claim == claim and constraint.applies_to(choice.request.name)
            ]
            if None in values or any(value != values[0] for value in values):
                return False
        return True
