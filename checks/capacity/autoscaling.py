"""Checks of a recipe's autoscalers: HorizontalPodAutoscalers and KEDA's ScaledObjects."""

from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, same_place, warn
from dynocheck.core.fixes import remove, set_value
from dynocheck.core.spelling import find_slip
from dynocheck.data.metrics import find_series
from dynocheck.facts import POD_TEMPLATE_PATHS, Manifest, Recipe, Recipes, Value, is_unfilled

_HPA, _KEDA = "HorizontalPodAutoscaler", "ScaledObject"
_MAX_REPLICAS = 100  # KEDA's default
_SCALABLE = {*POD_TEMPLATE_PATHS, "LeaderWorkerSet", "DynamoGraphDeploymentScalingAdapter"}
_REQUIRED = ("serverAddress", "query", "threshold")  # of KEDA's scaler of Prometheus
_MEASURED = ("cpu", "memory")  # the resources that a metrics server knows


class _Autoscaler(NamedTuple):
    """An autoscaler and what it scales: the kind, name and namespace of that."""

    manifest: Manifest
    target: tuple[str, str, str]
    place: Value

    @property
    def title(self) -> str:
        return f"{self.manifest.kind} {self.manifest.name}"

    def locate(self, place: Value) -> Location:
        return Location(self.manifest.file, place.line, place.column)


@check(
    "capacity.autoscaling",
    title="One autoscaler scales each workload, within its bounds",
    explained_by={"manifest.schema": same_place, "manifest.placeholders": same_place},
)
def autoscaling(recipes: Recipes) -> Iterator[Finding]:
    """KEDA makes a HorizontalPodAutoscaler of its own from a ScaledObject: a second one for the same
    workload sets other replicas than the first, and KEDA's webhook refuses the ScaledObject. An autoscaler
    whose target is not there does nothing. Where the workload sets `replicas` too, each `kubectl apply`
    undoes the scaling.

    Only an engine's own metrics never wake it from zero replicas, as then nobody exports them. The metrics
    server knows cpu and memory alone, and usage in percent is of the containers' requests. KEDA ignores a
    trigger's `metricName` since 2.12.

    Fix: kubectl describe hpa NAME
    """
    judged = False
    for recipe in recipes:
        scalers = [scaler for m in recipe.own_manifests for scaler in _read_autoscaler(m)]
        judged = judged or bool(scalers)
        yield from _check_doubles(scalers)
        for scaler in scalers:
            yield from _check_target(recipe, scaler)
            if scaler.manifest.kind == _KEDA:
                yield from _check_bounds(scaler)
                yield from _check_triggers(scaler)
    if not judged:
        raise Skip("no HorizontalPodAutoscaler and no ScaledObject")


def _read_autoscaler(manifest: Manifest) -> Iterator[_Autoscaler]:
    target = manifest.root.get("spec", "scaleTargetRef")
    name = target.get("name") if target is not None else None
    if manifest.kind in (_HPA, _KEDA) and target is not None and name is not None and name.text:
        kind = target.get_text("kind") or "Deployment"  # KEDA's default
        namespace = manifest.root.get_text("metadata", "namespace")
        yield _Autoscaler(manifest, (kind, name.text, namespace), name)


def _check_doubles(scalers: list[_Autoscaler]) -> Iterator[Finding]:
    first: dict[tuple[str, ...], _Autoscaler] = {}
    for scaler in scalers:
        folder = scaler.manifest.file.rpartition("/")[0]
        other = first.setdefault((*scaler.target, folder), scaler)
        same = (other.manifest.kind, other.manifest.name) == (scaler.manifest.kind, scaler.manifest.name)
        if other is not scaler and not same:
            with_keda = _KEDA in (other.manifest.kind, scaler.manifest.kind)
            report = (
                fail if other.manifest.file == scaler.manifest.file else warn
            )  # files may be alternatives
            yield report(
                f"{scaler.title} scales {scaler.target[0]} {scaler.target[1]}, as {other.title} does"
                + (": KEDA refuses the ScaledObject" if with_keda else ""),
                fix=f"keep one of them; {_KEDA} can have the metrics of both",
                location=scaler.locate(scaler.place),
            )


def _check_target(recipe: Recipe, scaler: _Autoscaler) -> Iterator[Finding]:
    """Reports a target that is not in the file that makes others of its kind, and replicas that it sets."""
    kind, name, _ = scaler.target
    beside = [m for m in recipe.own_manifests if m.file == scaler.manifest.file and m.kind == kind]
    folder = scaler.manifest.file.rpartition("/")[0]
    targets = [
        m
        for m in recipe.own_manifests
        if (m.kind, m.name) == (kind, name) and m.file.rpartition("/")[0] == folder
    ]
    if beside and not targets and kind in _SCALABLE and "$" not in name:
        listed = ", ".join(sorted({m.name for m in beside})[:3])
        yield fail(
            f"{scaler.title} scales {kind} {name}, which is not in the file, that makes {listed}",
            fix=set_value("spec.scaleTargetRef.name", beside[0].name) if len(beside) == 1 else None,
            location=scaler.locate(scaler.place),
        )
    elif not targets and (meant := _find_meant(recipe, scaler, folder)):
        yield warn(
            f"{scaler.title} scales {kind} {name}, which is not in the folder, that makes {meant}",
            fix=set_value("spec.scaleTargetRef.name", meant),
            location=scaler.locate(scaler.place),
        )
    for target in targets[:1]:
        replicas = target.root.get("spec", "replicas")
        if replicas is not None and kind != "DynamoGraphDeploymentScalingAdapter":
            yield warn(
                f"{kind} {name} sets replicas: {replicas.data}, which {scaler.title} scales: each kubectl "
                "apply undoes the scaling",
                fix=remove("spec.replicas"),
                location=Location(target.file, replicas.line, replicas.column),
            )
        yield from _check_resources(scaler, target)


def _find_meant(recipe: Recipe, scaler: _Autoscaler, folder: str) -> str | None:
    """The workload that an autoscaler has the name of, or of whose name its target is a slip."""
    kind, name, _ = scaler.target
    near = {
        m.name
        for m in recipe.own_manifests
        if m.kind == kind and m.file.rpartition("/")[0] == folder and m.name
    }
    return scaler.manifest.name if scaler.manifest.name in near else find_slip(name, near)


def _check_resources(scaler: _Autoscaler, target: Manifest) -> Iterator[Finding]:
    """Reports resources that nobody measures, and usage in percent of a request that is not there."""
    for metric in scaler.manifest.root.get_items("spec", "metrics"):
        name = metric.get("resource", "name")
        if name is None or not name.text:
            continue
        if name.text not in _MEASURED:
            yield fail(
                f"{scaler.title}: the metrics server measures cpu and memory, not {name.text}",
                fix="scale by a metric of the engine, such as its waiting requests",
                location=scaler.locate(name),
            )
        elif metric.get("resource", "target", "averageUtilization") is not None:
            without = [c.get_text("name") for c in _list_containers(target) if not _requests(c, name.text)]
            if without:
                yield fail(
                    f"{scaler.title}: usage in percent is of the request, and {', '.join(without)} "
                    f"requests no {name.text}: it never scales",
                    fix=set_value(f"resources.requests.{name.text}", "AMOUNT", f"in {without[0]}"),
                    location=scaler.locate(name),
                )


def _list_containers(target: Manifest) -> list[Value]:
    path = POD_TEMPLATE_PATHS.get(target.kind)
    return target.root.get_items(*path, "spec", "containers") if path is not None else []


def _requests(container: Value, resource: str) -> bool:
    return any(container.get("resources", part, resource) is not None for part in ("requests", "limits"))


def _check_bounds(scaler: _Autoscaler) -> Iterator[Finding]:
    """Reports bounds that KEDA refuses."""
    spec = scaler.manifest.root.get("spec")
    values = {key: spec and spec.get(f"{key}ReplicaCount") for key in ("min", "max", "idle")}
    numbers = {key: v.data for key, v in values.items() if v is not None and isinstance(v.data, int)}
    least, most, idle = numbers.get("min", 0), numbers.get("max", _MAX_REPLICAS), numbers.get("idle")
    if (place := values["min"]) is not None and least > most:
        yield fail(
            f"{scaler.title}: minReplicaCount {least} is over maxReplicaCount {most}: KEDA refuses it",
            fix=set_value("spec.maxReplicaCount", least),
            location=scaler.locate(place),
        )
    if (place := values["max"]) is not None and numbers.get("max") == 0:
        yield fail(
            f"{scaler.title}: maxReplicaCount is 0, and the HorizontalPodAutoscaler of KEDA needs at least 1",
            fix=set_value("spec.maxReplicaCount", 1, 'autoscaling.keda.sh/paused-replicas: "0" stops it'),
            location=scaler.locate(place),
        )
    if (place := values["idle"]) is not None and idle is not None and idle >= least:
        yield fail(
            f"{scaler.title}: KEDA refuses idleReplicaCount {idle}, which must be less than minReplicaCount "
            f"{least}",
            fix=set_value("spec.idleReplicaCount", 0) if least > 0 else remove("spec.idleReplicaCount"),
            location=scaler.locate(place),
        )


def _check_triggers(scaler: _Autoscaler) -> Iterator[Finding]:
    triggers = scaler.manifest.root.get_items("spec", "triggers")
    for trigger in triggers:
        given = trigger.get("metadata")
        for key, value in given.mapping.items() if given is not None else ():
            if isinstance(value.data, bool | int | float):
                yield fail(
                    f"{scaler.title}: {key} of its trigger must be text, and is {str(value.data).lower()}: "
                    "the API server refuses it",
                    fix=set_value(f"metadata.{key}", str(value.data).lower()),
                    location=scaler.locate(value),
                )
        if trigger.get_text("type") != "prometheus" or given is None:
            continue
        missing = [key for key in _REQUIRED if given.get(key) is None]
        if missing:
            yield fail(
                f"{scaler.title}: its trigger has no {' and no '.join(missing)}: KEDA cannot make it",
                fix=set_value(f"metadata.{missing[0]}", "VALUE"),
                location=scaler.locate(given),
            )
        threshold = given.get("threshold")
        if threshold is not None and threshold.text and not _may_be_number(threshold.text):
            yield fail(
                f"{scaler.title}: threshold is {threshold.text}, not a number: KEDA cannot make the trigger",
                fix=set_value("metadata.threshold", "NUMBER"),
                location=scaler.locate(threshold),
            )
        if (name := given.get("metricName")) is not None:
            yield warn(
                f"{scaler.title}: KEDA ignores metricName since 2.12",
                fix=remove("metadata.metricName", "a name for the trigger is beside its type: name: NAME"),
                location=scaler.locate(name),
            )
    yield from _check_wake_up(scaler, triggers)


def _may_be_number(text: str) -> bool:
    """Whether a text is a number, or will be when it is filled in."""
    try:
        float(text)
    except ValueError:
        return is_unfilled(text)
    return True


def _check_wake_up(scaler: _Autoscaler, triggers: list[Value]) -> Iterator[Finding]:
    """Reports a scaler to zero whose every query is of metrics that the scaled pods themselves export."""
    least = scaler.manifest.root.get("spec", "minReplicaCount")
    queries = [t.get_text("metadata", "query") for t in triggers if t.get_text("type") == "prometheus"]
    to_zero = least is None or least.data == 0
    if to_zero and queries and len(queries) == len(triggers) and all(map(_asks_pods, queries)):
        yield warn(
            f"{scaler.title} may scale to zero, from which only metrics of the scaled pods could wake it",
            fix=set_value("spec.minReplicaCount", 1, "or add a trigger by the requests that wait in front"),
            location=scaler.locate(least or scaler.place),
        )


def _asks_pods(query: str) -> bool:
    """Whether a query is of the metrics of an engine, which stop with its pods."""
    from dynocheck.checks.monitoring._promql import parse_query

    found = [find_series(name) for name in parse_query(query).series]
    return bool(found) and all(
        each is not None and each.exporter.key in ("vllm", "sglang", "tgi") for each in found
    )
