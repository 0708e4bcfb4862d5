"""Simulators of four fields, whose future is forecast."""

from fields import epidemic, prices, spread, traffic
from fields.field import Field

FIELDS: dict[str, Field] = {
    "spread": spread.FIELD,
    "epidemic": epidemic.FIELD,
    "prices": prices.FIELD,
    "traffic": traffic.FIELD,
}
"""Name -> field."""
