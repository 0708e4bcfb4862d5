"""GPUs that programs can be compiled for without having one."""

from typing import NamedTuple

from jaxsd.benchmark.compiled import Chip


class Card(NamedTuple):
    """A GPU, by NVIDIA's pages of its architecture and the tables of its compute capability.

    Attributes:
      name: as its driver says it.
      capability: compute capability.
      limits: of its rooflines.
      cores: streaming multiprocessors.
      lanes: float32 units of a core.
      clock: GHz, boosted.
      threads: of a core at most.
      shared: bytes of shared memory of a core. A block gets 1 KiB less.
      cache: bytes of the second level.
    """

    name: str
    capability: tuple[int, int]
    limits: Chip
    cores: int
    lanes: int
    clock: float
    threads: int
    shared: int
    cache: int


CARDS: dict[str, Card] = {
    "h100": Card(
        name="NVIDIA H100 80GB HBM3",
        capability=(9, 0),
        limits=Chip(989e12, 3352e9, 80e9),
        cores=132,
        lanes=128,
        clock=1.98,
        threads=2048,
        shared=228 * 2**10,
        cache=50 * 2**20,
    ),
    "a100": Card(
        name="NVIDIA A100-SXM4-80GB",
        capability=(8, 0),
        limits=Chip(312e12, 2039e9, 80e9),
        cores=108,
        lanes=64,
        clock=1.41,
        threads=2048,
        shared=164 * 2**10,
        cache=40 * 2**20,
    ),
    "rtx4090": Card(
        name="NVIDIA GeForce RTX 4090",
        capability=(8, 9),
        limits=Chip(165e12, 1008e9, 24e9),
        cores=128,
        lanes=128,
        clock=2.52,
        threads=1536,
        shared=100 * 2**10,
        cache=72 * 2**20,
    ),
}
"""Cards by the first part of a target's name."""


def description(card: Card) -> str:
    """What XLA must know of a card: its message GpuTargetConfigProto as text."""
    device = {
        "core_count": card.cores,
        "fpus_per_core": card.lanes,
        "clock_rate_ghz": card.clock,
        "memory_bandwidth": round(card.limits.bandwidth),
        "device_memory_size": round(card.limits.memory),
        "l2_cache_size": card.cache,
        "threads_per_core_limit": card.threads,
        "shared_memory_per_core": card.shared,
        "shared_memory_per_block_optin": card.shared - 2**10,
        **EVERY_CARD,
    }
    major, minor = card.capability
    lines = [f"  {name}: {value}" for name, value in device.items()]
    lines += [f"  cuda_compute_capability {{ major: {major} minor: {minor} }}"]
    return "\n".join(
        (
            "gpu_device_info {",
            *lines,
            "}",
            'platform_name: "CUDA"',
            "runtime_version { major: 12 minor: 8 }",
            "dnn_version_info { major: 9 minor: 8 }",
            f'device_description_str: "{card.name}"',
        )
    )


EVERY_CARD = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 48 * 2**10,
    "registers_per_core_limit": 2**16,
    "registers_per_block_limit": 2**16,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 2**16 - 1,
    "block_dim_limit_z": 2**16 - 1,
}
"""What the tables have for each compute capability since 8.0."""
