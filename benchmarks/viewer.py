"""Time the viewer on large scenes, in Chromium without a GPU: python -m benchmarks.viewer

Each scene is a million splats: ten tori with meshes, and one torus without any. The page is served
on this machine, so that the figures are the viewer's own: from navigation to the first picture, to
the whole scene, and pictures a second while it turns. A graphics card turns it far faster.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from benchmarks.render import mesh_torus, splat_torus
from scenelift.io.animation import write_png
from scenelift.io.files import write_json
from scenelift.io.glb import GlbNode, write_glb
from scenelift.io.ply import write_ply
from scenelift.output.manifest import (
    MANIFEST_NAME,
    CameraModel,
    FileModel,
    Manifest,
    ObjectModel,
    PoseModel,
    PromptModel,
)
from scenelift.output.page import viewer_page
from scenelift.output.page_server import folder_server

CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
LONGEST = 240.0  # seconds, then a scene counts as not shown
TURNING = 8.0  # seconds


def write_tori(folder: Path, count: int, splats: int, *, meshes: bool) -> Manifest:
    """An output folder with tori side by side; benchmarks.render's, whose centre is (0, 0, −4)."""
    gaussians, mesh = splat_torus(splats), mesh_torus()
    objects = []
    for k in range(count):
        name = f"{k:02}_torus"
        files = {"splats": f"objects/{name}/splats.ply"}
        (folder / "objects" / name).mkdir(parents=True)
        write_ply(folder / files["splats"], gaussians)
        if meshes:
            files["mesh"] = f"objects/{name}/mesh.glb"
            node = GlbNode(name=name, mesh=mesh, matrix=np.eye(4))
            write_glb(folder / files["mesh"], [node])
        where = (3.0 * (k % 5 - (min(count, 5) - 1) / 2), -3.0 * (k // 5), -4.0)
        objects.append(
            ObjectModel(
                index=k,
                name=name,
                label="torus",
                score=1,
                box=(0, 0, 8, 6),
                pose=PoseModel(rotation=(1, 0, 0, 0), translation=where, scale=1),
                gaussians=splats,
                vertices=0,
                faces=len(mesh.faces) if meshes else 0,
                files=files,
            )
        )
    write_png(folder / "input.png", np.full((6, 8, 3), 128, np.uint8))
    names = ["input.png", *(path for o in objects for path in o.files.values())]
    manifest = Manifest(
        generator="scenelift benchmark",
        fingerprint="",
        complete=True,
        prompt=PromptModel(phrases=["torus"]),
        seed=0,
        quality="custom",
        backends={},
        units="scene units",
        camera=CameraModel(fx=8, fy=8, cx=4, cy=3, width=8, height=6),
        scene_from_camera=np.eye(4).tolist(),
        objects=objects,
        files=[
            FileModel(path=name, bytes=(folder / name).stat().st_size, sha256="") for name in names
        ],
    )
    write_json(folder / MANIFEST_NAME, manifest.model_dump(mode="json"))
    return manifest


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with folder_server(folder, viewer_page(), 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def wait_for(page: Page, *states: str) -> float:
    """Seconds until the viewer says so."""
    began = time.perf_counter()
    while time.perf_counter() - began < LONGEST:
        if page.evaluate("document.querySelector('.viewer')?.dataset.state") in states:
            return time.perf_counter() - began
        time.sleep(0.05)
    raise TimeoutError(f"not {' or '.join(states)} after {LONGEST:g} s")


def pictures_per_second(page: Page) -> float:
    """While the scene turns, once it had time to find how much this machine can draw."""
    page.click("button[aria-label^=Turntable]")
    page.wait_for_timeout(1000 * TURNING)
    count = """seconds => new Promise(resolve => {
        let pictures = 0
        const until = performance.now() + 1000 * seconds
        const next = () => {
            pictures += 1
            if (performance.now() < until) requestAnimationFrame(next)
            else resolve(pictures / seconds)
        }
        requestAnimationFrame(next)
    })"""
    return page.evaluate(count, TURNING)


def measure(title: str, folder: Path) -> None:
    with served(folder) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1100, "height": 700})
        page.set_default_timeout(1000 * LONGEST)
        began = time.perf_counter()
        page.goto(url)
        wait_for(page, "partial", "ready")
        first = time.perf_counter() - began
        wait_for(page, "ready")
        whole = time.perf_counter() - began
        rate = pictures_per_second(page)
        browser.close()
    print(f"{title:<42} first {first:5.1f} s   whole {whole:5.1f} s   {rate:5.1f} pictures/s")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        scenes = (
            ("2 objects of 50 000 splats, with meshes", 2, 50_000, True),
            ("10 objects of 100 000 splats, with meshes", 10, 100_000, True),
            ("one object of 1 000 000 splats, no mesh", 1, 1_000_000, False),
        )
        for k, (title, count, splats, meshes) in enumerate(scenes):
            folder = root / str(k)
            folder.mkdir()
            write_tori(folder, count, splats, meshes=meshes)
            measure(title, folder)


if __name__ == "__main__":
    main()
