"""How far samplers of few rows end from one of many: a table of numbers, and a picture of it.

    python tools/compare_samplers.py prompts.txt --samplers=ddim,unipc,few.json --output=errors.json

An error is the root of the mean squared difference of latents. What the JSON file has already is
not computed again; the picture lies beside it.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from absl import app, flags, logging
from matplotlib.figure import Figure

from jaxsd.drawings import with_programs
from jaxsd.pipeline import Pipeline
from jaxsd.settings import Settings, checked
from jaxsd.text_files import lines_in
from jaxsd.training.sampler_learning import REFERENCE, references

_SAMPLERS = flags.DEFINE_list(
    "samplers",
    ["ddim", "dpm++_2m", "dpm++_2m_karras", "dpm++_2m_gits", "unipc", "deis", "ipndm"],
    "names, or files of learnt ones",
)
_ROWS = flags.DEFINE_multi_integer("rows", [4, 6, 8], "network calls")
_MODEL = flags.DEFINE_string("model", "emoji", "as of jaxsd generate")
_SEED = flags.DEFINE_integer("seed", 1000, "of the first prompt")
_BATCH = flags.DEFINE_integer("batch", 2, "pictures of a call")
_OUTPUT = flags.DEFINE_string("output", "errors.json", "where the numbers go")


def latents(pipe: Pipeline, settings: Sequence[Settings]) -> np.ndarray:
    """Latents [N, h, w, c] of pictures."""
    own, size = [checked(one, pipe.spec) for one in settings], _BATCH.value
    orders = [pipe.order(own[i : i + size], batch=size) for i in range(0, len(own), size)]
    return np.concatenate([pipe.drawn(order, lambda row, rows: None).latents for order in orders])


def plot(errors: dict[str, dict[str, float]]) -> Figure:
    """Error against rows, a line for each sampler; learnt ones are thick."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, own in errors.items():
        thick = {"linewidth": 3, "color": "black"} if name.endswith(".json") else {}
        rows = sorted(own, key=int)
        axes.semilogy([int(n) for n in rows], [own[n] for n in rows], "o-", label=name, **thick)
    axes.set(xlabel="network calls", ylabel="error of latents")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize="small")
    return figure


def main(argv: Sequence[str]) -> None:
    """Measures, and writes after each sampler."""
    if len(argv) != 2:
        raise app.UsageError("name one file of prompts")
    prompts = [line for _, line in lines_in(argv[1])]
    base = [Settings(prompt=text, seed=_SEED.value + i) for i, text in enumerate(prompts)]
    output = Path(_OUTPUT.value)
    found = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}
    pipe = with_programs(_MODEL.value, logging.info)
    kept = output.with_suffix(".npy")
    if kept.exists():
        wanted = np.load(kept)
    else:
        sampler, steps = REFERENCE
        many = [checked(replace(one, sampler=sampler, steps=steps), pipe.spec) for one in base]
        wanted = references(pipe, many, _BATCH.value, lambda done, rows: None)
        np.save(kept, wanted)
    for name in _SAMPLERS.value:
        own = found.setdefault(Path(name).name, {})
        for rows in (n for n in _ROWS.value if str(n) not in own):
            got = latents(pipe, [replace(one, sampler=name, steps=rows) for one in base])
            own[str(rows)] = float(np.sqrt(np.square(got - wanted).mean()))
            output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        logging.info("%s: %s", name, own)
    plot(found).savefig(output.with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    app.run(main)
