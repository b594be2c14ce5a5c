"""Write a scene in further formats that the user asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from scenelift.compose import create_scene_mesh, make_scene
from scenelift.formats import EXTRA_FORMATS
from scenelift.geometry.transforms import pose_matrix
from scenelift.io.files import write_bytes
from scenelift.io.glb import GlbNode
from scenelift.types import Background, Mesh, SceneObject

if TYPE_CHECKING:
    from scenelift.options import ExportOptions, SplatFrame
    from scenelift.physics.bodies import World
    from scenelift.scene import Scene

__all__ = ["ExtraFiles", "load_packages"]

_USD_MODULES = "Gf Sdf Tf Usd UsdGeom UsdPhysics UsdShade UsdUtils UsdVol Vt"
_MODULES = {"pxr": tuple(f"pxr.{name}" for name in _USD_MODULES.split())}


def load_packages(kinds: Iterable[str]) -> None:
    """Import the packages that formats need before threads write; missing ones are skipped.

    OpenUSD gives Python's lock away while the system's loader holds its own, and wants it back: it
    waits for ever for a thread that has Python's lock and is about to load another library.
    """
    for kind in kinds:
        for package, _ in EXTRA_FORMATS[kind].packages:
            with suppress(ImportError):
                for module in _MODULES.get(package, (package,)):
                    import_module(module)


class ExtraFiles:
    """Writes a scene in the formats of `formats.EXTRA_FORMATS`; may be used by several threads.

    Args:
        objects: of the scene, in order.
        metres: whether the scene's unit is the metre.
        frame: axes of the splat files that have no axes of their own.
        background: what is around the objects.
        up: against gravity; that of the background counts where there is one.
        levels: heights along `up` of floor and table tops; likewise.
        densities: label or word -> kg/m³, in place of the built-in ones.
    """

    def __init__(
        self,
        objects: Sequence[SceneObject],
        *,
        metres: bool,
        frame: SplatFrame,
        background: Background | None = None,
        up: Sequence[float] = (0.0, 1.0, 0.0),
        levels: Sequence[float] = (),
        densities: Mapping[str, float] | None = None,
    ) -> None:
        self._objects, self._metres = objects, metres
        self._frame: SplatFrame = frame
        self._background = background
        self._up = up if background is None else background.up
        self._levels = levels if background is None else background.levels
        self._densities = densities
        self._world: World | None = None
        self._lock = Lock()

    @classmethod
    def of(cls, scene: Scene, options: ExportOptions) -> ExtraFiles:
        """Make the writer of the extra files that a run's options ask for."""
        return cls(
            scene.objects,
            metres=scene.units == "metres",
            frame=options.splat_frame,
            background=scene.background,
            up=scene.up,
            levels=scene.levels,
            densities={d.label: d.kg_per_m3 for d in options.densities},
        )

    def write(self, kind: str, path: Path) -> list[Path]:
        """Write one format; return the files written.

        Args:
            kind: the format.
            path: the file, replaced atomically.

        Raises:
            SetupError: a package that the format needs is not installed.
            FormatError: there is nothing of the kind to write.
            OutputError: a file cannot be written.
        """
        writers: dict[str, Callable[[Path], list[Path] | None]] = {
            "splats.glb": self._splats_glb,
            "usdz": self._usdz,
            "usd": self._usd,
            "mjcf": self._mjcf,
            "urdf": self._urdf,
            "3mf": self._3mf,
            "stl": self._stl,
            "compact.glb": self._compact_glb,
        }
        if kind not in writers:
            return self._splats(kind, path)
        return writers[kind](path) or [path]

    @property
    def world(self) -> World | None:
        """The objects as rigid bodies, if a format needed them."""
        return self._world

    @property
    def _nodes(self) -> list[GlbNode]:
        return create_scene_mesh(self._objects)

    @property
    def _nodes_and_room(self) -> list[GlbNode]:
        if self._background is None:
            return self._nodes
        return [*self._nodes, GlbNode(name="background", mesh=self._background.mesh)]

    def _splats(self, kind: str, path: Path) -> list[Path]:
        from scenelift.io.splat_formats import write_splats

        write_splats(path, make_scene(self._objects), kind, frame=self._frame)
        return [path]

    def _splats_glb(self, path: Path) -> None:
        from scenelift.io.glb import write_glb

        empty = Mesh(vertices=np.zeros((0, 3), np.float32), faces=np.zeros((0, 3), np.int32))
        meshes = {node.name: node for node in self._nodes}
        nodes = [
            replace(
                meshes.get(o.name) or GlbNode(name=o.name, mesh=empty, matrix=pose_matrix(o.pose)),
                splats=o.shape.gaussians,
            )
            for o in self._objects
        ]
        write_glb(path, nodes)

    def _usdz(self, path: Path) -> None:
        from scenelift.io.usd import write_usdz

        write_usdz(path, self._nodes_and_room)

    def _usd(self, path: Path) -> list[Path]:
        from scenelift.io.usd import write_usd

        splats = {o.name: o.shape.gaussians for o in self._objects if o.shape.gaussians is not None}
        return write_usd(path, self._nodes_and_room, splats, self._bodies())

    def _mjcf(self, path: Path) -> list[Path]:
        from scenelift.io.mjcf import write_mjcf

        return write_mjcf(path, self._bodies())

    def _urdf(self, path: Path) -> list[Path]:
        from scenelift.io.urdf import write_urdf

        return write_urdf(path, self._bodies())

    def _3mf(self, path: Path) -> None:
        from scenelift.io.three_mf import write_3mf

        write_3mf(path, self._nodes, metres=self._metres)

    def _stl(self, path: Path) -> None:
        from scenelift.io.stl import write_stl

        write_stl(path, self._nodes, metres=self._metres)

    def _compact_glb(self, path: Path) -> None:
        from scenelift.io.glb import glb_bytes
        from scenelift.io.glb_compact import compact_glb

        write_bytes(path, compact_glb(glb_bytes(self._nodes)))

    def _bodies(self) -> World:
        """Make the objects' rigid bodies, once for all formats that need them."""
        from scenelift.physics.bodies import world_of

        with self._lock:
            if self._world is None:
                self._world = world_of(
                    self._objects,
                    up=self._up,
                    levels=self._levels,
                    metres=self._metres,
                    densities=self._densities,
                )
            return self._world
