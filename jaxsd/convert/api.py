"""The converter's front: a source in, a model out, and back."""

from collections.abc import Sequence
from pathlib import Path

from jaxsd.config import ModelSpec
from jaxsd.convert.folder import open_diffusers
from jaxsd.convert.stored_model import StoredModel, parts_of
from jaxsd.convert.tensors import dtype_named
from jaxsd.convert.write import save_diffusers
from jaxsd.text import Tokenizer, clip_tokenizer
from jaxsd.types import Params


def open_model(source: str | Path, *, ema: bool | None = None) -> StoredModel:
    """Open a model without reading its weights.

    Args:
      source: a diffusers folder.
      ema: which U-Net weights to take where there are two sets: the average of training (`True`,
        and `None`) or the last (`False`).

    Raises:
      ValueError: one line that says what is wrong with the source.
    """
    path = Path(source)
    if path.is_dir():
        return open_diffusers(path, ema)
    raise ValueError(f"{source} is not a diffusers folder")


def read(
    source: str | Path, *, dtype: str | None = "float32", ema: bool | None = None
) -> tuple[ModelSpec, Params]:
    """A model's spec and its parameters as NumPy arrays, one tensor at a time.

    `source` and `ema` are as in `open_model`; `dtype` is "float32", "float16" or "bfloat16", and
    `None` keeps what is stored.

    Returns:
      The spec and `{"unet": tree, "vae": tree, "text": [tree, ...]}`.
    """
    model = open_model(source, ema=ema)
    return model.spec, model.params(dtype and dtype_named(dtype))


def write_diffusers(
    folder: str | Path,
    spec: ModelSpec,
    params: Params,
    *,
    tokenizers: Sequence[Tokenizer] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a model as a folder that diffusers loads. dtypes stay as they are.

    `params` is `{"unet": tree, "vae": tree, "text": [tree, ...]}` of NumPy or JAX arrays;
    `tokenizers` are one per text encoder, and `None` stands for CLIP's own.

    Raises:
      ValueError: if the parameters are not those of the spec, or diffusers has no such model.
      FileExistsError: if the folder exists and may not be overwritten.
    """
    model = in_memory_model(spec, params, tokenizers)
    save_diffusers(
        Path(folder), model, dtype=None, overwrite=overwrite, progress=lambda count: None
    )


def in_memory_model(
    spec: ModelSpec, params: Params, tokenizers: Sequence[Tokenizer] | None
) -> StoredModel:
    """A model whose parameters are in memory already.

    Raises:
      ValueError: if a text encoder has another vocabulary than CLIP's and no tokenizer is given.
    """
    if tokenizers is None:
        tokenizers = [clip_tokenizer(text) for text in spec.text]
        for text, tokenizer in zip(spec.text, tokenizers, strict=True):
            if len(tokenizer.vocabulary.ids) != text.vocab_size:
                raise ValueError(
                    f"no tokenizer: the text encoder has {text.vocab_size} tokens, which is not "
                    f"CLIP's vocabulary of {len(tokenizer.vocabulary.ids)}; pass its tokenizer"
                )
    return StoredModel(spec=spec, tensors=parts_of(params), tokenizers=tuple(tokenizers))
