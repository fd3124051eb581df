"""Checks that the Gateway API and its Inference Extension are installed completely and fit together."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.checks.gaie._scope import (
    GROUPS,
    explain_no_gateway,
    find_controller_workloads,
    find_known_controller,
    find_pool_backends,
    find_used_classes,
    find_used_gateways,
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
    GatewayClass,
    GatewayClasses,
    Gateways,
    InferenceRoutes,
    Manifest,
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
# The types that Dynamo needs; managed clusters install only a part of a release.
_NEEDED = {"gatewayclasses": "v1", "gateways": "v1", "httproutes": "v1", "referencegrants": ""}
_PICKER_DETECTS_TYPES = (1, 3)  # since this release the endpoint picker watches only the installed types
_NO_APP_PROTOCOL = (1, 3)  # the newest release known to drop InferencePool's appProtocol silently
_Release = tuple[int, int]


class _Bundle(NamedTuple):
    """The version and channel of the Gateway API that a definition is from."""

    version: str
    channel: str


def _suggest_install(release: str) -> str:
    return f"kubectl apply -f {_MANIFESTS}/{release}/manifests.yaml"


def _suggest_gateway_api(release: str, channel: str = "standard") -> str:
    return f"kubectl apply -f {_GATEWAY_MANIFESTS}/{release}/{channel}-install.yaml"


@check("gaie.gateway-crds", title="Gateway API CRDs that Dynamo needs are established")
def gateway_crds(definitions: CustomResourceDefinitions, recipes: Recipes | None) -> Iterator[Finding]:
    """Requests reach an inference pool through a GatewayClass, Gateway and HTTPRoute of version v1, and
    controllers also read ReferenceGrants. Other types of a release may be missing: managed clusters install
    subsets.

    All definitions must be from the same bundle version and channel, according to their annotations. A
    cluster without Gateway API is fine if no recipe uses it.

    Fix: kubectl apply -f https://github.com/kubernetes-sigs/gateway-api/releases/download/VERSION/standard-install.yaml
    """
    installed = [definition for definition in definitions if definition.group == GATEWAY_API]
    needed = uses_inference_pool(recipes)
    if not installed and not needed:
        raise Skip("Gateway API is not installed, and no recipe uses it")
    if not installed:
        yield fail("Gateway API is not installed", fix=_suggest_gateway_api("v1.5.1"))
        return
    bundle = _find_bundle(installed)
    report = fail if needed or any(definition.group in GROUPS for definition in definitions) else warn
    for plural, version in _NEEDED.items():
        name = f"{plural}.{GATEWAY_API}"
        yield from _check_type(name, definitions.find(name), version, bundle, report)


def _find_bundle(installed: list[CustomResourceDefinition]) -> _Bundle:
    """The bundle of the Gateway type; without its version, the newest of all types."""
    bundles = {definition.name: _read_bundle(definition) for definition in installed}
    gateway = bundles.get(f"gateways.{GATEWAY_API}", _Bundle("", "standard"))
    newest = max((bundle.version for bundle in bundles.values()), key=_parse_release)
    return _Bundle(gateway.version or newest, gateway.channel)


def _read_bundle(definition: CustomResourceDefinition) -> _Bundle:
    annotations = definition.annotations
    return _Bundle(annotations.get(_GATEWAY_BUNDLE, ""), annotations.get(_CHANNEL, "standard"))


def _check_type(
    name: str,
    definition: CustomResourceDefinition | None,
    version: str,
    bundle: _Bundle,
    report: Callable[..., Finding],
) -> Iterator[Finding]:
    subject = _make_subject(name)
    fix = _suggest_gateway_api(bundle.version or "v1.5.1", bundle.channel)
    if definition is None:
        yield report("does not exist", fix=fix, subject=subject)
        return
    own = _read_bundle(definition)
    if not definition.established:
        message = f"exists but is not established: {definition.reason}"
        yield report(message, fix=f"kubectl describe crd {name}", subject=subject)
    elif version and version not in definition.served:
        message = f"is served as {', '.join(definition.served)}, not as {version}"
        yield report(message, fix=fix, evidence={"bundle": own.version}, subject=subject)
    elif own.version != bundle.version:
        message = f"is from bundle {own.version or 'unknown'}, Gateway from {bundle.version}"
        yield warn(f"{message}: the upgrade is incomplete", fix=fix, subject=subject)
    elif own.channel != bundle.channel:
        message = f"is from the {own.channel} channel, Gateway from the {bundle.channel} channel"
        yield warn(message, fix=fix, subject=subject)


@check("gaie.crds", title="Inference extension CRDs match their release")
def crds(
    definitions: CustomResourceDefinitions, server: ApiServer, recipes: Recipes | None
) -> Iterator[Finding]:
    """Each release has its own set of types, which follows from the bundle version in the definitions'
    annotations. An incomplete set breaks the endpoint picker, which watches all types of its release.

    GKE installs only InferencePool; only endpoint pickers before 1.3 need more types. A cluster without the
    extension is fine if no recipe uses it.

    Fix: kubectl apply -f URL-OF-THE-RELEASE/manifests.yaml
    """
    installed = [definition for definition in definitions if definition.group in GROUPS]
    if not installed:
        if not uses_inference_pool(recipes):
            raise Skip("Gateway API Inference Extension is not installed, and no recipe uses it")
        yield fail("Gateway API Inference Extension is not installed", fix=_suggest_install("v1.2.1"))
        return
    for definition in installed:
        if not definition.established:
            yield fail(
                f"exists but is not established: {definition.reason}",
                fix=f"kubectl describe crd {definition.name}",
                subject=_make_subject(definition.name),
            )
    if "-gke." in server.version and [definition.name for definition in installed] == [_POOL]:
        yield from _check_gke(installed[0])
    else:
        yield from _check_bundle(installed)


def _check_gke(pool: CustomResourceDefinition) -> Iterator[Finding]:
    bundle = pool.annotations.get(_BUNDLE, "")
    if _parse_release(bundle) < _PICKER_DETECTS_TYPES:
        yield warn(
            f"GKE installs only InferencePool, from bundle {bundle or 'unknown'}: an endpoint picker before "
            "1.3 does not start without InferenceObjective",
            fix=_suggest_install(bundle or "v1.2.1"),
            evidence={"source": f"{_ISSUES}/1737"},
            subject=_make_subject(pool.name),
        )


def _check_bundle(installed: list[CustomResourceDefinition]) -> Iterator[Finding]:
    bundles = {definition.name: definition.annotations.get(_BUNDLE, "") for definition in installed}
    bundle = bundles.get(_POOL) or max(bundles.values(), key=_parse_release)
    release = _parse_release(bundle)
    if release == (0, 0):
        yield warn(
            "no definition has a bundle version: whether the set is complete is unknown",
            fix="kubectl get crd -o custom-columns='"
            "NAME:.metadata.name,BUNDLE:.metadata.annotations.inference\\.networking\\.k8s\\.io/bundle-version'",
            evidence={"definitions": sorted(bundles)},
        )
    elif release > NEWEST_GAIE:
        yield warn(
            f"bundle {bundle} is newer than the releases that this version of dynocheck knows",
            fix="pip install --upgrade dynocheck",
        )
    expected = [row.definition for row in gaie_crds() if row.ships_in(release)] or [_POOL]
    for name in expected:
        if name not in bundles:
            missing = f"is part of bundle {bundle}, but does not exist" if bundle else "does not exist"
            yield fail(missing, fix=_suggest_install(bundle or "v1.2.1"), subject=_make_subject(name))
        elif bundles[name] != bundle and release != (0, 0):
            own = bundles[name] or "unknown"
            yield warn(
                f"is from bundle {own}, others are from {bundle}: the upgrade is incomplete",
                fix=_suggest_install(bundle),
                subject=_make_subject(name),
            )


def _parse_release(bundle: str) -> _Release:
    """The release of a bundle version; 0.0 if it has none."""
    try:
        return parse_version(bundle)
    except ValueError:
        return 0, 0


def _make_subject(name: str) -> Subject:
    return Subject("CustomResourceDefinition", name)


@check("gaie.compatible", title="Gateway controllers support the inference extension")
def compatible(
    definitions: CustomResourceDefinitions,
    classes: GatewayClasses,
    gateways: Gateways,
    routes: InferenceRoutes,
    workloads: Workloads,
    recipes: Recipes | None,
) -> Iterator[Finding]:
    """InferencePool of `inference.networking.k8s.io/v1` has only gained optional fields since 1.0, so any
    controller that supports it works with any release. Older controllers support only the experimental group,
    and ignore a v1 pool. The versions are in the table `dynocheck/data/gateways.json`.

    The installed release must also have the fields and kinds of a recipe: the experimental InferencePool was
    removed in 1.5, and releases without `appProtocol` drop it silently.

    Fix: upgrade the controller, or the inference extension's definitions.
    """
    pool = definitions.find(_POOL)
    if pool is None or not pool.established:
        raise Skip(f"{_POOL} is not installed")
    used = find_used_classes(find_used_gateways(gateways, classes, routes, recipes), classes)
    controllers = list(_find_versions(used, workloads))
    if not controllers and not uses_inference_pool(recipes):
        unknown_version = "no controller has a workload with a known version"
        raise Skip(unknown_version if used else explain_no_gateway(routes, recipes))
    for since, row, workload, version in controllers:
        if version < parse_version(since):
            yield fail(
                f"{row.product} {version[0]}.{version[1]} does not support pools of {GAIE}/v1, which need "
                f"{since} or later",
                fix=f"upgrade {row.product}",
                evidence={"images": list(workload.images), "source": row.source},
                subject=Subject(workload.kind, workload.name, workload.namespace),
            )
    bundle = pool.annotations.get(_BUNDLE, "")
    experimental = definitions.find(f"inferencepools.{GAIE_EXPERIMENTAL}") is not None
    for manifest in (manifest for recipe in recipes or () for manifest in recipe.manifests):
        yield from _check_manifest(manifest, bundle, experimental=experimental)


def _find_versions(
    classes: list[GatewayClass], workloads: Workloads
) -> Iterator[tuple[str, GatewayController, Workload, _Release]]:
    """The controllers of these classes with the release that supports v1 pools, and their own release."""
    for row in map(find_known_controller, classes):
        if row is not None and row.since:
            for workload in find_controller_workloads(row, workloads):
                if (version := _find_version(workload)) is not None:
                    yield row.since, row, workload, version


def _find_version(workload: Workload) -> _Release | None:
    """The release of a workload from its images' tags, or else the label that its chart sets."""
    tags = [image.partition("@")[0].rpartition("/")[2].partition(":")[2] for image in workload.images]
    texts = (*tags, workload.labels.get("app.kubernetes.io/version", ""))
    return next((version for version in map(_parse_release, texts) if version != (0, 0)), None)


def _check_manifest(manifest: Manifest, bundle: str, *, experimental: bool) -> Iterator[Finding]:
    """Reports kinds and fields that the installed bundle does not have."""
    place = Location(manifest.file, manifest.root.line, manifest.root.column)
    groups = {backend.get_text("group") for backend in find_pool_backends(manifest)}
    if manifest.kind == "InferencePool":
        groups.add(manifest.group)
    if GAIE_EXPERIMENTAL in groups and not experimental:
        yield fail(
            f"uses InferencePool of {GAIE_EXPERIMENTAL}, which is not in bundle {bundle}",
            fix=f"use {GAIE}",
            location=place,
        )
    old = (0, 0) < _parse_release(bundle) <= _NO_APP_PROTOCOL
    if old and manifest.root.get_text("spec", "appProtocol"):
        yield warn(
            f"sets appProtocol, which bundle {bundle} drops silently: pods get HTTP/1.1",
            fix=_suggest_install("v1.5.0"),
            location=place,
        )
