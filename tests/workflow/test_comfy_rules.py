"""ComfyUI's rules on the host: prompts, noise, levels, masks, sizes of nodes, names of files."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_models import TINY
from tiny_pipelines import LetterTokenizer

from jaxsd.config.model import EDMConfig, ScheduleConfig
from jaxsd.executables import IN_MEMORY
from jaxsd.generators import GENERATORS
from jaxsd.workflow import Workspace, named_by, nodes, read_extra_paths
from jaxsd.workflow.arrays import (
    BLANK,
    active_rows,
    channels_of,
    guidance_of,
    needs_areas,
    side_weights,
    sides_of,
)
from jaxsd.workflow.dividing import areas_of, opposed
from jaxsd.workflow.levels import NAMED, levels_for, scheduled, sigma_at, table_of
from jaxsd.workflow.networks import check_kind
from jaxsd.workflow.noises import first_noise, later_noises
from jaxsd.workflow.prompts import chunks, embeddings_in, weighted
from jaxsd.workflow.values import Condition, Guider, Latent, Model

MODEL = Model(TINY["sd1"], {}, IN_MEMORY, "float32")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("plain [a|b] AND BREAK", [("plain [a|b] AND BREAK", 1)]),
        ("(a) b", [("a", 1.1), (" b", 1)]),
        ("((a:1.5) b:0.5)", [("a", 1.5), (" b", 0.5)]),
        ("(a (b))", [("a ", 1.1), ("b", 1.21)]),
        (r"\(a\) (b\)c:2)", [("(a) ", 1), ("b)c", 2)]),
        ("(a:b) (:2) (open", [("a:b", 1.1), (" ", 1), (":2", 1.1), (" ", 1), ("(open", 1)]),
        ("a) (b)", [("a) (b)", 1)]),
    ],
)
def test_weights(text: str, want: list[tuple[str, float]]) -> None:
    assert weighted(text) == [(piece, pytest.approx(weight)) for piece, weight in want]


def test_short_pieces_are_not_cut() -> None:
    """With eight letters in a chunk: seven go to the next one whole, eight are cut."""
    tokenizer = LetterTokenizer(replace(TINY["sd1"].text[0], max_length=10))
    ids, weights = chunks("abcd(efghijk:2)", tokenizer, {})
    assert ids.shape == (2, 10)
    assert (weights == 2).sum(axis=1).tolist() == [0, 7]
    _, weights = chunks("abcd(efghijkl:2)", tokenizer, {})
    assert (weights == 2).sum(axis=1).tolist() == [4, 4]
    assert chunks("", tokenizer, {})[0].shape == (1, 10)
    assert embeddings_in("a (embedding:one, b:1.2) embedding:two.pt") == ["one", "two.pt"]
    found, _ = chunks("xy embedding:zz, w", tokenizer, {"zz": "q"})
    plain, _ = chunks("xy q, w", tokenizer, {})
    np.testing.assert_array_equal(found, plain)


def test_a_piece_is_left_out() -> None:
    """By its number: a blank counts at the beginning of a weight alone, an embedding always."""
    tokenizer = LetterTokenizer(replace(TINY["sd1"].text[0], max_length=20))
    text, words = "(ab:2) (cd embedding:x embedding:y ef:3)", {"x": "p", "y": "q"}
    numbers = {1: "ab", 2: " ", 3: "cd ", 4: "p", 5: "q", 6: "ef"}
    for number in range(8):
        ids, weights = chunks(text, tokenizer, words, number)
        rest = {at: piece for at, piece in numbers.items() if at != number}
        want, _ = chunks("".join(rest.values()), tokenizer, {})
        np.testing.assert_array_equal(ids, want)
        assert (weights == 2).sum() == len(rest.get(1, ""))


def test_noise_of_a_batch() -> None:
    shape = (3, 5, 6, 4)
    whole = GENERATORS["torch"](9).normal(3 * 4 * 30).reshape(3, 4, 5, 6)
    np.testing.assert_array_equal(first_noise(9, shape), whole.transpose(0, 2, 3, 1))
    picked = first_noise(9, (2, 5, 6, 4), numbers=(2, 0))
    np.testing.assert_array_equal(picked[1], first_noise(9, (1, 5, 6, 4))[0])
    one_by_one = first_noise(9, shape, numbers=(0, 1, 2))
    np.testing.assert_array_equal(picked[0], one_by_one[2])
    np.testing.assert_array_equal(next(later_noises("torch", 8, shape)), first_noise(9, shape))


def test_levels() -> None:
    whole = scheduled(MODEL, "normal", 4)
    assert whole[[0, -2, -1]] == pytest.approx([14.614642, 0.0291675, 0], rel=2e-5)
    part = scheduled(MODEL, "karras", 4, 0.5)
    np.testing.assert_array_equal(part, scheduled(MODEL, "karras", 8)[-5:])
    assert len(levels_for(MODEL, "dpm_2", "normal", 4)) == 5
    np.testing.assert_array_equal(
        levels_for(MODEL, "uni_pc", "normal", 4)[:-1], scheduled(MODEL, "normal", 5)[:-2]
    )
    assert scheduled(MODEL, "beta", 10)[0] == pytest.approx(whole[0])
    lcm = scheduled(replace(MODEL, distilled=True), "sgm_uniform", 4)
    assert len(lcm) == 5
    assert lcm[0] == pytest.approx(14.614642, rel=1e-5)
    assert sigma_at(MODEL, 0) == np.inf
    assert sigma_at(MODEL, 1) == 0
    assert sigma_at(MODEL, 0.5) == pytest.approx(1.6156, rel=1e-4)


@pytest.mark.parametrize("name", NAMED)
def test_every_sampler_visits_any_levels(name: str) -> None:
    """Also those that end before 0; the network is told trained timesteps."""
    for sigmas in (levels_for(MODEL, name, "karras", 5), scheduled(MODEL, "normal", 6)[2:5]):
        table = table_of(MODEL, NAMED[name], sigmas)
        np.testing.assert_array_equal(table.timestep, np.round(table.timestep))
        first = table.start[1] / table.start[0]
        largest = sigmas[0] > 14.6
        assert first == pytest.approx(np.hypot(sigmas[0], largest), rel=1e-5)
        end = table.sigma[-1] / table.alpha[-1]
        assert end == pytest.approx(sigmas[-1], abs=0.0011 if name.startswith("uni") else 1e-6)
    with pytest.raises(ValueError, match="must fall"):
        table_of(MODEL, NAMED[name], np.array([1.0, 2.0, 1.5]))
    if (back := NAMED[name]).name not in ("euler", "heun", "dpm2", "lms", "dpm++_2m", "ipndm"):
        with pytest.raises(ValueError, match="sigmas rise, and this sampler"):
            table_of(MODEL, back, np.array([1.0, 2.0]))


def test_masks_grow_by_a_square() -> None:
    mask = np.zeros((1, 12, 12), np.float32)
    mask[0, 5, 6] = 1
    made = nodes.grown(mask, 6)
    rows, columns = np.nonzero(made[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 8, 4, 9)
    np.testing.assert_array_equal(nodes.grown(mask, 0), mask)
    faded = nodes.feather_mask(mask=np.ones((1, 4, 4), np.float32), left=2, bottom=4)
    assert faded[0, 3].tolist() == [0.125, 0.25, 0.25, 0.25]
    assert faded[0, 0].tolist() == [0.5, 1, 1, 1]


def test_padding_for_outpainting() -> None:
    image = np.ones((1, 8, 8, 3), np.float32)
    made, mask = nodes.image_pad_for_outpaint(image=image, left=8, bottom=16, feathering=2)
    assert made.shape == (1, 24, 16, 3)
    assert made[0, 0, 0, 0] == 0.5
    assert mask[0, 0].tolist() == [1] * 8 + [1, 0.25] + [0] * 6
    assert mask[0, 7, 12] == 0.25  # a pixel away from the lower edge
    assert mask[0, 20].min() == 1


def test_areas_fade_and_masks_have_bounds() -> None:
    text = np.zeros((1, 3, 2), np.float32)
    mask = np.zeros((1, 64, 64), np.float32)
    mask[:, 8:32, 16:40] = 1
    box = Condition(text, None, area=(16, 8, 0, 8), strength=0.5)
    bounded = Condition(text, None, mask=mask, mask_strength=2.0, bounds=True)
    sides = sides_of((box, bounded), (Condition(text, None),), 3.0, plus_plus=False)
    areas = areas_of(sides, 2, 16, 16)
    assert areas.mask.shape == (2, 3, 16, 16, 1)
    np.testing.assert_allclose(areas.mask[0, 1, 3, :, 0], [0] * 8 + [0.25] + [0.5] * 7)
    assert areas.area[0] is None
    assert areas.area[2].like.shape == (2, 8, 8)
    assert areas.area[2].first[0].tolist() == [2, 4]
    assert areas.mask[0, 2].max() == 2


def test_wide_areas_fade_over_eight_latents() -> None:
    box = Condition(np.zeros((1, 3, 2), np.float32), None, area=(40, 33, 3, 0))
    mask = areas_of(sides_of((box,), (), 1.0, plus_plus=False), 1, 43, 64).mask[0, 0, :, :, 0]
    ramp = np.arange(1, 9) / 8
    np.testing.assert_allclose(mask[:, 8], [0] * 3 + [*ramp] + [1] * 32)
    np.testing.assert_allclose(mask[20], [1] * 25 + [*ramp[::-1]] + [0] * 31)


def test_each_side_has_a_text_for_areas_of_the_other() -> None:
    """The text is that of the smallest area around it, or that for the whole picture."""

    def text(number: float, **values: object) -> Condition:
        return Condition(np.full((1, 3, 2), number, np.float32), None, **values)

    def opposite(*positive: Condition, negative: tuple[Condition, ...]) -> list[tuple]:
        guider = Guider(MODEL, positive, negative, 3.0)
        made = opposed(guider, 16, 16)
        assert made.positive[: len(positive)] == positive
        assert made.negative[: len(negative)] == negative
        return [
            (float(one.context[0, 0, 0]), one.area, one.strength, one.start)
            for one in made.negative[len(negative) :]
        ]

    whole, other = text(1), text(2)
    wide = text(3, area=(16, 12, 0, 4), strength=0.5, start=0.25)
    inside = text(4, area=(0.5, 0.5, 0.5, 0.5))
    assert opposite(whole, negative=(whole,)) == []
    assert opposite(wide, negative=(other, whole)) == [(2, (16, 12, 0, 4), 0.5, 0.25)]
    made = [(2, (16, 12, 0, 4), 0.5, 0.25), (2, (0.5,) * 4, 1.0, 0.0)]
    assert opposite(wide, inside, negative=(other,)) == made
    own = text(5, area=(16, 16, 0, 0))
    assert opposite(inside, negative=(other, own)) == [(5, (0.5,) * 4, 1.0, 0.0)]
    assert opposite(inside, negative=(other, text(6, area=(8, 8, 8, 8)))) == []
    assert opposite(wide, negative=(inside,)) == []
    back = opposed(Guider(MODEL, (whole,), (inside,), 3.0, middle=(other,)), 16, 16)
    sides = (back.positive, back.middle, back.negative)
    assert [len(one) for one in sides] == [2, 2, 1]
    assert [float(one[-1].context.max()) for one in sides] == [1, 2, 4]


def test_texts_that_are_everywhere_need_no_areas() -> None:
    """Also where a side has no weight, as with a scale of 0 or CFG++ at its last row."""
    text = Condition(np.zeros((1, 3, 2), np.float32), None, strength=3.0)
    table = table_of(MODEL, NAMED["euler"], scheduled(MODEL, "normal", 4))
    for cfg, weight in ((0.0, 0), (3.0, 3)):
        sides = sides_of((text, replace(text, strength=1.0)), (text,), cfg, plus_plus=False)
        active = active_rows(MODEL, sides, table)
        weights = side_weights(sides, active, np.ones(4))
        assert not needs_areas(sides, active)
        np.testing.assert_allclose(
            guidance_of(sides, weights).weight, [[0.75 * weight, 0.25 * weight]] * 4
        )
    late = replace(text, start=0.5)
    sides = sides_of((late,), (text,), 3.0, plus_plus=False)
    assert needs_areas(sides, active_rows(MODEL, sides, table))
    assert active_rows(MODEL, sides, table)[:, 1].tolist() == [False, False, True, True]


def test_inpainting_models_see_grey_without_a_mask() -> None:
    spec = SimpleNamespace(unet=SimpleNamespace(sees="mask"), vae=SimpleNamespace(scaling_factor=1))
    sides = sides_of((Condition(np.zeros((1, 3, 2)), None),), (), 1.0, plus_plus=False)
    seen = channels_of(spec, sides, np.zeros((2, 4, 4, 4), np.float32), None, 0)["channels"].map
    np.testing.assert_allclose(seen[1, 2, 3], [1, *BLANK])


def test_models_that_graphs_do_not_draw_with() -> None:
    for spec, line in (
        (TINY["sd1"], ""),
        (
            replace(TINY["sd1"], unet=replace(TINY["sd1"].unet, in_channels=5)),
            "sees the depth of a picture",
        ),
        (replace(TINY["sd1"], unet=replace(TINY["sd1"].unet, guidance_dim=8)), "guidance scale"),
        (replace(TINY["sd1"], schedule=ScheduleConfig(edm=EDMConfig())), ""),
    ):
        with pytest.raises(ValueError, match=line) if line else nullcontext():
            check_kind(spec, "model")


def test_latents_in_other_sizes() -> None:
    latent = Latent(np.arange(2 * 8 * 16 * 4, dtype=np.float32).reshape(2, 8, 16, 4))
    made = nodes.latent_upscale(
        samples=latent, upscale_method="bilinear", width=0, height=128, crop="disabled"
    )
    assert made.samples.shape == (2, 16, 32, 4)
    some = nodes.latent_from_batch(samples=latent, batch_index=1, length=5)
    assert some.numbers == (1,)
    assert nodes.repeat_latent_batch(samples=some, amount=3).numbers == (1, 2, 3)
    put = nodes.latent_composite(samples_to=latent, samples_from=some, x=64, y=32, feather=16)
    np.testing.assert_array_equal(put.samples[0, 6, 10], some.samples[0, 2, 2])
    assert len(nodes.rebatch_images(images=[np.zeros((5, 2, 2, 3))], batch_size=[2])) == 3


def test_names_are_found_as_comfyui_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("models/checkpoints/XL/a.safetensors", "models/unet/b.safetensors", "more/c.ckpt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text("a111:\n  base_path: .\n  checkpoints: |\n    more\n    none\n  other: x\n")
    place = Workspace(
        models=[tmp_path / "models"],
        extra=read_extra_paths(file),
        named=named_by(["x.pt=emoji"]),
        outputs=tmp_path / "out",
    )
    assert place.model("checkpoints", "XL\\a.safetensors").endswith("XL/a.safetensors")
    assert place.model("checkpoints", "a.safetensors").endswith("XL/a.safetensors")
    assert place.model("checkpoints", "c.ckpt") == str(tmp_path / "more/c.ckpt")
    assert place.model("diffusion_models", "b.safetensors").endswith("unet/b.safetensors")
    assert place.model("checkpoints", "x.pt") == "emoji"
    with pytest.raises(FileNotFoundError, match=r"nearest are c.ckpt"):
        place.model("checkpoints", "c.pt")
    first = place.new_file("sub/made")
    first.touch()
    assert first == tmp_path / "out/sub/made_00001_.png"
    assert place.new_file("sub/made").name == "made_00002_.png"
    again = place.anew()  # as for the next graph: the folder is not listed any more
    monkeypatch.setattr(Path, "glob", None)
    for number in (2, 3):
        file = again.new_file("sub/made")
        assert file.name == f"made_0000{number}_.png"
        file.touch()
    first.with_name("made_00004_.png").touch()  # of another program
    assert place.new_file("sub/made").name == "made_00005_.png"
    with pytest.raises(ValueError, match="leads out of"):
        place.new_file("../made")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "is not YAML"),
        ("a: 2020-99-99", "is not YAML: month must be in 1..12"),
        ("a: {loras: 3}", "loras is 3, not a folder"),
        ("a: {base_path: [x], loras: y}", r"base_path is \['x'\], not a folder"),
        ("{" * 3000, "is no list of folders"),
        ("a:\n  loras: |\n" + "    x\n" * 20_000, "is no list of folders"),
    ],
)
def test_wrong_lists_of_folders_are_one_line(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"^{file}:? {why}"):
        read_extra_paths(file)
