"""Extensions of webui in a request: which are switched on, and ControlNets among them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxsd.server.refusals import Refused

MODULES = {"none": "as_given", "canny": "canny"}
"""Module of the extension ControlNet -> `preprocessor`."""
CONTROL_MODES = {
    "Balanced": "balanced",
    "My prompt is more important": "prompt",
    "ControlNet is more important": "control",
}
"""Its control modes, whose numbers count from 0 -> `control_mode`."""


def add_extensions(given: Any, options: dict[str, Any], ignored: list[str]) -> None:
    """Extensions: those that are off ask for nothing."""
    if not isinstance(given, Mapping):
        raise Refused(422, "alwayson_scripts is not an object", param="alwayson_scripts")
    for title, said in given.items():
        args = said.get("args", []) if isinstance(said, Mapping) else said
        args = list(args.values()) if isinstance(args, Mapping) else args
        if not isinstance(args, list):
            raise Refused(422, f"args of {title} is not a list", param="alwayson_scripts")
        name = title.strip().lower()
        if name == "seed" or not _is_on(name, args):
            continue
        if name == "controlnet":
            _controls([one for one in args if _enabled(one)], options, ignored)
            continue
        ignored.append(f"alwayson_scripts.{title}")


def _controls(
    units: Sequence[Mapping[str, Any]], options: dict[str, Any], ignored: list[str]
) -> None:
    """Units of the extension sd-webui-controlnet that are switched on."""
    modules = {str(one.get("module") or "none").lower() for one in units}
    if len(modules) > 1 or not modules <= MODULES.keys():
        raise Refused(
            422,
            f"ControlNet modules {', '.join(sorted(modules))}: give one, of {', '.join(MODULES)}",
        )
    options["preprocessor"] = MODULES[modules.pop()]
    options["control"] = []
    for unit in units:
        image = unit.get("image") or unit.get("input_image") or ""
        options["control"].append(
            {
                "image": image.get("image") if isinstance(image, Mapping) else image,
                "model": str(unit.get("model")).partition(" [")[0],
                "weight": unit.get("weight", 1.0),
                "first": unit.get("guidance_start", 0.0),
                "last": unit.get("guidance_end", 1.0),
            }
        )
        low, high = (unit.get(f"threshold_{end}", -1) for end in "ab")
        if (low, high) not in ((-1, -1), (0, 0), (100, 200)):
            ignored.append("alwayson_scripts.controlnet.threshold_a")
    modes = {_mode(one.get("control_mode", 0)) for one in units}
    if len(modes) > 1 or None in modes:
        ignored.append("alwayson_scripts.controlnet.control_mode")
    elif modes:
        options["control_mode"] = modes.pop()


def _mode(given: Any) -> str | None:
    """The mode that is named or numbered; None where there is no such."""
    names = dict(enumerate(CONTROL_MODES.values())) | CONTROL_MODES
    return names.get(given) if isinstance(given, str | int) else None


def _is_on(name: str, args: list[Any]) -> bool:
    """Whether an extension is switched on, by the place of its switch."""
    if not args:
        return False
    switch: Callable[[Any], Any] = SWITCHES.get(name, _first)
    return bool(switch(args))


def _first(args: list[Any]) -> bool:
    """Most extensions have their switch first, alone or in a table."""
    return any(_enabled(one) for one in args) if isinstance(args[0], Mapping) else args[0] is True


def _enabled(unit: Any) -> bool:
    if not isinstance(unit, Mapping):
        return False
    return bool(unit.get("enabled", unit.get("enable", unit.get("is_enabled", True))))


SWITCHES: dict[str, Callable[[list[Any]], Any]] = {
    "controlnet": lambda args: any(_enabled(one) for one in args),
    "reactor": lambda args: len(args) > 1 and args[1] is True,
    "roop": lambda args: len(args) > 1 and args[1] is True,
}
"""Extensions whose switch is elsewhere; all else has it first."""
