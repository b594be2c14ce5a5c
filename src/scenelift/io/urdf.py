"""Write scenes as URDF for robotics: the objects are joined to one world by floating joints.

ROS, PyBullet, Isaac Sim and Drake read it; most of them want one object at a time, so each has a
file of its own beside the whole. URDF: https://wiki.ros.org/urdf/XML
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import FormatError
from scenelift.io.body_files import MESHES, BodyFiles, write_body_files
from scenelift.io.files import write_bytes
from scenelift.io.mjcf import numbers
from scenelift.physics.bodies import Body, World, pose_rotation

__all__ = ["write_urdf"]


def write_urdf(path: Path, world: World) -> list[Path]:
    """Write a world as URDF; return the files written, the whole scene's last.

    Args:
        path: `scene.urdf`; meshes and each object's own URDF go to `scene_physics` beside it.
        world: bodies with colliders.

    Raises:
        FormatError: there is no body.
        OutputError: a file cannot be written.
    """
    if not world.bodies:
        raise FormatError(f"There is no mesh to write to {path.name}.")
    folder = path.parent / MESHES
    files = write_body_files(folder, world.bodies)
    paths = [file for f in files for file in f.all]
    whole = Xml.Element("robot", name="scene")
    Xml.SubElement(whole, "link", name="world")
    for index, shelf in enumerate(world.shelves):
        link = Xml.SubElement(whole, "link", name=f"surface_{index}")
        size = [*np.subtract(shelf.high, shelf.low), shelf.thickness]
        middle = [*(np.add(shelf.high, shelf.low) / 2), shelf.height - shelf.thickness / 2]
        for kind in ("visual", "collision"):
            part = Xml.SubElement(link, kind)
            Xml.SubElement(Xml.SubElement(part, "geometry"), "box", size=numbers(size))
        _joint(whole, f"surface_{index}", "fixed", np.array(middle), np.eye(3))
    for body, of_body in zip(world.bodies, files, strict=True):
        alone = Xml.Element("robot", name=of_body.name)
        _link(alone, body, of_body, "")
        own = folder / f"{of_body.name}.urdf"
        _write(own, alone)
        paths.append(own)
        _link(whole, body, of_body, f"{MESHES}/")
        _joint(whole, of_body.name, "floating", body.position, pose_rotation(body.rotation))
    _write(path, whole)
    return [*paths, path]


def _link(robot: Xml.Element, body: Body, files: BodyFiles, folder: str) -> None:
    link = Xml.SubElement(robot, "link", name=files.name)
    inertial = Xml.SubElement(link, "inertial")
    Xml.SubElement(inertial, "origin", xyz=numbers(body.centre), rpy="0 0 0")
    Xml.SubElement(inertial, "mass", value=f"{body.mass:.6g}")
    entries = {f"i{'xyz'[r]}{'xyz'[c]}": (r, c) for r in range(3) for c in range(r, 3)}
    Xml.SubElement(
        inertial, "inertia", {name: f"{body.inertia[rc]:.6g}" for name, rc in entries.items()}
    )
    visual = Xml.SubElement(link, "visual")
    Xml.SubElement(
        Xml.SubElement(visual, "geometry"), "mesh", filename=f"{folder}{files.look.name}"
    )
    if files.texture is not None:
        material = Xml.SubElement(visual, "material", name=files.name)
        Xml.SubElement(material, "texture", filename=f"{folder}{files.texture.name}")
    else:
        material = Xml.SubElement(visual, "material", name=files.name)
        Xml.SubElement(material, "color", rgba=numbers([*files.colour, 1]))
    for hull in files.hulls:
        collision = Xml.SubElement(link, "collision")
        Xml.SubElement(
            Xml.SubElement(collision, "geometry"), "mesh", filename=f"{folder}{hull.name}"
        )


def _joint(
    robot: Xml.Element, name: str, kind: str, place: NDArray[Any], rotation: NDArray[np.float64]
) -> None:
    from scipy.spatial.transform import Rotation

    joint = Xml.SubElement(robot, "joint", name=f"world_{name}", type=kind)
    Xml.SubElement(joint, "parent", link="world")
    Xml.SubElement(joint, "child", link=name)
    angles = Rotation.from_matrix(rotation).as_euler("xyz")
    Xml.SubElement(joint, "origin", xyz=numbers(place), rpy=numbers(angles))


def _write(path: Path, robot: Xml.Element) -> None:
    Xml.indent(robot)
    write_bytes(path, Xml.tostring(robot, "utf-8", xml_declaration=True) + b"\n")
