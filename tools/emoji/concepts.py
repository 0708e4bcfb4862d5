"""The things that the built-in model can draw, and what they are called.

A concept is a row (glyph, noun, phrase, other phrases ...). `glyph` is the label of emojibase and
finds the drawings; `noun` is what a coloured silhouette of it is called; the first phrase is the
caption of its plain picture and the others are what people type for the same thing. A phrase
stands for one concept only, so a word that fits two ("a train") belongs to the likelier one.
Where the label is enough, only the label is given. Rows are in order of importance: a data set of N
concepts takes the first N.
"""

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from inflect import engine


@cache
def english() -> "engine":
    """What knows plurals and articles. It takes seconds to import."""
    import inflect

    return inflect.engine()


class Concept(NamedTuple):
    """One thing that the model can draw."""

    glyph: str
    noun: str
    phrases: tuple[str, ...]

    @property
    def countable(self) -> bool:
        """Whether people say `a NOUN`; false for `french fries` and for `cheese`."""
        return english().a(self.noun).lower() in {phrase.lower() for phrase in self.phrases}

    @property
    def plural(self) -> str:
        """The noun after a number of two or more."""
        return english().plural(self.noun)


def _concept(*row: str) -> Concept:
    """A row as a concept; from a label alone, the label with its article."""
    glyph, noun, *phrases = row if len(row) > 1 else (*row, *row, english().a(row[0]))
    return Concept(glyph, noun, tuple(phrases))


_NAMED = (
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

_LABELS = """
gorilla, poodle, wolf, raccoon, black cat, leopard, zebra, deer, goat, camel, llama,
hippopotamus, rhinoceros, hamster, beaver, hedgehog, bat, sloth, kangaroo, rooster, turkey,
baby chick, bird, dove, eagle, swan, peacock, goose, feather, crocodile, lizard, sauropod, T-Rex,
seal, tropical fish, blowfish, spiral shell, jellyfish, lobster, ant, beetle, scorpion, mosquito,
bouquet, hibiscus, seedling, potted plant, maple leaf,
mango, green apple, kiwi fruit, coconut, potato, hot pepper, bell pepper, cucumber, onion,
croissant, pretzel, bagel, waffle, sandwich, taco, rice ball, fortune cookie, pie, chocolate bar,
candy, glass of milk, teapot, cocktail glass, tropical drink, spoon,
compass, desert island, hospital, church, fountain, ferris wheel, ambulance, taxi, delivery truck,
racing car, motor scooter, kick scooter, skateboard, wheel, vertical traffic light, stop sign,
canoe, speedboat, parachute, watch, full moon, ringed planet, tornado,
party popper, ticket, sports medal, baseball, volleyball, american football, bowling,
boxing glove, ice skate, kite, crystal ball, joystick, puzzle piece, artist palette, ribbon,
necktie, scarf, dress, handbag, running shoe, high-heeled shoe, graduation cap, lipstick,
megaphone, musical note, microphone, radio, saxophone, accordion, banjo, telephone, battery,
desktop computer, printer, keyboard, computer mouse, floppy disk, video camera, flashlight,
newspaper, coin, money bag, credit card, package, paintbrush, crayon, briefcase, calendar,
bar chart, clipboard, pushpin, paperclip, axe, dagger, shield, wrench, screwdriver, gear, ladder,
test tube, microscope, telescope, syringe, pill, door, mirror, window, toilet, bathtub, broom,
basket, bucket, toothbrush, fire extinguisher, shopping cart, clown face, alien monster, goblin
"""

_MORE = (
    ("grinning face", "grin", "a grinning face", "a happy face"),
    ("face with tears of joy", "laughing face", "a face with tears of joy", "a laughing face"),
    ("smiling face with heart-eyes", "love face", "a smiling face with heart-eyes"),
    ("smiling face with sunglasses", "cool face", "a smiling face with sunglasses", "a cool face"),
    ("winking face", "winking face", "a winking face"),
    ("crying face", "crying face", "a crying face", "a sad face"),
    ("angry face", "angry face", "an angry face"),
    ("thinking face", "thinking face", "a thinking face"),
    ("sleeping face", "sleeping face", "a sleeping face"),
    ("broken heart", "broken heart", "a broken heart"),
    ("orange heart", "orange heart", "an orange heart"),
    ("yellow heart", "yellow heart", "a yellow heart"),
    ("green heart", "green heart", "a green heart"),
    ("blue heart", "blue heart", "a blue heart"),
    ("purple heart", "purple heart", "a purple heart"),
    ("black heart", "black heart", "a black heart"),
    ("evergreen tree", "fir", "an evergreen tree", "a fir tree", "a pine tree"),
    ("four leaf clover", "clover", "a four leaf clover", "a clover"),
    ("ear of corn", "corn", "an ear of corn", "corn"),
    ("bread", "bread", "a loaf of bread", "bread"),
    ("pancakes", "pancake", "pancakes", "a stack of pancakes"),
    ("popcorn", "popcorn", "popcorn", "a box of popcorn"),
    ("spaghetti", "spaghetti", "a plate of spaghetti", "spaghetti", "pasta"),
    ("sushi", "sushi", "sushi", "a piece of sushi"),
    ("bubble tea", "bubble tea", "a bubble tea", "bubble tea"),
    ("globe showing Americas", "globe", "a globe", "the earth", "planet earth"),
    (
        "snow-capped mountain",
        "mountain",
        "a snow-capped mountain",
        "a mountain",
        "a snowy mountain",
    ),
    ("hourglass done", "hourglass", "an hourglass"),
    ("cloud with rain", "rain cloud", "a cloud with rain", "a rain cloud", "rain"),
    ("cloud with lightning", "storm cloud", "a cloud with lightning", "a storm cloud"),
    ("sun behind cloud", "sunny cloud", "a sun behind a cloud", "a cloud and the sun"),
    ("water wave", "wave", "a water wave", "a wave", "an ocean wave"),
    ("fireworks", "fireworks", "fireworks"),
    ("tennis", "tennis racket", "a tennis racket", "tennis"),
    ("ping pong", "table tennis bat", "a table tennis bat", "ping pong"),
    ("bullseye", "target", "a bullseye", "a target", "a dartboard"),
    ("pool 8 ball", "billiard ball", "a pool ball", "a billiard ball", "an eight ball"),
    ("magic wand", "magic wand", "a magic wand", "a wand"),
    ("video game", "game controller", "a game controller", "a gamepad", "a video game"),
    ("yarn", "yarn", "a ball of yarn", "yarn"),
    ("glasses", "glasses", "glasses", "a pair of glasses"),
    ("jeans", "jeans", "jeans", "a pair of jeans"),
    ("gloves", "gloves", "gloves", "a pair of gloves"),
    ("headphone", "headphones", "headphones", "a pair of headphones"),
    ("musical keyboard", "piano", "a piano", "a musical keyboard"),
    ("magnifying glass tilted left", "magnifying glass", "a magnifying glass"),
    ("books", "books", "books", "a stack of books"),
    ("locked", "padlock", "a padlock", "a lock"),
    ("crossed swords", "swords", "crossed swords", "two crossed swords"),
    ("bow and arrow", "bow", "a bow and arrow"),
    ("soap", "soap", "a bar of soap", "soap"),
)


@cache
def concepts() -> tuple[Concept, ...]:
    """All of them, in order of importance."""
    labels = " ".join(_LABELS.split()).split(", ")
    return tuple(_concept(*row) for row in (*_NAMED, *_MORE, *((label,) for label in labels)))
