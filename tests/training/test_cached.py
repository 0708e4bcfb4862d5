"""Latents and text embeddings on disk: the losses of the pictures, and what is refused."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import jaxsd, run_toml, tiny_model, tiny_pictures

from jaxsd.training import controlnet, latents
from jaxsd.training.cached import Cache, read_index
from jaxsd.training.config import LoraConfig, TrainConfig
from jaxsd.training.latents import cache_latents
from jaxsd.training.records import packed, unpacked
from jaxsd.training.tasks import task_of
from jaxsd.types import Array, Params


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, and six pictures of which two have a caption more."""
    root = tmp_path_factory.mktemp("cached")
    tiny_model(root / "model")
    table = tiny_pictures(root / "data", 6) / "metadata.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    for row in rows[:2]:
        row["texts"] = ["also this", "thing 5"]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture
def config(root: Path, tmp_path: Path) -> TrainConfig:
    return TrainConfig(
        task="lora",
        output=str(tmp_path / "run"),
        data=str(root / "data"),
        model=str(root / "model"),
        steps=2,
        batch_size=4,
        learning_rate=1e-2,
        warmup_steps=0,
        caption_dropout=0.3,
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that say what they were given, and two records in a file."""

    def embedded(networks: object, dtype: str, params: Params, ids: tuple[Array]) -> tuple:
        return ids[0][:, :, None].astype(jnp.float32), jnp.zeros((len(ids[0]), 0))

    def moments(vae: object, dtype: str, params: Params, pictures: Array) -> Array:
        return pictures[:, ::2, ::2].astype(jnp.float32)

    monkeypatch.setattr(latents, "_embedded", embedded)
    monkeypatch.setattr(latents, "_moments", moments)
    monkeypatch.setattr(latents, "A_FILE", 2)


def test_records_are_headers_and_arrays() -> None:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.asarray(jnp.ones(3, jnp.bfloat16)),
        "empty": np.zeros((0,), np.uint8),
    }
    header, again = unpacked(packed({"text": "größer"}, arrays))
    assert header == {"text": "größer"}
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype
        np.testing.assert_array_equal(again[name], array)


def test_losses_are_those_of_the_pictures(
    config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "latents"
    jaxsd("cache-latents", run_toml(config, tmp_path / "run.toml"), "-o", place)
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == f"{place}: 6 pictures, 8 captions; train with data={place}"
    assert sorted(path.name for path in place.iterdir()) == [
        "captions-00000.array_record",
        "latents.json",
        "pictures-16x16-00000.array_record",
    ]

    def losses(config: TrainConfig) -> list[float]:
        task = task_of(config)
        trained, batch = task.start(jax.random.key(0)), task.batches()
        # As after many steps, so that the text matters.
        trained = {path: leaf + 0.05 for path, leaf in trained.items()}
        loss = jax.jit(lambda batch, key: task.loss(trained, task.frozen, batch, key)[0])
        every = slice(0, config.batch_size)
        return [float(loss(batch(n, every), jax.random.key(n))) for n in range(4)]

    want, got = losses(config), losses(replace(config, data=str(place)))
    np.testing.assert_allclose(got, want, rtol=1e-5)  # float32, in other batches
    assert len(set(want)) == 4
    trained = task_of(replace(config, data=str(place)))
    assert not any(path.startswith(("vae", "text")) for path in trained.frozen)
    model = trained.model(trained.start(jax.random.key(0)))
    assert set(model.params) == {"unet", "vae", "text"}


@pytest.mark.usefixtures("quick")
def test_batches_are_those_of_the_pictures(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, max_aspect=1.5, prior_weight=0.5)
    cache_latents(config, tmp_path / "latents")
    assert len(read_index(tmp_path / "latents").pictures) >= 4
    want = task_of(config).batches()
    got = task_of(replace(config, data=str(tmp_path / "latents"))).batches()
    empty, seen = 0, set()
    for number in range(8):
        a, b = want(number, slice(0, 4)), got(number, slice(0, 4))
        np.testing.assert_array_equal(b.pictures, a.pictures[:, ::2, ::2])
        np.testing.assert_array_equal(b.ids[0], a.ids[0])
        np.testing.assert_array_equal(b.embedded[0][:, :, 0], a.ids[0])
        np.testing.assert_array_equal(b.weight, a.weight)
        seen.add(a.pictures.shape)
        empty += sum(len(set(row)) == 2 for row in a.ids[0].tolist())
    assert len(seen) > 1
    assert 0 < empty < 20
    cache = Cache(tmp_path / "latents", read_index(tmp_path / "latents"))
    taken = [cache.take(rows, sides) for sides, rows in cache.buckets]
    originals = np.concatenate([one.originals for one in taken])
    assert sorted(originals.tolist()) == [[40 + 8 * i, 64] for i in range(6)]
    assert any(one.corners.any() for one in taken)


@pytest.mark.usefixtures("quick")
def test_a_controlnet_is_shown_what_is_kept_beside_the_latents(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = {"conv_in": {"kernel": jnp.zeros(1)}}  # it takes long to begin one
    monkeypatch.setattr(controlnet, "controlnet_from_unet", lambda *_: none)
    data = tiny_pictures(tmp_path / "data", 4)
    config = replace(config, task="controlnet", data=str(data), max_aspect=1.5)
    cache_latents(config, tmp_path / "without")
    with pytest.raises(ValueError, match="not every picture has a conditioning_image_file_name"):
        task_of(replace(config, data=str(tmp_path / "without"))).batches()
    table = data / "metadata.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    rows = [row | {"conditioning_image_file_name": row["file_name"]} for row in rows]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    cache_latents(config, tmp_path / "latents")
    want = task_of(config).batches()
    got = task_of(replace(config, data=str(tmp_path / "latents"))).batches()
    for number in range(3):
        a, b = want(number, slice(0, 4)), got(number, slice(0, 4))
        np.testing.assert_array_equal(b.condition, a.condition)
        np.testing.assert_array_equal(b.pictures, a.condition[:, ::2, ::2])


@pytest.mark.usefixtures("quick")
def test_pictures_of_the_class_are_latents_of_their_own(
    config: TrainConfig, tmp_path: Path
) -> None:
    (tmp_path / "class").mkdir()
    for i in range(3):
        shutil.copy(Path(config.data) / f"{i}.png", tmp_path / "class")
    config = replace(config, prior_data=str(tmp_path / "class"), prior_caption="a class")
    cache_latents(config, tmp_path / "own")
    cache_latents(
        replace(config, data=config.prior_data, caption=config.prior_caption), tmp_path / "others"
    )
    cached = replace(config, data=str(tmp_path / "own"), prior_data=str(tmp_path / "others"))
    want, got = task_of(config).batches(), task_of(cached).batches()
    for number in range(4):
        a, b = want(number, slice(0, 4)), got(number, slice(0, 4))
        np.testing.assert_array_equal(b.pictures, a.pictures[:, ::2, ::2])
        np.testing.assert_array_equal(b.ids[0], a.ids[0])
        np.testing.assert_array_equal(b.weight, a.weight)
    with pytest.raises(ValueError, match=r"prior_data as latents needs pictures of one size"):
        task_of(replace(cached, max_aspect=2.0)).batches()


@pytest.mark.usefixtures("quick")
def test_a_pass_that_was_stopped_goes_on(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, read = tmp_path / "latents", []
    picture = latents.decoded

    def counted(folder: object, row: int, sides: tuple[int, int]) -> object:
        read.append(row)
        if len(read) == 4:
            raise KeyboardInterrupt
        return picture(folder, row, sides)

    monkeypatch.setattr(latents, "decoded", counted)
    with pytest.raises(KeyboardInterrupt):
        cache_latents(config, place)
    assert not place.exists()
    assert cache_latents(config, place).broken == ()
    assert read.count(0) == read.count(1) == 1  # of the first file
    assert [path.name for path in tmp_path.iterdir()] == ["latents"]
    assert not [path for path in place.iterdir() if path.name.startswith(".")]
    with pytest.raises(ValueError, match="latents is there already; remove it"):
        cache_latents(config, place)

    # Half a cache of other pictures is not gone on with.
    shutil.move(place, tmp_path / ".latents.part")
    read.clear()
    read.extend([-1] * 4)
    cache_latents(replace(config, resolution=32), place)
    assert sorted(read[4:]) == list(range(6))


@pytest.mark.usefixtures("quick")
def test_broken_pictures_are_named_and_left_out(config: TrainConfig, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(config.data, data)
    whole = (data / "3.png").read_bytes()
    (data / "3.png").write_bytes(whole[: len(whole) // 2])
    config = replace(config, data=str(data))
    with pytest.warns(UserWarning, match=r"3\.png can not be read and is left out"):
        index = cache_latents(config, tmp_path / "latents")
    assert index.broken == ("3.png",)
    assert sum(shard.count for shard in index.pictures) == 5
    batch = task_of(replace(config, data=str(tmp_path / "latents"))).batches()
    assert batch(0, slice(0, 4)).pictures.shape == (4, 8, 8, 3)
    (data / "4.png").write_bytes(whole[: len(whole) // 2])
    with (
        pytest.warns(UserWarning, match=r"3\.png"),
        pytest.raises(ValueError, match=r"2 of 6 pictures in .* more than 1%: 3\.png, 4\.png"),
    ):
        cache_latents(config, tmp_path / "others")
    assert not (tmp_path / "others").exists()


@pytest.fixture
def made(config: TrainConfig, quick: None, tmp_path: Path) -> Iterator[TrainConfig]:
    """A run whose data are latents."""
    cache_latents(config, tmp_path / "latents")
    return replace(config, data=str(tmp_path / "latents"))


def with_index(change: Callable[[dict], None]) -> Callable[[TrainConfig], TrainConfig]:
    def changed(config: TrainConfig) -> TrainConfig:
        path = Path(config.data) / "latents.json"
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))
        return config

    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            with_index(lambda values: values["origin"].update(model="0")),
            r"latents holds latents and texts of another model \(.*model, float32\) than .*model; ",
        ),
        (with_index(lambda values: values.update(format=0)), "not of this version of jaxsd"),
        (
            lambda config: replace(config, resolution=32),
            "was made with resolution 16, this run has 32; set it so",
        ),
        (
            lambda config: replace(config, caption="a"),
            "was made with caption '', this run has 'a'",
        ),
        (
            lambda config: replace(config, task="finetune", trainable=("unet/.*", "text/.*")),
            r"this run trains text/0/.*; set data to the folder of pictures",
        ),
        (
            lambda config: replace(config, lora=LoraConfig(targets=("text/.*fc1/kernel",))),
            r"this run trains lora/text/0/.*; set data to the folder of pictures",
        ),
        (
            lambda config: replace(config, prior_data=str(Path(config.model))),
            "holds pictures and the other latents",
        ),
    ],
)
def test_runs_that_can_not_use_a_cache_say_so(
    made: TrainConfig,
    change: Callable[[TrainConfig], TrainConfig],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = change(made)
    with pytest.raises(ValueError, match=message) as error:
        task_of(config).batches()
    assert "\n" not in str(error.value)


def test_latents_are_not_made_of_latents(made: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds latents; set data to a folder of pictures"):
        cache_latents(made, tmp_path / "again")


def test_a_missing_file_is_named(made: TrainConfig) -> None:
    (Path(made.data) / "captions-00000.array_record").unlink()
    with pytest.raises(FileNotFoundError, match=r"names captions-00000\.array_record"):
        task_of(made).batches()
