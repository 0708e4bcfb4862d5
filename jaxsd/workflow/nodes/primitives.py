"""Nodes of plain values, which graphs give to several others."""

from typing import Annotated

from jaxsd.workflow.schema import NUMBER, Range, node

LARGEST = float(2**63 - 1)


@node("PrimitiveString", "STRING")
def primitive_string(*, value: str) -> str:
    """A text."""
    return value


@node("PrimitiveStringMultiline", "STRING")
def primitive_string_multiline(*, value: str) -> str:
    """A text of several lines."""
    return value


@node("PrimitiveInt", "INT")
def primitive_int(*, value: Annotated[int, NUMBER]) -> int:
    """A whole number."""
    return value


@node("PrimitiveFloat", "FLOAT")
def primitive_float(*, value: Annotated[float, Range(-LARGEST, LARGEST)]) -> float:
    """A number."""
    return value


@node("PrimitiveBoolean", "BOOLEAN")
def primitive_boolean(*, value: bool) -> bool:
    """Yes or no."""
    return value


@node("StringConcatenate", "STRING")
def string_concatenate(*, string_a: str, string_b: str, delimiter: str = "") -> str:
    """Two texts with another one between."""
    return delimiter.join((string_a, string_b))
