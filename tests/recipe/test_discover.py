"""Loading recipes from paths: models, variants, manifest files, and everything else."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from dynocheck.facts import Recipe, Role
from dynocheck.recipe.discover import NotARecipe, load_recipes
from dynocheck.recipe.files import MAX_BYTES, describe_fatal
from tests.command import run_inside

GRAPH = "apiVersion: nvidia.com/v1beta1\nkind: DynamoGraphDeployment\nmetadata: {name: g}\nspec: {}\n"
CLAIM = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: model-cache}\nspec: {}\n"
DOWNLOAD = (
    "apiVersion: batch/v1\nkind: Job\nmetadata: {name: d}\nspec: {template: {spec: {containers: "
    "[{name: d, command: [hf, download, org/model]}]}}}\n"
)
CACHE = ["one/model-cache/model-cache.yaml", "one/model-cache/model-download.yaml"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def models(here: Path) -> Path:
    """The working directory, with two models in it."""
    for model in ("one", "two"):
        write(here / model / "model-cache" / "model-cache.yaml", CLAIM)
        write(here / model / "model-cache" / "model-download.yaml", DOWNLOAD)
        write(here / model / "vllm" / "agg" / "deploy.yaml", GRAPH)
        write(here / model / "README.md", "# A model")
    return here


def write(path: Path, text: str | bytes = GRAPH) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def paths(recipe: Recipe, role: Role | None = None) -> list[str]:
    return [file.path for file in recipe.files if role in (None, file.role)]


def refused(path: str | Path) -> str:
    with pytest.raises(NotARecipe) as caught:
        load_recipes([str(path)])
    message = str(caught.value)
    assert message.isprintable()
    return message


def test_a_model(models: Path) -> None:
    (recipe,) = load_recipes(["one"])
    assert (recipe.path, recipe.shape) == ("one", "model")
    assert paths(recipe) == [*CACHE, "one/vllm/agg/deploy.yaml"]
    assert list(recipe.folders) == ["model-cache", "vllm", "vllm/agg"]
    assert ([g.name for g in recipe.graphs], [d.model for d in recipe.downloads]) == (["g"], ["org/model"])


def test_a_folder_of_models(models: Path) -> None:
    write(models / "images" / "logo.png", b"\x89PNG")
    found = [(recipe.path, recipe.shape) for recipe in load_recipes(["."])]
    assert found == [("one", "model"), ("two", "model")]


@pytest.mark.parametrize("named", ["one/vllm/agg", "one/vllm", "one/vllm/agg/deploy.yaml"])
def test_a_variant_has_the_model_around_it_as_context(models: Path, named: str) -> None:
    (recipe,) = load_recipes([named])
    assert recipe.shape == ("manifests" if named.endswith(".yaml") else "variant")
    assert paths(recipe, Role.MANIFEST) == ["one/vllm/agg/deploy.yaml"]
    assert paths(recipe, Role.CONTEXT) == CACHE
    assert [file.path for file in recipe.own_files] == ["one/vllm/agg/deploy.yaml"]
    assert [claim.name for claim in recipe.claims] == ["model-cache"]
    assert [download.model for download in recipe.downloads] == ["org/model"]


def test_the_context_is_found_from_any_working_directory(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(models / "one" / "vllm")
    (inside,) = load_recipes(["agg"])
    assert paths(inside) == ["agg/deploy.yaml", *(f"../{path.removeprefix('one/')}" for path in CACHE)]
    monkeypatch.chdir("/")
    (elsewhere,) = load_recipes([str(models / "one" / "vllm" / "agg")])
    assert [download.model for download in elsewhere.downloads] == ["org/model"]


def test_a_file_of_the_cache_is_not_its_own_context(models: Path) -> None:
    (recipe,) = load_recipes(["one/model-cache/model-download.yaml"])
    assert [download.model for download in recipe.downloads] == ["org/model"]
    assert [claim.name for claim in recipe.claims] == ["model-cache"]


def test_each_path_is_a_recipe(models: Path) -> None:
    assert [recipe.path for recipe in load_recipes(["one", "two/vllm/agg"])] == ["one", "two/vllm/agg"]


def test_files_that_kustomizations_name_are_not_applied(models: Path) -> None:
    folder = models / "one" / "vllm" / "kustomize"
    write(folder / "base" / "deploy.yaml")
    write(folder / "base" / "kustomization.yaml", "resources: [deploy.yaml]\n")
    write(folder / "overlays" / "x" / "patch.yaml", "spec: {}\n")
    write(folder / "overlays" / "x" / "values.yaml", "a: 1\n")
    overlay = "resources: [../../base]\npatches: [{path: patch.yaml}]\n"
    generated = "configMapGenerator: [{name: c, files: [a=values.yaml]}]\n"
    write(folder / "overlays" / "x" / "kustomization.yaml", overlay + generated)
    (recipe,) = load_recipes(["one"])
    inputs = ("base/deploy", "base/kustomization", "x/kustomization", "x/patch", "x/values")
    assert [path.removeprefix("one/vllm/kustomize/") for path in paths(recipe, Role.KUSTOMIZE)] == [
        f"{'overlays/' if path[0] == 'x' else ''}{path}.yaml" for path in inputs
    ]
    assert len(recipe.graphs) == 1
    assert len(list(recipe.manifests)) == 3


@pytest.mark.parametrize("name", ["kustomization.yaml", "kustomization.yml", "Kustomization"])
def test_what_a_kustomization_does_not_name_stays_judged(models: Path, name: str) -> None:
    write(models / "one" / "trtllm" / "base" / name, "resources: [./deploy.yaml]\n")
    write(models / "one" / "trtllm" / "base" / "deploy.yaml")
    write(models / "one" / "trtllm" / "base" / "bad.yaml")
    (recipe,) = load_recipes(["one"])
    assert "one/trtllm/base/deploy.yaml" in paths(recipe, Role.KUSTOMIZE)
    assert paths(recipe, Role.MANIFEST)[-2:] == ["one/trtllm/base/bad.yaml", "one/vllm/agg/deploy.yaml"]
    assert len(recipe.graphs) == 2


def test_a_kustomize_component_is_recognised_by_its_api_version(models: Path) -> None:
    text = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
    write(models / "one" / "vllm" / "agg" / "component.yaml", text)
    assert paths(load_recipes(["one"])[0], Role.KUSTOMIZE) == ["one/vllm/agg/component.yaml"]


def test_hidden_folders_and_other_files_are_ignored(models: Path) -> None:
    write(models / "one" / ".git" / "x.yaml")
    write(models / "one" / "vllm" / "agg" / "notes.txt")
    write(models / "one" / "vllm" / "agg" / "old.yml")
    (recipe,) = load_recipes(["one"])
    assert paths(recipe)[-2:] == ["one/vllm/agg/deploy.yaml", "one/vllm/agg/old.yml"]


def test_link_loops_end(models: Path) -> None:
    (models / "one" / "vllm" / "again").symlink_to(models / "one")
    (models / "one" / "vllm" / "self").symlink_to("self")
    (models / "one" / "vllm" / "deeper").symlink_to(".")
    (recipe,) = load_recipes(["one"])
    assert paths(recipe)[-1] == "one/vllm/agg/deploy.yaml"
    assert len(recipe.graphs) == 1
    assert "Too many levels" in refused("one/vllm/self")


def test_symbolic_links_are_followed_within_the_tree(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere / "deploy.yaml")
    write(elsewhere / "README.md", "# outside\n")
    (models / "one" / "sglang").symlink_to(models / "one" / ".shared")
    write(models / "one" / ".shared" / "deploy.yaml")
    (models / "one" / "trtllm").symlink_to(elsewhere)
    (models / "one" / "vllm" / "extra.yaml").symlink_to(elsewhere / "deploy.yaml")
    (models / "one" / "vllm" / "README.md").symlink_to(elsewhere / "README.md")
    (recipe,) = load_recipes(["one"])
    assert "one/sglang/deploy.yaml" in paths(recipe)
    assert "one/vllm/extra.yaml" not in paths(recipe)
    assert [page.path for page in recipe.pages] == ["one/README.md"]
    assert sorted((each.path, each.why) for each in recipe.hollow) == [
        ("one/trtllm", "outside"),
        ("one/vllm/README.md", "outside"),
        ("one/vllm/extra.yaml", "outside"),
    ]
    ended = run_inside("recipe", "one", "-o", "json", cwd=models)
    assert ended.outcomes["structure.files"] == "unjudged"


def test_a_link_within_a_repository_is_followed(models: Path) -> None:
    (models / ".git").mkdir()
    write(models / "shared" / "deploy.yaml")
    (models / "one" / "sglang").symlink_to(models / "shared")
    assert "one/sglang/deploy.yaml" in paths(load_recipes(["one"])[0])
    (models / ".git").rmdir()
    assert "one/sglang/deploy.yaml" not in paths(load_recipes(["one"])[0])


def test_a_model_beside_others_that_is_elsewhere_is_not_read(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere / "vllm" / "deploy.yaml")
    (models / "linked").symlink_to(elsewhere)
    assert "linked" not in {recipe.path.rpartition("/")[2] for recipe in load_recipes(["."])}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.yaml", "", None),
        ("comment.yaml", "# nothing\n", None),
        ("list.yaml", "- 1\n", None),
        ("text.yaml", "just text\n", None),
        ("broken.yaml", "a: 1\nb: [\n", "broken.yaml:3:1: not YAML: did not find expected node content"),
        ("binary.yaml", b"a: 1\nb: \xff\xfe\x00\n", "binary.yaml:2: not YAML: not UTF-8 text"),
        ("control.yaml", "a: 1\nb: \x07\n", "control.yaml:2:1: not YAML: control characters are not allowed"),
        ("photo.png", b"\x89PNG\r\n\x1a\n\x00", "photo.png:1: not YAML: not UTF-8 text"),
    ],
)
def test_files_that_are_not_manifests(
    here: Path, name: str, content: str | bytes, message: str | None
) -> None:
    write(here / name, content)
    (recipe,) = load_recipes([name])
    assert [describe_fatal(file) for file in recipe.files] == [message]
    assert not any(manifest.kind for manifest in recipe.manifests)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (GRAPH.encode("utf-16"), ("UTF-16: kubectl reads it, most other tools do not", 1)),
        (b"\xfe\xff" + GRAPH.encode("utf-16-be"), ("UTF-16: kubectl reads it, most other tools do not", 1)),
        (GRAPH.encode() + b"# caf\xe9\n", ("not UTF-8 text: kubectl replaces the byte with \ufffd", 5)),
    ],
)
def test_encodings_that_only_kubectl_supports(models: Path, content: bytes, problem: tuple[str, int]) -> None:
    write(models / "odd.yaml", content)
    (recipe,) = load_recipes(["odd.yaml"])
    assert [graph.name for graph in recipe.graphs] == ["g"]
    assert [(p.message, p.line) for file in recipe.files for p in file.problems] == [problem]


@pytest.mark.parametrize("content", [GRAPH.encode("utf-32"), GRAPH.encode("utf-16-le"), b"\xff\xfea"])
def test_encodings_that_kubectl_rejects(models: Path, content: bytes) -> None:
    write(models / "odd.yaml", content)
    (recipe,) = load_recipes(["odd.yaml"])
    assert "not YAML" in (describe_fatal(recipe.files[0]) or "")


def test_json_manifests_in_a_folder_are_read(models: Path) -> None:
    graph = '{"apiVersion": "nvidia.com/v1beta1", "kind": "DynamoGraphDeployment", "metadata": {"name": "j"}}'
    folder = models / "one" / "vllm" / "json"
    write(folder / "deploy.json", graph)
    write(folder / "config.json", '{"architectures": ["LlamaForCausalLM"]}')
    os.mkfifo(folder / "pipe.json")
    (recipe,) = load_recipes(["one"])
    assert sorted(graph.name for graph in recipe.graphs) == ["g", "j"]
    assert [path for path in paths(recipe) if path.endswith(".json")] == ["one/vllm/json/deploy.json"]


def test_a_list_of_a_kind_is_expanded(models: Path) -> None:
    items = "".join(f"- {GRAPH.replace(chr(10), chr(10) + '  ').rstrip()}\n" for _ in range(2))
    text = f"apiVersion: nvidia.com/v1beta1\nkind: DynamoGraphDeploymentList\nitems:\n{items}"
    (recipe,) = load_recipes([str(write(models / "list.yaml", text))])
    assert [(graph.name, graph.line) for graph in recipe.graphs] == [("g", 6), ("g", 10)]


@pytest.mark.parametrize(
    "named",
    [
        ["one", "one"],
        ["one", "./one/"],
        ["one", "one/vllm/agg", "one/vllm/agg/deploy.yaml"],
        ["one/vllm/agg/deploy.yaml", "one"],
    ],
)
def test_overlapping_paths_are_one_recipe(models: Path, named: list[str]) -> None:
    (recipe,) = load_recipes(named)
    assert recipe.shape == "model"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("", "an empty path"),
        ("-", "standard input is not read"),
        ("x\0y", ""),
        ("x" * 5000, ""),
    ],
)
def test_paths_that_are_not_names(here: Path, path: str, says: str) -> None:
    assert refused(path).startswith(says)


def test_a_folder_without_a_manifest(here: Path) -> None:
    nothing = ": no recipe in it: no manifest (*.yaml, *.yml, *.json)"
    assert refused(".") == f".{nothing}"
    write(here / "docs" / "README.md", "hi")
    (here / "vllm").mkdir()
    assert refused(here) == f"{here}{nothing}"
    assert refused("docs") == f"docs{nothing}"


def make_large(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (make_large, "larger than 10 MiB: not a manifest"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
    ],
    ids=["a large file", "a pipe", "a broken link"],
)
def test_what_is_no_file_of_text_is_not_read(here: Path, make: Callable[[Path], None], problem: str) -> None:
    make(here / "odd.yaml")
    assert refused("odd.yaml") == f"odd.yaml: {problem}"
    write(here / "deploy.yaml")
    (recipe,) = load_recipes(["."])
    problems = [(file.path, each.message) for file in recipe.files for each in file.problems]
    assert problems == [("odd.yaml", problem)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_files_and_folders_are_reported(models: Path) -> None:
    (models / "one" / "vllm" / "agg" / "deploy.yaml").chmod(0)
    (models / "two" / "vllm" / "agg").chmod(0)
    try:
        assert refused("one/vllm/agg/deploy.yaml") == "one/vllm/agg/deploy.yaml: Permission denied"
        for model, path in (("one", "one/vllm/agg/deploy.yaml"), ("two", "two/vllm/agg")):
            (recipe,) = load_recipes([model])
            problems = [(file.path, p.message) for file in recipe.own_files for p in file.problems]
            assert problems == [(path, "Permission denied")]
        assert refused("two/vllm/agg") == "two/vllm/agg: Permission denied"
    finally:
        (models / "two" / "vllm" / "agg").chmod(0o755)


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"caf\xe9", r"caf\xe9"), (b"a\nb", r"a\nb"), (b"\x1b[31m", r"\x1b[31m"), ("ü 名".encode(), "ü 名")],
)
def test_undecodable_file_names_are_escaped(here: Path, name: bytes, shown: str) -> None:
    folder = Path(os.fsdecode(name))
    try:
        write(folder / "vllm" / os.fsdecode(name + b".yaml"))
    except OSError as error:
        pytest.skip(f"this file system takes no such name: {error}")
    (recipe,) = load_recipes([str(folder)])
    assert (recipe.path, paths(recipe)) == (shown, [f"{shown}/vllm/{shown}.yaml"])
    assert [graph.file for graph in recipe.graphs] == [f"{shown}/vllm/{shown}.yaml"]
    assert shown in msgspec.json.decode(msgspec.json.encode(recipe))["path"]
    assert refused(folder / "gone") == f"{shown}/gone: No such file or directory"
