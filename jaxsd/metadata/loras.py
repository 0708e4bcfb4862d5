"""LoRAs in the prompts of others."""

import re

from jaxsd.typed import parsed

_TAG = re.compile(r"<(?P<kind>lora|lyco|hypernet):(?P<name>[^:>]+)(?P<rest>[^>]*)>", re.IGNORECASE)


def with_loras(prompt: str, *, kept: bool, text_first: bool) -> tuple[str, list[str]]:
    """A prompt with tags of LoRAs in our form, and the names of those that are left out.

    Args:
      prompt: with tags such as `<lora:NAME:0.7>`.
      kept: whether there is a folder to find them in; else all are left out.
      text_first: whether two weights are of the text encoder and of the U-Net, as in webui and
        with us; else of the U-Net and of the text encoder.
    """
    left: list[str] = []

    def ours(tag: re.Match[str]) -> str:
        weights = _weights(tag["rest"], text_first=text_first)
        if not kept or weights is None or tag["kind"].lower() == "hypernet":
            left.append(tag["name"])
            return ""
        return f"<lora:{tag['name']}{''.join(f':{weight:g}' for weight in weights)}>"

    return _TAG.sub(ours, prompt), left


def _weights(rest: str, *, text_first: bool) -> list[float] | None:
    """Weights of the text encoder and of the U-Net, or one of both; None where more is said."""
    plain, named = [], {}
    try:
        for part in rest.split(":")[1:]:
            name, equals, number = part.rpartition("=")
            weight = parsed(float, number, "weight")
            named |= {name: weight} if equals else {}
            plain += [] if equals else [weight]
    except ValueError:
        return None
    if len(plain) > 2 or not named.keys() <= {"te", "unet"}:
        return None
    if not text_first:
        plain.reverse()
    if not named:
        return plain
    text = named.get("te", plain[0] if plain else 1.0)
    return [text, named.get("unet", plain[1] if len(plain) == 2 else text)]
