"""What is true in the micro-world: tables, and nothing else.

One line of a table is one thing with its attributes in a fixed order, each a single word:

    >>> ANIMALS["dog"]
    Animal(sound='barks', home='kennel', food='meat', legs='four', young='puppy')

Every word that can follow "a" starts with a consonant, so that templates need no grammar.
"""

from typing import NamedTuple


class Animal(NamedTuple):
    """The five facts about an animal."""

    sound: str
    home: str
    food: str
    legs: str
    young: str


class Thing(NamedTuple):
    """The two facts about a thing one can see and taste."""

    colour: str
    taste: str


class Country(NamedTuple):
    """The three facts about a country."""

    capital: str
    continent: str
    language: str


class Job(NamedTuple):
    """The three facts about a job; the work is a phrase of two to four words."""

    work: str
    workplace: str
    tool: str


ANIMALS = {
    "dog": Animal("barks", "kennel", "meat", "four", "puppy"),
    "cat": Animal("meows", "basket", "fish", "four", "kitten"),
    "cow": Animal("moos", "barn", "grass", "four", "calf"),
    "horse": Animal("neighs", "stable", "hay", "four", "foal"),
    "sheep": Animal("bleats", "field", "grass", "four", "lamb"),
    "pig": Animal("oinks", "pen", "corn", "four", "piglet"),
    "duck": Animal("quacks", "pond", "seeds", "two", "duckling"),
    "hen": Animal("clucks", "coop", "grain", "two", "chick"),
    "goose": Animal("honks", "pond", "grass", "two", "gosling"),
    "lion": Animal("roars", "plain", "meat", "four", "cub"),
    "wolf": Animal("howls", "forest", "meat", "four", "pup"),
    "fox": Animal("yelps", "den", "rabbits", "four", "kit"),
    "bee": Animal("buzzes", "hive", "nectar", "six", "larva"),
    "cricket": Animal("chirps", "field", "leaves", "six", "nymph"),
    "frog": Animal("croaks", "swamp", "flies", "four", "tadpole"),
    "owl": Animal("hoots", "tree", "mice", "two", "chick"),
    "snake": Animal("hisses", "desert", "mice", "zero", "hatchling"),
    "mouse": Animal("squeaks", "hole", "cheese", "four", "pinky"),
    "bird": Animal("sings", "nest", "worms", "two", "fledgling"),
    "goat": Animal("bleats", "hill", "grass", "four", "kid"),
    "bear": Animal("growls", "cave", "honey", "four", "cub"),
    "monkey": Animal("chatters", "jungle", "bananas", "two", "baby"),
    "seal": Animal("barks", "sea", "fish", "zero", "pup"),
    "elephant": Animal("trumpets", "plain", "leaves", "four", "calf"),
}

SMALL_TO_BIG = (
    "bee", "cricket", "frog", "mouse", "bird", "owl", "hen", "duck",
    "goose", "cat", "snake", "fox", "dog", "monkey", "wolf", "goat",
    "sheep", "seal", "pig", "lion", "bear", "cow", "horse", "elephant",
)  # fmt: skip

THINGS = {
    "banana": Thing("yellow", "sweet"),
    "apple": Thing("red", "sweet"),
    "lemon": Thing("yellow", "sour"),
    "lime": Thing("green", "sour"),
    "plum": Thing("purple", "sweet"),
    "cherry": Thing("red", "sweet"),
    "pear": Thing("green", "sweet"),
    "grape": Thing("purple", "sweet"),
    "carrot": Thing("orange", "mild"),
    "coal": Thing("black", "bad"),
    "snow": Thing("white", "cold"),
    "milk": Thing("white", "mild"),
    "chocolate": Thing("brown", "rich"),
    "pepper": Thing("red", "hot"),
    "honey": Thing("golden", "sweet"),
    "salt": Thing("white", "salty"),
    "mustard": Thing("yellow", "hot"),
    "coffee": Thing("black", "bitter"),
}

TOOLS = {
    "thermometer": "heat",
    "clock": "time",
    "ruler": "length",
    "scale": "weight",
    "compass": "direction",
    "barometer": "pressure",
    "speedometer": "speed",
    "pedometer": "steps",
}

COUNTRIES = {
    "France": Country("Paris", "Europe", "French"),
    "Italy": Country("Rome", "Europe", "Italian"),
    "Spain": Country("Madrid", "Europe", "Spanish"),
    "Japan": Country("Tokyo", "Asia", "Japanese"),
    "Egypt": Country("Cairo", "Africa", "Arabic"),
    "Kenya": Country("Nairobi", "Africa", "Swahili"),
    "Peru": Country("Lima", "America", "Spanish"),
    "Cuba": Country("Havana", "America", "Spanish"),
    "China": Country("Beijing", "Asia", "Chinese"),
    "Greece": Country("Athens", "Europe", "Greek"),
    "Norway": Country("Oslo", "Europe", "Norwegian"),
    "Poland": Country("Warsaw", "Europe", "Polish"),
    "Russia": Country("Moscow", "Europe", "Russian"),
    "Iran": Country("Tehran", "Asia", "Persian"),
    "Ghana": Country("Accra", "Africa", "English"),
    "Chile": Country("Santiago", "America", "Spanish"),
    "India": Country("Delhi", "Asia", "Hindi"),
    "Turkey": Country("Ankara", "Asia", "Turkish"),
    "Sweden": Country("Stockholm", "Europe", "Swedish"),
    "Denmark": Country("Copenhagen", "Europe", "Danish"),
    "Finland": Country("Helsinki", "Europe", "Finnish"),
    "Austria": Country("Vienna", "Europe", "German"),
    "Germany": Country("Berlin", "Europe", "German"),
    "Hungary": Country("Budapest", "Europe", "Hungarian"),
    "Portugal": Country("Lisbon", "Europe", "Portuguese"),
    "Brazil": Country("Brasilia", "America", "Portuguese"),
    "Canada": Country("Ottawa", "America", "English"),
    "Vietnam": Country("Hanoi", "Asia", "Vietnamese"),
    "Thailand": Country("Bangkok", "Asia", "Thai"),
    "Iraq": Country("Baghdad", "Asia", "Arabic"),
    "Morocco": Country("Rabat", "Africa", "Arabic"),
    "Senegal": Country("Dakar", "Africa", "French"),
    "Uganda": Country("Kampala", "Africa", "English"),
    "Ireland": Country("Dublin", "Europe", "English"),
    "Belgium": Country("Brussels", "Europe", "French"),
    "Ukraine": Country("Kyiv", "Europe", "Ukrainian"),
}

JOBS = {
    "farmer": Job("grow corn", "farm", "tractor"),
    "baker": Job("bake bread", "bakery", "mixer"),
    "doctor": Job("help sick people", "hospital", "stethoscope"),
    "teacher": Job("teach children", "school", "book"),
    "pirate": Job("sail the sea", "ship", "map"),
    "cook": Job("make soup", "kitchen", "pot"),
    "painter": Job("paint pictures", "studio", "brush"),
    "tailor": Job("sew clothes", "shop", "needle"),
    "king": Job("rule the land", "castle", "crown"),
    "miner": Job("dig for gold", "mine", "pick"),
    "fisher": Job("catch fish", "boat", "net"),
    "pilot": Job("fly planes", "airport", "radio"),
    "singer": Job("sing songs", "stage", "microphone"),
    "builder": Job("build houses", "site", "hammer"),
    "smith": Job("shape iron", "forge", "furnace"),
    "barber": Job("cut hair", "parlour", "razor"),
    "gardener": Job("water plants", "garden", "hose"),
    "sailor": Job("steer boats", "harbour", "rope"),
    "knight": Job("guard the gate", "tower", "sword"),
    "writer": Job("tell stories", "office", "pencil"),
    "dancer": Job("dance all night", "theatre", "ribbon"),
    "driver": Job("carry people", "station", "bus"),
    "hunter": Job("follow tracks", "woods", "bow"),
    "nurse": Job("care for babies", "clinic", "bandage"),
    "clown": Job("make people laugh", "circus", "balloon"),
    "wizard": Job("cast spells", "library", "wand"),
    "shepherd": Job("watch the flock", "meadow", "stick"),
    "waiter": Job("serve food", "restaurant", "tray"),
}

MOODS = (
    "happy", "sad", "small", "big", "brave", "lazy",
    "proud", "young", "clever", "hungry", "quiet", "wild",
)  # fmt: skip
VERBS = ("runs", "sleeps", "plays", "sits", "walks", "waits")
PLACES = ("garden", "park", "river", "house", "road", "forest", "village", "market")
IMPRESSIONS = (
    "It makes everyone smile.",
    "The sun is warm.",
    "What a fine day it is.",
    "The children watch it.",
    "It is a sight to remember.",
)
NAMES = (
    "Anna", "Tom", "Ben", "Mia", "Leo", "Sara", "Jack", "Lily", "Max", "Nina", "Paul", "Ruth",
)  # fmt: skip
COLOURS = ("yellow", "red", "green", "purple", "orange", "black", "white", "brown", "blue")
OWNED = ("apples", "books", "hats", "cups", "balls", "pens", "shoes", "boxes")
COUNTS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
)  # fmt: skip
LIST_WORDS = (
    "dog", "cat", "cow", "pig", "hen", "owl", "bee", "fox",
    "bat", "ant", "red", "blue", "cup", "hat", "pen", "box",
)  # fmt: skip
COMPARISONS = {
    "taller": "tallest",
    "older": "oldest",
    "faster": "fastest",
    "stronger": "strongest",
}
