"""The texts of XMP, which is XML inside of picture files."""

from xml.etree import ElementTree

MAX_XMP = 2**20
"""Characters that are read."""

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_NAMES = {
    "{http://ns.adobe.com/exif/1.0/}UserComment": "UserComment",
    "{http://ns.adobe.com/xap/1.0/}CreatorTool": "CreatorTool",
    "{http://purl.org/dc/elements/1.1/}description": "Description",
}


def xmp_texts(text: str) -> dict[str, str]:
    """The description, the user's comment and the program that XMP names, by name.

    Text with entities of its own, which can grow without bound, and damaged text have none.
    """
    text = text.strip("\0 \r\n\t")
    if len(text) > MAX_XMP or "<!DOCTYPE" in text:
        return {}
    try:
        tree = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return {}
    found: dict[str, str] = {}
    for about in tree.iter(f"{_RDF}Description"):
        for tag, given in (*about.items(), *((one.tag, one) for one in about)):
            if (name := _NAMES.get(tag)) and name not in found:
                text = given if isinstance(given, str) else "".join(given.itertext())
                found |= {name: text.strip()} if text.strip() else {}
    return found
