"""What changed between a deployment that served and one that does not."""

from collections.abc import Iterator, Mapping

from dynocheck import Row, table
from dynocheck.checks.symptom._chain import is_later, shorten
from dynocheck.facts import DeployedObject, EarlierState, NamespaceState, ObjectKey

_CELL = 160


@table(
    "symptom.changes",
    title="Changes",
    note="of objects, their pod templates, nodes and ConfigMaps, of which only digests are read",
)
def changes(state: NamespaceState, earlier: EarlierState) -> Iterator[Row]:
    """What differs from an earlier state, or what has changed since a moment."""
    if earlier.state is not None:
        yield from _compare(earlier.state, state)
    else:
        yield from _list_recent(state, earlier.since)


def _compare(before: NamespaceState, after: NamespaceState) -> Iterator[Row]:
    old, new = ({each.key: each for each in _list_designed(state)} for state in (before, after))
    for key in sorted(old.keys() | new.keys()):
        if key not in old and is_later(before.taken, new[key].created):
            continue  # it was there, and was not recorded
        if key not in new or key not in old:
            yield _make_row(key, "deleted" if key in old else "created", "", "", new.get(key))
            continue
        yield from _compare_settings(key, old[key].settings, new[key].settings, new[key])
        if old[key].desired != new[key].desired:
            yield _make_row(key, "replicas", old[key].desired, new[key].desired, new[key])
    yield from _compare_hosts(before, after)
    if before.config_maps is not None and after.config_maps is not None:
        maps = {each.key: each for each in before.config_maps}
        for each in after.config_maps:
            if each.key in maps:
                yield from _compare_settings(each.key, maps[each.key].settings, each.settings, each)
            else:
                yield _make_row(each.key, "created", "", "", each)
        for key in sorted(maps.keys() - {each.key for each in after.config_maps}):
            yield _make_row(key, "deleted", "", "", None)


def _list_designed(state: NamespaceState) -> Iterator[DeployedObject]:
    """What people or their tools change: not what a Deployment makes anew with every change."""
    return (each for each in state.objects if each.key.kind not in ("ReplicaSet", "Job") or not each.owners)


def _compare_hosts(before: NamespaceState, after: NamespaceState) -> Iterator[Row]:
    """The nodes that pods have left or come to, and what changed on those they stayed on."""
    old, new = ({host.name: host for host in state.hosts} for state in (before, after))
    for name in sorted(old.keys() | new.keys()):
        key = ObjectKey("Node", name)
        if name not in new or name not in old:
            yield _make_row(key, "no longer runs pods" if name in old else "runs pods now", "", "", None)
        elif old[name].settings:
            yield from _compare_settings(key, old[name].settings, new[name].settings, None)


def _list_recent(state: NamespaceState, since: str) -> Iterator[Row]:
    for each in (*state.objects, *(state.config_maps or ())):
        is_new = is_later(each.created, since)
        if each.key.kind == "ReplicaSet":
            before = _find_predecessor(state, each, since)
            if is_new and before is not None:
                yield from _compare_settings(each.owners[0], before.settings, each.settings, each)
        elif is_new or is_later(each.changed, since):
            yield _make_row(each.key, "created" if is_new else "changed", "", "", each)
    for host in state.hosts:
        if is_later(host.created, since):
            yield _make_row(ObjectKey("Node", host.name), "joined the cluster", "", "", None)


def _find_predecessor(state: NamespaceState, each: DeployedObject, since: str) -> DeployedObject | None:
    """The last ReplicaSet of the same Deployment from before a moment."""
    others = (
        other
        for other in state.list_objects("ReplicaSet")
        if other.owners[:1] == each.owners[:1] and each.owners and not is_later(other.created, since)
    )
    return max(others, key=lambda other: other.created, default=None)


def _compare_settings(
    key: ObjectKey, before: Mapping[str, str], after: Mapping[str, str], now: DeployedObject | None
) -> Iterator[Row]:
    """A row for each setting that differs; none if one of the two recorded none."""
    if not before or not after:
        return
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield _make_row(key, name, before.get(name, "-"), after.get(name, "-"), now)


def _make_row(key: ObjectKey, what: str, before: object, after: object, now: DeployedObject | None) -> Row:
    return {
        "object": str(key),
        "change": what,
        "before": shorten(str(before), _CELL),
        "after": shorten(str(after), _CELL),
        "when": now.changed or now.created if now else "",
        "by": now.changed_by if now else "",
    }
