"""The tasks "consistency" and "progressive" on a tiny model: who learns, and from whom."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import final_state, jaxsd, tiny_model, tiny_pictures

from jaxsd.adapters.lora_files import read_lora
from jaxsd.convert import open_model
from jaxsd.training.config import DistillationConfig, LoraConfig, TrainConfig, read_config
from jaxsd.training.loop import Task
from jaxsd.training.students import with_average
from jaxsd.training.tasks import task_of
from jaxsd.types import Array

TARGETS = (r"unet/conv_(in|out)/kernel",)
LCM = Path(__file__).parents[2] / "configs/train/emoji-lcm.toml"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = tmp_path_factory.mktemp("students")
    return TrainConfig(
        task="consistency",
        output=str(folder / "run"),
        data=str(tiny_pictures(folder / "pictures", 2)),
        model=str(tiny_model(folder / "tiny")),
        steps=2,
        batch_size=2,
        learning_rate=1e-2,
        warmup_steps=0,
        ema_decay=0.5,
        log_every=1,
        lora=LoraConfig(rank=2, targets=TARGETS),
    )


def moved(leaves: dict[str, Array], by: float) -> dict[str, Array]:
    """Other factors: of zeros alone, another start of `down` changes nothing."""
    return {path: leaf + by for path, leaf in leaves.items()}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("consistency", marks=pytest.mark.slow),
        pytest.param("progressive", marks=pytest.mark.release),
    ],
)
def test_a_student_learns_from_its_teacher(config: TrainConfig, name: str) -> None:
    guided = replace(config.distillation, guidance=(2.0, 3.0))
    task = task_of(replace(config, task=name, distillation=guided))
    batch = task.batches()(0, slice(0, 2))
    own = task.start(jax.random.key(0))
    assert set(own) == {
        f"lora/unet/conv_{i}/kernel/{f}" for i in ("in", "out") for f in ("down", "up")
    }

    @jax.jit
    @jax.value_and_grad
    def slopes(student: dict, average: dict, teacher: dict) -> Array:
        frozen = task.frozen | {f"teacher/{path}": leaf for path, leaf in teacher.items()}
        return task.loss(student, with_average(frozen, average), batch, jax.random.key(1))[0]

    loss, of_student = slopes(own, own, own)
    for path, slope in of_student.items():
        assert (float(jnp.abs(slope).max()) > 0) == path.endswith("/up"), path
    other = moved(own, 0.05)
    assert float(slopes(own, own, other)[0]) != float(loss)
    of_average = float(slopes(own, other, own)[0]) != float(loss)
    assert of_average == (name == "consistency")  # a progressive student has no such target
    again = task.model(own).params
    for a, b in zip(
        jax.tree.leaves(again),
        jax.tree.leaves(open_model(config.model).params(np.dtype(np.float32))),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def frozen_teacher(task: Task) -> dict[str, Array]:
    """What the teacher has where the student learns."""
    return {
        path.removeprefix("teacher/"): leaf
        for path, leaf in task.frozen.items()
        if path.startswith("teacher/")
    }


def test_a_whole_student_trains_what_the_patterns_say(config: TrainConfig) -> None:
    whole = replace(config, lora=LoraConfig(rank=0), trainable=("unet/conv_out/.*",))
    task = task_of(whole)
    own = task.start(jax.random.key(0))
    assert set(own) == {"unet/conv_out/kernel", "unet/conv_out/bias"}
    assert set(task.exports) == {"diffusers", "single-file"}
    for path, leaf in frozen_teacher(task).items():
        np.testing.assert_array_equal(leaf, own[path])


def test_a_second_halving_begins_with_the_lora_of_the_first(
    config: TrainConfig, tmp_path: Path
) -> None:
    first = task_of(config)
    learnt = moved(first.start(jax.random.key(0)), 0.05)
    place = tmp_path / "first.safetensors"
    first.exports["lora-kohya"](place, learnt)
    second = task_of(
        replace(config, task="progressive", lora=replace(config.lora, begin=str(place)))
    )
    for own in (second.start(jax.random.key(5)), frozen_teacher(second)):
        assert own.keys() == learnt.keys()
        for path, leaf in own.items():
            np.testing.assert_allclose(leaf, learnt[path], atol=1e-6, err_msg=path)
    for wrong in ({"rank": 3}, {"alpha": 1.0}, {"targets": ("unet/conv_in/kernel",)}):
        with pytest.raises(ValueError, match="in another way than a LoRA with lora"):
            task_of(replace(config, lora=replace(config.lora, begin=str(place), **wrong)))


def test_what_can_not_be_distilled_gets_one_line(config: TrainConfig) -> None:
    for name, value in (("original_steps", 1001), ("steps", 501)):
        how = DistillationConfig(**{name: value})
        own = replace(config, task="progressive" if name == "steps" else "consistency")
        with pytest.raises(ValueError, match=f"distillation.{name} is {value}, it must be at most"):
            task_of(replace(own, distillation=how))
    for guidance in ((0.5,), (1.0, 2.0, 3.0), (float("nan"),)):
        with pytest.raises(ValueError, match=r"distillation.guidance is .* 1 to 1000"):
            replace(config, distillation=DistillationConfig(guidance=guidance))
    with pytest.raises(ValueError, match=r"lora.rank is 0, which trains students whole"):
        replace(config, task="lora", lora=LoraConfig(rank=0))


@pytest.mark.release
@pytest.mark.parametrize("name", ["consistency", "progressive"])
def test_a_run_that_goes_on_ends_at_the_same_bits(
    config: TrainConfig, tmp_path: Path, name: str
) -> None:
    def told(output: Path, steps: int) -> list[str]:
        return [
            *(f"model={config.model}", f"data={config.data}", f"output={output}", f"task={name}"),
            *(f"steps={steps}", "batch_size=2", "warmup_steps=0", "decay_steps=0"),
            *("distillation.guidance=[2, 3]", f'lora.targets=["{TARGETS[0]}"]'),
        ]

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for output, steps in ((whole, 2), (parts, 1), (parts, 2)):
        jaxsd("train", LCM, *told(output, steps))
    states = [jax.tree.leaves(final_state(read_config(LCM, told(o, 2)))) for o in (whole, parts)]
    for a, b in zip(*states, strict=True):
        np.testing.assert_array_equal(a, b)
    spec = open_model(config.model).spec
    factors = read_lora(parts / "model.safetensors", spec)
    assert set(factors) == {f"unet/conv_{i}/kernel" for i in ("in", "out")}
    assert all(np.abs(one["up"]).max() > 0 for one in factors.values())
