"""What ImageNet's thousand categories show of the detectors' classes: data only.

The first list shows a class as it mostly looks: what looks like something else is something else.
The second has classes of which ImageNet has little (green apples, brown horses), and those
that hold or carry other things, where the classifier tells what lies on the table or in the bowl,
and the grass around a shoe: what it shows speaks for them, what it does not show not against them.
In neither are those of which it has nothing: people, forks, kites …
"""

from __future__ import annotations

__all__ = ["CATEGORIES", "PARTLY"]

CATEGORIES: dict[str, tuple[int, ...]] = {
    # vehicles
    "bicycle": (444, 671, 870, 880),
    "car": (407, 436, 468, 511, 609, 627, 656, 661, 734, 751, 817),
    "motorcycle": (665, 670),
    "airplane": (404, 895, 908),
    "bus": (654, 779, 829, 874),
    "train": (466, 547, 565, 705, 820, 829),
    "truck": (555, 569, 675, 717, 757, 803, 864, 867),
    "boat": (403, 472, 484, 510, 554, 576, 625, 628, 724, 780, 814, 833, 871, 914),
    # street
    "traffic light": (920,),
    "stop sign": (919,),
    "parking meter": (704,),
    # animals
    "bird": (*range(7, 25), *range(80, 101), *range(127, 147)),
    "cat": tuple(range(281, 288)),
    "dog": tuple(range(151, 276)),
    "sheep": (348, 349, 350),
    "elephant": (101, 385, 386),
    "bear": (294, 295, 296, 297),
    "zebra": (340,),
    # worn and carried
    "backpack": (414,),
    "umbrella": (879,),
    "handbag": (636, 748),
    "tie": (457, 906),
    # sport
    "skis": (795,),
    "sports ball": (429, 430, 522, 574, 722, 768, 805, 852, 890),
    "tennis racket": (752,),
    # at table
    "bottle": (440, 720, 737, 898, 901, 907),
    "wine glass": (441, 572, 966),
    "cup": (504, 647, 967, 968, 969),
    # food
    "banana": (954,),
    "orange": (950, 951),
    "broccoli": (937,),
    "hot dog": (934,),
    "pizza": (963,),
    # at home and at work
    "chair": (423, 559, 765, 857),
    "couch": (831,),
    "toilet": (861,),
    "tv": (598, 664, 782, 851),
    "laptop": (620, 681),
    "mouse": (673,),
    "remote": (761,),
    "keyboard": (508, 810, 878),
    "cell phone": (487, 590, 605),
    "microwave": (651,),
    "oven": (827,),
    "toaster": (859,),
    "sink": (896,),
    "refrigerator": (760,),
    "clock": (409, 530, 826, 892),
    "teddy bear": (850,),
    "hair drier": (589,),
    "camera": (732, 759),
}

PARTLY: dict[str, tuple[int, ...]] = {
    "bench": (703,),
    "horse": (339, 603),
    "cow": (345, 346, 347),
    "apple": (948, 957),
    "bowl": (659, 809, 926),
    "knife": (499, 623),
    "spoon": (618, 910),
    "cake": (927,),
    "sandwich": (933,),
    "donut": (931,),
    "potted plant": (738,),
    "vase": (738, 883),
    "bed": (520, 564, 750),
    "dining table": (532,),
    "desk": (526,),
    "book": (917, 921),
    "footwear": (502, 514, 630, 770, 774),
    "boot": (514,),
    "box": (478, 519),
}
