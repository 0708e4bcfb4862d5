"""The evaluator gives full marks to an oracle and none to a model that does not listen."""

import json
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest
from emoji import folders
from emoji.evaluation import (
    ARRANGED,
    COLOURED,
    FIRST_SEED,
    SEEDS,
    STRANGE,
    autoencoder_psnr,
    evaluate,
    named_style,
)
from emoji.words import STYLES
from evaluate_builtin import (
    LETTERS,
    LINES,
    PROMPTS,
    arguments,
    contact_sheet,
    generator,
    main,
    table,
)


@pytest.fixture(scope="module")
def pictures(emoji_dataset):
    rows = folders.read_rows(emoji_dataset / "train") + folders.read_rows(emoji_dataset / "heldout")
    named = {named_style(row): row for row in rows if row.template == "plain"}
    strange = dict(zip(STRANGE, rows, strict=False))
    return {row.text: row for row in rows} | named | strange


def shares(generate, dataset) -> dict[str, float]:
    return {s.question: s.share for s in evaluate(generate, dataset, concepts=8, composed=6)}


def test_an_oracle_is_right_everywhere(emoji_dataset, pictures):
    found = shares(
        lambda prompts, seeds: folders.read_images([pictures[p] for p in prompts]), emoji_dataset
    )
    seen = found.pop(f"no style named: styles seen in {SEEDS} seeds")
    assert seen == pytest.approx(1 / 3)  # the oracle knows one picture of each caption
    assert set(found.values()) == {1.0}
    assert "flat: nearest of 8 own, top-1" in found
    assert "twemoji: nearest of all 12, top-5" in found
    kinds = {question.rsplit(":", 1)[0] for question in found}
    assert {f"{kind}, {split}" for kind in (*COLOURED, *ARRANGED, "flag")
            for split in ("trained", "held out")} <= kinds  # fmt: skip


def test_the_wrong_picture_is_wrong(emoji_dataset, pictures):
    def next_one(prompts, seeds):
        return folders.read_images([pictures[p] for p in prompts[1:] + prompts[:1]])

    found = shares(next_one, emoji_dataset)
    for style in STYLES:
        assert found[f"{style}: nearest of 8 own, top-1"] == 0
        assert found[f"{style}: white background"] == 1
    assert found["shape, trained: colours"] <= 1 / 6
    assert found["silhouette, trained: colours"] <= 1 / 2
    for kind in ARRANGED:
        assert found[f"{kind}, trained: every object, top-1"] <= 1 / 3
    assert found["flag, trained: flag, top-1"] == 0


def test_noise_is_wrong(emoji_dataset):
    def noise(prompts, seeds):
        return np.random.default_rng(0).integers(0, 256, (len(prompts), 128, 128, 3), np.uint8)

    found = shares(noise, emoji_dataset)
    asked = [q for q in found if "colours" in q or "white" in q]
    asked += [q for q in found if q.startswith(ARRANGED) and "layout" in q]
    assert len(asked) == 6 + 3 + 6
    asked.append("words never seen: a drawing on a plain ground")
    assert not [q for q in asked if found[q]]
    assert max(share for q, share in found.items() if "every object" in q) <= 1 / 2
    assert found["flat: nearest of all 12, top-1"] <= 1 / 4


def test_styles_are_told_apart_and_counted(emoji_dataset, pictures):
    def each_style_in_turn(prompts, seeds):
        names = [f"{p}, {STYLES[seed % 3]} style" for p, seed in zip(prompts, seeds, strict=True)]
        return folders.read_images([pictures.get(n, pictures.get(p))
                                    for n, p in zip(names, prompts, strict=True)])  # fmt: skip

    found = shares(each_style_in_turn, emoji_dataset)
    assert found["no style named: right thing in any style"] == 1
    assert found[f"no style named: styles seen in {SEEDS} seeds"] == 1


def test_questions_and_seeds_are_always_the_same(emoji_dataset, pictures):
    calls = []

    def oracle(prompts, seeds):
        calls.append((prompts, seeds))
        return folders.read_images([pictures[p] for p in prompts])

    shares(oracle, emoji_dataset)
    first = calls.copy()
    calls.clear()
    shares(oracle, emoji_dataset)
    assert calls == first
    assert first[0][1] == list(range(FIRST_SEED, FIRST_SEED + 8))


def test_held_out_questions_are_of_held_out_pairs(emoji_dataset, pictures):
    asked = []

    def oracle(prompts, seeds):
        asked.append([pictures[p].path.parent.name for p in prompts])
        return folders.read_images([pictures[p] for p in prompts])

    shares(oracle, emoji_dataset)
    assert [set(splits) for splits in asked] == [{"train"}] * (3 + 6 + 1 + 7) + [{"heldout"}] * 7


def test_the_autoencoder_is_measured_on_pictures_that_it_did_not_see(emoji_dataset):
    seen = []

    def off_by_one(images):
        seen.append(images)
        return np.where(images < 255, images + 1, images - 1)

    found = autoencoder_psnr(off_by_one, emoji_dataset, count=5)
    assert [len(images) for images in seen] == [5, 5]
    assert list(found.values()) == pytest.approx([20 * np.log10(255)] * 2)


def test_no_data_set_is_one_clear_line(tmp_path):
    with pytest.raises(FileNotFoundError, match="build_emoji_dataset"):
        folders.read_rows(tmp_path)


def test_batches_are_of_one_size_and_options_are_passed_on():
    calls = []

    def text_to_image(prompts, *, seed, steps):
        calls.append((prompts, seed, steps))
        return np.array(seed, np.uint8).reshape(-1, 1, 1, 1)

    generate = generator(SimpleNamespace(text_to_image=text_to_image), 2, steps=7)
    images = generate(["x", "y", "z"], [5, 6, 7])
    assert images.ravel().tolist() == [5, 6, 7]
    assert calls == [(["x", "y"], [5, 6], 7), (["z", ""], [7, 0], 7)]


def test_the_sheet_holds_every_prompt():
    assert len(set(PROMPTS)) == 24
    images = np.zeros((24, 128, 128, 3), np.uint8)
    assert contact_sheet(images, PROMPTS).size == (6 * 136, 4 * 178)
    assert max(len(textwrap.wrap(prompt, LETTERS)) for prompt in PROMPTS) <= LINES


def test_the_table_has_a_line_for_each_score(emoji_dataset, pictures):
    scores = evaluate(
        lambda prompts, seeds: folders.read_images([pictures[p] for p in prompts]),
        emoji_dataset,
        concepts=2,
        composed=1,
    )
    lines = table(scores, {"held-out pictures": 25.0}).splitlines()
    assert len(lines) == 2 + len(scores) + 1
    assert lines[-1] == "| autoencoder, held-out pictures | | 25.0 dB |"
    assert json.dumps([score._asdict() for score in scores])


def test_a_wrong_model_is_one_line_and_exit_code_2(tmp_path, capsys):
    args = arguments(["", "--model=nosuch", f"--dataset={tmp_path}", f"--out={tmp_path / 'out'}"])
    with pytest.raises(SystemExit) as stopped:
        main(args)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert "nosuch" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()
