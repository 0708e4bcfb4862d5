"""A face from expression to expression, planned; how it looks is measured by a tool."""

import pytest
from video_cases import SPEC, video

from jaxsd.schedulers import there_and_back
from jaxsd.settings import of_drawing, tableau_of
from jaxsd.video.expressions import SUITS, moving_face
from jaxsd.video.plan import planned


def test_frames_begin_from_the_picture_and_end_in_the_last_expression() -> None:
    face = moving_face("face.png", "a {} face", ["smiling", "crying", "angry"])
    assert [key["time"] for key in face["key"]] == [0, 1, 2]
    config = video(*face.pop("key"), **SUITS | {"easing": "linear", "fps": 8.0}, **face)
    frames = [frame.settings for frame in planned(config, SPEC).frames]
    assert len(frames) == 20
    assert {one.source_prompt for one in frames} == {"a smiling face"}
    assert (frames[0].prompt, frames[0].blend_strength) == ("a smiling face", 0)
    assert (frames[4].prompt, frames[4].blend_prompt) == ("a smiling face", "a crying face")
    assert frames[4].blend_strength == 0.5
    assert [(one.prompt, one.blend_strength) for one in frames[16:]] == [("a angry face", 0)] * 4
    whole = tableau_of(frames[0], SPEC)
    assert whole.rows == 2 * config.steps + 1
    assert of_drawing(frames[0], whole).rows == config.steps
    assert there_and_back(of_drawing(frames[0], whole)).timestep.tolist() == whole.timestep.tolist()


@pytest.mark.parametrize(
    ("text", "expressions", "message"),
    [
        ("a face", ["smiling", "crying"], "prompt 'a face' has no {}, where the expressions go"),
        ("a {} face", ["smiling"], "expressions 'smiling': give two or more with commas between"),
        ("a {} face", ["smiling", ""], "expressions 'smiling, ': give two or more"),
    ],
)
def test_mistakes_are_one_line(text: str, expressions: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        moving_face("face.png", text, expressions)
    assert "\n" not in str(error.value)


def test_other_samplers_are_refused() -> None:
    face = moving_face("face.png", "a {} face", ["smiling", "crying"])
    config = video(*face.pop("key"), **SUITS | {"sampler": "dpm++_2m", "fps": 8.0}, **face)
    with pytest.raises(ValueError, match="key frame 1: only ddim"):
        planned(config, SPEC)
