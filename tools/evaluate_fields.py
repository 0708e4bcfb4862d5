"""Score forecasts of `configs/train/arrays-*.toml` beside plain ones and the simulator's own.

    python tools/evaluate_fields.py --runs=runs --data=data/fields --out=report

The simulator's own forecast is the bound that nobody can pass, but for luck. FOLDER/report.json has
the scores, FOLDER/NAME.png the pictures; a table is printed, and facts about drawn price paths.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import app
from absl.flags import argparse_flags
from build_fields import rows_of
from fields import FIELDS
from fields.field import Field
from fields.forecasts import linear, persistence, scores
from fields.pictures import draw_forecasts
from fields.prices import facts

from jaxsd.arrays.files import read_array
from jaxsd.arrays.model import SAMPLER, STEPS, ArrayModel, draw, forecast, read_arrays
from jaxsd.writing import replacing


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments."""
    parser = argparse_flags.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="has arrays_NAME/model")
    parser.add_argument("--data", type=Path, required=True, help="has NAME.npy")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fields", nargs="+", choices=FIELDS, default=list(FIELDS))
    parser.add_argument("--rows", type=int, default=100, help="forecast of each field")
    parser.add_argument("--members", type=int, default=50, help="of each forecast")
    parser.add_argument("--drawn", type=int, default=2_000, help="price paths, for their facts")
    parser.add_argument("--sampler", default=SAMPLER)
    parser.add_argument("--steps", type=int, default=STEPS)
    return parser.parse_args(argv[1:])


def forecasts(
    field: Field, model: ArrayModel, train: np.ndarray, rows: np.ndarray, hidden: dict, **options
) -> dict[str, np.ndarray]:
    """Ensembles [M, N, *shape] by name."""
    members = options.pop("members")
    past = np.take(rows, range(field.known), field.time_axis)
    rng = np.random.default_rng(2)
    return {
        "simulator": field.continued(rows, hidden, members, rng),
        "diffusion": forecast(model, past, members, **options),
        "linear": linear(field, train, rows, members, rng),
        "persistence": persistence(field, train, rows, members, rng),
    }


def main(args: argparse.Namespace) -> None:
    """Writes the report, and prints it."""
    args.out.mkdir(parents=True, exist_ok=True)
    report, how = {}, {"sampler": args.sampler, "steps": args.steps}
    print("| | CRPS | by the bound's | 50% | 90% | energy score |\n|" + " --- |" * 6)
    for name in args.fields:
        field, model = FIELDS[name], read_arrays(args.runs / f"arrays_{name}" / "model")
        rows, hidden = rows_of(name, "-test", args.rows)
        train = read_array(args.data / f"{name}.npy")
        ensembles = forecasts(field, model, train, rows, hidden, members=args.members, **how)
        report[name] = {kind: scores(field, one, rows) for kind, one in ensembles.items()}
        for kind, one in report[name].items():
            print(line_of(f"{name}: {kind}", one, report[name]["simulator"]), flush=True)
        draw_forecasts(args.out / f"{name}.png", field, ensembles, rows)
        if name == "prices":
            drawn = {"diffusion": draw(model, args.drawn, **how), "simulator": train[: args.drawn]}
            report["facts"] = {kind: facts(paths[..., 0]) for kind, paths in drawn.items()}
    for kind, known in report.get("facts", {}).items():
        print(kind, ", ".join(f"{what} {value:.2f}" for what, value in known.items()))
    with replacing(args.out / "report.json") as part:
        part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def line_of(name: str, one: dict[str, float], bound: dict[str, float]) -> str:
    """A row of the table."""
    share, error = one["crps"] / bound["crps"], one["crps_error"]
    numbers = f"{one['crps']:.3g} ± {error:.2g} | {share:.2f} | {one['covers_50']:.0%}"
    return f"| {name} | {numbers} | {one['covers_90']:.0%} | {one['energy']:.3g} |"


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
