"""A Llama of 70 billion parameters that no table has, and the GPU that it is for."""

from typing import Any

OWN = "house/own-70b"
H100 = {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}}
LLAMA_70B: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 80,
    "hidden_size": 8192,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "intermediate_size": 28672,
    "torch_dtype": "bfloat16",
}
