"""Prompts with variants, of which the seed draws one: `{red|blue}`, `{2$$a|b|c}`, `__animal__`.

The grammar is that of Dynamic Prompts. `{a|b}` is one of its options, `{2$$a|b|c}` two different
ones with a comma between, `{1-2$$ and $$a|b|c}` one or two with "and" between, and `3::a` counts
three times. `__animal__` is a line of the file animal.txt. Braces without `|` and `$$` are text.
"""

import random
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from os.path import isfile
from pathlib import Path

from jaxsd.text_files import LONGEST_TEXT, lines_in
from jaxsd.typed import nearest

WILDCARD = re.compile(r"__([\w./ -]*?[^\W_])__")
DEEPEST = 20
"""Variants and wildcards within each other."""

_PIECE = re.compile(r"\\.|[{}|]|\$\$|[^\\{}|$]+|\\|\$", re.DOTALL)
_COUNT = re.compile(r"\s*(\d{1,6})(?:-(\d{1,6}))?\s*")
_ODDS = re.compile(r"\s*(\d+\.?\d*|\.\d+)::(.*)", re.DOTALL)


def drawn(prompt: str, chance: random.Random, folder: str = "") -> str:
    """The prompt with one of its variants.

    Args:
      prompt: see above.
      chance: from the image's seed; only its `random()` is used, which Python keeps the same.
      folder: of the wildcards' files, one option per line; lines that begin with # are comments.

    Raises:
      ValueError: a wildcard that is not there or has no lines, or a number of options that there
        are not.
    """
    for _ in range(DEEPEST):  # a variant may make a wildcard: __{cat|dog}__
        if (made := _expanded(prompt, chance, folder, 0)) == prompt:
            return made
        prompt = made
    raise ValueError(f"more than {DEEPEST} variants lie within each other: {prompt[:40]}")


def _expanded(text: str, chance: random.Random, folder: str, depth: int) -> str:
    if "{" not in text and "__" not in text:
        return text
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} variants lie within each other: {text[:40]}")
    made, size = [], 0
    for piece in _top_level(text):
        inner = piece[1:-1]
        if piece.startswith("{") and piece.endswith("}") and len(piece) > 1:
            if options := _options(inner):
                piece = _chosen(options, chance, folder, depth)
            else:
                piece = f"{{{_expanded(inner, chance, folder, depth + 1)}}}"
        else:
            piece = WILDCARD.sub(
                lambda found: _expanded(
                    _some(lines_of(found[1], folder), 1, chance)[0], chance, folder, depth + 1
                ),
                piece,
            )
        made.append(piece)
        size += len(piece)
        if size > LONGEST_TEXT:
            raise ValueError(f"a prompt with its variants is longer than {LONGEST_TEXT} characters")
    return "".join(made)


def _top_level(text: str, signs: Sequence[str] = ()) -> Iterator[str]:
    """Texts between groups in braces, and the groups; `signs` outside of groups stand alone."""
    pieces, stack, ends = _PIECE.findall(text), [], {}
    for place, piece in enumerate(pieces):
        if piece == "{":
            stack.append(place)
        elif piece == "}" and stack:
            ends[stack.pop()] = place
    place, plain = 0, ""
    while place < len(pieces):
        end = ends.get(place, place)
        piece = "".join(pieces[place : end + 1])
        if end > place or piece in signs:
            yield plain
            yield piece
            plain = ""
        else:
            plain += piece
        place = end + 1
    yield plain


def _split(text: str, sign: str) -> list[str]:
    parts = [""]
    for piece in _top_level(text, (sign,)):
        if piece == sign:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _options(inner: str) -> tuple[list[str], int, int, str] | None:
    """Options, least and largest number of them, and what stands between; None for plain text."""
    head = _split(inner, "$$")
    options = _split(head[-1], "|")
    if len(head) == 1:
        return (options, 1, 1, "") if len(options) > 1 else None
    count = _COUNT.fullmatch(head[0])
    if count is None or len(head) > 3:
        return None
    least = int(count[1])
    return options, least, int(count[2] or least), head[1] if len(head) == 3 else ", "


def _chosen(
    group: tuple[list[str], int, int, str], chance: random.Random, folder: str, depth: int
) -> str:
    options, least, most, between = group
    if len(options) == 1 and (wildcard := WILDCARD.fullmatch(options[0].strip())):
        options = lines_of(wildcard[1], folder)
    if not least <= most <= len(options):
        shown = f"{least}" if least == most else f"{least}-{most}"
        raise ValueError(f"a prompt asks for {shown} of {len(options)} variants: {options[0][:40]}")
    more = int(chance.random() * (most - least + 1)) if most > least else 0
    some = _some(options, least + more, chance)
    return between.join(_expanded(one, chance, folder, depth + 1) for one in some)


def _some(options: Sequence[str], count: int, chance: random.Random) -> list[str]:
    """Different options, in the order in which they are drawn."""
    found = [_ODDS.fullmatch(option) for option in options]
    left = [
        (float(odds[1]), odds[2]) if odds else (1.0, option)
        for odds, option in zip(found, options, strict=True)
    ]
    some = []
    for _ in range(count):
        at = chance.random() * sum(odds for odds, _ in left)
        number = 0
        while number < len(left) - 1 and at >= left[number][0]:
            at -= left[number][0]
            number += 1
        some.append(left.pop(number)[1])
    return some


def lines_of(name: str, folder: str) -> tuple[str, ...]:
    """The options of a wildcard.

    Raises:
      ValueError: no folder, no such file, or no lines in it.
    """
    if not folder:
        raise ValueError(
            f"the prompt has __{name}__, and no folder of wildcards is given: give wildcards, or "
            "prompt_weights none, which takes prompts as plain text"
        )
    if not Path(folder).is_dir():
        raise ValueError(f"wildcards {folder} is not a folder")
    path = Path(folder, f"{name}.txt")
    if ".." in path.parts or Path(name).is_absolute() or not isfile(path):
        files = sorted(Path(folder).rglob("*.txt"))
        there = [one.relative_to(folder).with_suffix("").as_posix() for one in files]
        raise ValueError(f"no wildcard {name!r} in {folder}; {nearest(name, there)}")
    said = path.stat()
    return _lines(path, said.st_mtime_ns, said.st_size)


@lru_cache(maxsize=256)
def _lines(path: Path, changed: int, size: int) -> tuple[str, ...]:
    """The lines of a file; it is read again when it has changed."""
    del changed, size
    options = tuple(line.strip() for _, line in lines_in(path) if not line.startswith("#"))
    if not options:
        raise ValueError(f"the wildcard {path} has no lines")
    return options
