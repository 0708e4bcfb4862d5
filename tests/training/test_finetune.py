"""Training from a model on disk: what moves, what does not, and what comes back out."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny_models import TINY
from tiny_runs import jaxsd, run_toml, tiny_model, tiny_pictures

from jaxsd.adapters.embedding import read_embedding
from jaxsd.adapters.lora import merged
from jaxsd.adapters.lora_files import read_lora
from jaxsd.cli.main import run
from jaxsd.config import ModelSpec
from jaxsd.convert import open_model, read, read_controlnet
from jaxsd.pipeline import Pipeline
from jaxsd.training.captioned import captioned_batches, folder_source
from jaxsd.training.config import EmbeddingConfig, LossConfig, TrainConfig
from jaxsd.training.diffusion import Batch
from jaxsd.training.finetune import asked_for
from jaxsd.training.subtrees import split
from jaxsd.training.tasks import check_run, task_of


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pictures(tmp_path_factory.mktemp("pictures"), 6)


@pytest.fixture
def config(model: Path, pictures: Path, tmp_path: Path) -> TrainConfig:
    return TrainConfig(
        task="lora",
        output=str(tmp_path / "run"),
        data=str(pictures),
        model=str(model),
        steps=2,
        batch_size=2,
        learning_rate=1e-2,
        warmup_steps=0,
        ema_decay=0.0,
        log_every=1,
    )


def test_split_parts_a_tree_and_joins_it_again() -> None:
    tree = {"unet": {"a": {"kernel": 1, "bias": 2}}, "text": [{"b": 3}]}
    parts = split(tree, [r"unet/.*kernel", r"text/0/b"])
    assert parts.trained == {"unet/a/kernel": 1, "text/0/b": 3}
    assert parts.frozen == {"unet/a/bias": 2}
    assert parts.join(parts.trained, parts.frozen) == tree
    with pytest.raises(ValueError, match="matches no parameter"):
        split(tree, ["vae/.*"])


def loss_of(config: TrainConfig) -> tuple[object, dict, dict]:
    task = task_of(config)
    batch = task.batches()(0, slice(0, config.batch_size))
    trained = task.start(jax.random.key(0))
    gradient = jax.jit(jax.grad(lambda t: task.loss(t, task.frozen, batch, jax.random.key(1))[0]))
    return task, trained, gradient(trained)


def test_lora_begins_as_the_model_and_moves_up_alone_at_first(config: TrainConfig) -> None:
    task, trained, gradient = loss_of(config)
    _, params = read(config.model)
    begun = task.model(trained).params
    for a, b in zip(jax.tree.leaves(begun), jax.tree.leaves(params), strict=True):
        np.testing.assert_array_equal(a, b)
    for path, value in gradient.items():
        moves = float(jnp.abs(value).max()) > 0
        assert moves == path.endswith("/up"), path  # up is 0, so down has no gradient yet


def test_finetune_trains_what_the_patterns_say(config: TrainConfig) -> None:
    patterns = (r"unet/conv_in/.*", r"text/0/.*fc1/kernel")
    task = task_of(replace(config, task="finetune", trainable=patterns))
    trained = task.start(jax.random.key(0))
    assert len(trained) == 3
    moved = task.model({path: leaf + 1 for path, leaf in trained.items()}).params
    for path, leaf in split(read(config.model)[1], [".*"]).trained.items():
        np.testing.assert_array_equal(
            split(moved, [".*"]).trained[path], leaf + (path in trained), err_msg=path
        )


def test_an_embedding_moves_its_rows_alone_and_comes_back(
    config: TrainConfig, tmp_path: Path
) -> None:
    word = EmbeddingConfig("<toy>", initial="t", vectors=2)
    config = replace(config, task="embedding", embedding=word, caption_dropout=0.0)
    with pytest.raises(ValueError, match=r"no caption in .* has the token '<toy>'"):
        check_run(config)
    data = tmp_path / "data"
    shutil.copytree(config.data, data)
    (data / "metadata.jsonl").unlink()
    task, trained, gradient = loss_of(replace(config, data=str(data), caption="a <toy>"))
    assert list(trained) == ["embedding/0"]
    assert trained["embedding/0"].shape == (2, 32)
    assert (jnp.abs(gradient["embedding/0"]).max(1) > 0).all()
    task.exports["embedding"](tmp_path / "toy.safetensors", trained)
    token, (vectors,) = read_embedding(tmp_path / "toy.safetensors")
    assert token == "<toy>"
    np.testing.assert_array_equal(vectors, trained["embedding/0"])
    task.exports["diffusers"](tmp_path / "whole", trained)
    spec, params = read(tmp_path / "whole")
    assert spec.text[0].vocab_size == 616
    table = params["text"][0]["embeddings"]["token_embedding"]["embedding"]
    np.testing.assert_array_equal(table[614:], vectors)


def test_a_controlnet_begins_as_nothing_and_comes_back(
    config: TrainConfig, model: Path, tmp_path: Path
) -> None:
    data = tiny_pictures(tmp_path / "data", 2)
    config = replace(config, task="controlnet", data=str(data))
    with pytest.raises(ValueError, match="not every picture has a conditioning_image_file_name"):
        task_of(config).batches()
    table = data / "metadata.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    rows = [row | {"conditioning_image_file_name": row["file_name"]} for row in rows]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task, trained, gradient = loss_of(config)
    assert all(path.startswith("controlnet/") for path in trained)
    # At first the image is not seen: only the convolutions of zeros, that let it through, move.
    for path, value in gradient.items():
        zero = "controlnet_down" in path or "controlnet_mid" in path
        assert (float(jnp.abs(value).max()) > 0) == zero, path
    task.exports["diffusers"](tmp_path / "controlnet", trained)
    shape, _ = read_controlnet(tmp_path / "controlnet")
    assert shape.unet == read(model)[0].unet
    again = task_of(replace(config, controlnet=str(tmp_path / "controlnet")))
    assert set(again.exports) == {"diffusers"}
    kept = again.start(jax.random.key(0))
    for path, value in trained.items():
        np.testing.assert_array_equal(kept[path], value, err_msg=path)


def test_a_lora_run_from_its_file_to_its_exports(
    config: TrainConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What draws is compiled long; test_lora_commands_parity.py lets it.
    drawn = np.zeros((1, 16, 16, 3), np.uint8)
    monkeypatch.setattr(Pipeline, "text_to_image", lambda self, prompts: drawn)
    path = run_toml(config, tmp_path / "run.toml", samples=["thing 1"])
    jaxsd("train", path)
    folder = Path(config.output)
    assert {"run.json", "metrics.jsonl", "loss.png", "samples"} < set(os.listdir(folder))
    assert (folder / "samples" / "000002.png").is_file()
    assert any((folder / "tensorboard").iterdir())
    description = json.loads((folder / "run.json").read_text())
    assert description["config"]["model"] == config.model
    assert {"jaxsd", "jax", "optax", "grain"} < set(description["versions"])
    assert "commit" in description

    for form in ("lora-peft", "lora-kohya", "diffusers"):
        jaxsd("export", folder, "--to", form)
    at_the_end = (folder / "model.safetensors").read_bytes()
    assert at_the_end == (folder / "export-lora-peft.safetensors").read_bytes()
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == f"{folder}/export-diffusers: step 2 of 2"
    half = tmp_path / "half.safetensors"
    jaxsd("export", folder, "--to", "lora-kohya", "--dtype", "float16", "-o", half)
    halves, whole = map(load_file, (half, folder / "export-lora-kohya.safetensors"))
    for name, values in whole.items():
        want = values if name.endswith(".alpha") else values.astype(np.float16)
        np.testing.assert_array_equal(halves[name], want, strict=True)
    with pytest.raises(SystemExit, match="2"):
        run(["export", str(folder), "--to", "diffusers", "--dtype", "float16"])
    assert "dtype float16 is for lora-peft, lora-kohya, embedding" in capsys.readouterr().err
    spec, params = read(config.model)
    peft, kohya = (
        read_lora(folder / f"export-lora-{f}.safetensors", spec) for f in ("peft", "kohya")
    )
    _, whole = read(folder / "export-diffusers")
    moved = 0
    for lora in (peft, kohya):
        by_path = zip(
            jax.tree_util.tree_leaves_with_path(merged(params, lora)),
            jax.tree.leaves(whole),
            jax.tree.leaves(params),
            strict=True,
        )
        for (path, a), b, before in by_path:
            np.testing.assert_allclose(a, b, atol=1e-6, err_msg=str(path))
            moved += float(np.abs(b - before).max()) > 1e-4
    assert moved == 2 * len(peft)


def batches_of(config: TrainConfig, spec: ModelSpec) -> Callable[[int, slice], Batch]:
    """Of an image folder, with the tokenizer of `config.model`."""
    tokenizers = open_model(config.model).tokenizers * len(spec.text)
    return captioned_batches(config, spec, partial(folder_source, config, spec, tokenizers))


def test_prior_pictures_are_half_of_a_batch(config: TrainConfig, pictures: Path) -> None:
    with_prior = replace(
        config, batch_size=4, prior_data=str(pictures), prior_weight=0.5, caption_dropout=0.0
    )
    batch_of = batches_of(with_prior, replace(TINY["sd1"], default_size=64))
    batch = batch_of(0, slice(0, 4))
    assert batch.pictures.shape[0] == 4
    assert batch.weight.tolist() == [1, 1, 0.5, 0.5]
    # What several hosts read is what one reads.
    for share in (slice(0, 2), slice(1, 3), slice(3, 4)):
        for own, whole in zip(
            jax.tree.leaves(batch_of(0, share)), jax.tree.leaves(batch), strict=True
        ):
            np.testing.assert_array_equal(own, whole[share])


def test_xl_is_told_sizes_and_crops(config: TrainConfig, model: Path) -> None:
    xl = replace(TINY["sdxl"], default_size=64)
    half = replace(config, caption_dropout=0.5, batch_size=6)
    batch = batches_of(half, xl)(0, slice(0, 6))
    assert batch.time_ids.shape == (6, 6)
    np.testing.assert_array_equal(batch.time_ids[:, 4:], 64)
    originals = batch.time_ids[:, 0]
    assert sorted(originals) == [40, 48, 56, 64, 72, 80]
    # Scaled to cover 64 x 64 and cut in the middle.
    side = np.where(originals < 64, np.round(64 * 64 / originals), originals)
    np.testing.assert_array_equal(
        batch.time_ids[:, 3], np.where(originals < 64, (side - 64) // 2, 0)
    )
    np.testing.assert_array_equal(
        batch.time_ids[:, 2], np.where(originals > 64, (side - 64) // 2, 0)
    )
    empty = open_model(config.model).tokenizers[0]([""])[0]
    dropped = (batch.ids[0] == empty[None]).all(1)
    np.testing.assert_array_equal(batch.keep == 0, dropped)


def test_the_model_is_given_back_with_what_it_was_asked_for() -> None:
    spec: ModelSpec = TINY["sd1"]
    other = asked_for(spec, LossConfig(prediction="v", zero_terminal_snr=True))
    assert (other.prediction, other.schedule.zero_terminal_snr) == ("v", True)
    assert other.schedule.timestep_spacing == "trailing"
    with pytest.raises(ValueError, match="zero_terminal_snr needs another prediction"):
        asked_for(spec, LossConfig(zero_terminal_snr=True))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "task=loras",
            "task 'loras' is unknown: choose one of vae, unet, finetune",
        ),
        ("model=/no/such", "no model at /no/such"),
        ('model=""', "task 'lora' starts from a model: set model"),
        ("data=/no/such", "no data folder /no/such"),
        ("resolution=33", "resolution 33 is not a multiple of 2 pixels"),
        ("dtype=int8", "dtype is 'int8', it must be one of float32, float16, bfloat16"),
        ("seed=-1", "seed is -1"),
        ("learning_rate=nan", "learning_rate nan is not a finite number"),
        ("optimizer=sgd", "optimizer 'sgd' is unknown: choose one of adamw"),
        ("remat=dots", "remat 'dots' is unknown: choose one of none, minimal, full"),
        ("lora.rank=0", "lora.rank is 0"),
        ("lora.ranks=4", "unknown key 'lora.ranks'"),
        ('lora.targets=["nothing"]', "nothing"),
        ("lora.targets=3", "lora.targets is 3, it must be of type list"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_compiled(
    config: TrainConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    override: str,
    message: str,
) -> None:
    with pytest.raises(SystemExit) as end:
        run(["train", str(run_toml(config, tmp_path / "run.toml")), override])
    printed = capsys.readouterr().err
    assert end.value.code == 2
    assert message in printed
    assert printed.startswith("jaxsd train: ")
    assert printed.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["train", "cache-latents"])
def test_a_run_whose_captions_are_not_found_says_so_before_it_begins(
    config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    data = tiny_pictures(tmp_path / "data", 3)
    (data / "metadata.jsonl").unlink()
    table = str(run_toml(replace(config, data=str(data)), tmp_path / "run.toml"))
    with pytest.raises(SystemExit) as end:
        run([command, table])
    printed = capsys.readouterr().err
    assert end.value.code == 2
    assert f"0 of 3 pictures in {data} have a caption" in printed
    assert "uncaptioned=true" in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("more", [{"uncaptioned": True}, {"caption": "a thing"}])
def test_a_run_may_do_without_captions_of_its_own(
    config: TrainConfig, tmp_path: Path, more: dict[str, object]
) -> None:
    data = tiny_pictures(tmp_path / "data", 3)
    (data / "metadata.jsonl").unlink()
    batch = task_of(replace(config, data=str(data), **more)).batches()
    assert batch(0, slice(0, 2)).pictures.shape[0] == 2
