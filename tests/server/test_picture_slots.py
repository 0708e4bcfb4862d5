import gc
import threading
import weakref
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from tiny_pipelines import SMALL, SMALLEST, pipeline

from jaxsd.canvases import Pictures
from jaxsd.sampling.program import Drawing
from jaxsd.server.artist import PipelineArtist
from jaxsd.server.engine import Engine
from jaxsd.server.picture import DONE, Picture
from jaxsd.settings import Settings, checked, rows_of

PIPE = pipeline(SMALLEST)


def wanted(prompt, **options):
    return checked(Settings(prompt=prompt, width=16, height=16, **options), PIPE.spec)


EACH = [
    wanted("a cat", sampler="euler_a", steps=4, seed=1),
    wanted("a dog", sampler="dpm++_2m_karras", steps=3, seed=2, negative_prompt="x"),
    wanted("a bird", sampler="heun", steps=2, seed=3, guidance_scale=3),
    wanted("two", sampler="lms", steps=4, seed=4),
]


def latents_of(slots, orders, every=2):
    """Latents of images of which one joins in each second tick, if there is room."""
    waiting, there, found, tick = list(orders), {}, {}, 0
    while waiting or there:
        if waiting and slots.free and tick % every == 0:
            order = waiting.pop(0)
            there[slots.join(order)] = order.settings[0].prompt
        for place in slots.tick().places:
            row, rows = slots.progress(place)
            assert type(row) is int  # which JSON can say
            if row == rows:
                found[there.pop(place)] = np.asarray(slots.latents(place))
                slots.leave(place)
        tick += 1
    return found


def test_an_image_is_the_same_to_the_bit_whoever_is_beside_it():
    orders = [PIPE.order([one], batch=1) for one in EACH]
    together = latents_of(PIPE.slots(orders[0], 3), orders)
    for one, order in zip(EACH, orders, strict=True):
        alone = latents_of(PIPE.slots(order, 3), [order])
        assert np.array_equal(alone[one.prompt], together[one.prompt]), one
    *_, usual = PIPE.steps(PIPE.order(EACH[:3]))
    same = np.concatenate([together[one.prompt] for one in EACH[:3]])
    np.testing.assert_allclose(same, usual.state.samples[:, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.release
@pytest.mark.parametrize(
    "options",
    [
        {"guidance_interval": (0.2, 0.7)},
        {"reuse": 2},
        {"apg": (0.0, 15.0, -0.5)},
        {"noise": "torch"},
        {"pag": 3.0},
        {"hires": 2.0},
    ],
    ids=lambda options: next(iter(options)),
)
def test_features_that_remember_rows_begin_anew_with_each_image(options):
    each = [
        wanted(f"{i} cats", seed=i, sampler="euler_a", steps=3 + i, **options) for i in range(4)
    ]
    orders = [PIPE.order([one], batch=1) for one in each]
    together = latents_of(PIPE.slots(orders[0], 2), orders, every=3)
    for one, order in zip(each, orders, strict=True):
        alone = latents_of(PIPE.slots(order, 2), [order])
        assert np.array_equal(alone[one.prompt], together[one.prompt])


def pictures_of(artist, each):
    """Pictures of settings, drawn by an engine of their own."""
    over, left = threading.Event(), set(range(len(each)))

    def tell(picture, number):
        if picture.over:
            left.discard(number)
            if not left:
                over.set()

    engine = Engine()
    engine.start()
    pictures = [
        Picture(
            artist, artist.order(one, Pictures()), rows_of(one, PIPE.spec), partial(tell, number=i)
        )
        for i, one in enumerate(each)
    ]
    engine.submit(pictures)
    assert over.wait(200)
    engine.drain()
    assert engine.join(5)
    assert [one.state for one in pictures] == [DONE] * len(each), pictures[0].error
    assert [one.row for one in pictures] == [one.rows for one in pictures]
    return pictures


def drawn(artist, each):
    """The same as pixels."""
    return [one.image for one in pictures_of(artist, each)]


def test_the_engine_draws_what_the_pipeline_draws():
    artist = PipelineArtist(PIPE, 3)
    for image, one in zip(drawn(artist, EACH[:2]), EACH[:2], strict=True):
        order = artist.order(one, Pictures())
        alone = latents_of(artist.batch(order, 0), [order])[one.prompt]
        assert np.array_equal(PIPE.decode(alone)[0], image)


@pytest.mark.release
def test_the_engine_draws_what_another_model_goes_on_with():
    other = jax.tree.map(lambda leaf: 1.1 * leaf, PIPE.params) | {"vae": PIPE.params["vae"]}
    both = replace(PIPE, refiners={"fine": replace(PIPE, params=other)})
    one = wanted("a cat", sampler="euler_a", steps=4, refiner="fine", refiner_start=0.5)
    (image,) = drawn(PipelineArtist(both, 1), [one])
    order = both.order([one])
    whole = both.pictures(both.drawn(order, progress=lambda *_: None), order)
    assert np.array_equal(whole[0], image)
    (plain,) = drawn(PipelineArtist(PIPE, 1), [replace(one, refiner="")])
    assert not np.array_equal(plain, image)


def test_weights_leave_with_their_model_and_need_no_search_for_garbage():
    pipe = replace(PIPE)
    there = weakref.ref(pipe)
    artist = PipelineArtist(pipe, 3)
    del pipe
    gc.disable()
    try:
        pictures = pictures_of(artist, EACH[:2])
        del artist
        assert there() is None, gc.get_referrers(there())
    finally:
        gc.enable()
    assert all(one.artist is one.order is None for one in pictures)


def overflowing(spec):
    """A model in float16 whose decoder has numbers that float16 cannot hold."""
    pipe = pipeline(spec, "float16")
    decoder = dict(pipe.params["vae"]["decoder"])
    wide = {name: 1e5 * leaf.astype(np.float32) for name, leaf in decoder["conv_in"].items()}
    vae = pipe.params["vae"] | {"decoder": decoder | {"conv_in": wide}}
    return replace(pipe, params=pipe.params | {"vae": vae})


@pytest.mark.release
def test_an_autoencoder_that_overflows_decodes_once_more_in_float32():
    pipe, one = overflowing(SMALL), wanted("a cat", sampler="euler", steps=2)
    with pytest.raises(FloatingPointError, match="autoencoder's output was not finite in float16"):
        pipe.draw(one)
    (picture,) = pictures_of(PipelineArtist(pipe, 1), [one])
    assert (picture.state, picture.decoded_in) == (DONE, "float32")
    batch = pipe.slots(pipe.order([one], batch=1), 1)
    batch.join(pipe.order([one], batch=1))
    batch.tick(), batch.tick()
    whole = replace(pipe, dtype="float32").decode(batch.latents(0))
    assert np.array_equal(whole[0], picture.image)


def test_a_thousand_dark_pictures_are_no_false_alarm():
    order = PIPE.order([wanted("night", steps=2)], batch=1)
    artist, chance = PipelineArtist(PIPE, 1), np.random.default_rng(0)
    for share in np.linspace(0, 0.02, 1000):
        dark = chance.uniform(-1 - share, -1 + share, (1, 16, 16, 3)).astype(np.float32)
        assert artist.picture(dark, order).max() <= 3
        dark[0, 3, 4, 1] = np.nan
        with pytest.raises(FloatingPointError):
            artist.picture(dark, order)


@pytest.mark.release
@pytest.mark.parametrize("upscaler", ["latent", "lanczos"])
def test_the_engine_draws_second_passes(upscaler):
    each = [
        wanted("a cat", sampler="euler", steps=steps, hires=2.0, hires_upscaler=upscaler)
        for steps in (2, 4)
    ]
    for image, one in zip(drawn(PipelineArtist(PIPE, 1), each), each, strict=True):
        order = PIPE.order([one])
        whole = PIPE.pictures(PIPE.drawn(order, progress=lambda *_: None), order)
        assert np.array_equal(whole[0], image)


def test_a_picture_is_finished_as_the_pipeline_finishes_it():
    marked = checked(Settings(prompt="a", width=256, height=256, watermark="mine"), PIPE.spec)
    order = PIPE.order([marked], batch=1)
    image = np.linspace(-1, 1, 256 * 256 * 3, dtype=np.float32).reshape(1, 256, 256, 3)
    own = PipelineArtist(PIPE, 1).picture(image, order)
    assert np.array_equal(own, PIPE.pictures(Drawing(image, None, None), order)[0])
    with pytest.raises(FloatingPointError, match="not finite in float32"):
        PipelineArtist(PIPE, 1).picture(image * np.nan, order)
