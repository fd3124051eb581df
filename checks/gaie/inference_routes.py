"""Checks that HTTPRoutes are attached to Gateways and refer to existing inference pools."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.checks.gaie._scope import (
    GROUPS,
    NOTHING,
    explain_condition,
    find_known_controller,
    find_pool_backends,
    find_recipe_parents,
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
    title="Inference routes have a Gateway and existing pools",
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
    """A route that is not attached, or whose pool does not resolve, answers 404 or 500 without a reason.

    The usual causes: the Gateway is not in the namespace of `parentRefs` (without one, the route's), its
    listeners accept only routes of their own namespace (the default), the backend has another group than
    the pool's `inference.networking.k8s.io`, or the controller was installed without support for pools.
    Otherwise the controller's conditions count: Accepted and ResolvedRefs for each parent and the current
    generation, and GKE's Reconciled if it is False.

    Fix: kubectl describe httproute -n NAMESPACE NAME
    """
    planned = [*_check_gateway_namespaces(gateways, here, recipes), *_check_recipe_backends(recipes)]
    yield from planned
    if not len(routes) and not len(pools):
        if not planned:
            raise Skip("no HTTPRoute refers to a pool yet" if uses_inference_pool(recipes) else NOTHING)
        return
    for route in routes:
        backends = list(_check_backends(route, pools))
        yield from backends
        if not route.parents:
            yield fail(
                "has no parentRefs, so no Gateway serves it",
                fix=_suggest_describe(route),
                subject=_make_subject(route),
            )
        for parent in route.parents:
            if is_gateway(parent):
                yield from _check_parent(route, parent, gateways, classes, pool_known=not backends)
            else:
                yield from _check_statuses(route, parent, None, "", pool_known=not backends)
    targets = {(pool.namespace, pool.name) for route in routes for pool in route.pools}
    for pool in pools:
        if (pool.namespace, pool.name) not in targets:
            yield warn(
                "no HTTPRoute refers to it, so it gets no requests from Gateways",
                fix=f"create an HTTPRoute with it as a backend, of group {pool.group}",
                subject=Subject("InferencePool", pool.name, pool.namespace),
            )


def _check_gateway_namespaces(
    gateways: Gateways, here: RunNamespace, recipes: Recipes | None
) -> Iterator[Finding]:
    """Reports recipes' routes whose parentRef has no namespace, and whose Gateway is in another one."""
    for parent in find_recipe_parents(recipes):
        namespaces = [g.namespace for g in gateways if g.name == parent.name]
        if parent.namespace is None and namespaces and here.name not in namespaces:
            yield warn(
                f"the parentRef has no namespace, but Gateway {parent.name} is in {' or '.join(namespaces)}: "
                f"applied in {here.name}, the route has no Gateway",
                fix=f"add namespace: {namespaces[0]} to the parentRef",
                location=parent.location,
            )


def _check_recipe_backends(recipes: Recipes | None) -> Iterator[Finding]:
    """Reports backends of recipes' routes with another group than the pools of Dynamo's operator."""
    for recipe in recipes or ():
        created = {f"{graph.name}-pool" for graph in recipe.graphs}
        for manifest in recipe.manifests:
            for backend in find_pool_backends(manifest):
                group, name = backend.get_text("group"), backend.get_text("name")
                if group not in GROUPS or (group != GAIE and name in created):
                    yield fail(
                        f"its backend {name} has group {group or '(core)'}, "
                        f"Dynamo's operator creates InferencePools of {GAIE}",
                        fix=f"set group: {GAIE} in the backendRef",
                        location=Location(manifest.file, backend.line, backend.column),
                    )


def _check_backends(route: Route, pools: InferencePools) -> Iterator[Finding]:
    known = {(pool.group, pool.namespace, pool.name) for pool in pools}
    for backend in route.pools:
        if (backend.group, backend.namespace, backend.name) in known:
            continue
        groups = [group for group in GROUPS if (group, backend.namespace, backend.name) in known]
        if groups:
            yield fail(
                f"its backend {backend.name} has group {backend.group or '(core)'}, "
                f"the InferencePool with that name has {groups[0]}",
                fix=f"set group: {groups[0]} in the backendRef",
                subject=_make_subject(route),
            )
        elif backend.group not in GROUPS:
            yield fail(
                f"its backend {backend.name} has group {backend.group or '(core)'}, "
                "which has no kind InferencePool",
                fix=f"set group: {GAIE} in the backendRef",
                subject=_make_subject(route),
            )
        else:
            yield fail(
                f"InferencePool {backend.name} does not exist in {backend.namespace}",
                fix=f"kubectl get inferencepools.{backend.group} -n {backend.namespace}",
                evidence={"pools": [f"{p.namespace}/{p.name}" for p in pools]},
                subject=_make_subject(route),
            )


def _check_parent(
    route: Route, parent: ObjectReference, gateways: Gateways, classes: GatewayClasses, *, pool_known: bool
) -> Iterator[Finding]:
    gateway = gateways.find(parent.namespace, parent.name)
    if gateway is None:
        elsewhere = [g.namespace for g in gateways if g.name == parent.name]
        yield fail(
            f"its Gateway {parent.name} does not exist in namespace {parent.namespace}"
            + (f", but in {', '.join(elsewhere)}" if elsewhere else ""),
            fix=f"set namespace: {elsewhere[0]} in the parentRef"
            if elsewhere
            else f"kubectl get gateways.{GATEWAY_API} -A",
            evidence={"gateways": [f"{g.namespace}/{g.name}" for g in gateways]},
            subject=_make_subject(route),
        )
        return
    if (reason := _explain_rejection(route, parent, gateway)) is not None:
        yield fail(
            reason,
            fix=f"kubectl edit gateways.{GATEWAY_API} -n {gateway.namespace} {gateway.name}   "
            "# listeners[].allowedRoutes.namespaces.from: All, or a Selector that matches " + route.namespace,
            evidence={listener.name: listener.routes_from for listener in gateway.listeners},
            subject=_make_subject(route),
        )
        return
    gateway_class = classes.find(gateway.class_name)
    row = find_known_controller(gateway_class)
    controller = gateway_class.controller if gateway_class else None
    yield from _check_statuses(route, parent, controller, row.enable if row else "", pool_known=pool_known)


def _explain_rejection(route: Route, parent: ObjectReference, gateway: Gateway) -> str | None:
    """Why no listener of the Gateway accepts the route; None if one may.

    Selectors are assumed to match; the controller's status tells if they do not.
    """
    listeners = [
        listener
        for listener in gateway.listeners
        if parent.section in ("", listener.name) and parent.port in (None, listener.port)
    ]
    name = f"{gateway.namespace}/{gateway.name}"
    if not listeners and (parent.section or parent.port):
        return f"Gateway {name} has no listener {parent.section or f'port {parent.port}'}"
    if listeners and not any(_admits(listener, route, gateway) for listener in listeners):
        return f"no listener of Gateway {name} accepts HTTPRoutes of namespace {route.namespace}"
    return None


def _admits(listener: Listener, route: Route, gateway: Gateway) -> bool:
    if listener.kinds and "HTTPRoute" not in listener.kinds:
        return False
    if listener.routes_from == "Same":
        return gateway.namespace == route.namespace
    return listener.routes_from in ("All", "Selector")


def _check_statuses(
    route: Route, parent: ObjectReference, controller: str | None, enable: str, *, pool_known: bool
) -> Iterator[Finding]:
    """Reports problems in the statuses of the parent's controller; those of other controllers are ignored."""
    statuses = [
        s for s in route.statuses if _is_same_parent(s.parent, parent) and controller in (None, s.controller)
    ]
    where = f"at {parent.kind} {parent.namespace}/{parent.name}"
    if not statuses:
        yield fail(
            f"{where}: no status, so no controller has processed it",
            fix=_suggest_describe(route),
            evidence={"controller": controller} if controller else {},
            subject=_make_subject(route),
        )
    for status in statuses:
        yield from _check_status(route, status, where, enable, pool_known=pool_known)


def _is_same_parent(reported: ObjectReference, parent: ObjectReference) -> bool:
    """Whether a status is about this parent; controllers may omit the listener."""
    return (
        (reported.group, reported.kind, reported.namespace, reported.name)
        == (parent.group, parent.kind, parent.namespace, parent.name)
        and reported.section in ("", parent.section)
        and reported.port in (None, parent.port)
    )


def _check_status(
    route: Route, status: RouteParent, where: str, enable: str, *, pool_known: bool
) -> Iterator[Finding]:
    evidence = {"controller": status.controller}
    conditions = {condition.type: condition for condition in status.conditions}
    # A missing pool, already reported, does not resolve either.
    kinds = ["Accepted", *(["ResolvedRefs"] if pool_known else [])]
    if "Reconciled" in conditions and conditions["Reconciled"].status == "False":
        kinds.append("Reconciled")
    for kind in kinds:
        if (message := explain_condition(status.conditions, kind)) is not None:
            unsupported = kind in conditions and conditions[kind].reason == "InvalidKind"
            yield fail(
                f"{where}: {message}",
                fix=enable if unsupported and enable else _suggest_describe(route),
                evidence=evidence,
                subject=_make_subject(route),
            )
            return
    if "PartiallyInvalid" in conditions and conditions["PartiallyInvalid"].status == "True":
        yield warn(
            f"{where}: a part of it is ignored: {conditions['PartiallyInvalid'].message}",
            fix=_suggest_describe(route),
            evidence=evidence,
            subject=_make_subject(route),
        )


def _suggest_describe(route: Route) -> str:
    return f"kubectl describe httproute -n {route.namespace} {route.name}"


def _make_subject(route: Route) -> Subject:
    return Subject("HTTPRoute", route.name, route.namespace)
