"""A training step is lowered from shapes alone, for devices that need not be here."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from tiny_models import pipeline_params
from tiny_pipelines import SMALL
from tiny_runs import run_toml, tiny_model, tiny_pictures

from jaxsd.benchmark.compiled import facts
from jaxsd.benchmark.targets import devices_of
from jaxsd.cli.main import run
from jaxsd.convert import open_model
from jaxsd.parallel import mesh_of
from jaxsd.training.config import LoraConfig, TrainConfig
from jaxsd.training.lowering import batch_shapes, check_lowered, lowered
from jaxsd.training.optimizer import optimizer
from jaxsd.training.step import initial_state, step_programs
from jaxsd.training.subtrees import split
from jaxsd.training.tasks import task_of

PARAMS = pipeline_params(SMALL)
CONFIG = TrainConfig(
    task="finetune",
    output="",
    data="",
    model="small",
    steps=3,
    batch_size=4,
    learning_rate=1e-3,
    warmup_steps=0,
    resolution=8,
)


def numbers(tree: object) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_what_lies_on_a_device_is_counted() -> None:
    config = replace(CONFIG, accumulate=3)
    mesh, parts = mesh_of((1, 1, 1), jax.devices()[:1]), split(PARAMS, CONFIG.trainable)
    names, _, held = zip(*lowered(config, SMALL, PARAMS, mesh), strict=True)
    assert names == ("gradient", "add", "update")
    batches = jax.tree.leaves(batch_shapes(config, SMALL))
    given = sum(leaf.size * leaf.dtype.itemsize for leaf in batches)
    # Weights, their average and AdamW's two moments; sums of gradients. The rest are counters.
    trained, frozen = 4 * numbers(parts.trained), 4 * numbers(parts.frozen)
    for found, gradients in zip(held, (1, 2, 1), strict=True):
        assert 0 < found - (4 * trained + gradients * trained + frozen + given) < 200


def test_a_lora_keeps_the_model_in_the_dtype_of_the_run() -> None:
    config = replace(CONFIG, task="lora", dtype="bfloat16", lora=LoraConfig(rank=2))
    mesh = mesh_of((1, 1, 1), jax.devices()[:1])
    _, gradient, held = next(lowered(config, SMALL, PARAMS, mesh))
    assert 2 * numbers(PARAMS) < held < 2.4 * numbers(PARAMS)
    assert "bf16" in gradient.as_text()


@pytest.mark.slow
def test_shapes_give_the_programs_of_a_run(tmp_path: Path) -> None:
    config = replace(
        CONFIG,
        data=str(tiny_pictures(tmp_path / "data", 4)),
        model=str(tiny_model(tmp_path / "model")),
        resolution=0,
    )
    stored, task, rule = open_model(config.model), task_of(config), optimizer(config)
    state = initial_state(task.start(jax.random.key(0)), rule)
    batch = jax.tree.map(lambda x: x[None], task.batches()(0, slice(0, config.batch_size)))
    programs = step_programs(task.loss, rule, config.ema_decay)
    arguments = (task.frozen, batch, jax.random.key(0), state.step, 0)
    real = programs.gradient.lower(state.params, *arguments)

    mesh = mesh_of((1, 1, 1), jax.devices()[:1])
    shapes = stored.outline(jnp.dtype("float32"), keep_halves=False)
    (_, gradient, _), _ = lowered(config, stored.spec, shapes, mesh)
    assert products(gradient) == products(real)


def products(program: jax.stages.Lowered) -> Counter[str]:
    """How many of each product and convolution with its types, wherever its arrays lie."""
    kinds = r"stablehlo\.(?:dot_general|convolution)\b.*: (\(.*\) -> .*)"
    return Counter(re.findall(kinds, program.as_text()))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"task": "vae"}, "task 'vae' needs more than shapes; take finetune or lora"),
        ({"model": ""}, "task 'finetune' starts from a model"),
    ],
)
def test_what_shapes_do_not_say_is_refused(changes: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        check_lowered(replace(CONFIG, **changes))


@pytest.mark.parametrize(
    ("target", "changes", "complaint"),
    [
        ("v5e", {}, "'v5e' is no topology: give a chip of"),
        ("h100:1", {}, "--for h100:1: training is compiled for TPUs alone"),
        ("v5e:2x2", {"task": "dpo"}, "task 'dpo' needs more than shapes"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_begun(
    target: str,
    changes: dict[str, str],
    complaint: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = tmp_path / "run"
    config = run_toml(CONFIG, tmp_path / "run.toml", output=str(place), data="pictures", **changes)
    with pytest.raises(SystemExit) as ended:
        run(["train", str(config), "--for", target])
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err
    assert not place.exists()


@pytest.mark.tpu
@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1)])
def test_four_chips_sum_their_gradients(shape: tuple[int, int, int]) -> None:
    """With attention to 1,024 keys, which is a kernel that XLA cannot split."""
    pytest.importorskip("libtpu")
    config = replace(CONFIG, dtype="bfloat16", remat="full", resolution=64)
    mesh = mesh_of(shape, devices_of("v5e:2x2"))
    _, program, held = next(lowered(config, SMALL, PARAMS, mesh))
    gradient = facts("gradient", program, held)
    assert gradient.kernels["tpu_custom_call"] > 0
    assert gradient.collectives.keys() & {"all-reduce", "reduce-scatter"}
    assert ("all-gather" in gradient.collectives) == (shape[1] > 1)
