"""Nodes of GLIGEN: whose boxes count, where they lie, and what does not go together."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_models import TINY, pipeline_params

from jaxsd.executables import Executables
from jaxsd.models.gligen import TOKENS
from jaxsd.text import clip_tokenizer
from jaxsd.workflow import Workspace, arrays
from jaxsd.workflow.dividing import areas_of
from jaxsd.workflow.grounding import boxes_of, with_gligen
from jaxsd.workflow.nodes import dual_cfg_guider, gligen_text_box_apply
from jaxsd.workflow.values import Box, Clip, Condition, Gligen, Grounding, Model

NET = Gligen("own.safetensors")
TEXT = np.arange(3, dtype=np.float32)


def condition(*boxes: Box, net: Gligen = NET, **values: object) -> Condition:
    grounding = Grounding(net, boxes) if boxes else None
    return Condition(np.zeros((1, 77, 4), np.float32), None, grounding=grounding, **values)


def box(x: int, text: np.ndarray = TEXT) -> Box:
    return Box(text, height=4, width=2, y=1, x=x)


def places(side: tuple[Condition, ...]) -> list[int | None]:
    """Where the first box of each condition begins."""
    return [one.grounding and one.grounding.boxes[0].x for one in side]


@pytest.fixture(scope="module")
def clip() -> Clip:
    spec = TINY["sdxl"]
    text = tuple(replace(one, vocab_size=49408, pad_token=0) for one in spec.text)
    spec = replace(spec, text=text)
    params = {"text": pipeline_params(spec)["text"]}
    return Clip(spec, params, tuple(map(clip_tokenizer, text)), Executables(), "float32")


def test_boxes_follow_each_other(clip: Clip) -> None:
    """Their texts are pooled without weights and projection, of the first chunk."""
    made = (condition(), condition(area=(8, 8, 0, 0)))
    for text, x in (("a (red:1.4) ball", 24), ("a red ball", 160), ("a " * 80 + "cat", 0)):
        made = gligen_text_box_apply(
            Workspace(),
            conditioning_to=made,
            clip=clip,
            gligen_textbox_model=NET,
            text=text,
            width=47,
            height=64,
            x=x,
            y=15,
        )
    for one in made:
        boxes = one.grounding.boxes
        assert [own[1:] for own in map(tuple_of, boxes)] == [
            (8, 5, 1, 3),
            (8, 5, 1, 20),
            (8, 5, 1, 0),
        ]
    texts = [own.text for own in made[0].grounding.boxes]
    assert {text.shape for text in texts} == {(clip.spec.text[-1].width,)}
    np.testing.assert_array_equal(texts[0], texts[1])
    assert np.abs(texts[2] - texts[1]).max() > 0.1


def tuple_of(own: Box) -> tuple:
    return own.text, own.height, own.width, own.y, own.x


def test_the_negative_side_has_the_boxes_too() -> None:
    plain, area = condition(), condition(area=(8, 8, 0, 0))
    boxed = condition(box(5), area=(8, 8, 0, 0))

    def negative(own: tuple[Condition, ...], *positive: Condition) -> list[int | None]:
        return places(arrays.sides_of(positive, own, 4.0, plus_plus=False).negative)

    assert negative((plain,), condition(box(1))) == [1]
    assert negative((plain, area, plain), condition(box(1)), plain, condition(box(2))) == [
        1,
        None,
        2,
    ]
    assert negative((plain,), condition(box(1)), condition(box(2))) == [2]
    assert negative((condition(box(3)), plain), condition(box(1))) == [3, None]
    assert negative((plain,), boxed) == [None]
    assert negative((area,), condition(box(1))) == [None]
    assert negative((plain,), plain) == [None]


def test_each_of_three_sides_has_the_boxes() -> None:
    guider = dual_cfg_guider(
        model=None, cond1=(condition(box(1)),), cond2=(condition(),), negative=(condition(),),
        cfg_conds=3.0, cfg_cond2_negative=2.0, style="regular",
    )  # fmt: skip
    assert places(arrays.three_sides_of(guider).branches) == [1, 1, 1]


def test_boxes_are_shares_of_what_a_branch_sees() -> None:
    last = condition(box(3), area=(4, 4, 0, 0))
    sides = arrays.Sides((condition(),), (condition(box(1), box(6)), last), 4.0)
    made = boxes_of(sides, 2, (8, 16), areas_of(sides, 2, 8, 16))
    assert made.texts.shape == (2, 3, TOKENS, 3)
    np.testing.assert_array_equal(made.used, [[False, True, True]] * 2)
    np.testing.assert_array_equal(made.there.sum(axis=2), [[0, 2, 1]] * 2)
    np.testing.assert_array_equal(made.boxes[1, 1, 1], np.float32([6 / 16, 1 / 8, 8 / 16, 5 / 8]))
    np.testing.assert_array_equal(made.boxes[0, 2, 0], np.float32([3 / 4, 1 / 4, 5 / 4, 5 / 4]))
    np.testing.assert_array_equal(made.texts[0, 1, :3], [TEXT, TEXT, 0 * TEXT])


def test_too_many_boxes_and_texts_of_two_clips_are_refused() -> None:
    def refused(*boxes: Box) -> str:
        with pytest.raises(ValueError, match="boxes") as error:
            boxes_of(arrays.Sides((), (condition(*boxes),), 1.0), 1, (8, 8), None)
        return str(error.value)

    assert "a text has 31 boxes; GLIGEN takes 30 at most" in refused(*(box(1),) * (TOKENS + 1))
    wide = box(1, np.zeros(5, np.float32))
    assert "have 3 and 5 numbers; encode all by one CLIP" in refused(box(1), wide)


def test_other_layers_are_refused() -> None:
    def refused(*positive: Condition) -> str:
        model = Model(TINY["sd1"], {}, Executables(), "float32")
        with pytest.raises(ValueError, match="boxes") as error:
            with_gligen(None, model, arrays.Sides((), positive, 1.0))
        return str(error.value)

    other = condition(box(1), net=Gligen("another"))
    assert "have boxes of 2 GLIGENs; take one" in refused(condition(box(1)), other)
    trees = {"position_net": {"null_positive_feature": np.zeros(5)}, "fusers": {}}
    known = Gligen("own", {"last": ((TINY["sd1"].unet, "float32"), trees)})
    line = refused(condition(box(1), net=known))
    assert "own was trained with texts of 5 numbers, and the CLIP of the boxes gives 3" in line
