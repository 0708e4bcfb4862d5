"""`jaxsd bench` with other programs: diffusers in PyTorch and in Flax, OpenVINO, and with
`--sdcpp-model FILE`, whose weights it draws with, stable-diffusion.cpp.

    python tools/benchmark.py --flax-python envs/flax/bin/python --models sd15 --rounds 5 -o report

Each peer runs in its own environment; a peer that is not installed there is left out, with a note.
The other options are those of `jaxsd bench`.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
TORCH = {
    "diffusers": "",
    "torch.compile": "--compile",
    "torch.compile channels_last": "--compile --channels-last",
}
SDCPP = {
    "stable-diffusion.cpp f16": "--type f16",
    "stable-diffusion.cpp f16 flash": "--type f16 --flash",
    "stable-diffusion.cpp q8_0 flash": "--type q8_0 --flash",
}


def peers(
    torch: str, flax: str, openvino: str, sdcpp: str, sdcpp_model: str | None
) -> dict[str, str]:
    """Name -> command of every peer, given the Python of each."""
    workers = {
        name: f"{shlex.quote(torch)} {shlex.quote(str(PEERS / 'torch_worker.py'))} {options}"
        for name, options in TORCH.items()
    }
    for name, python in (("flax", flax), ("openvino", openvino)):
        script = shlex.quote(str(PEERS / f"{name}_worker.py"))
        workers[f"diffusers {name}" if name == "flax" else name] = f"{shlex.quote(python)} {script}"
    if sdcpp_model is not None:
        command = shlex.join([sdcpp, str(PEERS / "sdcpp_worker.py"), "--model", sdcpp_model])
        workers |= {name: f"{command} {options}" for name, options in SDCPP.items()}
    return workers


def main() -> None:
    """Adds the peers to the arguments of `jaxsd bench` and runs it."""
    parser = argparse.ArgumentParser(add_help=False)
    for name in ("torch", "flax", "openvino", "sdcpp"):
        parser.add_argument(f"--{name}-python", default=sys.executable)
    parser.add_argument("--sdcpp-model")
    args, rest = parser.parse_known_args()
    pythons = (args.torch_python, args.flax_python, args.openvino_python, args.sdcpp_python)
    found = peers(*pythons, args.sdcpp_model)
    program = [sys.executable, "-c", "from jaxsd.cli.main import run; run()", "bench"]
    named = [f"--peer={name}={command}" for name, command in found.items()]
    said = shlex.join(["python", "tools/benchmark.py", *rest])
    sys.exit(subprocess.call([*program, *rest, *named, f"--as={said}"]))


if __name__ == "__main__":
    main()
