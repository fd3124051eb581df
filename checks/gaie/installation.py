"""Whether the Gateway API and its Inference Extension are installed as their releases ship them."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.checks.gaie._scope import (
    GROUPS,
    explain_no_gateway,
    find_controller_workloads,
    find_known_controller,
    find_pool_backends,
    find_used_classes,
    find_used_gateways,
    get_text,
    uses_inference_pool,
)
from dynocheck.data import NEWEST_GAIE, gaie_crds, parse_version
from dynocheck.data.gateways import GatewayController
from dynocheck.facts import (
    GAIE,
    GAIE_EXPERIMENTAL,
    GATEWAY_API,
    ApiServer,
    CustomResourceDefinition,
    CustomResourceDefinitions,
    GatewayClasses,
    Gateways,
    InferenceRoutes,
    Recipes,
    Workload,
    Workloads,
)

_BUNDLE = f"{GAIE}/bundle-version"
_GATEWAY_BUNDLE = f"{GATEWAY_API}/bundle-version"
_CHANNEL = f"{GATEWAY_API}/channel"
_POOL = f"inferencepools.{GAIE}"
_MANIFESTS = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/releases/download"
_ISSUES = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/issues"
_GATEWAY_MANIFESTS = "https://github.com/kubernetes-sigs/gateway-api/releases/download"
# A subset of any release: managed clusters leave out what Dynamo does not route through.
_NEEDED = {"gatewayclasses": "v1", "gateways": "v1", "httproutes": "v1", "referencegrants": ""}
_PICKER_LOOKS_FIRST = (1, 3)  # from here on it watches only the types that there are
_NO_APP_PROTOCOL = (1, 2)  # the newest release known to drop InferencePool's appProtocol without a word


def _suggest_install(release: str) -> str:
    return f"kubectl apply -f {_MANIFESTS}/{release}/manifests.yaml"


def _suggest_gateway_api(release: str, channel: str = "standard") -> str:
    return f"kubectl apply -f {_GATEWAY_MANIFESTS}/{release}/{channel}-install.yaml"


@check("gaie.gateway-crds", title="The Gateway API's resource types that Dynamo needs are established")
def gateway_crds(definitions: CustomResourceDefinitions, recipes: Recipes | None) -> Iterator[Finding]:
    """Requests reach an inference pool by GatewayClass, Gateway and HTTPRoute, as v1, and controllers read
    ReferenceGrant too. Other types of a release may be missing: managed clusters install subsets.

    Whether those that are there belong together is told by the bundle version and channel that they state.
    A cluster that has none of them, and is asked for none, does not need them.

    Fix: kubectl apply -f https://github.com/kubernetes-sigs/gateway-api/releases/download/VERSION/standard-install.yaml
    """
    found = [d for d in definitions if d.group == GATEWAY_API]
    asked = uses_inference_pool(recipes)
    if not found and not asked:
        raise Skip("no type of the Gateway API is installed, and nothing asks for one")
    if not found:
        yield fail("no type of the Gateway API is installed", fix=_suggest_gateway_api("v1.5.1"))
        return
    bundles = {d.name: d.annotations.get(_GATEWAY_BUNDLE, "") for d in found}
    stated = bundles.get(f"gateways.{GATEWAY_API}") or max(bundles.values(), key=_parse_release, default="")
    channels = {d.name: d.annotations.get(_CHANNEL, "standard") for d in found}
    channel = channels.get(f"gateways.{GATEWAY_API}", "standard")
    fix = _suggest_gateway_api(stated or "v1.5.1", channel)
    broken = fail if asked or any(d.group in GROUPS for d in definitions) else warn
    for plural, version in _NEEDED.items():
        name = f"{plural}.{GATEWAY_API}"
        definition = definitions.find(name)
        if definition is None:
            yield broken("does not exist", fix=fix, subject=_make_subject(name))
        elif not definition.established:
            yield broken(
                f"exists but is not established: {definition.reason}",
                fix=f"kubectl describe crd {name}",
                subject=_make_subject(name),
            )
        elif version and version not in definition.served:
            yield broken(
                f"is served as {', '.join(definition.served)}, not as {version}",
                fix=fix,
                evidence={"bundle": bundles[name]},
                subject=_make_subject(name),
            )
        elif bundles[name] != stated:
            yield warn(
                f"is of bundle {bundles[name] or 'unknown'}, Gateway is of {stated}: an unfinished upgrade",
                fix=fix,
                subject=_make_subject(name),
            )
        elif channels[name] != channel:
            yield warn(
                f"is of the {channels[name]} channel, Gateway is of the {channel} one",
                fix=fix,
                subject=_make_subject(name),
            )


@check("gaie.crds", title="The inference extension's resource types are those of its release")
def crds(
    definitions: CustomResourceDefinitions, server: ApiServer, recipes: Recipes | None
) -> Iterator[Finding]:
    """Releases ship different sets: what must be there follows from the bundle version that the definitions
    state, not from a fixed list. A half-installed or half-upgraded set breaks the endpoint picker, which
    watches all types of its release.

    GKE brings InferencePool alone; only endpoint pickers before 1.3 need more than that.
    A cluster that has none of them, and is asked for none, does not need them.

    Fix: kubectl apply -f URL-OF-THE-RELEASE/manifests.yaml
    """
    found = [d for d in definitions if d.group in GROUPS]
    if not found:
        if not uses_inference_pool(recipes):
            raise Skip(
                "no type of the Gateway API Inference Extension is installed, and nothing asks for one"
            )
        yield fail(
            "no type of the Gateway API Inference Extension is installed", fix=_suggest_install("v1.2.1")
        )
        return
    for definition in found:
        if not definition.established:
            yield fail(
                f"exists but is not established: {definition.reason}",
                fix=f"kubectl describe crd {definition.name}",
                subject=_make_subject(definition.name),
            )
    if "-gke." in server.version and [definition.name for definition in found] == [_POOL]:
        yield from _check_gke(found[0])
    else:
        yield from _check_bundle(found)


def _check_gke(pool: CustomResourceDefinition) -> Iterator[Finding]:
    bundle = pool.annotations.get(_BUNDLE, "")
    if _parse_release(bundle) < _PICKER_LOOKS_FIRST:
        yield warn(
            f"GKE brings InferencePool alone, of bundle {bundle or 'unknown'}: an endpoint picker before 1.3 "
            "does not start without InferenceObjective",
            fix=_suggest_install(bundle or "v1.2.1"),
            evidence={"source": f"{_ISSUES}/1737"},
            subject=_make_subject(pool.name),
        )


def _check_bundle(found: list[CustomResourceDefinition]) -> Iterator[Finding]:
    bundles = {definition.name: definition.annotations.get(_BUNDLE, "") for definition in found}
    stated = bundles.get(_POOL) or max(bundles.values(), key=_parse_release)
    release = _parse_release(stated)
    if release == (0, 0):
        yield warn(
            "no definition states the bundle version it belongs to, so the set cannot be told to be whole",
            fix="kubectl get crd -o custom-columns='"
            "NAME:.metadata.name,BUNDLE:.metadata.annotations.inference\\.networking\\.k8s\\.io/bundle-version'",
            evidence={"definitions": sorted(bundles)},
        )
    elif release > NEWEST_GAIE:
        yield warn(
            f"bundle {stated} is newer than the releases this version of dynocheck knows the sets of",
            fix="pip install --upgrade dynocheck",
        )
    wanted = [row.definition for row in gaie_crds() if row.ships_in(release)] or [_POOL]
    for name in wanted:
        if name not in bundles:
            missing = f"bundle {stated} brings it, and it does not exist" if stated else "does not exist"
            yield fail(missing, fix=_suggest_install(stated or "v1.2.1"), subject=_make_subject(name))
        elif bundles[name] != stated and release != (0, 0):
            yield warn(
                f"is of bundle {bundles[name] or 'unknown'}, others are of {stated}: an unfinished upgrade",
                fix=_suggest_install(stated),
                subject=_make_subject(name),
            )


def _parse_release(bundle: str) -> tuple[int, int]:
    try:
        return parse_version(bundle)
    except ValueError:
        return 0, 0


def _make_subject(name: str) -> Subject:
    return Subject("CustomResourceDefinition", name)


@check("gaie.compatible", title="The inference extension and the Gateway controller fit each other")
def compatible(
    definitions: CustomResourceDefinitions,
    classes: GatewayClasses,
    gateways: Gateways,
    routes: InferenceRoutes,
    workloads: Workloads,
    recipes: Recipes | None,
) -> Iterator[Finding]:
    """InferencePool of `inference.networking.k8s.io/v1` has only gained optional fields since 1.0, so any
    controller that serves it fits any release; older controllers know only the experimental group, and let
    a v1 pool lie. The versions are those of the table `dynocheck/data/gateways.json`.

    What a recipe uses must be in the release as well: the experimental InferencePool went with 1.5, and
    `appProtocol` is dropped without a word by releases that do not have it yet.

    Fix: upgrade the controller, or the inference extension's definitions.
    """
    pool = definitions.find(_POOL)
    used = find_used_classes(find_used_gateways(gateways, classes, routes, recipes), classes)
    known = [
        (found, row) for found in used if (row := find_known_controller(found)) is not None and row.since
    ]
    compared = [
        (row, workload, version)
        for _, row in known
        for workload in find_controller_workloads(row, workloads)
        if (version := _find_version(workload)) is not None
    ]
    if pool is None or not pool.established:
        raise Skip(f"{_POOL} is not installed")
    if not compared and not uses_inference_pool(recipes):
        raise Skip(
            "no controller to be seen says a version that is in the table"
            if used
            else explain_no_gateway(routes, recipes)
        )
    for row, workload, version in compared:
        yield from _check_version(row, workload, version)
    bundle = pool.annotations.get(_BUNDLE, "")
    experimental = definitions.find(f"inferencepools.{GAIE_EXPERIMENTAL}")
    for recipe in recipes or ():
        for manifest in recipe.manifests:
            place = Location(manifest.file, manifest.root.line, manifest.root.column)
            groups = {get_text(backend, "group") for backend in find_pool_backends(manifest)}
            if manifest.kind == "InferencePool":
                groups.add(manifest.group)
            if GAIE_EXPERIMENTAL in groups and experimental is None:
                yield fail(
                    f"uses InferencePool of {GAIE_EXPERIMENTAL}, which bundle {bundle} does not bring",
                    fix=f"use {GAIE}",
                    location=place,
                )
            if (
                get_text(manifest.root, "spec", "appProtocol")
                and (0, 0) < _parse_release(bundle) <= _NO_APP_PROTOCOL
            ):
                yield warn(
                    f"sets appProtocol, which bundle {bundle} drops without a word: pods get HTTP/1.1",
                    fix=_suggest_install("v1.5.0"),
                    location=place,
                )


def _find_version(workload: Workload) -> tuple[int, int] | None:
    """Of a controller: its image's tag, or the label that its chart sets."""
    tags = [image.partition("@")[0].rpartition("/")[2].partition(":")[2] for image in workload.images]
    for text_of_it in (*tags, workload.labels.get("app.kubernetes.io/version", "")):
        if (version := _parse_release(text_of_it)) != (0, 0):
            return version
    return None


def _check_version(row: GatewayController, workload: Workload, version: tuple[int, int]) -> Iterator[Finding]:
    assert row.since is not None
    if version < parse_version(row.since):
        yield fail(
            f"{row.product} {version[0]}.{version[1]} does not serve pools of {GAIE}/v1, which it does "
            f"from {row.since} on",
            fix=f"upgrade {row.product}",
            evidence={"images": list(workload.images), "source": row.source},
            subject=Subject(workload.kind, workload.name, workload.namespace),
        )
