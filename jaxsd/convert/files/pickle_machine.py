"""Reading a pickle without unpickling it.

A pickle is a program for a stack machine that can call anything importable. Here the program is
read opcode by opcode (`pickletools.genops` only splits it up) and none of it runs: names become
records, and calls make tables, records of tensors, or inert stubs (`pickle_names`).
The opcodes are those of Python's `pickletools`, protocols 0 to 5. Work and memory grow no faster
than the pickle: each step has a cost, and the sum has a limit.
"""

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from jaxsd.convert.files.pickle_names import (
    Inert,
    Name,
    Refused,
    Storage,
    allowed,
    called,
    persistent,
    table,
)

MOST_STEPS = 800_000
"""Opcodes of a pickle; a whole checkpoint of XL with its optimizer has some 300,000."""
_MOST_BITS = 256

_PUSHES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    )
)
_IGNORED = frozenset(("PROTO", "FRAME", "STOP"))
_SET = Name("builtins", "set")
_STATE = "_parameters"
"""Where the state of a module has its tensors."""
_DAMAGE = (
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    OverflowError,
    MemoryError,  # a string that claims to be longer than memory
)


def run(file: BinaryIO, most_steps: int = MOST_STEPS) -> tuple[Any, list[Storage]]:
    """The value of the pickle at the position of `file`, and the storages that it mentions.

    Tables, lists, tuples, strings and numbers are themselves; a tensor is a `TensorRecord`; sets
    and all other objects are inert. Afterwards the position of `file` is the pickle's end.

    Raises:
      Refused: if the pickle has something that weights do not need, or more than `most_steps`.
      ValueError: if it is damaged.
    """
    machine = _Machine(most_steps)
    place: int | None = 0
    try:
        for opcode, argument, at in pickletools.genops(file):
            place = at
            machine.step(opcode.name, argument)
        (value,) = machine.stack
    except Refused:
        raise
    except _DAMAGE as error:
        raise ValueError(f"its pickle is damaged or cut short at byte {place}") from error
    return value, machine.storages


class _Machine:
    """A pickle's stack, the stacks below its marks, and its memo."""

    def __init__(self, most_steps: int) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.storages: list[Storage] = []
        self._left = most_steps

    def step(self, opcode: str, argument: Any) -> None:
        """Interpret one opcode.

        Raises:
          ValueError: if it is not known.
        """
        self.spend(1)
        if opcode in _PUSHES:
            if isinstance(argument, int) and argument.bit_length() > _MOST_BITS:
                raise Refused(f"its pickle has a number of more than {_MOST_BITS} bits")
            self.stack.append(argument)
        elif opcode in _MAKES:
            made = _MAKES[opcode](self, argument)  # may replace self.stack
            self.stack.append(made)
        elif opcode in _CHANGES:
            _CHANGES[opcode](self, argument)
        elif opcode not in _IGNORED:
            raise ValueError(f"opcode {opcode} is not known")

    def spend(self, steps: int) -> None:
        """Count work.

        Raises:
          Refused: if it is more than weights need.
        """
        self._left -= steps
        if self._left < 0:
            raise Refused("its pickle has more steps than any weights need, so it is refused")

    def pop(self) -> Any:
        """Take off the top of the stack."""
        return self.stack.pop()

    def mark(self) -> None:
        """Begin a new stack on top."""
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        """Take off all that was pushed since the last mark."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def call(self, name: Any, arguments: Any) -> Any:
        """What a call makes. It costs as much as its arguments are long, since it may copy them."""
        if not isinstance(arguments, tuple | list):
            raise ValueError("a call has no arguments")
        self.spend(len(arguments) + sum(map(_length, arguments)))
        return called(name, arguments)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, tuple | list | dict) else 0


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return table(zip(items[::2], items[1::2], strict=True))


def _drop(machine: _Machine, _: Any) -> None:
    if machine.stack:
        machine.pop()
    else:
        machine.since_mark()


def _remember(machine: _Machine, index: int | None) -> None:
    machine.memo[len(machine.memo) if index is None else index] = machine.stack[-1]


def _extend(machine: _Machine, items: list[Any]) -> None:
    target = machine.stack[-1]
    if not isinstance(target, Inert):
        target.extend(items)


def _update(machine: _Machine, items: dict[Any, Any]) -> None:
    target = machine.stack[-1]
    if not isinstance(target, Inert):
        target.update(items)


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    _update(machine, table([(key, value)]))


def _build(machine: _Machine, _: Any) -> None:
    """Takes the tensors out of a module's state. No other state matters (versions of modules)."""
    state = machine.pop()
    tensors = state.get(_STATE) if isinstance(state, dict) else None
    if isinstance(tensors, dict):
        machine.spend(len(tensors))
        _update(machine, tensors)


def _name(machine: _Machine, _: Any) -> Any:
    name, module = machine.pop(), machine.pop()
    return allowed(module, name)


def _call(machine: _Machine, _: Any) -> Any:
    arguments, name = machine.pop(), machine.pop()
    return machine.call(name, arguments)


def _call_with_keywords(machine: _Machine, _: Any) -> Any:
    machine.pop()
    return _call(machine, None)


def _inert_set(machine: _Machine, _: Any) -> Inert:
    machine.since_mark()
    return Inert(_SET)


def _persistent(machine: _Machine, _: Any) -> Storage | Name:
    found = persistent(machine.pop())
    if isinstance(found, Storage):
        machine.storages.append(found)
    return found


def _object(machine: _Machine, _: Any) -> Any:
    name, *arguments = machine.since_mark()
    return machine.call(name, arguments)


def _instance(machine: _Machine, name: str) -> Any:
    return machine.call(allowed(*name.split(" ", 1)), machine.since_mark())


def _last(count: int) -> Callable[[_Machine, Any], tuple[Any, ...]]:
    def take(machine: _Machine, _: Any) -> tuple[Any, ...]:
        return tuple([machine.pop() for _ in range(count)][::-1])

    return take


_MAKES: dict[str, Callable[[_Machine, Any], Any]] = {
    "NONE": lambda machine, _: None,
    "NEWTRUE": lambda machine, _: True,
    "NEWFALSE": lambda machine, _: False,
    "EMPTY_LIST": lambda machine, _: [],
    "EMPTY_TUPLE": lambda machine, _: (),
    "EMPTY_DICT": lambda machine, _: {},
    "EMPTY_SET": lambda machine, _: Inert(_SET),
    "LIST": lambda machine, _: machine.since_mark(),
    "TUPLE": lambda machine, _: tuple(machine.since_mark()),
    "TUPLE1": _last(1),
    "TUPLE2": _last(2),
    "TUPLE3": _last(3),
    "DICT": lambda machine, _: _pairs(machine.since_mark()),
    "FROZENSET": _inert_set,
    "DUP": lambda machine, _: machine.stack[-1],
    "GET": lambda machine, index: machine.memo[index],
    "BINGET": lambda machine, index: machine.memo[index],
    "LONG_BINGET": lambda machine, index: machine.memo[index],
    "GLOBAL": lambda machine, name: allowed(*name.split(" ", 1)),
    "STACK_GLOBAL": _name,
    "INST": _instance,
    "OBJ": _object,
    "REDUCE": _call,
    "NEWOBJ": _call,
    "NEWOBJ_EX": _call_with_keywords,
    "BINPERSID": _persistent,
}
"""Opcodes that push what they make."""

_CHANGES: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.mark(),
    "POP": _drop,
    "POP_MARK": lambda machine, _: machine.since_mark().clear(),
    "PUT": _remember,
    "BINPUT": _remember,
    "LONG_BINPUT": _remember,
    "MEMOIZE": _remember,
    "APPEND": lambda machine, _: _extend(machine, [machine.pop()]),
    "APPENDS": lambda machine, _: _extend(machine, machine.since_mark()),
    "ADDITEMS": lambda machine, _: _extend(machine, machine.since_mark()),
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: _update(machine, _pairs(machine.since_mark())),
    "BUILD": _build,
}
"""Opcodes that change the stack or what is on it."""
