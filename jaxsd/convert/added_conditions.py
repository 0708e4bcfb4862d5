"""SDXL's added conditions; files give only the width of all their parts together."""

from jaxsd.config import AddedConditions

TIME_IDS = 6
"""Number of sizes and crops that XL takes. A ControlNet's files give only their and the text's
width together; no ControlNet is known for a refiner, which has five."""


def added_conditions(features: int, pooled_dim: int, width: int, where: str) -> AddedConditions:
    """The added conditions whose concatenation is `features` wide.

    Raises:
      ValueError: if a pooled vector and whole sinusoids of `width` do not add up to it.
    """
    count, rest = divmod(features - pooled_dim, width)
    if count < 1 or rest:
        raise ValueError(
            f"{where}: {features} added features are not a pooled vector of {pooled_dim} and "
            f"sinusoids of {width} each"
        )
    return AddedConditions(pooled_dim=pooled_dim, time_ids=count, time_id_dim=width)


def pooled_dim(features: int, width: int, where: str) -> int:
    """The width of the pooled text: `features` without six sinusoids of `width`.

    Raises:
      ValueError: if nothing is left.
    """
    if features <= TIME_IDS * width:
        raise ValueError(
            f"{where}: {features} added features are not a pooled vector and {TIME_IDS} sinusoids "
            f"of {width} each"
        )
    return features - TIME_IDS * width
