"""What the Hugging Face hub, and its cache on this machine, say about the models of recipes."""

from typing import NamedTuple

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.recipe.recipes import ModelConfig, RecipeFact


class HubAccess(NamedTuple):
    """Where models are looked up, beyond their recipes: the input of the probe of models.

    The cache on this machine is always read; the hub is asked if `online`.
    """

    online: bool


class HubModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of a recipe, as the hub or the cache has it.

    `state` is found, cached (the hub was not asked), missing (or private), no-revision, or unreachable;
    `reason` is why it is unreachable, or its configuration was not served. `current` is its name now, which
    differs if it was renamed. `gated` is None if unknown.
    """

    name: str
    revision: str | None
    state: str
    current: str
    gated: bool | None = None
    config: ModelConfig | None = None
    reason: str = ""


class HubModels(RecipeFact, FactList[HubModel], frozen=True):
    """Every model of the recipes that the hub was asked for, or that the cache has.

    `endpoint` is the hub that was asked, empty if none was; `token` is whether a token was sent.
    """

    endpoint: str = ""
    token: bool = False

    def find(self, name: str) -> HubModel | None:
        """A model by its hub id; one with a configuration first."""
        found = [model for model in self if model.name.lower() == name.lower()]
        return next((model for model in found if model.config is not None), found[0] if found else None)
