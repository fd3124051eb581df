"""Makes a tiny Llama of random weights, whose tokens are bytes, as GGUF.

Run by the Python of the environment that holds the package gguf: `python model.py FILE`.
"""

import sys

import gguf
import numpy as np

_WIDE, _DEEP, _HEADS, _LAYERS, _CONTEXT = 64, 128, 4, 2, 2048


def make(file: str) -> None:
    """Write the model."""
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_WIDE)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_DEEP)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_WIDE // _HEADS)
    tokens = _add_tokens(writer)
    random = np.random.default_rng(7)
    for name, shape in _list_weights(tokens).items():
        values = np.ones(shape) if "norm" in name else random.normal(0, 0.05, shape)
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokens(writer: gguf.GGUFWriter) -> int:
    """Add a token for each byte, and give the number of all."""
    special = {"<unk>": gguf.TokenType.UNKNOWN, "<s>": gguf.TokenType.CONTROL, "</s>": gguf.TokenType.CONTROL}
    tokens = special | {f"<0x{byte:02X}>": gguf.TokenType.BYTE for byte in range(256)}
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(tokens))
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(list(tokens.values()))
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    return len(tokens)


def _list_weights(tokens: int) -> dict[str, tuple[int, ...]]:
    """The shape of each."""
    weights: dict[str, tuple[int, ...]] = {
        "token_embd": (tokens, _WIDE),
        "output_norm": (_WIDE,),
        "output": (tokens, _WIDE),
    }
    for number in range(_LAYERS):
        layer = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (_WIDE, _WIDE))
        layer |= {"ffn_gate": (_DEEP, _WIDE), "ffn_up": (_DEEP, _WIDE), "ffn_down": (_WIDE, _DEEP)}
        shapes: dict[str, tuple[int, ...]] = {**layer, "attn_norm": (_WIDE,), "ffn_norm": (_WIDE,)}
        weights |= {f"blk.{number}.{name}": shape for name, shape in shapes.items()}
    return weights


if __name__ == "__main__":
    make(sys.argv[1])
