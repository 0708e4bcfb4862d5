"""What jaxsd takes from JAX's less stable parts is there, and what changes elsewhere is told."""

from pathlib import Path

import jax_names
import pytest
from jax_names import INSTALLED, OURS, Found, Use, compared, find, uses, uses_in

TABLE = """
jax._src.cudnn.fused_attention_stablehlo
jax._src.cudnn.fused_attention_stablehlo.check_compute_capability
jax.config.jax_compilation_cache_dir
jax.config.jax_enable_compilation_cache
jax.config.jax_persistent_cache_min_compile_time_secs
jax.config.jax_persistent_cache_min_entry_size_bytes
jax.config.jax_numpy_rank_promotion
jax.config.jax_enable_x64
jax.config.jax_platforms
jax.experimental.compilation_cache.compilation_cache
jax.experimental.compilation_cache.compilation_cache.reset_cache
jax.experimental.multihost_utils.broadcast_one_to_all
jax.experimental.multihost_utils.global_array_to_host_local_array
jax.experimental.multihost_utils.process_allgather
jax.experimental.multihost_utils.reached_preemption_sync_point
jax.experimental.pallas
jax.experimental.pallas.BlockSpec
jax.experimental.pallas.Buffered
jax.experimental.pallas.CostEstimate
jax.experimental.pallas.ds
jax.experimental.pallas.multiple_of
jax.experimental.pallas.num_programs
jax.experimental.pallas.ops.tpu.flash_attention.BlockSizes
jax.experimental.pallas.ops.tpu.flash_attention.flash_attention
jax.experimental.pallas.pallas_call
jax.experimental.pallas.program_id
jax.experimental.pallas.tpu
jax.experimental.pallas.tpu.CompilerParams
jax.experimental.pallas.tpu.HBM
jax.experimental.pallas.tpu.roll
jax.experimental.pallas.tpu.with_memory_space_constraint
jax.experimental.serialize_executable
jax.experimental.serialize_executable.deserialize_and_load
jax.experimental.serialize_executable.serialize
jax.experimental.topologies
jax.experimental.topologies.get_topology_desc
jax.extend.core.ClosedJaxpr
jax.extend.core.Jaxpr
jax.extend.core.jaxpr_as_fun
"""

SOURCE = """
import jax
from jax.experimental import topologies as described
from jax.experimental.multihost_utils import process_allgather
jax.config.update("jax_enable_x64", True)
described.get_topology_desc("v5e:2x2", platform="tpu")
process_allgather(1, tiled=True)
"""


@pytest.fixture(scope="module")
def used() -> set[Use]:
    return uses(OURS / "jaxsd", OURS / "tests")


def test_names_settings_and_keywords_are_found_in_a_source() -> None:
    assert set(uses_in(SOURCE)) == {
        Use("jax.experimental.topologies"),
        Use("jax.experimental.topologies.get_topology_desc"),
        Use("jax.experimental.topologies.get_topology_desc", "platform"),
        Use("jax.experimental.multihost_utils.process_allgather"),
        Use("jax.experimental.multihost_utils.process_allgather", "tiled"),
        Use("jax.config.jax_enable_x64"),
    }


def test_what_is_used_is_written_down(used: set[Use]) -> None:
    """A new name is a risk with each version of JAX: it is added here on purpose."""
    assert {use.name for use in used} == set(TABLE.split())


def test_all_is_in_the_installed_version(used: set[Use]) -> None:
    assert [line for line, good in compared(used, INSTALLED) if not good] == []
    assert find("jax.experimental.multihost_utils.nothing", INSTALLED) is None
    assert find("jax.config.jax_nothing", INSTALLED) is None


def test_another_version_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "jax.experimental.shapes"
    versions = {
        "old": "def area(a, b): ...\ndef side(a): ...\ndef edge(a, *, sharp): ...\n",
        "new": "type Sides = Box | int\nclass Box[T]: ...\n"
        "def area(a, b, c): ...\ndef edge[T](a: T): ...\n",
    }
    for version, source in versions.items():
        file = tmp_path / version / "jax" / "experimental" / "shapes.py"
        file.parent.mkdir(parents=True)
        file.write_text(source)
    monkeypatch.setattr(jax_names, "INSTALLED", tmp_path / "old")
    names = {Use(f"{module}.{name}") for name in ("area", "edge", "side")}
    assert list(compared(names | {Use(f"{module}.edge", "sharp")}, tmp_path / "new")) == [
        (f"{module}.area: ('a', 'b') are now ('a', 'b', 'c')", True),
        (f"{module}.edge: does not take sharp", False),
        (f"{module}.side: gone", False),
    ]
    assert find(f"{module}.Box", tmp_path / "new") == Found()
