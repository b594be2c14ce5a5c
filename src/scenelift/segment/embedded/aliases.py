"""Everyday words that neither the class names nor WordNet assigns to a class: data only.

A phrase stands here in the singular. It is looked up before WordNet, so an entry also overrules
it: WordNet's first "plant" is a factory, its "coach" a trainer, and "puppy" is also a person.
"""

from __future__ import annotations

__all__ = ["ALIASES", "EVERYTHING", "MISREAD", "SUBJECT"]

VEHICLES = (
    *("car", "truck", "bus", "motorcycle", "bicycle", "train", "airplane", "boat"),
    "vehicle",
)
FOOTWEAR = ("footwear", "boot", "high heels")
# A monitor on a desk is a tv to one photo's detector and a laptop to the next one's.
SCREENS = ("tv", "laptop")

ALIASES: dict[str, tuple[str, ...]] = {
    # people
    "man": ("person",),
    "everyone": ("person",),
    "everybody": ("person",),
    "somebody": ("person",),
    "someone": ("person",),
    "people": ("person",),
    "human": ("person",),
    "human being": ("person",),
    "folk": ("person",),
    "guy": ("person",),
    "kid": ("person",),
    "family": ("person",),
    "crowd": ("person",),
    "couple": ("person",),
    "pedestrian": ("person",),
    "fireman": ("person",),
    "firefighter": ("person",),
    # Who does something more often than what does it.
    **dict.fromkeys(
        (
            *("bowler", "conductor", "diner", "hunter", "leader", "privateer", "rapper", "sailor"),
            *("sharpshooter", "smoker", "spectator", "supporter", "walker"),
        ),
        ("person",),
    ),
    # vehicles
    "vehicle": VEHICLES,
    "suv": ("car",),
    "van": ("car", "truck"),
    "minivan": ("car",),
    "camper": ("truck", "bus"),
    "pickup": ("truck",),
    "coach": ("bus",),
    "school bus": ("bus",),
    "tram": ("train", "bus"),
    "streetcar": ("train", "bus"),
    "trolley": ("train", "bus"),
    "lorry": ("truck",),
    "locomotive": ("train",),
    "subway": ("train",),
    "metro": ("train",),
    "motorbike": ("motorcycle",),
    "scooter": ("motorcycle",),
    "moped": ("motorcycle",),
    "vespa": ("motorcycle",),
    "bike": ("bicycle",),
    "jet": ("airplane",),
    "plane": ("airplane",),
    "aircraft": ("airplane",),
    "ship": ("boat",),
    "yacht": ("boat",),
    "vessel": ("boat",),
    "stationary bicycle": ("exercise bike",),
    "stationary bike": ("exercise bike",),
    # street
    "stoplight": ("traffic light",),
    "hydrant": ("fire hydrant",),
    # animals: WordNet files the young under "young mammal"
    "animal": (
        *("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
    ),
    "pet": ("cat", "dog", "bird"),
    "puppy": ("dog",),
    "pup": ("dog",),
    "doggy": ("dog",),
    "kitten": ("cat",),
    "kitty": ("cat",),
    "lamb": ("sheep",),
    "calf": ("cow",),
    "ox": ("cow",),
    "foal": ("horse",),
    "cub": ("bear",),
    "chick": ("bird",),
    "chicken": ("bird",),
    "duck": ("bird",),
    "turkey": ("bird",),
    # furniture
    "furniture": ("chair", "couch", "bed", "dining table", "desk", "bench"),
    "seat": ("chair", "couch", "bench"),
    "seating": ("chair", "couch", "bench"),
    "stool": ("chair",),
    "desk": ("desk", "dining table"),
    "table": ("dining table", "desk"),
    "settee": ("couch",),
    "dining room table": ("dining table",),
    "loveseat": ("couch",),
    "love seat": ("couch",),
    # things on a table
    "mug": ("cup",),
    "glass": ("wine glass", "cup"),
    "beer glass": ("wine glass", "cup"),
    "drinking glass": ("wine glass", "cup"),
    "tumbler": ("cup",),
    "goblet": ("wine glass",),
    "cutlery": ("fork", "knife", "spoon"),
    "silverware": ("fork", "knife", "spoon"),
    "flatware": ("fork", "knife", "spoon"),
    "tableware": ("cup", "bowl", "wine glass", "fork", "knife", "spoon", "bottle"),
    "dishes": ("cup", "bowl"),
    "crockery": ("cup", "bowl"),
    "container": ("cup", "bowl", "bottle", "vase", "box"),
    "drink": ("cup", "wine glass", "bottle"),
    # food
    "food": (
        *("banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza"),
        *("donut", "cake"),
    ),
    "fruit": ("banana", "apple", "orange"),
    "vegetable": ("broccoli", "carrot"),
    "burger": ("sandwich",),
    "hamburger": ("sandwich",),
    "bagel": ("donut",),
    "mandarin": ("orange",),
    "tangerine": ("orange",),
    "clementine": ("orange",),
    "satsuma": ("orange",),
    # electronics
    "monitor": SCREENS,
    "screen": SCREENS,
    "display": SCREENS,
    "computer screen": SCREENS,
    "computer monitor": SCREENS,
    "computer": ("laptop", "tv"),
    "notebook": ("laptop", "book"),
    "notebook computer": ("laptop",),
    "phone": ("cell phone",),
    "telephone": ("cell phone",),
    "smartphone": ("cell phone",),
    "iphone": ("cell phone",),
    "computer mouse": ("mouse",),
    "electronics": (
        *("tv", "laptop", "cell phone", "mouse", "keyboard", "remote", "camera", "microwave"),
    ),
    "fridge": ("refrigerator",),
    "freezer": ("refrigerator",),
    "stove": ("oven",),
    "cooker": ("oven",),
    # plants and toys
    "plant": ("potted plant",),
    "houseplant": ("potted plant",),
    "pot plant": ("potted plant",),
    "stuffed toy": ("teddy bear",),
    "stuffed animal": ("teddy bear",),
    "plush toy": ("teddy bear",),
    "plush bear": ("teddy bear",),
    "plushie": ("teddy bear",),
    "soft toy": ("teddy bear",),
    "toy bear": ("teddy bear",),
    # worn and carried
    "shoe": FOOTWEAR,
    "sneaker": FOOTWEAR,
    "footwear": FOOTWEAR,
    "heel": ("high heels",),
    "high heel": ("high heels",),
    "bag": ("handbag", "backpack", "suitcase"),
    "luggage": ("suitcase", "backpack", "handbag"),
    "baggage": ("suitcase", "backpack", "handbag"),
    "purse": ("handbag",),
    "parasol": ("umbrella",),
    # sport
    "ball": ("sports ball",),
    "football": ("sports ball",),
    "soccer ball": ("sports ball",),
    "basketball": ("sports ball",),
    "volleyball": ("sports ball",),
    "baseball": ("sports ball",),
    "racket": ("tennis racket",),
    "racquet": ("tennis racket",),
}

EVERYTHING = frozenset(
    {
        *("everything", "all", "anything", "whatever", "object", "thing", "item", "stuff"),
        "every object",
    }
)

SUBJECT = frozenset(
    {
        "main subject",
        "main object",
        "subject",
        "foreground",
        "foreground object",
        "salient object",
        "main thing",
        "main item",
    }
)

MISREAD = frozenset(
    {
        *("bark", "bottom", "can", "creeper", "drone", "engine", "fin", "heap", "poster", "pump"),
        *("stage", "tin can", "tower"),
    }
)
"""Words that name a class of ours in a rare sense of WordNet's alone: a poster was a post horse, a
can a toilet, a tower a tugboat."""
