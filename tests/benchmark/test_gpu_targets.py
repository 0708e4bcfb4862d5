"""Drawings are compiled for GPUs that are not here."""

from collections import Counter

import pytest
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.benchmark.cards import CARDS, description
from jaxsd.benchmark.gpu_kernels import Kernels
from jaxsd.benchmark.gpu_targets import (
    Facts,
    asked_for,
    card_of,
    devices_of,
    facts,
    is_card,
    reports,
    table,
)
from jaxsd.benchmark.jobs import MODELS
from jaxsd.benchmark.targets import lowered, shapes_only
from jaxsd.parallel import mesh_of
from jaxsd.settings import Settings

OPTIONS = {"height": 8, "width": 8, "steps": 3}


def test_a_target_is_a_card_and_how_many() -> None:
    assert card_of("h100:8") == (CARDS["h100"], 8)
    assert is_card("a100:1")
    assert not is_card("v5e:2x2")


@pytest.mark.parametrize("target", ["h100", "h100:0", "h100:9", "h100:2x2", "h200:1"])
def test_what_is_no_target_is_one_line(target: str) -> None:
    wanted = r"is no target: give a card of h100, a100, rtx4090, and how many: h100:1$"
    with pytest.raises(ValueError, match=wanted):
        card_of(target)


def test_without_the_plugin_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"h100:1 need JAX's CUDA plugin: pip install 'jax\[cuda"):
        devices_of("h100:1")


def test_the_description_has_each_number_once_and_balanced_brackets() -> None:
    for card in CARDS.values():
        text = description(card)
        names = [line.split(":")[0].strip() for line in text.splitlines() if ": " in line]
        assert len(names) == len(set(names))
        assert text.count("{") == text.count("}")
        assert f"core_count: {card.cores}\n" in text


def test_the_table_has_a_line_for_each_and_the_roofline() -> None:
    counted = Kernels(Counter(products=3), 3_000_000_000, called=352_000_000, flops=989 * 10**12)
    one = Facts("denoise", 9.4, 4_000_000_000, 0, 0, counted)
    head, _, line = table([one], CARDS["h100"]).splitlines()
    cells = dict(zip(head.strip("| ").split(" | "), line.strip("| ").split(" | "), strict=True))
    assert (cells["ms by TFLOP"], cells["ms by GB"]) == ("1e+03", "1")
    assert (cells["of memory"], cells["kernels"], cells["of which"]) == ("5%", "3", "3 products")


@pytest.fixture
def plugin() -> None:
    pytest.importorskip("jax_cuda12_plugin", reason="needs JAX's CUDA plugin: jax[cuda12]")


@pytest.mark.cuda
@pytest.mark.usefixtures("plugin")
def test_a_drawing_for_four_cards_passes_nothing_between_them() -> None:
    (report,) = reports("h100:4", (-1, 1, 1), pipeline(SMALLEST), [(Settings(**OPTIONS), 1)])
    said = report.splitlines()
    assert said[0].startswith("8x8, 1 on each of 4 NVIDIA H100")
    assert len(said) == 7
    assert not any(name in report for name in ("all-reduce", "all-gather", "collective"))


@pytest.mark.cuda
@pytest.mark.usefixtures("plugin")
def test_a_step_of_sd15_has_few_kernels() -> None:
    """Before, a step had 902 kernels, and its fusions moved 5.31 GB."""
    pipe = shapes_only(MODELS["sd15"], "bfloat16")
    with asked_for(CARDS["h100"]):
        programs = lowered(
            pipe, pipe.order("a cat", steps=20), mesh_of((1, 1, 1), devices_of("h100:1"))
        )
        (found,) = [facts(name, program) for name, program in programs if name == "denoise"]
    counts = found.kernels.counts
    assert found.kernels.count <= 500, counts
    assert found.kernels.fused <= 1.7e9
    assert counts["flash attentions"] == 32
    assert found.kernels.flops == pytest.approx(1.607e12, rel=0.01)
    assert found.temporaries < 1.4e9
