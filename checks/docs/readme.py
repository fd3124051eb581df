"""Checks that README instructions match the manifests."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

import msgspec

from dynocheck import Finding, Location, Skip, check, warn
from dynocheck.core.fixes import replace_words
from dynocheck.facts import Page, Recipe, Recipes, Word

# Kinds of objects in recipes, by their kubectl names.
_KINDS = {
    "dgd": "DynamoGraphDeployment",
    "dynamographdeployment": "DynamoGraphDeployment",
    "job": "Job",
    "pvc": "PersistentVolumeClaim",
    "persistentvolumeclaim": "PersistentVolumeClaim",
    "svc": "Service",
    "service": "Service",
    "httproute": "HTTPRoute",
}
_VERBS = ("get", "wait", "describe", "logs", "delete", "port-forward", "rollout", "scale", "patch", "edit")
_VALUE_FLAGS = re.compile(
    r"-[nlopc]|--(namespace|selector|output|context|kubeconfig|timeout|for|tail|patch|type)"
)
_MISSPELT = 0.85  # likeness of a name to a Service of the recipe
_LONGEST_CELL = 60  # characters
_TOTAL = re.compile(r"(total )?(number of )?#? ?(gpus?)( total| count)?", re.IGNORECASE)
_COUNT = re.compile(
    r"(\d+)(?:\s*[x\u00d7]\s*(\d+)(?![\w-]))?"
    r"(?:\s*[x\u00d7]\s*[\w/ -]+|\s+[a-z]{1,3}\d+[\w/-]*|\s+GPUs?)?",  # 8, 8 GPUs, 4 B200, 2x4 H200
    re.IGNORECASE,
)


@check("docs.commands", title="README commands name existing files and objects")
def commands(recipes: Recipes) -> Iterator[Finding]:
    """Readers paste the commands of a README. A file path may be relative to the README's folder, a folder
    above it, or the target of `cd`. An object must be in the recipe, be a Service that the operator creates
    (GRAPH-COMPONENT), or be created by the README itself. Placeholders such as `<pod>` and variables that the
    page does not set are not judged.

    Fix: correct the name in the README, or rename the file
    """
    pages = [(recipe, page) for recipe in _join_indexes(recipes) for page in recipe.pages if page.commands]
    if not pages:
        raise Skip("no README with commands")
    for recipe, page in pages:
        for mention in page.files:
            if mention.found is False:
                yield warn(
                    f"{mention.text} does not exist",
                    fix="correct the path, relative to the README or to the folder of recipes",
                    location=Location(page.path, mention.line, mention.column),
                )
        known = _collect_names(recipe, page)
        for command in page.commands:
            yield from _check_objects(page, command, known)


@check("docs.gpus", title="README GPU counts match the graphs")
def gpus(recipes: Recipes) -> Iterator[Finding]:
    """If a README says 8 GPUs and the pods request 16, readers reserve too few and the pods stay Pending.
    Judged are table rows that name the folder of one variant and have a column of GPUs. The right number is
    replicas times nodes times GPUs, over all components.

    Fix: write the computed number
    """
    judged = False
    for recipe in _join_indexes(recipes):
        totals = _count_gpus(recipe)
        for page in recipe.pages:
            for row in page.rows:
                row_totals = {totals[folder] for folder in row.folders if folder in totals}
                cell = _find_gpu_cell(row.cells)
                if len(row_totals) != 1 or cell is None:
                    continue
                judged = True
                (total,), (column, count) = row_totals, cell
                if count != total:
                    yield warn(
                        f"the README says {count} GPUs, the graph requests {total}",
                        fix=f"write {total} in the column {column}, or rename the column",
                        evidence={"folder": row.folders[0], "said": count, "computed": total},
                        location=Location(page.path, row.line),
                    )
    if not judged:
        raise Skip("no README has a table of variants and their GPUs")


@check("docs.links", title="README links resolve")
def links(recipes: Recipes) -> Iterator[Finding]:
    """A link to a renamed file or heading leads nowhere. Only links within the recipe's folder are judged.

    Fix: correct the link
    """
    pages = [page for recipe in recipes for page in recipe.pages]
    if not any(mention.found is not None for page in pages for mention in page.links):
        raise Skip("no README with a link within its recipe")
    for page in pages:
        for mention in page.links:
            if mention.found is False:
                yield warn(
                    f"the link to {mention.text} is broken",
                    fix="correct the link, or remove it",
                    location=Location(page.path, mention.line, mention.column),
                )


def _join_indexes(recipes: Recipes) -> Iterator[Recipe]:
    """The recipes; the page beside those of a folder has what all of them have."""
    for recipe in recipes:
        if recipe.shape != "index":
            yield recipe
            continue
        below = [other for other in recipes if other.path.startswith(f"{recipe.path.rstrip('/')}/")]
        yield msgspec.structs.replace(
            recipe,
            files=tuple(file for other in below for file in other.files),
            graphs=tuple(graph for other in below for graph in other.graphs),
            claims=tuple(claim for other in below for claim in other.claims),
        )


def _collect_names(recipe: Recipe, page: Page) -> dict[str, set[str]]:
    """The names of all objects that will exist, by kind."""
    known: dict[str, set[str]] = {kind: set() for kind in _KINDS.values()}
    for file in recipe.files:
        for manifest in file.manifests:
            known.setdefault(manifest.kind, set()).add(manifest.name)
    for graph in recipe.graphs:
        known["Service"] |= {f"{graph.name}-{component.name.lower()}" for component in graph.components}
    known["PersistentVolumeClaim"] |= {claim.name for claim in recipe.claims}
    for command in page.commands:
        texts = [word.text for word in command]
        if texts[:2] == ["kubectl", "create"] and len(texts) > 3:
            known.setdefault(_KINDS.get(texts[2] or "", ""), set()).add(texts[3] or "")
    return known


def _suggest_object(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=1)
    if not close:
        return f"write one of {', '.join(known)}"
    others = ", ".join(each for each in known if each not in close)
    return replace_words(name, close[0], f"or {others}" if others else "")


def _check_objects(page: Page, command: tuple[Word, ...], known: Mapping[str, set[str]]) -> Iterator[Finding]:
    for kind, name in _parse_objects(command):
        # Others may create Services, and all objects of kinds that the recipe does not have.
        own = name.endswith("-frontend") or get_close_matches(name, known[kind], n=1, cutoff=_MISSPELT)
        foreign = kind == "Service" and not own
        if known[kind] and name not in known[kind] and not foreign:
            yield warn(
                f"the recipe has no {kind} {name}",
                fix=_suggest_object(name, sorted(known[kind])),
                location=Location(page.path, command[0].line),
            )


def _parse_objects(command: tuple[Word, ...]) -> Iterator[tuple[str, str]]:
    """The kind and name of each object in a kubectl command."""
    words = list(_drop_flags([word.text for word in command]))
    if not words or words[0] != "kubectl" or len(words) < 2 or words[1] not in _VERBS:
        return
    rest = words[3:] if words[1] == "rollout" else words[2:]
    typed = [word for word in rest if word is not None and "/" in word]
    for word in typed:
        kind, _, name = word.partition("/")
        if (parsed := _parse_kind(kind)) and name:
            yield parsed, name
    if typed or not rest or words[1] in ("logs", "port-forward"):
        return
    if parsed := _parse_kind(rest[0] or ""):
        yield from ((parsed, name) for name in rest[1:] if name is not None)


def _parse_kind(word: str) -> str | None:
    name = word.lower().partition(".")[0]
    return _KINDS.get(name) or _KINDS.get(name.removesuffix("s"))


def _drop_flags(texts: list[str | None]) -> Iterator[str | None]:
    """The words that are not flags, up to `--`; redirections are no words."""
    skip = False
    for text in texts:
        if text == "--":
            return
        if skip:
            skip = False
        elif text is not None and text.startswith("-"):
            skip = "=" not in text and _VALUE_FLAGS.fullmatch(text) is not None
        else:
            yield text


def _count_gpus(recipe: Recipe) -> dict[str, int]:
    """The GPUs of the graphs in each folder, by its path in the recipe; without folders that have several
    totals.
    """
    counts: dict[str, set[int | None]] = {}
    for graph in recipe.graphs:
        folder = graph.file.rpartition("/")[0].removeprefix(recipe.path).strip("/")
        counts.setdefault(folder, set()).add(graph.gpus)
    return {
        folder: total
        for folder, totals in counts.items()
        if len(totals) == 1 and (total := next(iter(totals))) is not None
    }


def _find_gpu_cell(cells: Mapping[str, str]) -> tuple[str, int] | None:
    """The column with the total of GPUs, and its number."""
    columns = [header for header in cells if _TOTAL.fullmatch(header)]
    columns.sort(key=lambda header: "total" not in header.lower())
    for header in columns:
        match = _COUNT.fullmatch(cells[header][:_LONGEST_CELL])
        if match:
            return header, int(match.group(1)) * int(match.group(2) or 1)
    return None
