"""How much of a bulk run is done twice, when it is killed with -9 again and again.

`JAXSD_KILLS=20` kills as often, in a run of 12 units for each kill.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from bulk_models import tiny_model

KILLS = int(os.environ.get("JAXSD_KILLS", "3"))
UNITS = 12 * KILLS


@pytest.mark.release
def test_a_kill_costs_one_batch_at_most(tmp_path: Path) -> None:
    """Of those that were drawn; what was being drawn counts for nothing. No bit is another one."""
    tiny_model(tmp_path / "model")
    rows = [{"id": f"row-{i}", "prompt": f"thing {i}", "seed": i} for i in range(2 * UNITS)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "run.toml").write_text(
        f'rows = "{tmp_path}/rows.jsonl"\nmodel = "{tmp_path}/model"\n'
        "steps = 2\nbatch_size = 2\nimages_per_shard = 8\n"
    )
    log = tmp_path / "drawn"
    log.touch()

    def start(output: str = "out", log: Path = log) -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("counted_run.py")
        return subprocess.Popen(
            [sys.executable, script, log, tmp_path / "run.toml", f"output={tmp_path / output}"],
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
            stderr=subprocess.DEVNULL,
        )

    def count() -> int:
        return len(log.read_text().splitlines())

    rng, kills = random.Random(0), 0
    for _ in range(KILLS):
        process, before = start(), count()
        while process.poll() is None and count() < before + 2:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.6))
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills == KILLS
    assert start().wait(timeout=600) == 0
    times = Counter(log.read_text().splitlines())
    assert set(times) == {str(number) for number in range(UNITS)}
    again = times.total() - UNITS
    assert again <= kills
    lines = (tmp_path / "out/manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [row["id"] for row in rows]
    assert start("whole", tmp_path / "once").wait(timeout=600) == 0
    both = [digests(tmp_path / output / "images") for output in ("out", "whole")]
    assert both[0] == both[1]
    assert len(both[0]) == 2 * UNITS
    print(f"\n{kills} kills, {again} of {UNITS} batches twice, {len(both[0])} files the same")


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of each file, by its name."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
