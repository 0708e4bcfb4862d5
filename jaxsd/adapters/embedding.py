"""Textual inversion: new words as extra rows of the token table (Gal et al. 2022,
arXiv:2208.01618).

An embedding is a token, and vectors [n, width] for each text encoder. Using one takes two steps
per encoder: `with_embedding` appends the vectors to its table, and `with_token` gives its tokenizer
the ids of those rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxsd.config import TextConfig
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import FlatTree, LazyTensor, in_memory, is_floating
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.text import Tokenizer, Vocabulary
from jaxsd.types import Array, Params

_ENCODERS = ("clip_l", "clip_g")
"""Names of the vectors in files for XL, in the order of its text encoders."""

_NAMELESS = ("emb_params", "string_to_param.*", "*", "tensor")
"""Names of the vectors in files of webui and the original code."""

_BESIDE = "string_to_token."


def with_embedding(params_text: Params, vectors: Array) -> Params:
    """A copy of a text encoder's tree with rows appended to its token table.

    It can be traced: in training the vectors are the parameters, and everything else is constant.

    Args:
      params_text: the tree of one text encoder.
      vectors: [n, width], cast to the dtype of the table.

    Raises:
      ValueError: vectors of another width.
    """
    embeddings = params_text["embeddings"]
    table = embeddings["token_embedding"]["embedding"]
    if vectors.ndim != 2 or vectors.shape[1] != table.shape[1]:
        raise ValueError(
            f"the embedding is {list(vectors.shape)}, this text encoder's are [n, {table.shape[1]}]"
        )
    rows = jnp.concatenate([jnp.asarray(table), jnp.asarray(vectors, table.dtype)])
    return params_text | {"embeddings": embeddings | {"token_embedding": {"embedding": rows}}}


def with_token(
    config: TextConfig, tokenizer: Tokenizer, token: str, vectors: int
) -> tuple[TextConfig, Tokenizer]:
    """An encoder's config and tokenizer with a token for the rows that `with_embedding` appends.

    The token in a prompt becomes the ids of all its vectors. The ids after the first belong to
    `token_1`, `token_2`, ..., as diffusers names them.

    Args:
      config: of the encoder without the rows.
      token: what to write in prompts, such as "<toy>".
      vectors: how many rows it has, at least 1.

    Raises:
      ValueError: the token is empty, has white space that prompts lose, or is in the vocabulary.
    """
    if not token or token != " ".join(token.split()):
        raise ValueError(f"token {token!r} cannot be found in a prompt; use one such as '<toy>'")
    if vectors < 1:
        raise ValueError(f"token {token!r} has {vectors} vectors; it needs at least 1")
    own = tokenizer.vocabulary
    names = (token, *(f"{token}_{n}" for n in range(1, vectors)))
    taken = [name for name in (*names, f"{token}_1") if name in own.ids]
    if taken:
        raise ValueError(f"token {taken[0]!r} is in the vocabulary already; choose another")
    ids = own.ids | {name: config.vocab_size + n for n, name in enumerate(names)}
    vocabulary = Vocabulary(ids, own.merges, own.added + names)
    return (
        replace(
            config,
            vocab_size=config.vocab_size + vectors,
            added_tokens=config.added_tokens + vectors,
        ),
        replace(tokenizer, vocabulary=vocabulary),
    )


def padded_table(params_text: Params, rows: int) -> Params:
    """A copy of a text encoder's tree whose token table has so many rows, the new ones zero.

    Few sizes of tables mean few programs: see `jaxsd.pipeline.adapting`.
    """
    table = params_text["embeddings"]["token_embedding"]["embedding"]
    return with_embedding(params_text, jnp.zeros((rows - len(table), table.shape[1])))


def read_embedding(path: str | Path) -> tuple[str, tuple[np.ndarray, ...]]:
    """The token and the vectors of a file, one array [n, width] per text encoder.

    diffusers' files have one tensor, named by the token; webui's are `emb_params` or, in .pt files,
    `string_to_param`; those for XL have `clip_l` and `clip_g`. If a file does not name the token,
    the token is the file's name without the suffix, as in webui.

    Raises:
      ValueError: the file holds anything else.
    """
    path = Path(path)
    tensors, facts = open_weights(path)
    name, vectors = vectors_of(path, tensors)
    return name or _stated(facts) or path.stem, vectors


def vectors_of(path: Path, tensors: FlatTree) -> tuple[str | None, tuple[np.ndarray, ...]]:
    """The token, if a tensor's name gives it, and the vectors of the tensors of an embedding.

    Raises:
      ValueError: they are anything else; `path` names the file.
    """
    name, found = _vectors(path, tensors)
    return name, tuple(_rows(path, tensor) for tensor in found)


def _stated(facts: Mapping[str, str]) -> str | None:
    return facts.get("token") or facts.get("name")


def _vectors(path: Path, tensors: FlatTree) -> tuple[str | None, list[LazyTensor]]:
    """The token, if a tensor's name gives it, and the tensors in the order of encoders."""
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(_BESIDE)}
    if kept and set(kept) <= set(_ENCODERS):
        return None, [kept[name] for name in _ENCODERS if name in kept]
    if len(kept) != 1:
        some = ", ".join(sorted(kept)[:3])
        raise ValueError(f"{path} holds {len(kept)} tensors ({some}, ...), not one embedding")
    name, tensor = kept.popitem()
    return None if name in _NAMELESS else name, [tensor]


def _rows(path: Path, tensor: LazyTensor) -> np.ndarray:
    if len(tensor.shape) not in (1, 2) or 0 in tensor.shape or not is_floating(tensor.dtype):
        kind = f"{tensor.dtype} {list(tensor.shape)}"
        raise ValueError(f"{path} holds {kind}, an embedding is [vectors, width] of fractions")
    rows = np.atleast_2d(tensor.read())
    if not np.isfinite(rows).all():
        raise ValueError(f"{path} has vectors that are not finite; its training went wrong")
    return rows


def write_embedding(path: str | Path, token: str, vectors: Sequence[Array]) -> None:
    """Write an embedding as a .safetensors file for `pipe.load_textual_inversion(path)`.

    For one text encoder the tensor is named by the token. For XL's two they are `clip_l` and
    `clip_g`, which webui and ComfyUI load, and diffusers one by one; the token is in the metadata.

    Args:
      path: ends with `.safetensors`.
      token: what to write in prompts.
      vectors: [n, width] for each text encoder.

    Raises:
      ValueError: another suffix, or vectors for no encoder or more than two.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path} does not end with .safetensors, which embeddings are written as")
    if len(vectors) not in (1, 2):
        raise ValueError(f"an embedding is for 1 or 2 text encoders, not {len(vectors)}")
    names = (token,) if len(vectors) == 1 else _ENCODERS
    tensors = {name: in_memory(array) for name, array in zip(names, vectors, strict=True)}
    write_safetensors(path, tensors, {"format": "pt", "token": token})
