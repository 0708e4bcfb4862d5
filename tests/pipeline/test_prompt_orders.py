"""Prompts as arrays: which text each branch sees in each row, and what changes no program."""

from contextlib import nullcontext
from typing import Any

import jax
import numpy as np
import pytest
from tiny_models import TINY
from tiny_pipelines import LetterTokenizer

from jaxsd.config import ModelSpec
from jaxsd.pipeline.order import runs_of
from jaxsd.pipeline.texts import banks_of, texts_of, time_ids
from jaxsd.sampling.texts import Texts
from jaxsd.settings import Settings, checked

SD1 = TINY["sd1"]


def letters(spec: ModelSpec) -> list[LetterTokenizer]:
    return [LetterTokenizer(config) for config in spec.text]


def ordered(*prompts: str, spec: ModelSpec = SD1, **options: Any) -> tuple[Texts, Any]:
    told = {"steps": 5, "guidance_scale": 3.0} | options
    settings = [checked(Settings(prompt, **told), spec) for prompt in prompts]
    texts = texts_of(spec, letters(spec), settings, banks_of(spec, settings))
    return texts, runs_of(spec, settings)


def form_of(order: tuple[Texts, Any]) -> Any:
    leaves, tree = jax.tree.flatten(order)
    return tree, [(leaf.shape, leaf.dtype) for leaf in leaves]


def seen(order: tuple[Texts, Any], branch: int, image: int = 0) -> list[str]:
    """The text of a branch in each row, one chunk, read back from its ids."""
    texts, [run] = order
    ids = texts.ids[0][image, run.columns["which"][:, image, branch]]
    names = {row.tobytes(): name for name in "abcdef" for row in letters(SD1)[0]([name])}
    names |= {letters(SD1)[0]([""])[0].tobytes(): ""}
    return [names[row.tobytes()] for row in ids]


def test_rows_see_the_text_of_their_own() -> None:
    order = ordered("[a:b:0.4]", "[c|d|e]", negative_prompt="[f:2]")
    assert seen(order, 1) == ["a", "a", "b", "b", "b"]
    assert seen(order, 1, 1) == ["c", "d", "e", "c", "d"]
    assert seen(order, 0) == seen(order, 0, 1) == ["", "", "f", "f", "f"]
    assert (order[1][0].columns["weight"] == 3).all()


def test_another_edit_does_not_compile_again() -> None:
    want = form_of(ordered("[a:b:0.4] c"))
    for prompt in ("[d:e:3]", "[a|b]", "[a|b|c]", "[[a|b]:c:2] d"):
        assert form_of(ordered(prompt)) == want
    assert form_of(ordered("a", negative_prompt="[a:b:0.5]")) == want
    assert form_of(ordered("(a:1.2) b")) == form_of(ordered("c (d:0.8)"))
    assert form_of(ordered("a", clip_skip=2)) == form_of(ordered("b", clip_skip=3))


def test_edits_weights_and_layers_that_change_nothing_are_not_there() -> None:
    want = form_of(ordered("a cat"))
    for prompt in ("[a:b:1.0]", r"\(a\)", "(a:1.0)", "[a|a]"):
        assert form_of(ordered(prompt)) == want
    for kind in ("comfy", "compel", "none"):
        assert form_of(ordered("a cat", prompt_weights=kind)) == want
    assert form_of(ordered("a cat", clip_skip=1)) == want


def test_parts_are_branches() -> None:
    order = ordered("a AND b:0.5 AND c:-1", "d", negative_prompt="f")
    assert [seen(order, branch)[0] for branch in range(4)] == ["f", "a", "b", "c"]
    assert [seen(order, branch, 1)[0] for branch in range(4)] == ["f", "d", "d", "d"]
    weight = order[1][0].columns["weight"]
    np.testing.assert_array_equal(weight[:, 0], [[3, 1.5, -3]] * 5)
    np.testing.assert_array_equal(weight[:, 1], [[3, 0, 0]] * 5)


def test_parts_need_no_guidance_but_see_the_negative_prompt() -> None:
    order = ordered("a AND b:0.5", negative_prompt="f", guidance_scale=1.0)
    assert [seen(order, branch)[0] for branch in range(3)] == ["f", "a", "b"]
    np.testing.assert_array_equal(order[1][0].columns["weight"][:, 0], [[1, 0.5]] * 5)
    _, runs = ordered("a AND b:0.5", guidance_interval=(0.4, 1.0))
    np.testing.assert_array_equal(runs[0].columns["weight"][:, 0], [[1, 0.5]] * 2 + [[3, 1.5]] * 3)
    halves = ordered("a AND b:0.5 AND c:-0.5", guidance_scale=1.0)[1]
    assert [run.columns["which"].shape[-1] for run in halves] == [3], "no branch of weight 0"


def test_a_row_sees_the_mean_of_its_text_and_the_other_prompts() -> None:
    told = {"blend_prompt": "[c|d] AND e:0.9", "blend_strength": 0.25}
    order = ordered("[a:b:0.4] AND f:0.5", **told)
    assert seen(order, 1) == ["a", "a", "b", "b", "b"]
    mix, which = order[0].mix[0], order[1][0].columns["which"][:, 0]
    texts = [order[0].ids[0][0, number] for number in range(len(mix))]
    names = {row.tobytes(): name for name in "abcdef" for row in letters(SD1)[0]([name])}
    for branch, want in ((1, "cdcdc"), (2, "eeeee")):
        for number, goal in zip(which[:, branch], want, strict=True):
            shares = {
                names.get(texts[i].tobytes()): mix[number, i] for i in mix[number].nonzero()[0]
            }
            assert shares == {names[texts[number].tobytes()]: 0.75, goal: 0.25}
    np.testing.assert_array_equal(mix[0], np.eye(len(mix))[0], "the negative prompt is as it was")
    np.testing.assert_allclose(order[1][0].columns["weight"][0, 0], [3, 3 * (0.75 * 0.5 + 0.225)])
    assert form_of(order) == form_of(ordered("[a:b:0.4] AND f:0.5", **told | {"blend_strength": 0}))


@pytest.mark.parametrize("prompt", ["a (b:1.2) AND c", "{a|b}", "[a:b:0.5]", "BREAK", "a" * 99])
def test_plain_text_has_no_grammar_and_is_cut(prompt: str) -> None:
    with pytest.warns(UserWarning, match="24 tokens") if len(prompt) > 75 else nullcontext():
        texts, [run] = ordered(prompt, prompt_weights="none")
    np.testing.assert_array_equal(texts.ids[0][0, 1], letters(SD1)[0]([prompt])[0])
    assert texts.weights is None
    assert texts.keep.shape == (1, 2)
    assert (run.columns["weight"] == 3).all()


def test_texts_of_different_lengths_are_repeated() -> None:
    texts, _ = ordered("a" * 80, "b" * 75 + "c" * 85, negative_prompt="c")
    assert texts.ids[0].shape == (2, 2, 6, 77)
    for own, count in ((texts.ids[0][0, 0], 1), (texts.ids[0][0, 1], 2), (texts.ids[0][1, 1], 3)):
        assert len({row.tobytes() for row in own}) == count
        np.testing.assert_array_equal(own, np.tile(own[:count], (6 // count, 1)))


def test_lengths_that_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="texts of 5 and 7 chunks need 35 in a call, and at most"):
        ordered("a" * 500, negative_prompt="b" * 350)


def test_zeros_of_xl_where_the_negative_prompt_is_empty() -> None:
    texts, _ = ordered("", spec=TINY["sdxl"], negative_prompt="[a:2]")
    np.testing.assert_array_equal(texts.keep, [[0, 1, 1, 1]])  # "", "a", the prompt, and it again
    assert len(texts.ids) == 2


def test_scores_of_the_refiner() -> None:
    spec = TINY["sdxl-refiner"]
    settings = [checked(Settings("[a:b:0.5]", "c", steps=4), spec)]
    ids = time_ids(spec, settings, banks_of(spec, settings), 4)
    np.testing.assert_array_equal(ids[0, :, 4], [2.5, 6, 6, 6])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prompt": "a (b:2000)"}, "the weight 2000 in a prompt is out of range"),
        ({"prompt": "a", "negative_prompt": "(b:1.1.1)"}, "'1.1.1' in a prompt is not a number"),
        (
            {"prompt": "[" + "|".join("abcdefgh") + "]" + "[a|b|c|d|e|f|g]" + "[a|b|c|d|e]"},
            "make 281 texts; at most 256",
        ),
        ({"prompt": "a AND b", "blend_prompt": "c"}, "blend_prompt has 1 parts joined by AND, and"),
        ({"prompt": "a", "blend_strength": 0.5}, "blend_strength 0.5 needs a prompt to mix"),
        ({"prompt": "a", "clip_skip": 4}, "clip_skip 4 is out of range; .* has 3 layers"),
    ],
)
def test_wrong_prompts_are_one_line_before_anything_is_read(
    options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says) as error:
        checked(Settings(**options, steps=300), SD1)
    assert "\n" not in str(error.value)


def test_parts_need_negative_prompts() -> None:
    with pytest.raises(ValueError, match="AND in a prompt needs a model with negative prompts"):
        checked(Settings("a AND b"), TINY["lcm"])
