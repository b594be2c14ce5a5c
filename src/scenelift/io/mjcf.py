"""Write scenes for MuJoCo: one MJCF file with the meshes beside it.

`scene.xml` drops into a simulation as it is; `scene_physics/` holds each object's look (OBJ with
its texture) and its convex colliders (STL). MJCF: https://mujoco.readthedocs.io/en/stable/XMLreference.html
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np

from scenelift.errors import FormatError
from scenelift.io.body_files import MESHES, BodyFiles, write_body_files
from scenelift.io.files import write_bytes
from scenelift.physics.bodies import Body, Shelf, World

__all__ = ["write_mjcf"]

SIZE_OF_FLOOR = 0  # drawn to the horizon
LOOK, COLLIDE = "2", "3"  # groups, as MuJoCo's own models have them: looks shown, colliders hidden


def write_mjcf(path: Path, world: World) -> list[Path]:
    """Write a world as MJCF; return the files written, the MJCF last.

    Args:
        path: `scene.xml`; meshes go to the folder `scene_physics` beside it.
        world: bodies with colliders.

    Raises:
        FormatError: there is no body.
        OutputError: a file cannot be written.
    """
    if not world.bodies:
        raise FormatError(f"There is no mesh to write to {path.name}.")
    files = write_body_files(path.parent / MESHES, world.bodies)
    root = Xml.Element("mujoco", model="scene")
    Xml.SubElement(root, "compiler", meshdir=MESHES, texturedir=MESHES, angle="radian")
    # Pieces of one body touch each other by nature; thin things need small steps.
    Xml.SubElement(root, "option", timestep="0.002", integrator="implicitfast")
    assets = Xml.SubElement(root, "asset")
    place = Xml.SubElement(root, "worldbody")
    Xml.SubElement(place, "light", pos="0 0 4", dir="0 0 -1", directional="true")
    Xml.SubElement(
        place,
        "geom",
        name="floor",
        type="plane",
        size=f"{SIZE_OF_FLOOR} {SIZE_OF_FLOOR} .05",
        friction=_friction(world.bodies[0].friction),
        rgba=".8 .8 .8 1",
    )
    for index, shelf in enumerate(world.shelves):
        _shelf(place, index, shelf, world.bodies[0].friction)
    for body, of_body in zip(world.bodies, files, strict=True):
        _body(assets, place, body, of_body)
    Xml.indent(root)
    write_bytes(path, Xml.tostring(root, "utf-8", xml_declaration=True) + b"\n")
    return [*(file for f in files for file in f.all), path]


def _body(assets: Xml.Element, place: Xml.Element, body: Body, files: BodyFiles) -> None:
    name = files.name
    Xml.SubElement(assets, "mesh", name=f"{name}_look", file=files.look.name)
    look = {"name": f"{name}_look", "type": "mesh", "mesh": f"{name}_look"}
    look |= {"group": LOOK, "contype": "0", "conaffinity": "0", "mass": "0"}
    if files.texture is None:
        look["rgba"] = numbers([*files.colour, 1])
    else:
        Xml.SubElement(assets, "texture", name=name, type="2d", file=files.texture.name)
        Xml.SubElement(assets, "material", name=name, texture=name, specular=".2")
        look["material"] = name
    entry = Xml.SubElement(
        place,
        "body",
        name=name,
        pos=numbers(body.position),
        quat=numbers(body.rotation),
    )
    Xml.SubElement(entry, "freejoint", name=name)
    rows, columns = (0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2)  # in MuJoCo's order
    Xml.SubElement(
        entry,
        "inertial",
        pos=numbers(body.centre),
        mass=f"{body.mass:.9g}",
        fullinertia=numbers(body.inertia[rows, columns]),
    )
    Xml.SubElement(entry, "geom", look)
    for index, hull in enumerate(files.hulls):
        Xml.SubElement(assets, "mesh", name=f"{name}_{index}", file=hull.name)
        Xml.SubElement(
            entry,
            "geom",
            name=f"{name}_{index}",
            type="mesh",
            mesh=f"{name}_{index}",
            group=COLLIDE,
            friction=_friction(body.friction),
        )


def _shelf(place: Xml.Element, index: int, shelf: Shelf, friction: float) -> None:
    half = (np.subtract(shelf.high, shelf.low)) / 2
    middle = (np.add(shelf.high, shelf.low)) / 2
    Xml.SubElement(
        place,
        "geom",
        name=f"surface_{index}",
        type="box",
        pos=numbers([*middle, shelf.height - shelf.thickness / 2]),
        size=numbers([*half, shelf.thickness / 2]),
        friction=_friction(friction),
        rgba=".7 .7 .7 .5",
    )


def _friction(slide: float) -> str:
    """Write sliding friction, and MuJoCo's own values for twisting and rolling."""
    return f"{slide:.4g} 0.005 0.0001"


def numbers(values: Sequence[float] | np.ndarray) -> str:
    """Join numbers with blanks, as XML of simulators has them."""
    return " ".join(f"{float(v):.9g}" for v in values)
