"""Makes a model with weights that always prefers the same tokens, whatever it read.

A word comes first, then the end of the answer, then the brackets that close; white space comes last. Left
alone it says its word for ever. Held to a grammar it takes the shortest way through it and ends there, which
no model of random weights can be relied on to do.

Run by the Python of the environment that holds vLLM: `python model.py FOLDER`, of a model without weights.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

_WORD, _END, _CLOSE, _SPACE = 8.0, 4.0, 2.0, -8.0
_WIDE = 256  # as vLLM's kernels for CPUs want it


def make(folder: Path) -> None:
    """Write model.safetensors, and what config.json has to say of it."""
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_size": _WIDE, "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    save_file(_weights(config, vocabulary), folder / "model.safetensors", metadata={"format": "pt"})


def _weights(config: dict[str, int], vocabulary: dict[str, int]) -> dict[str, torch.Tensor]:
    """Every token is the same to it, no layer changes that, and the last matrix has the preferences."""
    wide, deep, tokens = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    head = wide // config["num_attention_heads"]
    keys = head * config["num_key_value_heads"]
    embedded = torch.zeros(tokens, wide)
    embedded[:, 0] = 1.0
    said = torch.zeros(tokens, wide)
    for text, number in vocabulary.items():
        said[number, 0] = _preference(text) / wide**0.5
    made = {
        "model.embed_tokens.weight": embedded,
        "lm_head.weight": said,
        "model.norm.weight": torch.ones(wide),
    }
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        made |= {f"{layer}.{name}_layernorm.weight": torch.ones(wide) for name in ("input", "post_attention")}
        for name, size in (("q", wide), ("k", keys), ("v", keys)):
            made[f"{layer}.self_attn.{name}_proj.weight"] = torch.zeros(size, wide)
        made[f"{layer}.self_attn.o_proj.weight"] = torch.zeros(wide, wide)
        for name, shape in (("gate", (deep, wide)), ("up", (deep, wide)), ("down", (wide, deep))):
            made[f"{layer}.mlp.{name}_proj.weight"] = torch.zeros(*shape)
    return {name: tensor.to(torch.bfloat16) for name, tensor in made.items()}


def _preference(text: str) -> float:
    if text == "</s>":
        return _END
    if text in ("}", "]", '"'):
        return _CLOSE
    if text.isascii() and text.isalpha():
        return _WORD if text == "ba" else 0.0
    return 0.0 if text.isascii() and text.isprintable() else _SPACE


if __name__ == "__main__":
    make(Path(sys.argv[1]))
