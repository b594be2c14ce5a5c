"""One value says where a run computes; every stage gets it, and none asks anybody else."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from scenelift.errors import DeviceMemoryError, SetupError
from scenelift.options import BackendOptions, ReconstructionOptions
from scenelift.pipeline import Pipeline
from scenelift.runtime import Runtime
from scenelift.testing.fakes import (
    BallReconstructor,
    ColorSegmenter,
    PlanePointMapper,
    disc_photo,
)

torch = pytest.importorskip("torch")


def test_without_networks_auto_is_the_cpu_and_pytorch_stays_unloaded():
    code = (
        "import sys\n"
        "from scenelift.options import BackendOptions\n"
        "from scenelift.runtime import Runtime\n"
        "assert Runtime.of(BackendOptions(), networks=False).device == 'cpu'\n"
        "assert Runtime.of(BackendOptions(device='cpu')).device == 'cpu'\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_device_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(SetupError, match="cuda"):
        Runtime.of(BackendOptions(device="cuda:1"), networks=False)


def test_options_of_any_backend_make_a_runtime_and_a_runtime_stays_itself():
    runtime = Runtime.of(BackendOptions(device="cpu", threads=3, vram_bytes=10**9))
    assert runtime.options == ReconstructionOptions(device="cpu", threads=3, vram_bytes=10**9)
    assert (runtime.threads, runtime.memory_bytes) == (3, None), "a CPU has no budget of its own"
    assert Runtime.of(runtime) is runtime
    assert runtime.dtype == torch.float32
    with pytest.raises(SetupError, match="float32"):
        _ = runtime.with_options(precision="float16").dtype


class Greedy(BallReconstructor):
    """Has too little memory for blue objects."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def reconstruct(self, view, **more):
        if view.instance.label == "blue":
            raise self.error
        return super().reconstruct(view, **more)


# "cpu:0" is the CPU by PyTorch's name, for which PyTorch's own error is looked at.
@pytest.mark.parametrize(
    ("device", "error"),
    [("cpu", MemoryError("no more")), ("cpu:0", torch.OutOfMemoryError("no more"))],
)
def test_too_little_memory_is_one_error_whoever_raises_it(device, error):
    runtime = Runtime(device=device)
    with pytest.raises(DeviceMemoryError, match="no more"), runtime.active():
        raise error
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), Greedy(error), runtime=runtime)
    scene = pipeline.run(disc_photo(), "red; blue")
    assert [f.error for f in scene.provenance.failed] == ["out-of-memory"]


def test_finishing_and_drawing_compute_where_the_run_does(tmp_path, monkeypatch):
    import scenelift.finish.stage
    import scenelift.render.turntable

    devices: dict[str, str] = {}
    finish, draw = scenelift.finish.stage.finish, scenelift.render.turntable.splat_renderer

    def finish_there(*args):
        devices["finish"] = args[-1]
        return finish(*args)

    def draw_there(gaussians, device, **more):
        devices["draw"] = device
        return draw(gaussians, device, **more)

    monkeypatch.setattr(scenelift.finish.stage, "finish", finish_there)
    monkeypatch.setattr(scenelift.render.turntable, "splat_renderer", draw_there)
    pipeline = Pipeline(
        ColorSegmenter(), PlanePointMapper(), BallReconstructor(), runtime=Runtime(device="cpu:0")
    )
    pipeline.run(disc_photo(), "red").save(tmp_path)
    assert devices == {"finish": "cpu:0", "draw": "cpu:0"}


@pytest.mark.gpu
def test_a_run_on_the_second_gpu_leaves_the_first_alone(tmp_path):
    if torch.cuda.device_count() < 2:
        pytest.skip("this machine has one GPU at most")
    before = torch.cuda.mem_get_info(0)[0]
    runtime = Runtime.of(BackendOptions(device="cuda:1"))
    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor(), runtime=runtime)
    pipeline.run(disc_photo(), "red; blue").save(tmp_path)
    assert torch.cuda.memory_reserved(0) == 0
    assert torch.cuda.max_memory_allocated(1) > 0
    assert np.isclose(torch.cuda.mem_get_info(0)[0], before, rtol=0, atol=2**20)
