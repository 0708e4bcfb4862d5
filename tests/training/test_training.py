"""Training on a handful of tiny pictures: the loss as mathematics, and that resuming is exact."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import TINY, abstract_vae, pipeline_params, random_params, uniform

from jaxsd.config import Level, ModelSpec, VAEConfig
from jaxsd.convert import read, write_diffusers
from jaxsd.families import EMOJI
from jaxsd.images import read_image
from jaxsd.models import VAE
from jaxsd.text import Tokenizer, Vocabulary, vocabulary_of, write_tokenizer
from jaxsd.training.autoencoder import (
    autoencoder_task,
    decode,
    encode,
    latent_moments,
    read_autoencoder,
    whitened,
)
from jaxsd.training.config import TrainConfig, read_config
from jaxsd.training.data import Mixture, crops, generator, read_pictures
from jaxsd.training.loop import train
from jaxsd.training.optimizer import OPTIMIZERS, learning_rate, optimizer
from jaxsd.training.scratch import scratch_task
from jaxsd.training.step import Mean, TrainState, initial_state, make_step
from jaxsd.types import Array, Params

TINY_VAE = VAEConfig(channels=(8, 8), resnets=1, norm_groups=4, scaling_factor=1.0)
VOCABULARY = vocabulary_of(())


def tiny_spec() -> ModelSpec:
    size = len(VOCABULARY.ids)
    text = TINY["emoji"].text[0]
    text = replace(text, layers=1, vocab_size=size, max_length=16, pad_token=size - 1)
    unet = replace(TINY["emoji"].unet, levels=(Level(16, 1, 1, 2),), norm_groups=8)
    return replace(
        TINY["emoji"], unet=unet, vae=TINY_VAE, text=(text,), prediction="v", default_size=16
    )


def run_config(root: Path, task: str, **changes: object) -> TrainConfig:
    base = TrainConfig(
        task=task,
        output=str(root / task),
        data=str(root / "data" / "train"),
        steps=2,
        batch_size=4,
        learning_rate=1e-2,
        warmup_steps=1,
        decay_steps=1,
        log_every=1,
        crop=8,
        autoencoder=str(root / "vae"),
        templates={"plain": 0.7, "shape": 0.3},
    )
    return replace(base, **changes)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures of 16 pixels in two templates, a tokenizer, and a trained autoencoder.

    It begins with the tests' weights: to compile the initialisation takes longer than all the rest.
    """
    from PIL import Image

    root = tmp_path_factory.mktemp("training")
    folder = root / "data" / "train"
    folder.mkdir(parents=True)
    rng, lines = np.random.default_rng(0), []
    for i in range(6):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        row = {"file_name": f"{i}.png", "text": f"thing {i}", "texts": [f"a thing {i}"]}
        lines.append(json.dumps(row | {"template": "plain" if i < 4 else "shape"}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    tokenizer = Tokenizer(VOCABULARY, 16, len(VOCABULARY.ids) - 1)
    write_tokenizer(root / "data" / "tokenizer", tokenizer)
    config = run_config(root, "vae")
    task = autoencoder_task(config, TINY_VAE)
    train(config, task._replace(start=lambda key: random_params(abstract_vae(TINY_VAE))))
    return root


def test_learning_rate_rises_stays_and_falls_to_zero() -> None:
    config = TrainConfig("vae", "", "", 100, 1, 0.5, warmup_steps=10, decay_steps=20)
    rate = [float(learning_rate(config)(n)) for n in range(101)]
    np.testing.assert_allclose(rate[:10], 0.05 * np.arange(10), rtol=1e-6)
    np.testing.assert_allclose(rate[10:81], 0.5)
    np.testing.assert_allclose(rate[80:], 0.025 * np.arange(20, -1, -1), atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_step_averages_as_written_and_compiles_once(name: str) -> None:
    config = TrainConfig("vae", "", "", 10, 1, 0.1, warmup_steps=1, optimizer=name)
    rule = optimizer(config)
    params = {"layer": {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}}

    traced = []

    def counted(*args: Array) -> tuple[Array, dict[str, Array]]:
        traced.append(args)
        return squared(*args)

    step = make_step(counted, rule, ema_decay=0.9)
    state, average, losses = initial_state(params, rule), np.ones((3, 2)), []
    for n in range(5):
        state, metrics = step(state, {}, jnp.ones((1, 4, 3)), jax.random.key(0))
        decay = min(0.9, (1 + n) / (10 + n))
        average = decay * average + (1 - decay) * np.asarray(state.params["layer"]["kernel"])
        losses.append(float(metrics["loss"]))
    np.testing.assert_allclose(state.average["layer"]["kernel"], average, rtol=1e-6)
    assert losses[-1] < losses[0]
    assert len(traced) == 1


def test_accumulated_batches_are_one_batch() -> None:
    config = TrainConfig("vae", "", "", 10, 1, 0.1, warmup_steps=0, optimizer="adamw")
    step = make_step(squared, optimizer(config), ema_decay=0.0)
    batch = jax.random.normal(jax.random.key(1), (6, 3))

    def after(batches: Array) -> tuple[TrainState, dict[str, Array]]:
        params = {"layer": {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}}
        return step(initial_state(params, optimizer(config)), {}, batches, jax.random.key(0))

    (one, metrics), (three, others) = after(batch[None]), after(batch.reshape(3, 2, 3))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(three), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6)
    for name in ("loss", "large", "none"):
        np.testing.assert_allclose(metrics[name], others[name], rtol=2e-6)
    assert np.isnan(metrics["none"])
    np.testing.assert_array_equal(one.average["layer"]["bias"], one.params["layer"]["bias"])


def squared(
    params: Params, frozen: Params, batch: Array, key: Array
) -> tuple[Array, dict[str, Array]]:
    error = (batch @ params["layer"]["kernel"] + params["layer"]["bias"][None]) ** 2
    large = jnp.sum(batch, axis=1) > 0  # so many of a batch
    means = {"large": Mean(error.mean(1) @ large, large.sum()), "none": Mean(0.0 * large.sum(), 0)}
    return error.mean(), {"loss": error.mean()} | means


def test_whitening_changes_latents_and_no_image() -> None:
    vae = VAE(TINY_VAE)
    like = jax.eval_shape(vae.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))["params"]
    params = random_params(like)
    images = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    before = encode(vae, params, images)
    white = whitened(params, *latent_moments(vae, params, images))
    after = encode(vae, white, images)
    np.testing.assert_allclose(after.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(after.std((0, 1, 2)), 1, atol=1e-5)
    assert np.abs(before.std((0, 1, 2)) - 1).max() > 0.1
    old = decode(vae, params, before).astype(int)
    assert np.abs(decode(vae, white, after).astype(int) - old).max() <= 1  # rounding to uint8
    variance = [
        np.asarray(vae.apply({"params": p}, jnp.ones((1, 16, 16, 3)), method=VAE.encode)[1])
        for p in (params, white)
    ]
    scale = np.log(before.std((0, 1, 2)))
    np.testing.assert_allclose(variance[1], variance[0] - 2 * scale, atol=1e-5)


def test_batches_depend_on_seed_and_step_alone(root: Path) -> None:
    pictures = read_pictures(root / "data" / "train")
    assert pictures.images.shape == (6, 16, 16, 3)
    np.testing.assert_array_equal(pictures.images[3], read_image(root / "data" / "train" / "3.png"))
    first = crops(pictures.images, 8, 8, generator(0, 5))
    np.testing.assert_array_equal(first, crops(pictures.images, 8, 8, generator(0, 5)))
    assert (first != crops(pictures.images, 8, 8, generator(0, 6))).any()


def test_mixture_keeps_the_shares_and_the_captions_of_each_row() -> None:
    templates = np.array(["a", "a", "b", "c"])
    ids = [np.full((2, 3), row) for row in range(4)]
    mixture = Mixture(templates, {"a": 0.5, "b": 0.5}, ids)
    rows, captions = mixture.draw(2000, generator(0, 0))
    assert set(rows.tolist()) == {0, 1, 2}
    assert abs((rows == 2).mean() - 0.5) < 0.05
    np.testing.assert_array_equal(captions[:, 0], rows)
    with pytest.raises(ValueError, match="no picture of kind 'z'; there are a, b, c"):
        Mixture(templates, {"z": 1.0}, ids)


def test_a_models_own_autoencoder_is_given_back_with_the_rest(root: Path, tmp_path: Path) -> None:
    params = pipeline_params(tiny_spec())
    tokenizer = Tokenizer(VOCABULARY, 16, len(VOCABULARY.ids) - 1)
    write_diffusers(tmp_path / "known", tiny_spec(), params, tokenizers=[tokenizer])
    config = run_config(root, "vae", model=str(tmp_path / "known"))
    task = autoencoder_task(config, EMOJI.vae)
    begun = task.start(jax.random.key(0))
    for a, b in zip(jax.tree.leaves(begun), jax.tree.leaves(params["vae"]), strict=True):
        np.testing.assert_array_equal(a, b)
    task.exports["diffusers"](tmp_path / "trained", jax.tree.map(lambda leaf: leaf + 1, begun))
    spec, trained = read(tmp_path / "trained")
    assert spec == read(tmp_path / "known")[0]
    moved = params | {"vae": jax.tree.map(lambda leaf: leaf + 1, params["vae"])}
    for a, b in zip(jax.tree.leaves(trained), jax.tree.leaves(moved), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="crop 9 is not a multiple of 2 pixels"):
        autoencoder_task(replace(config, crop=9), EMOJI.vae)


def test_unet_run_writes_a_model_that_reads_back(root: Path) -> None:
    config = run_config(root, "unet")
    task = scratch_task(config, tiny_spec())
    like = jax.eval_shape(task.start, jax.random.key(0))
    begun = {path: uniform(path, leaf.shape) * 0.1 for path, leaf in like.items()}
    train(config, task._replace(start=lambda key: begun))
    spec, params = read(Path(config.output) / "model")
    assert spec.prediction == "v"
    assert spec.unet == tiny_spec().unet
    assert spec.text == tiny_spec().text
    autoencoder = read_autoencoder(config.autoencoder, TINY_VAE)
    for got, want in zip(jax.tree.leaves(params["vae"]), jax.tree.leaves(autoencoder), strict=True):
        np.testing.assert_array_equal(got, want)
    lines = (Path(config.output) / "metrics.jsonl").read_text().splitlines()
    probe = json.loads(lines[-1])
    assert {"loss_right_caption", "loss_empty_caption", "loss_wrong_caption"} < set(probe)


def test_a_run_goes_on_from_a_model_with_fewer_words(root: Path, tmp_path: Path) -> None:
    merges = (("a", "b</w>"), ("c", "d</w>"))
    old, new = vocabulary_of(merges[:1]), vocabulary_of(merges[::-1])

    def spec_of(vocabulary: Vocabulary) -> ModelSpec:
        size = len(vocabulary.ids)
        text = replace(tiny_spec().text[0], vocab_size=size, pad_token=size - 1)
        return replace(tiny_spec(), text=(text,))

    params, tokenizer = pipeline_params(spec_of(old)), Tokenizer(old, 16, len(old.ids) - 1)
    known = tmp_path / "known"
    write_diffusers(known, spec_of(old), params, tokenizers=[tokenizer])
    write_tokenizer(tmp_path / "tokenizer", Tokenizer(new, 16, len(new.ids) - 1))
    config = run_config(root, "unet", model=str(known), data=str(tmp_path / "train"))
    begun = scratch_task(config, spec_of(new)).start(jax.random.key(0))
    kernel = params["unet"]["conv_in"]["kernel"]
    np.testing.assert_array_equal(begun["unet/conv_in/kernel"], kernel)
    table = begun["text/0/embeddings/token_embedding/embedding"]
    before = params["text"][0]["embeddings"]["token_embedding"]["embedding"]
    for token, i in old.ids.items():
        np.testing.assert_array_equal(table[new.ids[token]], before[i])
    np.testing.assert_allclose(table[new.ids["cd</w>"]], before.mean(0), atol=1e-6)


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("task = 'vae'", [], "the key 'batch_size' is missing"),
        ("tusk = 'vae'", [], "unknown key 'tusk'"),
        ("task = 3", [], "task is 3, it must be of type str"),
        ("task = ", [], "is not TOML"),
        (None, ["steps=0"], "steps is 0"),
        (None, ["steps=10"], "are more than the 10 steps"),
        (None, ["ema_decay=2.0"], "ema_decay is 2.0"),
        (None, ["dtype=int8"], "dtype is 'int8', it must be one of float32, float16, bfloat16"),
        (None, ["batch_size=1e9"], "batch_size is 1000000000, it must be in "),
        (None, ["seed=-1"], "seed is -1"),
        (None, ["seed=4294967296"], "seed is 4294967296"),
        (None, ["seed=7.5"], "seed is 7.5, it must be of type int"),
        (None, ["learning_rate=nan"], "learning_rate nan is not a finite number"),
        (None, ["learning_rate=1e30"], "learning_rate is 1e"),
        (None, ["warmup_steps=-1"], "warmup_steps is -1"),
        (None, ["max_aspect=0.5"], "max_aspect is 0.5"),
        (None, ["prior_weight=-1"], "prior_weight is -1"),
        (None, ["mesh=[1, 1]"], r"mesh is \[1, 1\]"),
        (None, ["mesh=[-1, -1, 1]"], r"mesh is \[-1, -1, 1\]"),
        (None, ["mesh=[0, 1, 1]"], r"mesh is \[0, 1, 1\]"),
        (None, ["trainable=['(']"], "trainable: '\\('.* is not a regular expression"),
        (None, ["lora.targets=['*']"], r"lora.targets: '\*' is not a regular expression"),
        (None, ["lora.rank=0"], "lora.rank is 0"),
        (None, ["embedding.vectors=0"], "embedding.vectors is 0"),
        (None, ["loss.prediction=flow"], "loss.prediction is 'flow'"),
        (None, ["loss.timestep_density=[0]"], "loss.timestep_density is"),
        (None, ["loss.min_snr_gamma=-1"], "loss.min_snr_gamma is -1"),
        (None, ["templates.plain='x'"], r"templates is \['x'\], it must be numbers"),
        (None, ["hint_channels=[0]"], r"hint_channels is \[0\]"),
    ],
)
def test_configuration_errors_are_one_line(
    tmp_path: Path, text: str | None, overrides: list[str], message: str
) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text or Path("configs/train/emoji-vae.toml").read_text())
    with pytest.raises(ValueError, match=message):
        read_config(path, overrides)


@pytest.mark.parametrize("name", ["learning_rate", "clip_norm", "weight_decay", "ema_decay"])
def test_a_configuration_in_python_has_no_nan(name: str) -> None:
    config = TrainConfig("vae", "", "", 10, 1, 0.1, warmup_steps=1)
    with pytest.raises(ValueError, match=f"{name} is nan"):
        replace(config, **{name: float("nan")})


@pytest.mark.parametrize("path", sorted(Path("configs/train").glob("*.toml")), ids=lambda p: p.stem)
def test_shipped_configurations_are_valid(path: Path) -> None:
    config = read_config(path, ["output=elsewhere/run", "seed=3"])
    assert (config.output, config.seed) == ("elsewhere/run", 3)
