"""What `import jaxsd` brings with it, and how long it takes."""

import json
import subprocess
import sys
from typing import Any

import pytest

HEAVY = ("transformers", "optax", "orbax", "torch", "diffusers", "tokenizers")


def in_a_fresh_python(code: str) -> Any:
    """What a program that prints JSON says in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300
    )
    return json.loads(done.stdout)


def loaded_after(statement: str) -> list[str]:
    return in_a_fresh_python(
        f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    )


@pytest.mark.parametrize(
    "statement",
    ["import jaxsd", "import jaxsd; jaxsd.load", "import jaxsd.text, jaxsd.images, jaxsd.convert"],
)
def test_nothing_heavy_is_imported(statement):
    assert not set(HEAVY) & set(loaded_after(statement))


@pytest.mark.parametrize(
    "module", ["jaxsd.schedulers", "jaxsd.convert", "jaxsd.text", "jaxsd.images", "jaxsd.cli"]
)
def test_host_arithmetic_does_not_import_jax(module):
    assert "jax" not in loaded_after(f"import {module}")


def test_little_is_imported_until_ctrl_c_is_listened_for():
    code = (
        "import sys; before = set(sys.modules); import jaxsd.cli.start;"
        "own = sorted(set(sys.modules) - before); import json; print(json.dumps(own))"
    )
    assert not {"typing", "argparse", "warnings", "absl"} & set(in_a_fresh_python(code))


def test_importing_the_pipeline_is_quick_after_jax():
    # Processor time, the best of three: the clock on the wall also counts what others do.
    code = (
        "import jax, json, time; start = time.process_time(); import jaxsd; jaxsd.load;"
        "print(json.dumps(time.process_time() - start))"
    )
    assert min(in_a_fresh_python(code) for _ in range(3)) < 1.5
