"""Drawings whose U-Net is looked into: maps of words, and what modules give."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsd.pipeline.drawing import Programs, rows_between
from jaxsd.pipeline.order import Order
from jaxsd.sampling import State
from jaxsd.sampling.inside import Edit, attention_to_tokens, features
from jaxsd.sampling.program import decode, encode
from jaxsd.settings import check_inside
from jaxsd.text import Tokenizer


class WordMaps(NamedTuple):
    """A drawing, and where it looked at each word."""

    images: np.ndarray  # [B, H, W, 3] float32, about [-1, 1]
    maps: dict[str, np.ndarray]  # [B, h, w] float32, share of words; of the latents' size


class Inside(NamedTuple):
    """A drawing, and what modules gave in its rows."""

    images: np.ndarray  # [B, H, W, 3] float32, about [-1, 1]
    features: list[dict[str, np.ndarray]]  # of each row, by path: [B, K, ...] for K branches


def words_looked_at(
    programs: Programs,
    order: Order,
    tokenizer: Tokenizer,
    words: Sequence[str] | None,
    progress: Callable[[int, int], None],
) -> WordMaps:
    """Draws an order; a word's map is the mean over rows and over the tokens of the word.

    Without `words` they are those of the first prompt, but for signs and numbers of its grammar.
    `progress` is called after each row with (rows done, rows in all).

    Raises:
      ValueError: a prompt without one of the words, or what can not be looked into.
    """
    texts = np.asarray(order.given.texts.ids[0])
    which = order.runs[-1].columns["which"][0, :, -1]
    own = [ids[number].ravel() for ids, number in zip(texts, which, strict=True)]
    said = re.findall(r"[^\W_]+", order.settings[0].prompt) if words is None else words
    places = {word: [tokens_of(word, ids, tokenizer) for ids in own] for word in said}
    for word in places if words else ():
        if not all(places[word]):
            raise ValueError(f"the prompt has no word {word!r}")
    among = np.stack([is_of_words(ids, tokenizer) for ids in own])
    images, seen = _drawn(programs, order, partial(attention_to_tokens, words=among), progress)
    mean = np.mean([np.asarray(maps) for maps in seen], axis=0)
    maps = {
        word: np.stack([one[..., own].mean(-1) for one, own in zip(mean, each, strict=True)])
        for word, each in places.items()
        if all(each)
    }
    return WordMaps(images, maps)


def looked_inside(
    programs: Programs, order: Order, paths: Sequence[str], edit: Edit | None
) -> Inside:
    """Draws an order, and keeps what modules of these paths give.

    Raises:
      ValueError: a path that no module has, or what can not be looked into.
    """
    told = {"paths": tuple(paths)} | ({"edit": edit} if edit else {})
    images, seen = _drawn(programs, order, partial(features, **told))
    if missing := [path for path in paths if path not in seen[0]]:
        raise ValueError(
            f"no module of the U-Net is {missing[0]!r}; paths are those of its parameters, such as "
            "mid_block or up_blocks_0/resnets_1"
        )
    return Inside(images, [jax.tree.map(np.asarray, one) for one in seen])


def tokens_of(word: str, ids: np.ndarray, tokenizer: Tokenizer) -> list[int]:
    """The places of a word among the ids [L] of a text, each time that it is there."""
    [own] = tokenizer.encode([word])
    starts = [i for i in range(len(ids)) if own and ids[i : i + len(own)].tolist() == own]
    return [i + j for i in starts for j in range(len(own))]


def is_of_words(ids: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """Which of ids [L] are of a text itself, not what is put around it: bool [L]."""
    around = tokenizer([""])
    return ~np.isin(ids, around)


def _drawn(
    programs: Programs,
    order: Order,
    look: Callable[..., tuple[State, Any]],
    progress: Callable[[int, int], None] = lambda done, rows: None,
) -> tuple[np.ndarray, list[Any]]:
    """The images, and what `look` gives with each row."""
    check_inside(order.settings[0])
    if programs.networks.mesh is not None:
        raise ValueError("one device looks into the U-Net; load the model without a mesh")
    conditions, state = programs(encode, given=order.given)
    loop, seen = programs.of_loop, []
    for run in order.runs:
        state = state._replace(memory={})
        for row in range(len(run.row.number)):
            told = (rows_between(run, row, row + 1), conditions, state, order.given.keys)
            state, own = look(loop.networks, loop.params, *told)
            seen.append(own)
            progress(len(seen), order.rows)
    images = programs.of_decoder(decode, latents=state.samples[:, 0])
    return np.asarray(images), seen
