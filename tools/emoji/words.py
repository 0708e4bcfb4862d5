"""Words of the built-in model's data set: styles, colours, shapes, layouts, countries."""

from typing import NamedTuple

COLOURS = {
    "red": (220, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (250, 215, 50),
    "green": (50, 165, 70),
    "blue": (45, 110, 220),
    "light blue": (150, 205, 245),
    "purple": (130, 65, 190),
    "pink": (245, 150, 190),
    "brown": (130, 85, 50),
    "black": (20, 20, 20),
    "white": (255, 255, 255),
    "gray": (150, 150, 150),
}
"""The twelve colours of backgrounds, silhouettes and shapes, sRGB 0..255."""

OTHER_SPELLINGS = {"gray": "grey"}

SHAPES = ("circle", "square", "triangle", "star", "diamond", "ring")

STYLES = ("noto", "flat", "twemoji")
"""Drawing styles; the first is the one that most pictures without a named style have."""

COUNTS = ("two", "three", "four")
CORNERS = ("top left", "top right", "bottom left", "bottom right")
RELATIONS = ("to the left of", "above")

PREFIXES = (
    "a picture of",
    "an emoji of",
    "a drawing of",
    "a photo of",
    "an image of",
    "an illustration of",
)


class Country(NamedTuple):
    """A country whose flag is drawn: ISO 3166 code, name in running text, adjective."""

    code: str
    name: str
    adjective: str


COUNTRIES = tuple(
    Country(*row)
    for row in (
        ("jp", "Japan", "Japanese"),
        ("fr", "France", "French"),
        ("de", "Germany", "German"),
        ("it", "Italy", "Italian"),
        ("es", "Spain", "Spanish"),
        ("gb", "the United Kingdom", "British"),
        ("us", "the United States", "American"),
        ("ca", "Canada", "Canadian"),
        ("br", "Brazil", "Brazilian"),
        ("mx", "Mexico", "Mexican"),
        ("cn", "China", "Chinese"),
        ("in", "India", "Indian"),
        ("kr", "South Korea", "South Korean"),
        ("au", "Australia", "Australian"),
        ("za", "South Africa", "South African"),
        ("se", "Sweden", "Swedish"),
        ("no", "Norway", "Norwegian"),
        ("fi", "Finland", "Finnish"),
        ("dk", "Denmark", "Danish"),
        ("nl", "the Netherlands", "Dutch"),
        ("be", "Belgium", "Belgian"),
        ("ch", "Switzerland", "Swiss"),
        ("at", "Austria", "Austrian"),
        ("pl", "Poland", "Polish"),
        ("ua", "Ukraine", "Ukrainian"),
        ("gr", "Greece", "Greek"),
        ("tr", "Turkey", "Turkish"),
        ("pt", "Portugal", "Portuguese"),
        ("vn", "Vietnam", "Vietnamese"),
        ("jm", "Jamaica", "Jamaican"),
        ("ie", "Ireland", "Irish"),
        ("is", "Iceland", "Icelandic"),
        ("ee", "Estonia", "Estonian"),
        ("lv", "Latvia", "Latvian"),
        ("lt", "Lithuania", "Lithuanian"),
        ("cz", "Czechia", "Czech"),
        ("hu", "Hungary", "Hungarian"),
        ("ro", "Romania", "Romanian"),
        ("bg", "Bulgaria", "Bulgarian"),
        ("hr", "Croatia", "Croatian"),
        ("ru", "Russia", "Russian"),
        ("il", "Israel", "Israeli"),
        ("sa", "Saudi Arabia", "Saudi"),
        ("pk", "Pakistan", "Pakistani"),
        ("bd", "Bangladesh", "Bangladeshi"),
        ("th", "Thailand", "Thai"),
        ("id", "Indonesia", "Indonesian"),
        ("my", "Malaysia", "Malaysian"),
        ("sg", "Singapore", "Singaporean"),
        ("ph", "the Philippines", "Philippine"),
        ("nz", "New Zealand", "New Zealand"),
        ("eg", "Egypt", "Egyptian"),
        ("ma", "Morocco", "Moroccan"),
        ("tn", "Tunisia", "Tunisian"),
        ("ke", "Kenya", "Kenyan"),
        ("ng", "Nigeria", "Nigerian"),
        ("gh", "Ghana", "Ghanaian"),
        ("et", "Ethiopia", "Ethiopian"),
        ("ar", "Argentina", "Argentinian"),
        ("cl", "Chile", "Chilean"),
        ("co", "Colombia", "Colombian"),
        ("pe", "Peru", "Peruvian"),
        ("cu", "Cuba", "Cuban"),
        ("uy", "Uruguay", "Uruguayan"),
    )
)
