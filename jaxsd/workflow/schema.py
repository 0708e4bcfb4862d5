"""What a class of nodes takes and gives, from the signature of the function that it is here."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from jaxsd.terminal import printable
from jaxsd.typed import nearest

MAX_RESOLUTION = 16384


class Range(NamedTuple):
    """The range of a number."""

    low: float
    high: float


class Choice(NamedTuple):
    """The words that a text may be."""

    words: tuple[str, ...]


class InFolder(NamedTuple):
    """A text is the name of a file in a folder of models, such as "checkpoints"."""

    kind: str


class Picture(NamedTuple):
    """A text is the name of a picture in the folder of inputs."""


class Kind(NamedTuple):
    """A value that only comes from another node, such as "MODEL"."""

    name: str


class Wrong(ValueError):
    """A value or a link that an input can not take.

    Attributes:
      kind: what is wrong, in ComfyUI's word for programs, such as "value_not_in_list".
      key: the name of the input.
      node: the id of the node, where it is known.
    """

    def __init__(self, line: str, kind: str, key: str, node: str = "") -> None:
        super().__init__(line)
        self.kind, self.key, self.node = kind, key, node


SEED = Range(0, 2**64 - 1)
NUMBER = Range(-(2**63 - 1), 2**63 - 1)
"""Of PrimitiveInt."""
Seed = Annotated[int, SEED]
Pixels = Annotated[int, Range(0, MAX_RESOLUTION)]
Percent = Annotated[float, Range(0, 1)]


@dataclass(frozen=True)
class Input:
    """An input of a class of nodes.

    Attributes:
      kind: bool, int, float or str for values; a `Kind` for what comes from other nodes.
      rule: what a value may be: a range, a choice, a file; None for any.
      default: `inspect.Parameter.empty` where the input must be given.
    """

    name: str
    kind: Any
    rule: Any
    default: Any

    @property
    def is_value(self) -> bool:
        """Whether the editor shows it as a field."""
        return not isinstance(self.kind, Kind)

    @property
    def is_required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty

    @property
    def type_name(self) -> str:
        """Its type in ComfyUI's words."""
        if not self.is_value:
            return self.kind.name
        if isinstance(self.rule, Choice | InFolder | Picture):
            return "COMBO"
        return {bool: "BOOLEAN", int: "INT", float: "FLOAT", str: "STRING"}[self.kind]

    def value_of(self, given: Any, where: str) -> Any:
        """A literal of a graph as this input's value, converted as ComfyUI converts it.

        Raises:
          Wrong: one line that names the node, the input and what is allowed.
        """
        try:
            value = self.kind(given)
        except (TypeError, ValueError, OverflowError):
            line = f"{where} is {_shown(given)}, and a {self.type_name} is needed"
            raise Wrong(line, "invalid_input_type", self.name) from None
        rule = self.rule
        if isinstance(rule, Range) and not rule.low <= value <= rule.high:
            kind = "value_smaller_than_min" if value < rule.low else "value_bigger_than_max"
            line = f"is out of range; allowed is {rule.low:g} to {rule.high:g}"
            raise Wrong(f"{where} {_shown(given)} {line}", kind, self.name)
        if isinstance(rule, Choice) and value not in rule.words:
            line = f"{where} {_shown(given)} is unknown; {nearest(value, rule.words)}"
            raise Wrong(line, "value_not_in_list", self.name)
        return value


@dataclass(frozen=True)
class NodeClass:
    """A class of nodes.

    Attributes:
      outputs: types of what it gives.
      run: the function; its first argument is the workspace where `needs_place`.
      is_output: whether a graph is run for its sake, as for SaveImage.
    """

    name: str
    outputs: tuple[str, ...]
    run: Callable[..., Any]
    is_output: bool = False
    takes_lists: bool = False
    gives_lists: bool = False
    inputs: Mapping[str, Input] = field(default_factory=dict)
    needs_place: bool = False


CLASSES: dict[str, NodeClass] = {}
"""Every class of nodes, by its name in ComfyUI; filled by the files of `jaxsd.workflow.nodes`."""


def fields_of(kind: str) -> list[str] | None:
    """The names of a class's fields in the editor's order; None for a class that is not here.

    Behind a seed, or PrimitiveInt's number, the editor stores what becomes of it after a run, and
    behind a picture its kind: these have the name "".
    """
    if kind not in CLASSES:
        return None
    names: list[str] = []
    for one in CLASSES[kind].inputs.values():
        if one.is_value:
            names += [one.name, ""] if one.rule in (SEED, NUMBER, Picture()) else [one.name]
    return names


def node(
    name: str, *outputs: str, each: Mapping[str, Any] | None = None, **flags: bool
) -> Callable[[Callable], Callable]:
    """Enters a function as a class of nodes.

    Its keyword arguments, in the order of ComfyUI's schema, are the inputs.

    Args:
      name: of the class.
      *outputs: types of what it gives; several are a tuple.
      each: names and defaults of the inputs that the function takes as `**`, which come last.
      **flags: fields of `NodeClass`.
    """

    def entered(function: Callable) -> Callable:
        hints = get_type_hints(function, include_extras=True)
        parameters = inspect.signature(function).parameters.values()
        inputs = {
            one.name: _input(one.name, hints[one.name], one.default)
            for one in parameters
            if one.kind is one.KEYWORD_ONLY
        }
        for one in parameters:
            if one.kind is one.VAR_KEYWORD:
                inputs |= {key: _input(key, hints[one.name], own) for key, own in each.items()}
        place = any(one.kind is one.POSITIONAL_OR_KEYWORD for one in parameters)
        own = NodeClass(name, outputs, function, inputs=inputs, needs_place=place, **flags)
        CLASSES[name] = own
        return function

    return entered


def _input(name: str, hint: Any, default: Any) -> Input:
    if type(None) in get_args(hint):  # an optional input
        hint = get_args(hint)[0]
    kind, rule = hint, None
    if get_origin(hint) is Annotated:
        kind, rule = get_args(hint)[:2]
    if get_origin(kind) is Literal:
        kind, rule = str, Choice(get_args(kind))
    if isinstance(rule, Kind):
        kind, rule = rule, None
    return Input(name, kind, rule, default)


def _shown(value: Any) -> str:
    return repr(printable(value, 60)) if isinstance(value, str) else printable(str(value), 60)
