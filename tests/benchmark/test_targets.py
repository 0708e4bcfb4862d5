"""What a compiler says of a drawing's programs, here and for chips that are not here."""

import re
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.experimental import serialize_executable
from jax.sharding import SingleDeviceSharding
from tiny_pipelines import SMALL, SMALLEST, pipeline

from jaxsd.benchmark.compiled import CHIPS, Facts, facts, largest_batch, table
from jaxsd.benchmark.jobs import PROGRAMS
from jaxsd.benchmark.targets import (
    NOT_KEPT,
    chip_of,
    devices_of,
    lowered,
    order_of,
    reports,
    shapes_only,
)
from jaxsd.nn.attention import attention
from jaxsd.nn.processor import traced_for
from jaxsd.nn.tpu_convolution import tpu_convolution
from jaxsd.parallel import mesh_of
from jaxsd.settings import Settings

OPTIONS = {"height": 8, "width": 8, "steps": 3}


@pytest.fixture(scope="module")
def found() -> dict[str, Facts]:
    """Of a tiny model's programs, compiled for this processor from shapes alone."""
    drawing = pipeline(SMALLEST)
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), drawing.params)
    mesh = mesh_of((1, 1, 1), jax.devices()[:1])
    order = drawing.order("a cat", **OPTIONS)
    programs = lowered(replace(drawing, params=shapes), order, mesh)
    return {name: facts(name, program) for name, program in programs}


def test_each_program_is_compiled(found: dict[str, Facts]) -> None:
    assert list(found) == ["encode", "denoise", "decode"]
    assert found["denoise"].loops > found["decode"].loops
    assert all(one.collectives == {} for one in found.values())
    assert all(one.flops > 0 and one.accessed > 0 for one in found.values())


@pytest.mark.parametrize("name", PROGRAMS)
def test_one_program_can_be_lowered_alone(name: str) -> None:
    drawing, mesh = pipeline(SMALLEST), mesh_of((1, 1, 1), jax.devices()[:1])
    order = drawing.order("a cat", **OPTIONS)
    ((found, program),) = lowered(drawing, order, mesh, (name,))
    assert found == name
    assert f"@jit_{name}" in program.as_text()


def test_weights_are_most_of_the_arguments(found: dict[str, Facts]) -> None:
    params = pipeline(SMALLEST).params
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(params["vae"]["decoder"]))
    assert weights < found["decode"].arguments < 1.1 * weights


def test_the_table_has_a_line_for_each_and_the_roofline() -> None:
    sizes = (2_000_000_000, 1, 2, 3)
    one = Facts("denoise", 9.4, *sizes, 197e12, 819e9, 1, {"kernel": 5}, {}, 8.19e9, 0)
    head, _, line = table([one], CHIPS["v5e"]).splitlines()
    cells = dict(zip(head.split(" | "), line.split(" | "), strict=True))
    assert (cells["ms by TFLOP"], cells["ms by GB"]) == ("1e+03", "1e+03")
    assert cells["ms by GB moved"] == "10"
    assert (cells["GB of arguments"], cells["of memory"]) == ("2", "13%")
    assert cells["kernels"] == "5 kernel"


def test_what_lies_beside_a_program_counts_as_memory() -> None:
    one = Facts("decode", 1.0, 5, 2, 30, 1, 0, 0, 0, {}, {}, 0, 0)
    assert one.memory == 38
    assert one._replace(held=70).memory == 103


@pytest.mark.parametrize(("memory", "images"), [(16, 7), (15.9, 6), (4, 1), (1, -1)])
def test_the_largest_batch_lies_on_the_line(memory: float, images: int) -> None:
    assert largest_batch({4: 10, 1: 4}, memory) == images


@pytest.mark.parametrize("target", ["v5e", "v9:2x2", "v5e:2", "v5e:0x2", "v5e:2x2x2x2", ""])
def test_what_is_no_topology_is_one_line(target: str) -> None:
    with pytest.raises(ValueError, match="is no topology: give a chip of v5e, v5p, v6e and sides"):
        chip_of(target)


def test_without_libtpu_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"v5e:2x2 need libtpu: pip install 'jaxsd\[tpu\]'"):
        devices_of("v5e:2x2")


def test_a_model_of_shapes_makes_orders() -> None:
    text = replace(SMALL.text[0], vocab_size=49408, pad_token=49407)
    pipe = shapes_only(replace(SMALL, text=(text,)), "bfloat16")
    assert {leaf.dtype.name for leaf in jax.tree.leaves(pipe.params)} == {"bfloat16"}
    assert pipe.order("a cat", **OPTIONS).given.noise.shape == (1, 4, 4, 4)


def test_orders_of_more_pictures_than_fit_here_are_known_by_their_shapes() -> None:
    drawing, settings = pipeline(SMALLEST), Settings(**OPTIONS)
    order, exact = order_of(drawing, settings, 3), drawing.order([settings] * 3, batch=3)
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (exact.given, exact.runs))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (order.given, order.runs)) == shapes
    assert order_of(drawing, settings, 10**9).given.noise.shape[0] == 10**9


@pytest.mark.tpu
def test_more_pictures_than_a_chip_can_hold_are_refused_at_once() -> None:
    pytest.importorskip("libtpu")
    wanted = [(Settings(**OPTIONS), 4 * 10**7)]
    with pytest.raises(ValueError, match=r"are the least for 40000000 .* and there are 16; take"):
        list(reports("v5e:2x2", (-1, 1, 1), pipeline(SMALLEST), wanted))


@pytest.mark.tpu
def test_a_drawing_for_four_chips_passes_nothing_between_them() -> None:
    pytest.importorskip("libtpu")
    wanted = [(Settings(**OPTIONS), count) for count in (1, 2)]
    first, _, fits, last = reports("v5e:2x2", (-1, 1, 1), pipeline(SMALLEST), wanted)
    said = first.splitlines()
    assert said[0] == "8x8, 1 on each of 4 v5e, mesh {'data': 4, 'fsdp': 1, 'tensor': 1}"
    assert [line.split(" | ")[-1] for line in said[4:]] == ["none |"] * 3
    assert fits.startswith("8x8: ")
    assert last == NOT_KEPT


@pytest.mark.tpu
def test_four_chips_share_the_heads_of_a_layer() -> None:
    pytest.importorskip("libtpu")
    drawing, mesh = pipeline(SMALL, "bfloat16"), mesh_of((1, 1, 4), devices_of("v5e:2x2"))
    order = drawing.order("a cat", height=64, width=64, steps=3)  # attention to 1,024 keys
    ((name, program),) = lowered(drawing, order, mesh, ("denoise",))
    found = facts(name, program)
    assert found.kernels["tpu_custom_call"] == 1
    assert found.collectives["all-reduce"] > 0


@pytest.mark.tpu
def test_a_chip_runs_the_same_program_in_slices_of_4_8_and_256() -> None:
    pytest.importorskip("libtpu")
    drawing, texts = pipeline(SMALLEST), set[str]()
    for target in ("v5e:2x2", "v5e:2x4", "v5e:16x16"):
        mesh = mesh_of((-1, 1, 1), devices_of(target))
        order = drawing.order([Settings(**OPTIONS)] * mesh.size, batch=mesh.size)
        ((_, program),) = lowered(drawing, order, mesh, ("denoise",))
        text = program.compile().as_text()
        assert f"num_partitions={mesh.size}," in text
        texts.add(re.sub(r"sharding=\{.*?\}(?=,| |$)|num_partitions=\d+", "", text))
    assert len(texts) == 1


def lowered_for(chip: str, function: Any, *shapes: tuple[int, ...]) -> jax.stages.Lowered:
    sharding = SingleDeviceSharding(devices_of(chip)[0])
    arrays = [jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=sharding) for shape in shapes]
    return jax.jit(function).trace(*arrays).lower(lowering_platforms=("tpu",))


def compiled_for(chip: str, function: Any, *shapes: tuple[int, ...]) -> jax.stages.Compiled:
    return lowered_for(chip, function, *shapes).compile()


@pytest.mark.tpu
def test_what_does_not_fit_is_one_line() -> None:
    pytest.importorskip("libtpu")
    program = lowered_for("v5e:2x2", jnp.sin, (2**16, 2**16))
    with pytest.raises(ValueError, match=r"^sines does not fit: .*Ran out of memory on HBM.*chip$"):
        facts("sines", program)


@pytest.mark.tpu
def test_what_is_compiled_for_chips_elsewhere_cannot_be_loaded() -> None:
    """Once it can, `jaxsd compile --for` has no reason to keep nothing."""
    pytest.importorskip("libtpu")
    devices = devices_of("v5e:2x2")
    program = serialize_executable.serialize(compiled_for("v5e:2x2", jnp.sin, (8, 128)))
    with pytest.raises(jax.errors.JaxRuntimeError, match="constructed with a Client"):
        serialize_executable.deserialize_and_load(
            *program, backend=devices[0].client, execution_devices=devices[:1]
        )


@pytest.mark.tpu
@pytest.mark.parametrize(
    ("chip", "tokens", "heads", "width"),
    [("v5e:2x2", 3952, 2, 64), ("v5p:2x2x1", 4096, 1, 512), ("v6e:2x2", 9216, 5, 64)],
)
def test_the_attention_kernel_fits_each_chip(
    chip: str, tokens: int, heads: int, width: int
) -> None:
    pytest.importorskip("libtpu")
    compiled = compiled_for(chip, attention, *[(1, tokens, heads, width)] * 3)
    assert compiled.as_text().count("tpu_custom_call") == 1
    needed = 4 * heads * tokens**2 * width
    assert needed <= compiled.cost_analysis()["flops"] < 1.01 * needed


@pytest.mark.tpu
@pytest.mark.parametrize(
    ("chip", "tokens"), [("v5e:2x2", 1600), ("v5p:2x2x1", 1600), ("v5p:2x2x1", 2304)]
)
def test_the_kernel_has_room_where_large_batches_lie_in_main_memory(chip: str, tokens: int) -> None:
    pytest.importorskip("libtpu")
    compiled = compiled_for(chip, attention, *[(80, tokens, 8, 80)] * 3)
    assert compiled.as_text().count("tpu_custom_call") == 1


@pytest.mark.tpu
@pytest.mark.parametrize(
    ("chip", "side", "channels", "outputs"),
    [
        ("v5e:2x2", 8, 1280, 1280),
        ("v5e:2x2", 16, 2560, 1280),
        ("v5e:2x2", 96, 320, 320),
        ("v5e:2x2", 512, 3, 128),
        ("v5p:2x2x1", 128, 960, 320),
        ("v6e:2x2", 1024, 256, 256),
    ],
)
def test_the_convolution_kernel_fits_each_chip(
    chip: str, side: int, channels: int, outputs: int
) -> None:
    pytest.importorskip("libtpu")
    shapes = [(2, side, side, channels), (3, 3, channels, outputs)]
    with traced_for("tpu"):
        compiled = compiled_for(chip, tpu_convolution, *shapes)
    assert compiled.as_text().count("tpu_custom_call") == 1
    needed = 2 * 9 * 2 * side**2 * channels * outputs
    assert compiled.cost_analysis()["flops"] == pytest.approx(needed, rel=1e-3)
