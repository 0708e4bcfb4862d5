"""`jaxsd bulk` as people run it: on one device and on eight, on two hosts, killed and told to stop.

Every run is of the same rows with the same batch on a device, so all must give the same bits.
"""

import json
import random
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bulk_models import tiny_model
from forked import Forked
from test_bulk_store import files

from jaxsd.images import read_image
from jaxsd.webui import read_recipe

Start = Callable[..., Forked]
Told = Callable[[int, int], tuple[list[object], dict[str, str]]]

ROWS = [
    {"id": f"row-{i}", "prompt": f"thing {i}", "seed": 7 * i}
    | ({"size": "24x16"} if i % 3 == 0 else {})
    | ({"sampler": "euler_a"} if i % 2 else {})
    for i in range(30)
]


def write_rows(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Begins a run; what was compiled for one is there for the next."""
    home = tmp_path_factory.mktemp("bulk")
    tiny_model(home / "model")
    write_rows(home / "rows.jsonl", ROWS)
    (home / "run.toml").write_text(
        f'rows = "{home}/rows.jsonl"\nmodel = "{home}/model"\noutput = "{home}/out"\n'
        "steps = 3\nbatch_size = 2\nimages_per_shard = 8\n"
    )

    def begin(*args: object, devices: int = 1, environment: dict[str, str] | None = None) -> Forked:
        own = {"XDG_CACHE_HOME": str(home / "cache"), "JAX_NUM_CPU_DEVICES": str(devices)}
        environment = own | (environment or {})
        return Forked("bulk", home / "run.toml", *args, environment=environment)

    return begin


def ended(process: Forked, status: int = 0) -> str:
    """What a process said on stderr."""
    _, said = process.communicate(timeout=900)
    assert process.returncode == status, said
    return said


def without_summaries(folder: Path) -> dict[str, bytes]:
    return {name: packed for name, packed in files(folder).items() if "summary" not in name}


def images(folder: Path) -> dict[str, str]:
    lines = map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())
    return {line["id"]: line["sha256"] for line in lines}


@pytest.fixture(scope="module")
def unbroken(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken") / "out"
    said = ended(start(f"output={folder}"))
    assert "30 of 30 images to draw, 2 programs to compile" in said
    assert "30 images, 0 failed" in said
    return folder


@pytest.mark.slow
def test_pictures_carry_what_made_them(unbroken: Path) -> None:
    recipe = read_recipe(unbroken / "images/00000/row-0.png")
    made = recipe.settings
    assert (made.prompt, made.seed, made.width, made.sampler) == ("thing 0", 0, 24, "ddim")
    assert len(images(unbroken)) == 30
    assert len(set(images(unbroken).values())) == 30
    assert (unbroken / "contact_sheet.png").is_file()
    summary = json.loads((unbroken / "summary-host-0.json").read_text())
    assert (summary["images"], summary["failed"], summary["stopped"]) == (30, 0, False)


@pytest.mark.slow
def test_eight_devices_give_the_same_bits(start: Start, unbroken: Path, tmp_path: Path) -> None:
    ended(start(f"output={tmp_path}", devices=8))
    assert without_summaries(tmp_path) == without_summaries(unbroken)


def by_hand(number: int, port: int) -> tuple[list[object], dict[str, str]]:
    return ["--coordinator", f"localhost:{port}", "--hosts", 2, "--host", number], {}


def by_slurm(number: int, port: int) -> tuple[list[object], dict[str, str]]:
    """Arguments, and what `srun` says to a process; the port comes from the number of the job."""
    job = {"JOB_ID": port, "STEP_NODELIST": "localhost", "NTASKS": 2, "PROCID": number}
    return ["--distributed"], {
        f"SLURM_{name}": str(value) for name, value in (job | {"LOCALID": number}).items()
    }


def by_open_mpi(number: int, port: int) -> tuple[list[object], dict[str, str]]:
    """Arguments, and what `mpirun` says to a process."""
    return ["--distributed"], {
        "OMPI_MCA_orte_hnp_uri": f"{port * 2**12}.0;tcp://127.0.0.1:1",
        "OMPI_COMM_WORLD_SIZE": "2",
        "OMPI_COMM_WORLD_RANK": str(number),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(number),
    }


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(by_hand, marks=pytest.mark.slow),
        pytest.param(by_slurm, marks=pytest.mark.release),
        pytest.param(by_open_mpi, marks=pytest.mark.release),
    ],
)
def test_hosts_give_the_same_bits(start: Start, unbroken: Path, tmp_path: Path, told: Told) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    hosts = []
    for i in range(2):
        args, environment = told(i, port)
        hosts.append(start(f"output={tmp_path}", *args, environment=environment))
    said = [ended(host) for host in hosts]
    # Four shards, shared out in turn; the last one has a unit of two rows less.
    shares = [
        int(re.search(rf"host {i}: (\d+) of \1 images to draw", text)[1])
        for i, text in enumerate(said)
    ]
    assert sum(shares) == 30
    assert max(shares) - min(shares) <= 2
    assert without_summaries(tmp_path) == without_summaries(unbroken)


@pytest.mark.release
def test_one_of_three_hosts_is_killed_and_all_go_on(
    start: Start, unbroken: Path, tmp_path: Path
) -> None:
    def begun() -> list[Forked]:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            told = "--coordinator", f"localhost:{free.getsockname()[1]}", "--hosts", 3
        return [start(f"output={tmp_path}", *told, "--host", i) for i in range(3)]

    hosts = begun()
    while hosts[2].poll() is None and not list(tmp_path.glob("images/*/*.png")):
        time.sleep(0.01)
    hosts[2].send_signal(signal.SIGKILL)
    for host in hosts:
        host.communicate(timeout=900)
    kept = len(list(tmp_path.glob("images/*/*.png")))
    assert 0 < kept < 30
    said = "".join(map(ended, begun()))
    left = sum(map(int, re.findall(r"host \d: (\d+) of \d+ images to draw", said)))
    print(f"\n{kept} images were kept, {left} drawn after it")
    assert without_summaries(tmp_path) == without_summaries(unbroken)


@pytest.mark.slow
def test_what_is_killed_goes_on_to_the_same_files(
    start: Start, unbroken: Path, tmp_path: Path
) -> None:
    rng, before = random.Random(0), 0
    for _ in range(3):
        process = start(f"output={tmp_path}")
        while process.poll() is None and len(list(tmp_path.glob("images/*/*.png"))) <= before:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = len(list(tmp_path.glob("images/*/*.png")))
    ended(start(f"output={tmp_path}"))
    assert without_summaries(tmp_path) == without_summaries(unbroken)


@pytest.mark.slow
def test_sigterm_keeps_what_is_in_hand(start: Start, unbroken: Path, tmp_path: Path) -> None:
    process = start(f"output={tmp_path}", "batch_size=1")
    while process.poll() is None and not list(tmp_path.glob("images/*/*.png")):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said = ended(process)
    kept = len(list(tmp_path.glob("images/*/*.png")))
    assert "stopped, the same command goes on" in said
    assert 0 < kept < 30
    assert f"{kept} images, 0 failed" in said
    assert not list(tmp_path.rglob(".*.part"))
    said = ended(start(f"output={tmp_path}", "batch_size=1"))
    assert f"{30 - kept} of 30 images to draw" in said
    # Another batch on a device orders float32 sums in another way; that is all it may do.
    apart = []
    for path in unbroken.glob("images/*/*.png"):
        (other,) = tmp_path.glob(f"images/*/{path.name}")
        difference = read_image(path).astype(int) - read_image(other).astype(int)
        apart.append(np.abs(difference).ravel())
    assert np.concatenate(apart).max() <= 1
    assert (np.concatenate(apart) > 0).mean() <= 1e-3


@pytest.mark.release
def test_batch_invariant_is_so_in_any_order_on_any_devices(start: Start, tmp_path: Path) -> None:
    ended(start(f"output={tmp_path / 'one'}", "batch_size=1"))
    rows = write_rows(tmp_path / "reversed.jsonl", ROWS[::-1])
    other = [f"rows={rows}", f"output={tmp_path / 'four'}", "batch_size=5", "--batch-invariant"]
    ended(start(*other, devices=4))
    assert images(tmp_path / "one") == images(tmp_path / "four")


def test_batch_invariant_is_refused_where_weights_are_split(start: Start) -> None:
    said = ended(start("mesh=[2, 2, 1]", "--batch-invariant"), status=2)
    assert "--batch-invariant is not possible on mesh [2, 2, 1]" in said


def test_bad_rows_are_refused_before_anything_is_loaded(start: Start, tmp_path: Path) -> None:
    rows = write_rows(
        tmp_path / "bad.jsonl", [ROWS[0], {"prompt": ""}, {"prompt": "a", "seed": -1}]
    )
    said = ended(start(f"rows={rows}", f"output={tmp_path / 'out'}"), status=2)
    assert said.splitlines() == [
        "line 2: the prompt is empty",
        "line 3: seed -1 is out of range; allowed is 0 to 9223372036854775807",
        "jaxsd bulk: 2 of 3 rows cannot be drawn; mend them, or --skip-bad-rows",
    ]
    assert not (tmp_path / "out").exists()
