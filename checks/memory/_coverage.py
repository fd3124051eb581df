"""Why the memory and the parallel sizes of an engine are not judged."""

from dynocheck import Location, unjudged
from dynocheck.core.outcomes import Unjudged
from dynocheck.engines.memory_budget import SizedEngine
from dynocheck.engines.model_lookup import CONFIG_FILES, find_config
from dynocheck.facts import Nodes


def offer_cluster(needs: str, nodes: Nodes | None) -> str:
    """What would tell the GPU; a cluster too, where none was looked at."""
    return needs if nodes is not None else f"{needs}, or --cluster"


def describe_unsized(engine: SizedEngine, why: str = "", needs: str | None = None) -> Unjudged:
    """An engine that is not judged.

    :param why: the reason where its model and arguments are known.
    """
    instance = engine.instance
    if not why:
        why, needs = _explain(engine)
    return unjudged(
        f"{instance.name}: {engine.name or instance.model or 'model'}",
        why=why,
        needs=needs,
        location=Location(*instance.locate(*instance.engine.model_flags)),
    )


def _explain(engine: SizedEngine) -> tuple[str, str | None]:
    instance = engine.instance
    if engine.model is None:
        config = find_config(engine.recipe, instance.graph, instance.model or "", engine.name)
        if config is not None and config.model and config.problems:
            return f"the model is not in the table, and {config.problems[0][1].message}", CONFIG_FILES
        if config is not None:
            return "its config.json cannot be read or describes an unknown kind of model", None
        if instance.model is None or "$" in instance.model:
            return "the model cannot be read from the recipe", "a literal model name"
        return "the model is not in the table", CONFIG_FILES
    if engine.budget is None:
        return "its arguments do not show how it loads the model", None
    if engine.gpu.most is None:
        return f"the memory of {engine.product} is unknown", "nvidia.com/gpu.memory in the nodeSelector"
    return "it changes the precision of the weights while it loads them", None
