"""What made a picture, with which prompt and settings: formats of many programs, read."""

from jaxsd.metadata.again import Again, changed, check_same_files, read_again
from jaxsd.metadata.expressed import expressed
from jaxsd.metadata.made import Made
from jaxsd.metadata.reading import made_of, prompt_of, read_made
from jaxsd.metadata.report import about_picture

__all__ = [
    "Again",
    "Made",
    "about_picture",
    "changed",
    "check_same_files",
    "expressed",
    "made_of",
    "prompt_of",
    "read_again",
    "read_made",
]
