"""Checks that files parse as YAML and match the schemas that the API server enforces."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, unknown, warn
from dynocheck.data import kubernetes_schemas
from dynocheck.facts import GivenKinds, Manifest, Recipes, Role, ServedKinds, ServerVersion


@check("manifest.yaml", title="Files are valid YAML for kubectl")
def yaml(recipes: Recipes) -> Iterator[Finding]:
    """A file that does not parse is applied in part or not at all. Of a key that stands twice in one mapping
    kubectl silently takes the last, and kustomize refuses the file. kubectl reads UTF-16 too, where the file
    begins with its mark, and puts a replacement for bytes that are no UTF-8; hardly another tool does.

    Fix: kubectl apply --dry-run=server -f FILE
    """
    for recipe in recipes:
        for file in recipe.own_files:
            for problem in file.problems:
                place = Location(file.path, problem.line, problem.column)
                if problem.fatal:
                    yield fail(problem.message, location=place)
                else:
                    yield warn(problem.message, fix=problem.fix, location=place)
            for document in file.documents:
                if not isinstance(document.data, dict) and file.role is Role.MANIFEST:
                    yield fail(
                        "document is not an object: kubectl expects a mapping with apiVersion and kind",
                        location=Location(file.path, document.line, document.column),
                    )


@check("manifest.schema", title="Manifests match the schema of their kind")
def schema(
    recipes: Recipes,
    given: GivenKinds | None = None,
    served: ServedKinds | None = None,
    server: ServerVersion | None = None,
) -> Iterator[Finding]:
    """What the API server refuses: unknown fields, wrong types, missing or impossible values, broken rules in
    CEL, mounts without a volume, requests above their limit.

    Kubernetes' own kinds, Dynamo's, those of Gateway API and its inference extension, ComputeDomains and
    PodMonitors are known; another kind is a warning. With --crds or --cluster the definitions that are found
    there count for the kinds that they define. What Dynamo's webhooks refuse is looked at by
    manifest.admission.

    Kubernetes' own kinds are judged by the schemas of one release, which the report names as its target: with
    --cluster the cluster's own or, outside 1.30 to 1.37, the nearest of these; without a cluster the newest.

    Fix: kubectl apply --dry-run=server --validate=strict -f FILE
    """
    from dynocheck.schema import Definitions, validate  # schemas are read only here

    version = server.version if server is not None else ""
    definitions = Definitions([*(given or ()), *(served or ())], version)
    yield from _report_unread_definitions(served, server)
    judged = False
    for manifest in _list_manifests(recipes):
        judged = True
        place = Location(manifest.file, manifest.root.line, manifest.root.column)
        if not (manifest.kind and manifest.api_version):
            missing = "apiVersion" if manifest.kind else "kind"
            yield fail(f"an object without {missing}", location=place)
            continue
        violations = validate(manifest, definitions)
        if violations is None:
            yield warn(
                f"no schema for {manifest.kind} of {manifest.api_version} here: not judged",
                fix=f"kubectl apply --dry-run=server --validate=strict -f {manifest.file}",
                location=place,
            )
        for violation in violations or ():
            yield fail(
                f"{violation.path}: {violation.message}" if violation.path else violation.message,
                evidence=_describe_schema(manifest, version),
                location=Location(manifest.file, violation.line, violation.column),
            )
    if not judged:
        raise Skip("no manifest that is applied as it stands")
    yield from _warn_uncertain(version)


def _report_unread_definitions(served: ServedKinds | None, server: ServerVersion | None) -> Iterator[Finding]:
    """Reports definitions or a server version that could not be read from the cluster."""
    if served is not None and served.reason:
        yield unknown(
            f"the cluster's own definitions could not be read: {served.reason}",
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
    from dynocheck.schema import evaluates_rules

    if version and not kubernetes_schemas.is_known(version):
        yield warn(
            f"the server is Kubernetes {version}: judged by {kubernetes_schemas.describe_release(version)}",
            fix="kubectl apply --dry-run=server --validate=strict -f FILE",
        )
    if not evaluates_rules():
        yield warn(
            "the rules in CEL of custom kinds were not evaluated: cel-expr-python is not installed",
            fix="pip install cel-expr-python, where there is a build of it",
        )


def _list_manifests(recipes: Recipes) -> Iterator[Manifest]:
    """Every object that is applied as it stands. A mapping with neither kind nor apiVersion is another
    tool's file, such as a list of values.
    """
    for recipe in recipes:
        for file in recipe.own_files:
            if file.role is Role.MANIFEST:
                yield from (m for m in file.manifests if m.kind or m.api_version or _has_type_keys(m))


def _has_type_keys(manifest: Manifest) -> bool:
    return all(manifest.root.get(key) is not None for key in ("apiVersion", "kind"))
