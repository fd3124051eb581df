"""What models are made of, as far as their weights and their KV cache go."""

from functools import cache
from typing import Annotated

import msgspec

from dynocheck.data import read_table

# Bits a weight takes, with the scales that belong to it: one of 8 bits for 32 weights in MXFP4, for 16 in
# NVFP4, and one of 16 bits for a group of integers.
BITS = {
    "bf16": 16.0,
    "fp8": 8.0,
    "int8": 8.0,
    "mxfp4": 4.25,
    "nvfp4": 4.5,
    "int4": 4.0,
    "int4-g32": 4.5,
    "int4-g128": 4.125,
}

Size = Annotated[int, msgspec.Meta(ge=0, le=2**50)]
Count = Annotated[int, msgspec.Meta(ge=1, le=2**50)]


class WeightPrecisions(msgspec.Struct, frozen=True):
    """In what each kind of weight is stored. Embeddings and routers are BF16 in every model here."""

    attention: str = "bf16"
    mlp: str = "bf16"
    experts: str = "bf16"
    uncached: str = "bf16"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A decoder as its `config.json` describes it.

    With `latent` its attention is MLA: what is cached of a token is one vector of `latent + rope` numbers.
    The first `dense` layers have an MLP of `intermediate`, the others have `experts` of
    `expert_intermediate` each, with `shared` ones beside them. `drafting` layers predict further tokens:
    they lie on disk, and an engine loads them only for speculation. Of the `layers`, `windowed` ones attend
    to the last `window` tokens, and `uncached` ones cache no tokens at all: linear attention, Mamba, or only
    an MLP. `cache` is the precision of the KV cache that the checkpoint itself asks for, empty if it is not
    known here what a token takes. `state_heads` are the heads and groups of layers that keep a state, such as
    Mamba's, each number to be divided by the tensor parallel ranks.

    A layer caches `token` numbers of a token, and one with a window `window_token`, if that is not a key and
    a value of each head. `embeddings` are weights of embeddings beside that of the vocabulary.

    An expert is `matrices` of `expert_intermediate` by `expert_hidden`, which is `hidden` if 0.
    `attention_weights` are those of a layer whose attention is of another kind, `uncached_weights` those of
    all `uncached` layers but for their MLPs and experts.

    `checkpoint` are the bytes of its weight files, 0 where nobody says them. An `opaque` model is stored in
    a precision not known here: of its weights nothing but that is known.
    """

    names: tuple[str, ...]
    layers: Count
    hidden: Count
    heads: Count
    kv_heads: Count
    head_size: Count
    vocabulary: Count
    context: Count
    intermediate: Size
    tied: bool = False
    dense: Size = 0
    experts: Size = 0
    expert_intermediate: Size = 0
    shared: Size = 0
    drafting: Size = 0
    latent: Size = 0
    query_latent: Size = 0
    rope: Size = 0
    value_size: Size = 0
    window: Size = 0
    windowed: Size = 0
    token: Size = 0
    window_token: Size = 0
    uncached: Size = 0
    state_heads: tuple[Count, ...] = ()
    attention_weights: Size = 0
    uncached_weights: Size = 0
    embeddings: Size = 0
    matrices: Count = 3
    expert_hidden: Size = 0
    stored: WeightPrecisions = WeightPrecisions()
    block: Size = 0
    cache: str = "bf16"
    checkpoint: Size = 0
    opaque: bool = False
    source: str

    @property
    def attention_layer(self) -> int:
        """Weights of one layer's attention."""
        if self.attention_weights:
            return self.attention_weights
        if not self.latent:
            return 2 * self.hidden * self.head_size * (self.heads + self.kv_heads)
        query, key = self.query_latent, self.head_size
        return (
            self.hidden * (query + self.latent + self.rope)
            + (query or self.hidden) * self.heads * (key + self.rope)
            + self.latent * self.heads * (key + self.value_size)
            + self.heads * self.value_size * self.hidden
        )

    @property
    def vocabulary_bytes(self) -> float:
        """Bytes of the embeddings, and of the output layer where that is another one."""
        return 2 * (self.vocabulary * self.hidden * (1 if self.tied else 2) + self.embeddings)

    @property
    def attention_bytes(self) -> float:
        """Bytes of the attention, and of what stands in its place in layers without a cache."""
        attending = (self.layers - self.uncached) * self.attention_layer * BITS[self.stored.attention]
        return (attending + self.uncached_weights * BITS[self.stored.uncached]) / 8

    @property
    def mlp_bytes(self) -> float:
        """Bytes of the dense layers' MLPs, of the shared experts and of the routers."""
        dense = self.layers - self.sparse
        wide = dense * self.intermediate + self.sparse * self.shared * self.expert_intermediate
        routers = self.sparse * self.hidden * self.experts * 2
        return self.matrices * self.hidden * wide * BITS[self.stored.mlp] / 8 + routers

    @property
    def sparse(self) -> int:
        """Layers with experts."""
        return self.layers - self.dense if self.experts else 0

    @property
    def expert_bytes(self) -> float:
        return self.sparse * self._experts_layer

    @property
    def weight_bytes(self) -> float:
        """Bytes that an engine loads, but for norms and biases: less than a thousandth of them."""
        if self.opaque:
            layers = self.sparse or self.layers
            return self.checkpoint * layers / (layers + 2 * self.drafting)  # a drafting layer is a large one
        return self.vocabulary_bytes + self.attention_bytes + self.mlp_bytes + self.expert_bytes

    @property
    def drafting_bytes(self) -> float:
        """Bytes of the drafting layers, without a vocabulary of their own."""
        if self.opaque:
            return self.drafting * self.weight_bytes / (self.sparse or self.layers)
        return self.drafting * (self.attention_layer * BITS[self.stored.attention] / 8 + self._experts_layer)

    @property
    def disk_bytes(self) -> float:
        """Bytes of the checkpoint: with the drafting layers, which bring a vocabulary of their own in MLA."""
        if self.checkpoint:
            return float(self.checkpoint)
        each = (
            self.attention_layer * BITS[self.stored.attention] / 8
            + self._experts_layer
            + 2 * self.hidden * self.hidden * 2
            + (self.vocabulary_bytes if self.query_latent else 0)
        )
        return self.weight_bytes + self.drafting * each

    @property
    def _experts_layer(self) -> float:
        each = self.matrices * (self.expert_hidden or self.hidden) * self.expert_intermediate
        return each * self.experts * BITS[self.stored.experts] / 8


def find_model(name: str) -> Model | None:
    """The row of a model by its hub id in any case, or None when the table does not have it."""
    return _models().get(name.lower())


@cache
def _models() -> dict[str, Model]:
    rows = msgspec.json.decode(read_table("models.json"), type=list[Model])
    return {name.lower(): row for row in rows for name in row.names}
