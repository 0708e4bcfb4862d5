"""Jobs: what they run, and what peers are told of them."""

import json

import jax
import pytest

from jaxsd.benchmark import worker
from jaxsd.benchmark.jobs import MODELS, PARTS, Job, jobs_of
from jaxsd.benchmark.networks import filled, work

SHAPES = {
    "unet": (4, 16, 16, 4),
    "vae": (2, 128, 128, 3),
    "text": (4, 32, 128),
    "image": (2, 128, 128, 3),
}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_a_model_runs(part):
    function, shapes = work(Job("emoji", part, "bfloat16", 2, 128, 3))
    first = jax.tree.leaves(jax.eval_shape(function, *shapes))[0]
    assert first.shape == SHAPES[part]
    leaves = jax.tree.leaves(shapes[0])
    assert {leaf.dtype.name for leaf in leaves} == {"bfloat16"}


@pytest.mark.parametrize("model", MODELS)
def test_peers_are_told_in_json(model):
    message = json.loads(json.dumps(Job(model, "unet", "float32", 1, 512, 20).message()))
    assert message["unet"]["_class_name"] == "UNet2DConditionModel"
    assert message["latent"] == 64
    assert bool(message["pooled"]) == (model == "sdxl")


def test_filled_arrays_are_small_finite_and_not_all_alike():
    _, shapes = work(Job("emoji", "text", "float32", 1, 128, 1))
    params = filled(shapes)[0]
    kernel = params[0]["encoder"]["layers_0"]["mlp"]["fc1"]["kernel"]
    assert 0 < float(abs(kernel).max()) < 1
    assert float(kernel.std()) > 0


def test_the_worker_answers_a_job_and_runs_it(monkeypatch):
    monkeypatch.setattr(worker, "matmul_rate", lambda dtype: 1e9)
    message = Job("emoji", "text", "float32", 1, 128, 1).message()
    answer, run = worker.prepared(message)
    run()
    assert answer["compile"] > 0
    assert answer["flops"] > 1e6


def test_jobs_are_every_part_of_every_model_in_every_dtype():
    jobs = jobs_of(["emoji", "sdxl"], ["unet", "vae"], ["float32", "bfloat16"], 1, None, 20)
    assert len(jobs) == 8
    assert {job.size for job in jobs if job.model == "sdxl"} == {1024}
