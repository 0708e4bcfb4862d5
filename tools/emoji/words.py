"""The words of the built-in model's first data set: colours, shapes, concepts, countries.

A concept is a row (glyph, noun, phrase, other phrases ...). `glyph` is the label of emojibase and
finds the drawing; `noun` is what a coloured silhouette of it is called; the first phrase is the
caption of its plain picture and the others are what people type for the same thing. A phrase
stands for one concept only, so a word that fits two ("a train") belongs to the likelier one.
Rows are in order of importance: a data set of N concepts takes the first N.
"""

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

PREFIXES = (
    "a picture of",
    "an emoji of",
    "a drawing of",
    "a photo of",
    "an image of",
    "an illustration of",
)


class Concept(NamedTuple):
    """One thing that the model can draw."""

    glyph: str
    noun: str
    phrases: tuple[str, ...]


def _concepts(*rows: tuple[str, ...]) -> tuple[Concept, ...]:
    return tuple(Concept(glyph, noun, phrases) for glyph, noun, *phrases in rows)


CONCEPTS = _concepts(
    ("red apple", "apple", "a red apple", "an apple"),
    ("banana", "banana", "a banana"),
    ("cat face", "cat", "a cat face", "a cat", "a kitten"),
    ("dog face", "dog", "a dog face", "a dog", "a puppy"),
    ("sun", "sun", "a sun", "the sun"),
    ("rocket", "rocket", "a rocket", "a rocket ship", "a spaceship"),
    ("bicycle", "bicycle", "a bicycle", "a bike"),
    ("red heart", "heart", "a red heart", "a heart"),
    ("pizza", "pizza", "a pizza", "a slice of pizza"),
    ("guitar", "guitar", "a guitar", "an electric guitar"),
    ("penguin", "penguin", "a penguin"),
    ("airplane", "airplane", "an airplane", "a plane", "an aeroplane"),
    ("deciduous tree", "tree", "a tree", "a green tree"),
    ("house", "house", "a house", "a home"),
    ("star", "star", "a star"),
    ("rose", "rose", "a rose", "a red rose"),
    ("fish", "fish", "a fish"),
    ("key", "key", "a key"),
    ("snowman", "snowman", "a snowman"),
    ("octopus", "octopus", "an octopus"),
    ("cherries", "cherry", "cherries", "some cherries", "a cherry"),
    ("strawberry", "strawberry", "a strawberry"),
    ("lemon", "lemon", "a lemon"),
    ("carrot", "carrot", "a carrot"),
    ("soft ice cream", "ice cream", "an ice cream", "an ice cream cone", "a soft ice cream"),
    ("birthday cake", "birthday cake", "a birthday cake", "a cake"),
    ("hot beverage", "coffee", "a cup of coffee", "a coffee", "a hot beverage"),
    ("automobile", "car", "a car", "an automobile", "a red car"),
    ("bus", "bus", "a bus"),
    ("locomotive", "train", "a locomotive", "a train", "a steam train"),
    ("ship", "ship", "a ship"),
    ("umbrella", "umbrella", "an umbrella"),
    ("open book", "book", "an open book", "a book"),
    ("alarm clock", "alarm clock", "an alarm clock", "a clock"),
    ("crown", "crown", "a crown", "a golden crown"),
    ("wrapped gift", "gift", "a wrapped gift", "a gift", "a present"),
    ("balloon", "balloon", "a balloon", "a red balloon"),
    ("ghost", "ghost", "a ghost"),
    ("robot", "robot", "a robot", "a robot face"),
    ("alien", "alien", "an alien"),
    ("skull", "skull", "a skull"),
    ("fire", "fire", "a fire", "fire", "a flame"),
    ("snowflake", "snowflake", "a snowflake"),
    ("crescent moon", "moon", "a crescent moon", "a moon", "the moon"),
    ("rainbow", "rainbow", "a rainbow"),
    ("cloud", "cloud", "a cloud"),
    ("sunflower", "sunflower", "a sunflower"),
    ("cactus", "cactus", "a cactus"),
    ("mushroom", "mushroom", "a mushroom"),
    ("butterfly", "butterfly", "a butterfly"),
    ("honeybee", "bee", "a honeybee", "a bee"),
    ("frog", "frog", "a frog", "a frog face"),
    ("lion", "lion", "a lion", "a lion face"),
    ("tiger face", "tiger", "a tiger face", "a tiger"),
    ("panda", "panda", "a panda", "a panda face"),
    ("pig face", "pig", "a pig face", "a pig"),
    ("cow face", "cow", "a cow face", "a cow"),
    ("rabbit face", "rabbit", "a rabbit face", "a rabbit", "a bunny"),
    ("elephant", "elephant", "an elephant"),
    ("turtle", "turtle", "a turtle", "a tortoise"),
    ("spouting whale", "whale", "a whale", "a spouting whale", "a blue whale"),
    ("shark", "shark", "a shark"),
    ("owl", "owl", "an owl"),
    ("chicken", "chicken", "a chicken", "a hen"),
    ("snake", "snake", "a snake"),
    ("dragon", "dragon", "a dragon", "a green dragon"),
    ("monkey face", "monkey", "a monkey face", "a monkey"),
    ("bear", "bear", "a bear", "a bear face", "a brown bear"),
    ("fox", "fox", "a fox", "a fox face"),
    ("unicorn", "unicorn", "a unicorn"),
    ("horse", "horse", "a horse"),
    ("koala", "koala", "a koala"),
    ("mouse face", "mouse", "a mouse face", "a mouse"),
    ("duck", "duck", "a duck"),
    ("parrot", "parrot", "a parrot"),
    ("dolphin", "dolphin", "a dolphin"),
    ("crab", "crab", "a crab"),
    ("snail", "snail", "a snail"),
    ("lady beetle", "ladybug", "a ladybug", "a lady beetle", "a ladybird"),
    ("hamburger", "hamburger", "a hamburger", "a burger", "a cheeseburger"),
    ("french fries", "french fries", "french fries", "some french fries", "fries"),
    ("doughnut", "donut", "a doughnut", "a donut"),
    ("watermelon", "watermelon", "a watermelon", "a slice of watermelon"),
    ("grapes", "grapes", "grapes", "a bunch of grapes", "some grapes"),
    ("pineapple", "pineapple", "a pineapple"),
    ("avocado", "avocado", "an avocado"),
    ("tomato", "tomato", "a tomato"),
    ("broccoli", "broccoli", "broccoli", "a piece of broccoli"),
    ("cheese wedge", "cheese", "a cheese wedge", "cheese", "a piece of cheese"),
    ("beer mug", "beer", "a beer mug", "a beer", "a mug of beer"),
    ("fire engine", "fire engine", "a fire engine", "a fire truck"),
    ("tractor", "tractor", "a tractor"),
    ("helicopter", "helicopter", "a helicopter"),
    ("sailboat", "sailboat", "a sailboat", "a sailing boat", "a boat"),
    ("castle", "castle", "a castle"),
    ("camera", "camera", "a camera"),
    ("television", "television", "a television", "a tv"),
    ("light bulb", "light bulb", "a light bulb", "a lamp"),
    ("hammer", "hammer", "a hammer"),
    ("scissors", "scissors", "scissors", "a pair of scissors"),
    ("bell", "bell", "a bell", "a golden bell"),
    ("soccer ball", "soccer ball", "a soccer ball", "a football"),
    ("basketball", "basketball", "a basketball"),
    ("trophy", "trophy", "a trophy", "a golden cup"),
    ("teddy bear", "teddy bear", "a teddy bear"),
    ("gem stone", "gem", "a gem stone", "a gem", "a jewel"),
    ("pencil", "pencil", "a pencil"),
    ("jack-o-lantern", "pumpkin", "a jack-o-lantern", "a pumpkin", "a halloween pumpkin"),
    ("Christmas tree", "christmas tree", "a Christmas tree"),
    ("slightly smiling face", "smiley", "a smiling face", "a smiley", "a smiley face", "a face"),
    ("palm tree", "palm tree", "a palm tree"),
    ("tulip", "tulip", "a tulip", "a flower"),
    ("flamingo", "flamingo", "a flamingo"),
    ("giraffe", "giraffe", "a giraffe"),
    ("spider", "spider", "a spider"),
    ("squid", "squid", "a squid"),
    ("pear", "pear", "a pear"),
    ("peach", "peach", "a peach"),
    ("tangerine", "tangerine", "a tangerine", "an orange", "a mandarin"),
    ("eggplant", "eggplant", "an eggplant", "an aubergine"),
    ("hot dog", "hot dog", "a hot dog"),
    ("cookie", "cookie", "a cookie"),
    ("cupcake", "cupcake", "a cupcake"),
    ("lollipop", "lollipop", "a lollipop"),
    ("wine glass", "wine glass", "a wine glass", "a glass of wine", "a glass of red wine"),
    ("motorcycle", "motorcycle", "a motorcycle", "a motorbike"),
    ("police car", "police car", "a police car"),
    ("flying saucer", "flying saucer", "a flying saucer", "a ufo"),
    ("anchor", "anchor", "an anchor"),
    ("tent", "tent", "a tent"),
    ("volcano", "volcano", "a volcano"),
    ("high voltage", "lightning", "a lightning bolt", "lightning", "high voltage"),
    ("droplet", "droplet", "a droplet", "a drop of water"),
    ("laptop", "laptop", "a laptop", "a computer"),
    ("mobile phone", "phone", "a mobile phone", "a phone", "a smartphone"),
    ("magnet", "magnet", "a magnet"),
    ("drum", "drum", "a drum"),
    ("violin", "violin", "a violin"),
    ("trumpet", "trumpet", "a trumpet"),
    ("sunglasses", "sunglasses", "sunglasses", "a pair of sunglasses"),
    ("top hat", "top hat", "a top hat", "a hat"),
    ("t-shirt", "t-shirt", "a t-shirt", "a shirt"),
    ("backpack", "backpack", "a backpack"),
    ("envelope", "envelope", "an envelope", "a letter"),
    ("candle", "candle", "a candle"),
    ("bed", "bed", "a bed"),
    ("chair", "chair", "a chair"),
    ("bomb", "bomb", "a bomb"),
    ("game die", "die", "a game die", "a die", "a dice"),
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
    )
)
