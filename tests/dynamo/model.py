"""Makes the folder of a model that has a tokenizer and no weights, which is all that the mocker reads.

Run by the Python of the environment that holds Dynamo: `python model.py FOLDER`.
"""

import json
import sys
from itertools import product
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

CONTEXT = 8192
_TOKENS = 2400  # the mocker answers with tokens 1000 to 1999
_SPECIAL = ["<s>", "</s>", "<unk>"]
_TEMPLATE = (
    "{% for message in messages %}<s>{{ message['role'] }}: {{ message['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)
_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "bos_token_id": 0,
    "eos_token_id": 1,
}


def make(folder: Path) -> None:
    """Write config.json, tokenizer.json and their like into a folder that is there."""
    tokenizer = _tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "config.json", {**_CONFIG, "vocab_size": tokenizer.get_vocab_size()})
    _write(folder / "generation_config.json", {"bos_token_id": 0, "eos_token_id": 1})
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "model_max_length": CONTEXT,
            "chat_template": _TEMPLATE,
        },
    )


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    syllables = ["".join(parts) for parts in product("bdfgklmnprstvz", "aeiou")]
    words = [first + second for first, second in product(syllables, syllables)]
    trainer = trainers.BpeTrainer(
        vocab_size=_TOKENS,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(words)], trainer)
    return tokenizer


def _write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
