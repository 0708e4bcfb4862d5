"""Texts out of files, as they are shown on a terminal."""

LINE = 1000
"""Characters of a text that are shown, unless the caller says another number."""

_JOINERS = "\u200c\u200d"  # parts of words in Persian and Hindi, and of emoji


def printable(text: str, longest: int = LINE) -> str:
    r"""A text in one line of at most `longest` characters, that cannot steer a terminal.

    Control characters, line breaks, marks that change the direction of writing, and lone surrogates
    are escaped as in Python: `\n`, `\x1b`, `\u202e`. Of a longer text the beginning and the end
    are shown, with " ... " between them.
    """
    short = _shortened(text, longest)  # first, since a text may have megabytes
    if short.isprintable():
        return short
    return _shortened("".join(map(_escaped, short)), longest)


def _escaped(letter: str) -> str:
    if letter.isprintable() or letter in _JOINERS:
        return letter
    return letter.encode("unicode_escape").decode()


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    mark = " ... "
    behind = max(0, longest - len(mark)) // 3
    return text[: longest - len(mark) - behind] + mark + text[len(text) - behind :]
