"""Frames between key frames: what moves, how, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import TINY
from tiny_pipelines import LetterTokenizer
from video_cases import SPEC, plan_of, sound_file, video

from jaxsd.bulk.config import BulkConfig
from jaxsd.bulk.rows import rows_from
from jaxsd.settings import Control, Lora, bucket_of
from jaxsd.video.config import key_frames, read_video
from jaxsd.video.drive import Drive
from jaxsd.video.easing import EASINGS
from jaxsd.video.keys import keys_of
from jaxsd.video.pictures import check_files, steadied
from jaxsd.video.plan import check_folder, planned, rows_of
from jaxsd.video.recipe import recipe_of
from jaxsd.video.walk import crossed


@pytest.mark.parametrize("name", EASINGS)
def test_an_easing_goes_from_0_to_1_and_never_back(name: str) -> None:
    ways = [EASINGS[name](share) for share in np.linspace(0, 1, 101)]
    assert ways[0] == 0
    assert ways[-1] == pytest.approx(1)
    assert (np.diff(ways) >= 0).all()


def test_seeds_and_prompts_are_gone_between() -> None:
    keys = [{"prompt": "a", "seed": 3}, {"prompt": "b", "seed": 5, "guidance_scale": 3.5}]
    frames = [frame.settings for frame in plan_of(*keys, seconds=2.0).frames]
    assert len(frames) == 16
    for number, one in enumerate(frames):
        assert (one.prompt, one.blend_prompt, one.seed, one.variation_seed) == ("a", "b", 3, 5)
        assert one.blend_strength == one.variation_strength == pytest.approx(number / 16)
        assert one.guidance_scale == pytest.approx(7.5 - 4 * number / 16)


def test_the_frames_of_a_video_share_a_program() -> None:
    keys = [{"prompt": "a"}, {"seed": 9}, {"prompt": "b"}, {"guidance_scale": 3.0}]
    plan = plan_of(*keys, fps=24.0)
    letters = [LetterTokenizer(config) for config in SPEC.text]
    assert len({bucket_of(frame.settings, SPEC, letters) for frame in plan.frames}) == 1
    assert plan.frames[0].settings.blend_strength == 0


def test_without_another_prompt_nothing_is_mixed() -> None:
    for frame in plan_of({"prompt": "a", "seed": 1}, {"seed": 2}).frames:
        assert frame.settings.blend_prompt == ""


def test_easings_and_times_of_key_frames() -> None:
    keys = [
        {"time": 0.0, "prompt": "a", "easing": "hold"},
        {"time": 1.0, "seed": 4, "zoom": 2.0},
        {"time": 1.5, "seed": 6, "zoom": 4.0},
    ]
    plan = plan_of(*keys, seconds=2.0, fps=4.0)
    strengths = [frame.settings.variation_strength for frame in plan.frames]
    assert strengths == [0, 0, 0, 0, 0, 0.5, 0, 0], "held, then straight, then at the last one"
    assert [frame.settings.seed for frame in plan.frames] == [0] * 4 + [4] * 2 + [6] * 2
    assert [frame.zoom for frame in plan.frames] == [1, 1, 1, 1, 2, 3, 4, 4]
    assert plan.shown == (0, 4, 6)


def test_a_loop_ends_before_its_beginning() -> None:
    plan = plan_of({"prompt": "a", "seed": 1}, {"seed": 2}, loop=True)
    seen = [(one.seed, one.variation_strength) for one, *_ in plan.frames]
    assert seen == [(1, 0), (1, 0.25), (1, 0.5), (1, 0.75), (2, 0), (2, 0.25), (2, 0.5), (2, 0.75)]


def test_files_that_are_missing_are_one_line() -> None:
    with pytest.raises(ValueError, match=r"picture 'no\.png': No such file or directory"):
        check_files(plan_of({"prompt": "a"}, {"control": ["no.png:canny"]}))
    with pytest.raises(FileNotFoundError, match=r"there is no file 'no\.pt'"):
        check_files(plan_of({"prompt": "a", "embedding": ["no.pt"]}))


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    check_folder(tmp_path / "none")
    check_folder(tmp_path)
    (tmp_path / "picture.png").touch()
    with pytest.raises(ValueError, match="has other files in it; give the video another name"):
        check_folder(tmp_path)
    (tmp_path / "frames.jsonl").touch()
    check_folder(tmp_path)


def test_all_frames_of_a_steady_video_look_at_the_first(tmp_path: Path) -> None:
    plan = steadied(plan_of({"prompt": "a"}, {"prompt": "b"}, steady=0.4), tmp_path / "first.png")
    for settings, *_ in plan.frames:
        assert settings.reference == str(tmp_path / "first.png")
        assert settings.reference_strength == 0.4


def test_lists_fade_into_each_other() -> None:
    one = (Lora("a", 1.0), Lora("b", 0.8, 0.4))
    assert crossed(one, one, 0.5) is one
    assert crossed(one, (Lora("b", 0.4), Lora("c", 1.0)), 0.25) == (
        Lora("a", 0.75, 0.75),
        Lora("b", 0.7, 0.4),
        Lora("c", 0.25, 0.25),
    )
    pictures = (Control("1.png", "canny", 0.8),), (Control("2.png", "canny", 0.8),)
    assert [each.weight for each in crossed(*pictures, 0.5)] == [0.4, 0.4]


def test_what_a_sound_adds(tmp_path: Path) -> None:
    mono = np.zeros(48_000, np.float32)
    mono[24_000:24_400] = np.random.default_rng(0).uniform(-1, 1, 400)
    moves = {"zoom": 0.5, "guidance_scale": -2.0, "lora": 0.3, "control": 0.2}
    drives = tuple(Drive(by="onsets", moves=name, amount=one) for name, one in moves.items())
    (tmp_path / "a.safetensors").touch()
    key = {"prompt": "a", "lora": [f"{tmp_path}/a.safetensors:0.5:0.1"], "control": ["b.png:c:0.4"]}
    told = {"audio": sound_file(tmp_path, mono, 48_000), "drive": drives, "seconds": 0.0}
    plan = plan_of(key, **told)
    assert len(plan.frames) == 8, "as long as the sound"
    assert plan.driven.argmax(axis=1).tolist() == [4] * 4
    for (settings, zoom, _), heard in zip(plan.frames, plan.driven[0], strict=True):
        assert zoom == pytest.approx(1 + 0.5 * heard)
        assert settings.guidance_scale == pytest.approx(7.5 - 2 * heard)
        assert settings.lora[0].weights == pytest.approx((0.5 + 0.3 * heard, 0.1 + 0.3 * heard))
        assert settings.control[0].weight == pytest.approx(0.4 + 0.2 * heard)


def test_the_table_of_frames_is_one_of_bulk() -> None:
    control = "hint.png:canny:0.5"
    plan = plan_of({"prompt": 'ä, "b"', "control": [control]}, {"prompt": "c", "seed": 2})
    lines = [(i, json.loads(line)) for i, line in enumerate(rows_of(plan).decode().splitlines())]
    config = BulkConfig(output="out", rows="frames.jsonl", inputs="/nowhere")
    rows, bad = rows_from(lines, config, SPEC)
    assert "there is no file /nowhere/hint.png" in bad[0].error
    for _, line in lines:
        del line["control"]
    rows, bad = rows_from(lines, config, SPEC)
    assert not bad
    assert [row.id for row in rows[:2]] == ["000000", "000001"]
    assert rows[3].settings.blend_strength == plan.frames[3].settings.blend_strength > 0


def test_a_recipe_makes_the_video_again(tmp_path: Any) -> None:
    keys = [{"prompt": 'a "cat"\n\x7f', "lora": [], "zoom": 1.5}, {"seed": 2, "time": 0.5}]
    keys[0]["time"] = 0.0
    config = video(*keys, easing="sine", sampler="euler", outpaint=(8, 0, 0, 0), image="a.png")
    told = recipe_of(planned(config, SPEC), "abc")
    (tmp_path / "again.toml").write_text(told)
    assert read_video(str(tmp_path / "again.toml")) == config, "of the file's name alone"
    assert "# model abc" in told


def test_key_frames_of_flags() -> None:
    assert key_frames(["a", "b"], [7]) == [{"prompt": "a", "seed": 7}, {"prompt": "b", "seed": 7}]
    assert key_frames([], [1, 2]) == [{"seed": 1}, {"seed": 2}]
    with pytest.raises(ValueError, match="2 of --seed do not fit 3 key frames; give one, or 3"):
        key_frames(["a", "b", "c"], [1, 2])


A, B = {"prompt": "a"}, {"prompt": "b"}


@pytest.mark.parametrize(
    ("keys", "options", "says"),
    [
        ([], {}, r"a video needs key frames: give a \[\[key\]\] table for each, or --prompt"),
        ([A, B], {"output": "a.avi"}, "the ending of output is '.avi'; allowed are .mp4, .webm"),
        ([A, B], {"easing": "bouncy"}, "easing is 'bouncy'; allowed are linear, ease_in"),
        ([A, {"easing": "x"}], {}, "key frame 2: easing 'x' is not one of linear"),
        ([A, {"zoom": 0.5}], {}, "key frame 2: zoom 0.5 is out of range; allowed is 1 to 16"),
        ([A, {"promt": "b"}], {}, "key frame 2: unknown option 'promt'; nearest are prompt"),
        ([{"seed": 1}, B], {}, "key frame 1: the prompt is empty"),
        ([A, {"seed": -1}], {}, "key frame 2: seed -1 is out of range"),
        ([A, {"variation_seed": 1}], {}, "key frame 2: variation_seed is what the frames between"),
        ([A, B], {"seconds": 0.0}, "how long is the video"),
        ([A | {"time": 0.0}, B], {}, "key frame 2 has no time of 0 or more; give all a time, or"),
        ([A | {"time": 0.5}], {}, "key frame 1 has time 0.5; the first one has time 0"),
        ([A | {"time": 0.0}, B | {"time": 0.0}], {}, "key frame 2 has time 0, which is not after"),
        ([A | {"time": 0.0}, B | {"time": 2.0}], {}, "the video ends at 1 s, and key frame 2 has"),
        ([A, B | {"steps": 5}], {}, "key frames 1 and 2 differ in steps, which does not move; th"),
        ([A, {"seed": 1}], {"sampler": "euler_a"}, "differ in seed, and euler_a adds noise in it"),
        ([A, {"seed": 1}], {"noise": "torch"}, "differ in seed, which needs noise jax, and noise"),
        (
            [A, {"prompt": "a AND b"}],
            {},
            "between key frames 1 and 2: blend_prompt has 2 parts joi",
        ),
        ([A, B], {"drive": (Drive(by="beats", moves="zoom"),)}, "drive needs a sound to follow"),
        ([A], {"steady": 0.5, "reference": "a.png"}, "steady takes the first frame as reference"),
        ([A], {"fps": 0.5}, "fps 0.5 is out of range; allowed is 1 to 240"),
        ([A], {"seconds": 99_999.0}, "this video has 799992 frames; at most 100000 are possible"),
    ],
)
def test_what_can_not_be_gone_is_one_line(
    keys: list[dict[str, Any]], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says) as error:
        plan_of(*keys, **options)
    assert "\n" not in str(error.value)


def test_a_guided_model_is_checked_by_its_own_rules() -> None:
    with pytest.raises(ValueError, match="key frame 1: clip_skip 9 is out of range"):
        keys_of(video(A | {"clip_skip": 9}), TINY["sd1"])
