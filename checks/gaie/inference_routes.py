"""Whether HTTPRoutes are attached to their Gateways and find their inference pools."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.checks.gaie._scope import (
    GROUPS,
    NOTHING,
    explain_condition,
    find_known_controller,
    find_pool_backends,
    find_recipe_parents,
    get_text,
    is_gateway,
    lacks_type,
    uses_inference_pool,
)
from dynocheck.facts import (
    GAIE,
    GATEWAY_API,
    Gateway,
    GatewayClasses,
    Gateways,
    InferencePools,
    InferenceRoutes,
    Listener,
    ObjectReference,
    Recipes,
    Route,
    RouteParent,
    RunNamespace,
)


@check(
    "gaie.route",
    title="Inference routes are attached to a Gateway and find their pools",
    explained_by={
        "gaie.gateway-crds": lacks_type("gateways", "gateways"),
        "gaie.crds": lacks_type("inferencepools", "pools"),
    },
)
def route(
    routes: InferenceRoutes,
    pools: InferencePools,
    gateways: Gateways,
    classes: GatewayClasses,
    here: RunNamespace,
    recipes: Recipes | None,
) -> Iterator[Finding]:
    """A route that is not attached, or whose pool does not resolve, answers 404 or 500, and nothing says why.

    The usual causes: the Gateway is in another namespace than `parentRefs` say (or than the route, where
    they say none), its listeners take routes of their own namespace only (the default), the pool is of
    group `inference.networking.k8s.io` and the backend says another, or the controller was installed
    without support for pools. After those, the controller's own word counts: Accepted and ResolvedRefs at
    every parent, for the present generation, and GKE's Reconciled where it says False.

    Fix: kubectl describe httproute -n NAMESPACE NAME
    """
    planned = [*_check_gateway_namespaces(gateways, here, recipes), *_check_recipe_backends(recipes)]
    yield from planned
    if not len(routes) and not len(pools):
        if not planned:
            raise Skip("no HTTPRoute leads to a pool yet" if uses_inference_pool(recipes) else NOTHING)
        return
    for each in routes:
        backends = list(_check_backends(each, pools))
        yield from backends
        if not each.parents:
            yield fail(
                "names no parent, so no Gateway serves it",
                fix=_suggest_describe(each),
                subject=_make_subject(each),
            )
        for parent in each.parents:
            if is_gateway(parent):
                yield from _check_parent(each, parent, gateways, classes, pool_known=not backends)
            else:
                yield from _check_statuses(each, parent, None, "", pool_known=not backends)
    led_to = {(p.group, p.namespace, p.name) for each in routes for p in each.pools}
    named = {(namespace, name) for _, namespace, name in led_to}
    for pool in pools:
        if (pool.namespace, pool.name) not in named:
            yield warn(
                "no HTTPRoute leads to it, so no Gateway does",
                fix=f"create an HTTPRoute with it as a backend, of group {pool.group}",
                subject=Subject("InferencePool", pool.name, pool.namespace),
            )


def _check_gateway_namespaces(
    gateways: Gateways, here: RunNamespace, recipes: Recipes | None
) -> Iterator[Finding]:
    """Routes of recipes that look for their Gateway beside themselves, and it is elsewhere."""
    for parent in find_recipe_parents(recipes):
        homes = [g.namespace for g in gateways if g.name == parent.name]
        if parent.namespace is None and homes and here.name not in homes:
            yield warn(
                f"names Gateway {parent.name} without its namespace, which is {' or '.join(homes)}: "
                f"applied in {here.name}, the route is attached to nothing",
                fix=f"add namespace: {homes[0]} to the parentRef",
                location=parent.location,
            )


def _check_recipe_backends(recipes: Recipes | None) -> Iterator[Finding]:
    """Backends of the routes of recipes that cannot be pools, or not those that Dynamo's operator makes."""
    for recipe in recipes or ():
        made = {f"{graph.name}-pool" for graph in recipe.graphs}
        for manifest in recipe.manifests:
            for backend in find_pool_backends(manifest):
                group, name = get_text(backend, "group"), get_text(backend, "name")
                if group not in GROUPS or (group != GAIE and name in made):
                    yield fail(
                        f"its backend {name} is of group {group or '(core)'}, "
                        f"Dynamo's operator makes InferencePools of {GAIE}",
                        fix=f"set group: {GAIE} in the backendRef",
                        location=Location(manifest.file, backend.line, backend.column),
                    )


def _check_backends(each: Route, pools: InferencePools) -> Iterator[Finding]:
    known = {(pool.group, pool.namespace, pool.name) for pool in pools}
    for backend in each.pools:
        if (backend.group, backend.namespace, backend.name) in known:
            continue
        of_group = [group for group in GROUPS if (group, backend.namespace, backend.name) in known]
        if of_group:
            yield fail(
                f"its backend {backend.name} is of group {backend.group or '(core)'}, "
                f"the InferencePool of that name is of {of_group[0]}",
                fix=f"set group: {of_group[0]} in the backendRef",
                subject=_make_subject(each),
            )
        elif backend.group not in GROUPS:
            yield fail(
                f"its backend {backend.name} is an InferencePool of group {backend.group or '(core)'}, "
                "which has no such kind",
                fix=f"set group: {GAIE} in the backendRef",
                subject=_make_subject(each),
            )
        else:
            yield fail(
                f"leads to InferencePool {backend.name}, which does not exist in {backend.namespace}",
                fix=f"kubectl get inferencepools.{backend.group} -n {backend.namespace}",
                evidence={"pools": [f"{p.namespace}/{p.name}" for p in pools]},
                subject=_make_subject(each),
            )


def _check_parent(
    each: Route, parent: ObjectReference, gateways: Gateways, classes: GatewayClasses, *, pool_known: bool
) -> Iterator[Finding]:
    gateway = gateways.find(parent.namespace, parent.name)
    if gateway is None:
        elsewhere = [g.namespace for g in gateways if g.name == parent.name]
        yield fail(
            f"its Gateway {parent.name} does not exist in namespace {parent.namespace}"
            + (f"; one of that name is in {', '.join(elsewhere)}" if elsewhere else ""),
            fix=f"set namespace: {elsewhere[0]} in the parentRef"
            if elsewhere
            else f"kubectl get gateways.{GATEWAY_API} -A",
            evidence={"gateways": [f"{g.namespace}/{g.name}" for g in gateways]},
            subject=_make_subject(each),
        )
        return
    if (refusal := _explain_refusal(each, parent, gateway)) is not None:
        yield fail(
            refusal,
            fix=f"kubectl edit gateways.{GATEWAY_API} -n {gateway.namespace} {gateway.name}   "
            "# listeners[].allowedRoutes.namespaces.from: All, or a Selector that matches " + each.namespace,
            evidence={listener.name: listener.routes_from for listener in gateway.listeners},
            subject=_make_subject(each),
        )
        return
    found = classes.find(gateway.class_name)
    row = find_known_controller(found)
    enable = row.enable if row else ""
    yield from _check_statuses(
        each, parent, found.controller if found else None, enable, pool_known=pool_known
    )


def _explain_refusal(each: Route, parent: ObjectReference, gateway: Gateway) -> str | None:
    """Why no listener takes the route, as far as its own words tell.

    Whether a Selector matches is left to the controller, which knows the labels of namespaces.
    """
    meant = [
        listener
        for listener in gateway.listeners
        if parent.section in ("", listener.name) and parent.port in (None, listener.port)
    ]
    if not meant and (parent.section or parent.port):
        what = parent.section or f"port {parent.port}"
        return f"names listener {what}, which Gateway {gateway.namespace}/{gateway.name} does not have"
    if meant and not any(_admits(listener, each, gateway) for listener in meant):
        return (
            f"no listener of Gateway {gateway.namespace}/{gateway.name} takes HTTPRoutes "
            f"of namespace {each.namespace}"
        )
    return None


def _admits(listener: Listener, each: Route, gateway: Gateway) -> bool:
    if listener.kinds and "HTTPRoute" not in listener.kinds:
        return False
    if listener.routes_from == "Same":
        return gateway.namespace == each.namespace
    return listener.routes_from in ("All", "Selector")


def _check_statuses(
    each: Route, parent: ObjectReference, controller: str | None, enable: str, *, pool_known: bool
) -> Iterator[Finding]:
    """What the controller says; others may write a status too, which is not theirs to judge by."""
    told = [
        s for s in each.statuses if _is_same_parent(s.parent, parent) and controller in (None, s.controller)
    ]
    where = f"at {parent.kind} {parent.namespace}/{parent.name}"
    if not told:
        yield fail(
            f"{where}: no status, so no controller has taken it up",
            fix=_suggest_describe(each),
            evidence={"controller": controller} if controller else {},
            subject=_make_subject(each),
        )
    for status in told:
        yield from _check_status(each, status, where, enable, pool_known=pool_known)


def _is_same_parent(told: ObjectReference, parent: ObjectReference) -> bool:
    """Whether a status is about this parent; controllers may leave out the listener."""
    return (
        (told.group, told.kind, told.namespace, told.name)
        == (parent.group, parent.kind, parent.namespace, parent.name)
        and told.section in ("", parent.section)
        and told.port in (None, parent.port)
    )


def _check_status(
    each: Route, status: RouteParent, where: str, enable: str, *, pool_known: bool
) -> Iterator[Finding]:
    evidence = {"controller": status.controller}
    told = {c.type: c for c in status.conditions}
    # Not resolving has been explained where the pool is not there.
    kinds = ["Accepted", *(["ResolvedRefs"] if pool_known else [])]
    if "Reconciled" in told and told["Reconciled"].status == "False":
        kinds.append("Reconciled")
    for kind in kinds:
        if (message := explain_condition(status.conditions, kind)) is not None:
            unsupported = kind in told and told[kind].reason == "InvalidKind"
            yield fail(
                f"{where}: {message}",
                fix=enable if unsupported and enable else _suggest_describe(each),
                evidence=evidence,
                subject=_make_subject(each),
            )
            return
    if "PartiallyInvalid" in told and told["PartiallyInvalid"].status == "True":
        yield warn(
            f"{where}: a part of it is left out: {told['PartiallyInvalid'].message}",
            fix=_suggest_describe(each),
            evidence=evidence,
            subject=_make_subject(each),
        )


def _suggest_describe(each: Route) -> str:
    return f"kubectl describe httproute -n {each.namespace} {each.name}"


def _make_subject(each: Route) -> Subject:
    return Subject("HTTPRoute", each.name, each.namespace)
