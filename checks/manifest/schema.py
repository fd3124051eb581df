"""Checks that files parse as YAML and match the schemas that the API server enforces."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dynocheck import (
    Finding,
    Location,
    Result,
    Skip,
    check,
    fail,
    judged,
    same_place,
    unjudged,
    unknown,
    warn,
)
from dynocheck.core.fixes import set_value
from dynocheck.data import kubernetes_schemas
from dynocheck.facts import GivenKinds, Manifest, Recipes, Role, ServedKinds, ServerVersion, SourceFile, Value

if TYPE_CHECKING:
    from dynocheck.schema import Definitions, SchemaViolation

_OLD_CLAIM = re.compile(r"spec\.services\.[^.]+\.pvc")  # up to Dynamo 0.5
_OF_POD = re.compile(r"spec\.services\.[^.]+\.(\w+)")  # what v1alpha1 has within a component's extraPodSpec
_CONTAINER_FIELDS = ("image", "imagePullPolicy", "command", "args", "env", "workingDir", "securityContext")
_POD_FIELDS = ("nodeSelector", "tolerations", "affinity", "volumes", "imagePullSecrets", "initContainers")

# Of the fields of a graph with its components: the version that has it, and fields of its components alone.
_FIELD_VERSIONS = {
    "services": (
        "nvidia.com/v1alpha1",
        {"componentType", "subComponentType", "extraPodSpec", "dynamoNamespace"},
    ),
    "components": ("nvidia.com/v1beta1", {"type", "podTemplate", "name"}),
}
# Of the rules of Gateway API's routes, in its experimental channel (GEP-1731, GEP-1619) or in later releases.
_EXPERIMENTAL = re.compile(r"HTTPRoute spec\.rules\[\d+\]\.(?:retry|sessionPersistence)")


@check("manifest.yaml", title="Files are valid YAML for kubectl")
def yaml(recipes: Recipes) -> Iterator[Result]:
    """A file that does not parse is applied in part or not at all. Of duplicate keys in a mapping kubectl
    silently takes the last, and kustomize rejects the file. kubectl also reads UTF-16 with a byte order mark,
    and replaces invalid UTF-8; few other tools do. A template that is valid YAML only when rendered is not
    judged.

    Fix: kubectl apply --dry-run=server -f FILE
    """
    for recipe in recipes:
        files = [file for file in recipe.own_files if file.role is Role.MANIFEST]
        for file in files if recipe.shape == "manifests" else ():
            if not (any(m.kind or m.api_version for m in file.manifests) or _has_errors(file)):
                yield fail("no Kubernetes object in it: kubectl rejects it", location=Location(file.path))
        for file in recipe.own_files:
            rendered = any(problem.when_rendered for problem in file.problems)
            for problem in file.problems:
                place = Location(file.path, problem.line, problem.column)
                if problem.when_rendered:
                    yield unjudged(
                        file.path,
                        why="a template, which is valid YAML only when rendered",
                        needs=problem.fix,
                        location=place,
                    )
                elif problem.fatal:
                    yield fail(problem.message, location=place)
                else:
                    yield warn(problem.message, fix=problem.fix, location=place)
            judged = file.documents if file.role is Role.MANIFEST and not rendered else ()
            for document in judged:
                if not (isinstance(document.data, dict) or _is_json_patch(document)):
                    yield fail(
                        "document is not an object: kubectl expects a mapping with apiVersion and kind",
                        location=Location(file.path, document.line, document.column),
                    )


def _is_json_patch(document: Value) -> bool:
    """Whether a document is a list of operations, which kustomize or kubectl patch read."""
    return bool(document.sequence) and all(
        {"op", "path"} <= each.mapping.keys() for each in document.sequence
    )


@check(
    "manifest.schema",
    title="Manifests match the schema of their kind",
    explained_by={"manifest.placeholders": same_place},
)
def schema(
    recipes: Recipes,
    given: GivenKinds | None = None,
    served: ServedKinds | None = None,
    server: ServerVersion | None = None,
) -> Iterator[Result]:
    """The API server rejects unknown fields, wrong types, missing or invalid values, violations of CEL rules,
    mounts without a volume, and requests above their limit.

    Schemas are built in for the kinds of Kubernetes, Dynamo, Gateway API and its inference extension, for
    ComputeDomains and PodMonitors; other kinds are not judged. The definitions of --crds and --cluster
    replace the built-in ones of their kinds. manifest.admission checks the rules of Dynamo's webhooks.

    A pod template of a graph, a LeaderWorkerSet or a Ray cluster is judged as the pod that is made of it,
    whose rejection shows only in the log of its controller. Kubernetes' own kinds are judged by the schemas
    of one release, which the report names as its target: with --cluster the cluster's own or, outside 1.30
    to 1.37, the nearest of these; without a cluster the newest.

    Fix: kubectl apply --dry-run=server --validate=strict -f FILE
    """
    from dynocheck.schema import (  # schemas are read only here
        Definitions,
        validate,
        validate_component_pods,
        validate_metadata,
    )

    version = server.version if server is not None else ""
    definitions = Definitions([*(given or ()), *(served or ())], version)
    yield from _report_unread_definitions(served, server)
    given_groups = {kind.group for kind in given or ()} | _find_defined_groups(recipes)
    seen = known = 0
    for file, manifest in _list_manifests(recipes):
        seen += 1
        place = Location(manifest.file, manifest.root.line, manifest.root.column)
        if not (manifest.kind and manifest.api_version):
            missing = "apiVersion" if manifest.kind else "kind"
            yield fail(f"an object without {missing}", location=place)
            continue
        if manifest.root.get("sops", "mac") is not None:
            yield unjudged(
                f"{manifest.kind} {manifest.name}",
                why="SOPS encrypted it",
                needs="the file that sops --decrypt makes of it",
                location=place,
            )
            continue
        open_values = set(file.list_open_places(manifest.root))
        violations = validate(manifest, definitions, open_values)
        known += violations is not None
        if violations is None:
            yield _report_unknown_kind(manifest, definitions, served, given_groups)
            violations = validate_metadata(manifest)
        found = [("", violation) for violation in violations]
        found += validate_component_pods(manifest, definitions)
        is_built_in = definitions.find_kind(manifest.group, manifest.kind) is None
        yield from _report_violations(manifest, found, version, open_values, is_built_in=is_built_in)
    if not seen:
        raise Skip("no manifest")
    yield judged(known, "objects")
    yield from _warn_uncertain(version)


def _find_defined_groups(recipes: Recipes) -> set[str]:
    """The groups of which the recipes' own CustomResourceDefinitions define kinds."""
    manifests = (manifest for recipe in recipes for manifest in recipe.manifests)
    return {m.root.get_text("spec", "group") for m in manifests if m.kind == "CustomResourceDefinition"}


def _report_unknown_kind(
    manifest: Manifest, definitions: "Definitions", served: ServedKinds | None, given_groups: set[str]
) -> Result:
    from dynocheck.schema import suggest_kind

    value = manifest.root.get("kind") or manifest.root
    version = manifest.api_version.rpartition("/")[2]
    meant = suggest_kind(manifest.group, version, manifest.kind, definitions.release)
    if meant is not None:
        return fail(
            f"{manifest.api_version} has no kind {manifest.kind}",
            fix=f"set kind: {meant}",
            location=Location(manifest.file, value.line, value.column),
        )
    if served is not None and served.groups and manifest.group not in {"", *served.groups, *given_groups}:
        return fail(
            f"{manifest.kind} {manifest.name}: the cluster serves no kind of {manifest.group}",
            fix=f"install what defines {manifest.kind}; kubectl api-resources --api-group={manifest.group}",
            location=Location(manifest.file, manifest.root.line, manifest.root.column),
        )
    return unjudged(
        f"{manifest.kind} {manifest.name} of {manifest.api_version}",
        why="no schema for its kind",
        needs="--crds DIR with its CustomResourceDefinition" + (", or --cluster" if served is None else ""),
        location=Location(manifest.file, manifest.root.line, manifest.root.column),
    )


def _report_violations(
    manifest: Manifest,
    violations: Iterable[tuple[str, "SchemaViolation"]],
    version: str,
    open_values: set[tuple[int, int]],
    *,
    is_built_in: bool,
) -> Iterator[Result]:
    """A failure for each place.

    :param violations: each with the component in whose pod it is, or an empty name.
    :param open_values: the places of a template's values, which manifest.placeholders reports.
    :param is_built_in: whether the schema is built in, and not that of a cluster or a file.
    """
    reported: set[tuple[int, int]] = set()
    for component, violation in violations:
        place = violation.line, violation.column
        if violation.is_open(open_values) or (component and place in reported):
            continue
        reported.add(place)
        if is_built_in and violation.unknown and _EXPERIMENTAL.fullmatch(f"{manifest.kind} {violation.path}"):
            yield unjudged(
                f"{manifest.kind} {manifest.name}: {violation.path}",
                why="not in Gateway API's standard channel, whose schemas are built in",
                needs="--cluster, or --crds DIR with the definitions of the experimental channel",
                location=Location(manifest.file, *place),
            )
            continue
        path = f"the pod of {component}: {violation.path}" if component else violation.path
        yield fail(
            f"{path}: {violation.message}" if path else violation.message,
            fix=_suggest_version(manifest, violation.path) or violation.fix or None,
            evidence=_describe_schema(manifest, version),
            location=Location(manifest.file, *place),
        )


def _suggest_version(manifest: Manifest, path: str) -> str:
    """The fix for a graph of fields that another API version or release has in another place; else empty."""
    if manifest.kind == "DynamoGraphDeployment" and _OLD_CLAIM.fullmatch(path):
        return "name the claim under spec.pvcs, and mount it by the component's volumeMounts"
    if manifest.kind == "DynamoGraphDeployment" and (given := _OF_POD.fullmatch(path)):
        if given[1] in _CONTAINER_FIELDS:
            return f"move {given[1]} to extraPodSpec.mainContainer"
        if given[1] in _POD_FIELDS:
            return f"move {given[1]} to extraPodSpec"
    if (manifest.kind, path) not in (("DynamoGraphDeployment", f"spec.{key}") for key in _FIELD_VERSIONS):
        return ""
    field = path.removeprefix("spec.")
    items = manifest.root.get("spec", field)
    entries = (items.mapping.values() or items.sequence) if items is not None else ()
    keys = {key for entry in entries for key in entry.mapping}
    version, own = _FIELD_VERSIONS[field]
    if manifest.api_version == version or not keys:
        return ""
    if keys & own:
        return set_value("apiVersion", version)
    return "list the components under spec.components, each with its name"


def _has_errors(file: SourceFile) -> bool:
    """Whether a part of a file cannot be read as objects."""
    return any(p.fatal for p in file.problems) or any(not isinstance(d.data, dict) for d in file.documents)


def _report_unread_definitions(served: ServedKinds | None, server: ServerVersion | None) -> Iterator[Finding]:
    """Reports definitions or a server version that could not be read from the cluster."""
    if served is not None and served.reason:
        yield unknown(
            f"the cluster's CustomResourceDefinitions could not be read: {served.reason}",
            fix="dynocheck rbac --bind user:NAME | kubectl apply -f -   # as an administrator",
        )
    elif server is not None and server.reason:
        yield unknown(f"the cluster's version could not be read: {server.reason}", fix="kubectl version")


def _describe_schema(manifest: Manifest, version: str) -> dict[str, str]:
    """Evidence that names the release whose schema applies; empty for kinds that are not Kubernetes' own."""
    from dynocheck.schema import served_versions

    own = manifest.api_version in served_versions(manifest.kind, kubernetes_schemas.choose_release(version))
    return {"schema": kubernetes_schemas.describe_release(version)} if own else {}


def _warn_uncertain(version: str) -> Iterator[Finding]:
    """Warns where the server may validate differently: unknown release, or CEL rules not evaluated."""
    from dynocheck.schema import explain_no_rules

    if version and not kubernetes_schemas.is_known(version):
        yield warn(
            f"the server runs Kubernetes {version}: judged by {kubernetes_schemas.describe_release(version)}",
            fix="kubectl apply --dry-run=server --validate=strict -f FILE",
        )
    if problem := explain_no_rules():
        yield warn(
            f"CEL rules of custom resources were not evaluated: {problem}",
            fix="pip install cel-expr-python, on a platform with a build of it"
            if problem.endswith("not installed")
            else "ulimit -v   # the limit of memory, if there is one",
        )


def _list_manifests(recipes: Recipes) -> Iterator[tuple[SourceFile, Manifest]]:
    """Every object with its file. A mapping without kind and apiVersion is another tool's, such as Helm
    values.
    """
    for recipe in recipes:
        for file in recipe.own_files:
            if file.role is Role.MANIFEST:
                yield from ((file, m) for m in file.manifests if m.kind or m.api_version or _has_type_keys(m))


def _has_type_keys(manifest: Manifest) -> bool:
    return all(manifest.root.get(key) is not None for key in ("apiVersion", "kind"))
