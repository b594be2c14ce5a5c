"""Make further files of a finished scene, by the code that writes every scene."""

from __future__ import annotations

from pathlib import Path

from scenelift.compose import make_scene
from scenelift.errors import FormatError
from scenelift.io.animation import write_animation, write_png
from scenelift.io.splat_reader import write_splat_file
from scenelift.output.export import Export, Format, Picture, SplatsInFrame
from scenelift.output.extra import ExtraFiles, load_packages
from scenelift.output.manifest import read_manifest
from scenelift.output.preview import preview_of
from scenelift.output.read import export_options, read_scene
from scenelift.progress import Reporter

__all__ = ["Exporter"]


class Exporter:
    """Makes files of the scene of a finished folder, by the options of its run.

    Args:
        folder: edited or not.
        device: what draws, as PyTorch names it.

    Raises:
        InputError: there is no finished scene, or a file of it is missing or damaged.
    """

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        manifest = read_manifest(folder)
        self._options = export_options(manifest)
        self._scene = read_scene(folder, manifest, device=device)
        self._extra = ExtraFiles.of(self._scene, self._options)

    def write(self, export: Export, folder: Path, report: Reporter) -> list[Path]:
        """Write one export; return the files written, the requested one first.

        Args:
            folder: where to; exists.
            report: progress; raises Cancelled between frames.

        Raises:
            SetupError: a package or program that it needs is not installed.
            FormatError: the scene has nothing of the kind.
            OutputError: a file cannot be written.
            Cancelled: the user stopped.
        """
        path = folder / export.name
        report.check()
        if isinstance(export, Format):
            load_packages([export.kind])
            return self._extra.write(export.kind, path)
        gaussians = make_scene(self._scene.objects)
        if not len(gaussians):
            raise FormatError("The scene has no splats.")
        if isinstance(export, SplatsInFrame):
            write_splat_file(path, gaussians, export.kind, frame=export.frame)
            return [path]
        loop = preview_of(self._scene, gaussians, export.options(self._options))
        frames = loop.pictures(report)
        if isinstance(export, Picture):
            write_png(path, frames[0])
        else:
            write_animation(path, frames)
        return [path]
