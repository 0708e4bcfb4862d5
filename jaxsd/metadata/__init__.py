"""What made a picture, with which prompt and settings: formats of many programs, read."""

from jaxsd.metadata.made import Made
from jaxsd.metadata.reading import made_of, prompt_of, read_made
from jaxsd.metadata.report import about_picture

__all__ = ["Made", "about_picture", "made_of", "prompt_of", "read_made"]
