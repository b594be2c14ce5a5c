"""The classes that the embedded detectors can find, under one list of names.

COCO's 80 classes keep their names; the 23 classes of Open Images that one of the detectors knows
are mapped onto them where they mean the same thing, and add eight of their own.
"""

from __future__ import annotations

__all__ = ["CLASSES", "COCO", "OPEN_IMAGES", "SENSES"]

# In the order of the detector's outputs (COCO's own order).
COCO = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    *("traffic light", "fire hydrant", "stop sign", "parking meter", "bench"),
    *("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
    *("backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard"),
    *("sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl"),
    *("banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza"),
    *("donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet"),
    *("tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven"),
    *("toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)

# The detector's own label -> our class.
OPEN_IMAGES = {
    "Bicycle": "bicycle",
    "Boot": "boot",
    "Laptop": "laptop",
    "Person": "person",
    "Chair": "chair",
    "Cattle": "cow",
    "Desk": "desk",
    "Cat": "cat",
    "Computer mouse": "mouse",
    "Computer monitor": "tv",
    "Box": "box",
    "Mug": "cup",
    "Coffee cup": "cup",
    "Stationary bicycle": "exercise bike",
    "Table": "dining table",
    "Bottle": "bottle",
    "High heels": "high heels",
    "Vehicle": "vehicle",
    "Footwear": "footwear",
    "Dog": "dog",
    "Book": "book",
    "Camera": "camera",
    "Car": "car",
}

CLASSES = (*COCO, *dict.fromkeys(c for c in OPEN_IMAGES.values() if c not in COCO))

# Where a class sits in WordNet 3.1: its lemma and the number of the sense, from 1. A class that is
# not listed is the first sense of its own name. "dining table" is any table and "cow" any cattle,
# because that is how the detectors' training data was labelled.
SENSES = {
    "banana": ("banana", 2),
    "boat": ("vessel", 2),
    "book": ("book", 2),
    "bowl": ("bowl", 3),
    "broccoli": ("broccoli", 2),
    "cake": ("cake", 3),
    "carrot": ("carrot", 3),
    "cell phone": ("cellular_telephone", 1),
    "couch": ("sofa", 1),
    "cow": ("cattle", 1),
    "dining table": ("table", 2),
    "donut": ("doughnut", 2),
    "footwear": ("footwear", 2),
    "hair drier": ("hand_blower", 1),
    "hot dog": ("hotdog", 2),
    "keyboard": ("computer_keyboard", 1),
    "kite": ("kite", 3),
    "microwave": ("microwave", 2),
    "mouse": ("mouse", 4),
    "potted plant": ("pot_plant", 1),
    "remote": ("remote_control", 1),
    "skis": ("ski", 1),
    "sports ball": ("ball", 1),
    "stop sign": ("street_sign", 1),
    "teddy bear": ("teddy", 1),
    "tie": ("necktie", 1),
    "toaster": ("toaster", 2),
    "toilet": ("toilet", 2),
    "tv": ("television_receiver", 1),
    "wine glass": ("wineglass", 1),
}
