"""The floors of BUILD.md, kept: an import goes down, never up, never sideways between boxes."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Box -> floor. A box is a package of jaxsd or a module at its top; tools is one more.
FLOORS = {
    "types": 0,
    "typed": 0,
    "text_files": 0,
    "writing": 0,
    "config": 0,
    "distilled": 0,
    "families": 0,
    "folders": 0,
    "generators": 0,
    "inception": 0,
    "upscalers": 0,
    "latent_colours": 0,
    "terminal": 0,
    "streams": 0,
    "nn": 1,
    "schedulers": 1,
    "text": 1,
    "images": 1,
    "hints": 1,
    "records": 1,
    "tars": 1,
    "diffusion_map": 1,
    "models": 2,
    "convert": 2,
    "parallel": 2,
    "settings": 2,
    "provenance": 2,
    "sampling": 3,
    "adapters": 3,
    "checkpoint": 3,
    "executables": 3,
    "memory": 3,
    "safety": 3,
    "jax_cache": 3,
    "webui": 3,
    "canvases": 3,
    "clips": 3,
    "outputs": 4,
    "preview_display": 4,
    "metadata": 4,
    "pipeline": 4,
    "arrays": 4,
    "training": 5,
    "bulk": 5,
    "video": 5,
    "score": 5,
    "benchmark": 5,
    "workflow": 5,
    "drawings": 5,
    "parity": 5,
    "server": 6,
    "cli": 7,
    "tools": 7,
}
# Third party -> boxes that may import it, lazily or not. Anything else is refused by name. Parity
# and tools take PyTorch's side and ours apart, so more is open to them.
FENCES = {
    "jaxlib": {"benchmark", "executables"},
    "jax": set(FLOORS)
    - {
        "schedulers",
        "convert",
        "text",
        "images",
        "records",
        "tars",
        "types",
        "typed",
        "text_files",
        "writing",
        "config",
        "distilled",
        "families",
        "folders",
        "generators",
        "inception",
        "upscalers",
        "latent_colours",
        "preview_display",
        "terminal",
        "streams",
        "hints",
        "settings",
        "webui",
        "canvases",
        "clips",
        "outputs",
        "metadata",
        "provenance",
        "video",
    },
    "flax": {"nn", "models", "parity", "tools"},
    "orbax": {"checkpoint"},
    "optax": {"training"},
    "grain": {"training"},
    "transformers": {"parity", "tools"},
    "tokenizers": {"text"},
    "safetensors": {"convert", "adapters"},
    "tensorstore": {"convert"},
    "huggingface_hub": {"convert"},
    "PIL": {"images", "tools"},
    "array_record": {"records"},
    "pyarrow": {"bulk"},
    "c2pa": {"provenance"},
    "cryptography": {"provenance"},
    "absl": {"cli", "tools"},
    "tqdm": {"cli", "tools", "training"},
    "numpy": set(FLOORS),
    "scipy": {"diffusion_map", "hints", "tools", "workflow"},
    "yaml": {"workflow"},
    "ml_dtypes": set(FLOORS),
    "torch": {"parity", "tools"},
    "ldm": {"parity"},
    "cv2": {"tools"},
    "lycoris": {"tools"},
    "pydiffmap": {"tools"},
    "sklearn": {"tools"},
    "diffusers": {"parity", "tools"},
    "openvino": {"tools"},
    "stable_diffusion_cpp": {"tools"},
    "matplotlib": {"benchmark", "diffusion_map", "parity", "tools", "training"},
    "tensorboardX": {"training"},
    "resvg_py": {"tools"},
    "playwright": {"tools"},
    "inflect": {"tools"},
    "av": {"video"},
    "soundfile": {"video"},
    "librosa": {"tools"},
    "fastapi": {"server"},
    "starlette": {"server"},
    "sse_starlette": {"server"},
    "prometheus_client": {"server", "tools"},
    "httpx": {"tools"},
    "uvicorn": {"server"},
}
# Inside convert: module or room -> step. An import goes down, or stays in its room: what reads
# bytes knows nothing of models, and the two kinds of names nothing of each other.
STEPS = {
    "files": 0,
    "layer_shapes": 0,
    "kinds": 1,
    "reading": 1,
    "parameters": 1,
    "stored_model": 1,
    "added_conditions": 1,
    "adapter_parameters": 2,
    "encoder": 2,
    "slots": 2,
    "ip_projections": 3,
    "names": 3,
    "upscaler_layouts": 3,
    "diffusers": 4,
    "original": 4,
    "api": 5,
    "clip": 5,
    "alone": 5,
    "controlnet_union": 5,
    "gligen": 5,
    "hypernetwork": 5,
    "image_encoder": 5,
    "aesthetic": 5,
    "inception": 5,
    "ip_adapter": 5,
    "t2i_adapter": 5,
    "motion": 5,
    "motion_lora": 6,
    "photomaker": 6,
    "style_model": 6,
    "tiny_vae": 5,
    "upscaler": 5,
    "controlnet": 6,
    "conversion": 7,
    "refiner": 7,
    "layers_model": 5,
    "safety_checker": 6,
    "report": 7,
}
STANDARD = frozenset(sys.stdlib_module_names)

# Goldens are recorded from the tiny models of the tests.
BESIDE_TOOLS = {
    path.stem for folder in ("tools", "tools/peers", "tests") for path in (ROOT / folder).glob("*")
}

FILES = sorted([*ROOT.glob("jaxsd/**/*.py"), *ROOT.glob("tools/**/*.py")])

CONVERT = sorted(ROOT.glob("jaxsd/convert/**/*.py"))
CONVERT.remove(ROOT / "jaxsd/convert/__init__.py")  # offers names of all of them


def box_of(path: Path) -> str:
    """The box that a file belongs to; empty for jaxsd/__init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] == "tools":
        return "tools"
    return "" if parts[1] == "__init__" else parts[1]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import of a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            if node.module == "jaxsd":
                yield from ((node.lineno, f"jaxsd.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module


def complaint(box: str, name: str) -> str | None:
    """What is wrong with an import of `name` in `box`, if anything."""
    top, *rest = name.split(".")
    if top == "jaxsd":
        return _inside(box, rest[0] if rest else "")
    if top in STANDARD or (box == "tools" and top in BESIDE_TOOLS):
        return None
    if top not in FENCES:
        return f"{top} has no place in jaxsd"
    if box not in FENCES[top]:
        return f"{top} belongs in {', '.join(sorted(FENCES[top]))}"
    return None


def _inside(box: str, target: str) -> str | None:
    # jaxsd/__init__.py holds the version, and offers the names of the pipeline.
    target = {"load": "pipeline", "Pipeline": "pipeline", "Settings": "settings"}.get(
        target, target
    )
    if box == "" or target in ("", "__version__", box):
        return None
    if target not in FLOORS:
        return f"jaxsd.{target} is on no floor"
    above = FLOORS[target] - FLOORS[box]
    if above > 0:
        return f"{box} (floor {FLOORS[box]}) imports {target} above it (floor {FLOORS[target]})"
    if above == 0 and FLOORS[box] > 0:
        return f"{box} imports {target} beside it (floor {FLOORS[box]})"
    return None


def complaint_in_convert(room: str, name: str) -> str | None:
    """What is wrong with an import of `name` in a room or module of convert, if anything."""
    target, *_ = name.removeprefix("jaxsd.convert.").split(".")
    if not name.startswith("jaxsd.convert.") or target == room or STEPS[target] < STEPS[room]:
        return None
    return f"convert/{room} (step {STEPS[room]}) imports {target} (step {STEPS[target]})"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    box = box_of(path)
    assert box in FLOORS or box == "", f"{path} is in no box"
    found = [
        f"{path.relative_to(ROOT)}:{line}: {wrong}"
        for line, name in imports(path)
        if (wrong := complaint(box, name))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("box", "name"),
    [
        ("nn", "jaxsd.models.unet"),
        ("models", "jaxsd.convert"),
        ("sampling", "jaxsd.adapters"),
        ("text", "jaxsd.images"),
        ("sampling", "jaxsd.load"),
        ("pipeline", "flax.linen"),
        ("schedulers", "jax.numpy"),
        ("convert", "jax"),
        ("models", "torch"),
        ("cli", "requests"),
        ("cli", "jaxsd.utils"),
        ("text", "transformers"),
    ],
)
def test_the_check_refuses(box, name):
    assert complaint(box, name)


@pytest.mark.parametrize(
    ("box", "name"),
    [
        ("families", "jaxsd.config"),
        ("models", "jaxsd.nn.attention"),
        ("cli", "jaxsd.types"),
        ("cli", "jaxsd.load"),
        ("tools", "jaxsd.training"),
        ("text", "tokenizers"),
    ],
)
def test_the_check_allows(box, name):
    assert complaint(box, name) is None


@pytest.mark.parametrize("path", CONVERT, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_inside_convert(path):
    room = path.relative_to(ROOT / "jaxsd/convert").with_suffix("").parts[0]
    found = [
        f"{path.relative_to(ROOT)}:{line}: {wrong}"
        for line, name in imports(path)
        if (wrong := complaint_in_convert(room, name))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("room", "name"),
    [
        ("files", "jaxsd.convert.slots"),
        ("files", "jaxsd.convert.diffusers.names"),
        ("diffusers", "jaxsd.convert.original.spec"),
        ("original", "jaxsd.convert.diffusers.names"),
        ("original", "jaxsd.convert.api"),
        ("slots", "jaxsd.convert.names"),
        ("clip", "jaxsd.convert.inception"),
    ],
)
def test_the_check_refuses_inside_convert(room, name):
    assert complaint_in_convert(room, name)
