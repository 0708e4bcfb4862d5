"""A model with adapters: LoRAs merged into its weights, learnt words in its vocabulary."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import jax
import numpy as np

from jaxsd.adapters.embedding import padded_table, read_embedding, with_embedding, with_token
from jaxsd.adapters.kinds import Factors
from jaxsd.adapters.lora import merged_kernel, merged_weights, placed_as
from jaxsd.adapters.lora_files import LoraFile, read_lora_file
from jaxsd.config import ModelSpec, TextConfig
from jaxsd.pipeline.stored import InFile, in_memory
from jaxsd.settings import Adapters, Lora
from jaxsd.settings.adapters import adapter_place
from jaxsd.text import Tokenizer
from jaxsd.types import Array, Params

ROWS = 64
"""Token tables with learnt words have a multiple of so many rows, so that few are compiled for."""

FILES_KEPT = 16
"""LoRAs that need not be read again. A drawing looks at each of its own several times."""


class Adapted(NamedTuple):
    """What adapters change of a pipeline."""

    spec: ModelSpec
    params: Params
    tokenizers: tuple[Tokenizer, ...]


class Last:
    """Remembers results for the last models and adapters, since drawings with the same follow."""

    def __init__(self, function: Callable[[Adapted, Adapters], Adapted], kept: int) -> None:
        self._function, self._kept, self._lock = function, kept, Lock()
        self._results: list[tuple[Params, Adapters, Adapted]] = []

    def __call__(self, model: Adapted, adapters: Adapters) -> Adapted:
        """The result of the function, which is called if none is remembered."""
        with self._lock:
            for params, own, result in self._results:
                if params is model.params and own == adapters:
                    return result
            if len(self._results) == self._kept:
                del self._results[0]  # before memory is needed for another
            self._results.append((model.params, adapters, self._function(model, adapters)))
            return self._results[-1][2]


def with_words(model: Adapted, adapters: Adapters) -> Adapted:
    """The model with the learnt words of embeddings, and of LoRA files that have some.

    Raises:
      ValueError: a file is no embedding, or one for other text encoders.
    """
    words = words_of(adapters, model.spec)
    if not words:
        return model
    trees = in_memory(model.params["text"])  # which have new words from now on
    encoders = zip(model.spec.text, trees, model.tokenizers, strict=True)
    made = [
        _encoder_with([(word, each[i]) for word, each in words.items()], *encoder)
        for i, encoder in enumerate(encoders)
    ]
    configs, trees, tokenizers = zip(*made, strict=True)
    params = model.params | {"text": list(trees)}
    return Adapted(replace(model.spec, text=configs), params, tokenizers)


def _encoder_with(
    words: Sequence[tuple[str, np.ndarray]], config: TextConfig, params: Params, tokens: Tokenizer
) -> tuple[TextConfig, Params, Tokenizer]:
    """Config, tree and tokenizer of a text encoder with the words."""
    for word, vectors in words:
        config, tokens = with_token(config, tokens, word, len(vectors))
    rows = -(-config.vocab_size // ROWS) * ROWS
    added = config.added_tokens + rows - config.vocab_size

    def grown(tree: Params) -> Params:
        vectors = np.concatenate([own for _, own in words])
        return padded_table(with_embedding(tree, vectors), rows)

    if isinstance(next(iter(jax.tree.leaves(params))), jax.ShapeDtypeStruct):
        tree = jax.eval_shape(grown, params)
    else:
        tree = jax.tree.map(placed_as, grown(params), params)
    return replace(config, vocab_size=rows, added_tokens=added), tree, tokens


def words_of(adapters: Adapters, spec: ModelSpec) -> dict[str, tuple[np.ndarray, ...]]:
    """Word -> its vectors [n, width] for each text encoder of the model.

    Raises:
      ValueError: a file is no adapter, or one of another model.
    """
    words = {}
    for lora in adapters.lora:
        for word, vectors in lora_file(lora, spec).words.items():
            words[word] = _fitted(lora.file, vectors, spec)
    for one in adapters.embedding:
        word, vectors = read_embedding(adapter_place(one.file))
        words[one.name or word] = _fitted(one.file, vectors, spec)
    return words


def _fitted(file: str, vectors: Sequence[np.ndarray], spec: ModelSpec) -> tuple[np.ndarray, ...]:
    """The vectors for each text encoder, by their widths: files for XL have those for both."""
    widths = [config.width for config in spec.text]
    by_width = {own.shape[1]: own for own in vectors}
    if not by_width.keys() >= set(widths):
        raise ValueError(
            f"{file} is an embedding for text encoders of width {' and '.join(map(str, by_width))},"
            f" and those of {spec.family} are {' and '.join(map(str, widths))} wide; take one that "
            f"was trained on {spec.family}"
        )
    return tuple(by_width[width] for width in widths)


def with_weights(model: Adapted, adapters: Adapters) -> Adapted:
    """The model with LoRAs merged into its weights.

    Raises:
      ValueError: a file is no LoRA, or one of another model.
    """
    loras = merges_of(adapters.lora, model.spec)
    if not loras:
        return model
    # What is in files is changed when it is read.
    kept = jax.tree.map(lambda one: _changed(one, loras), model.params)
    return model._replace(params=merged_weights(kept, loras))


def _changed(parameter: Array, loras: Sequence[tuple[Mapping, Mapping[str, float]]]) -> Array:
    if not isinstance(parameter, InFile):
        return parameter
    return parameter.changed(lambda path, own: merged_kernel(path, own, loras))


def merges_of(
    loras: Sequence[Lora], spec: ModelSpec
) -> list[tuple[dict[str, Factors], dict[str, float]]]:
    """The changes in files of LoRAs, and their weights by part, as `merged_weights` takes them."""
    return [
        (lora_file(one, spec).lora, dict(zip(("unet", "text"), one.weights, strict=True)))
        for one in loras
    ]


def lora_file(lora: Lora, spec: ModelSpec) -> LoraFile:
    """The file of a LoRA; the last few stay mapped into memory."""
    path = adapter_place(lora.file)
    # The vocabulary, which learnt words enlarge, is nothing that a LoRA knows.
    text = tuple(replace(one, vocab_size=1, added_tokens=0) for one in spec.text)
    return _read(path, path.stat().st_mtime_ns, replace(spec, text=text))


@lru_cache(maxsize=FILES_KEPT)
def _read(path: Path, changed: int, spec: ModelSpec) -> LoraFile:
    return read_lora_file(path, spec)
