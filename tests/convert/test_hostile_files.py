"""Eighty checkpoints that would run something: nothing of them is run, and each is refused."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from torch_bytes import WRITERS, call, dict_of, name, of_array, text, tuple_of

BASE = np.arange(24, dtype=np.float32)
TESTS = Path(__file__).parents[1]
NAMES = (
    *(("os", "system"), ("posix", "system"), ("nt", "system"), ("os", "execv"), ("os", "popen")),
    *(("builtins", "eval"), ("builtins", "exec"), ("builtins", "compile"), ("builtins", "open")),
    *(("__builtin__", "getattr"), ("builtins", "__import__"), ("operator", "attrgetter")),
    *(("sys", "settrace"), ("importlib", "import_module"), ("code", "interact")),
    *(("pip", "main"), ("subprocess", "Popen"), ("runpy", "run_path"), ("pty", "spawn")),
    *(("shutil", "rmtree"), ("webbrowser", "open"), ("socket", "create_connection")),
    *(("timeit", "timeit"), ("cProfile", "run"), ("bdb", "Bdb.run"), ("asyncio", "run")),
    *(("torch", "load"), ("torch.hub", "load"), ("numpy", "fromfile"), ("pickle", "loads")),
)
"""Functions that scanners of such files look for, and some that they were found to miss."""


def write_all(folder: Path, trap: Path) -> None:
    """Writes the files."""
    touch = text(f"touch {trap}")
    for module, attribute in NAMES:
        attack = dict_of({"x": of_array(BASE, "0"), "y": call(name(module, attribute), touch)})
        for kind, write in WRITERS.items():
            write(folder / f"{module}.{attribute}-{kind}.ckpt", attack, {"0": BASE})
    zipped = WRITERS["zip"]
    system = call(name("posix", "system"), touch)
    nested = pickle.dumps(pickle.dumps({"x": 1}))
    values = {
        "nested.ckpt": call(name("pickle", "loads"), b"C" + bytes([len(nested)]) + nested),
        "renamed.SafeTensors": system,
        "renamed.safetensors": system,
        "renamed.png": system,
        "renamed.bin": system,
        "renamed.pt": system,
        "build.ckpt": system + b"}b",
        "method.ckpt": call(name("torch", "FloatStorage"), touch) + b"R",
        "tuple.ckpt": tuple_of(system, system),
        "key.ckpt": b"}" + system + text("a") + b"s",
    }
    for file, value in values.items():
        zipped(folder / file, value, {"0": BASE})
    write_odd_zips(folder, zipped, system)
    bombs = {
        "memo.ckpt": b"]q\x01" + b"(h\x01h\x01lq\x01" * 100_000,
        "doubled.ckpt": b"X\x01\x00\x00\x00aq\x01" + b"h\x01h\x01\x86q\x01" * 5000,
        "deep.ckpt": b"(" * 1_000_000,
        "long.ckpt": b"\x8d" + (2**62).to_bytes(8, "little"),
        "frame.ckpt": b"\x80\x04\x95" + (2**62).to_bytes(8, "little"),
    }
    for file, value in bombs.items():
        (folder / file).write_bytes(b"\x80\x02" * (value[:1] != b"\x80") + value + b".")


def write_odd_zips(folder: Path, write, system: bytes) -> None:
    """Zips whose parts say what is not so."""
    write(folder / "crc.ckpt", system, {"0": BASE})
    packed = bytearray((folder / "crc.ckpt").read_bytes())
    central = packed.index(b"PK\x01\x02")
    packed[central + 16 : central + 20] = b"\0\0\0\0"  # of the pickle
    (folder / "crc.ckpt").write_bytes(packed)
    for bit in (0, 3, 5, 6, 13):
        flags = bytearray(packed)
        flags[central + 8 : central + 10] = (1 << bit).to_bytes(2, "little")
        (folder / f"flag-{bit}.ckpt").write_bytes(flags)
    with zipfile.ZipFile(folder / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(60_000_000))
    with zipfile.ZipFile(folder / "twice.ckpt", "w") as file:
        for value in (pickle.dumps({}, 2), system + b"."):
            file.writestr("archive/data.pkl", value)
    with zipfile.ZipFile(folder / "outside.ckpt", "w") as file:
        file.writestr("../../data.pkl", system + b".")


@pytest.mark.release
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_nothing_of_eighty_hostile_checkpoints_is_run(tmp_path: Path) -> None:
    folder, trap = tmp_path / "files", tmp_path / "trap"
    folder.mkdir()
    write_all(folder, trap)
    WRITERS["zip"](tmp_path / "honest.ckpt", dict_of({"x": of_array(BASE, "0")}), {"0": BASE})
    assert len(list(folder.iterdir())) >= 80
    script = Path(__file__).with_name("hostile_reads.py")
    done = subprocess.run(
        [sys.executable, script, folder, tmp_path / "honest.ckpt"],
        env=os.environ | {"PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS / 'convert'}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert not trap.exists()
    assert {file for file, *_ in said["events"]} == {"watched"}, said["events"]
    read = {file: result for file, (result, _) in said["told"].items() if isinstance(result, list)}
    assert read == {}, "each of them asks for something that no weights need"
    slowest = max(seconds for _, seconds in said["told"].values())
    assert slowest < 2
    print(f"\n{len(said['told'])} files are refused, in {1000 * slowest:.0f} ms or less each")
