"""The model repositories of Triton that a recipe holds: in folders, and in ConfigMaps that are mounted."""

import posixpath
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from dynocheck.facts import Component, Container, Recipe, TritonModel, Word

_FLAGS = ("--model-repository", "--model-store", "--model_repo", "--model_repository")


class Repository(NamedTuple):
    """Models that lie beside each other, and what serves them; None for the folder of a recipe.

    `roots` are the paths of repositories that Triton reads, or a folder whose models have versions.
    """

    models: dict[str, TritonModel]
    component: Component | None = None
    container: Container | None = None
    roots: tuple[str, ...] = ()

    def find_model(self, name: str) -> TritonModel | None:
        """A model that can be read; None if it has an error, or is elsewhere."""
        model = self.models.get(name)
        return model if model is not None and model.problem is None and not model.template else None


def find_repositories(recipe: Recipe) -> Iterator[Repository]:
    """Every model repository of a recipe."""
    folders: dict[str, dict[str, TritonModel]] = defaultdict(dict)
    for model in recipe.triton_models:
        if not model.folder.isdecimal():  # else a version's, which Triton does not read
            folders[posixpath.dirname(posixpath.dirname(model.path))][model.folder] = model
    versioned = _list_versioned(recipe)
    for folder, models in folders.items():
        yield Repository(models, roots=(folder,) if folder in versioned else ())
    for graph in recipe.deployments:
        for component in graph.components:
            for container in component.containers:
                if container.triton_models:
                    roots = tuple(root for words in container.commands for root in _find_roots(words))
                    models = {model.folder: model for model in container.triton_models}
                    yield Repository(models, component, container, roots)


def _list_versioned(recipe: Recipe) -> set[str]:
    """The folders of a recipe with a folder in them that has a version: NAME/1."""
    paths = (posixpath.normpath(posixpath.join(recipe.path, folder)) for folder in recipe.folders)
    return {posixpath.dirname(posixpath.dirname(p)) for p in paths if posixpath.basename(p).isdecimal()}


def _find_roots(words: tuple[Word, ...]) -> Iterator[str]:
    for word, following in zip(words, [*words[1:], None], strict=True):
        name, equals, inline = (word.text or "").partition("=")
        value = inline if equals else (following.text if following is not None else None)
        if name in _FLAGS and value:
            yield posixpath.normpath(value)


def get_parameter(model: TritonModel, name: str) -> str | None:
    """A parameter of a model, None if it is not set."""
    value = model.root.get("parameters", name, "string_value")
    return value.text if value is not None else None


def is_decoupled(repository: Repository, model: TritonModel) -> bool | None:
    """Whether a model may answer a request several times, as an ensemble does with a step that does.

    None if a step is not in the repository.
    """
    own = model.root.get("model_transaction_policy", "decoupled")
    if own is not None and own.data is True:
        return True
    names = [step.get_text("model_name") for step in model.root.get_items("ensemble_scheduling", "step")]
    steps = [repository.find_model(name) for name in names]
    if any(_decouples(step) for step in steps):
        return True
    return None if None in steps or model.problem is not None else False


def _decouples(step: TritonModel | None) -> bool:
    policy = step.root.get("model_transaction_policy", "decoupled") if step is not None else None
    return policy is not None and policy.data is True
