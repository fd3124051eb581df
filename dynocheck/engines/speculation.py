"""The draft models that engines load beside their own, for speculative decoding."""

from dynocheck.engines.instances import EngineInstance

_LAYERS = ("eagle", "nextn")  # SGLang's names for MTP, where no draft model is given
_WITHOUT_MODEL = ("ngram", "suffix", "prompt_lookup", "user_provided")


OWN_LAYERS = "drafting layers"


def find_draft(instance: EngineInstance) -> str | None:
    """What an engine loads to draft tokens: the hub id or path of a model, OWN_LAYERS for layers of its own
    model, empty if nothing; None if unknown.
    """
    if instance.engine.name == "sglang":
        kind = instance.given.text("speculative-algorithm", "")
        model = instance.given.text("speculative-draft-model-path", "")
    else:
        config = instance.given.get("speculative-config")
        entries = config.entries if config is not None else {}
        if entries is None:
            return None
        kind = str(entries.get("method", entries.get("decoding_type", "")))
        names = ("model", "speculative_model", "speculative_model_dir")
        model = next((str(entries[name]) for name in names if entries.get(name)), "")
    if kind is None or model is None:
        return None
    if not (kind or model) or any(each in kind.lower() for each in _WITHOUT_MODEL):
        return ""
    if model in ("", instance.model):
        return OWN_LAYERS if kind.lower() in _LAYERS or "mtp" in kind.lower() else None
    return model
