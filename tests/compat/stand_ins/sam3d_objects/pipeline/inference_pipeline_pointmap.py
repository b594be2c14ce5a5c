"""`InferencePipelinePointMap`: real arguments, results of the real types and frames.

The object is a box with z up, 0.6 × 0.4 × 0.8 along x, y, z, whose splats are its corners.
"""

from __future__ import annotations

import numpy as np
import PIL.Image
import torch
import trimesh

EXTENTS = (0.6, 0.4, 0.8)


class Gaussian:
    """Meta's container: raw parameters inside, activated values as properties."""

    def __init__(self, xyz, noise):
        n = len(xyz)
        self._xyz = xyz
        self._features_dc = noise[:, None, :3]
        self._scaling = torch.full((n, 3), -4.0)
        self._rotation = torch.tensor([[0.2, 1.0, 0, 0]]).repeat(n, 1)
        self._opacity = torch.zeros(n, 1)

    @property
    def get_xyz(self):
        return self._xyz

    @property
    def get_features(self):
        return self._features_dc

    @property
    def get_scaling(self):
        return torch.nn.functional.softplus(self._scaling)

    @property
    def get_rotation(self):
        return torch.nn.functional.normalize(self._rotation, dim=-1)

    @property
    def get_opacity(self):
        return torch.sigmoid(self._opacity)


class InferencePipelinePointMap:
    def __init__(
        self,
        *,
        depth_model,
        rendering_engine="nvdiffrast",
        device="cuda",
        compile_model=False,
        workspace_dir="",
        dtype="bfloat16",
        layout_post_optimization_method=None,
    ):
        self.depth_model = depth_model
        self.rendering_engine, self.device = rendering_engine, device
        self.compile_model, self.workspace_dir = compile_model, workspace_dir
        self.asked = {}

    def run(
        self,
        image,
        mask=None,
        seed=None,
        stage1_only=False,
        with_mesh_postprocess=True,
        with_texture_baking=True,
        with_layout_postprocess=True,
        use_vertex_color=False,
        stage1_inference_steps=None,
        stage2_inference_steps=None,
        use_stage1_distillation=False,
        use_stage2_distillation=False,
        pointmap=None,
        decode_formats=None,
        estimate_plane=False,
    ):
        self.asked = {k: v for k, v in locals().items() if k != "self"}
        if seed is not None:
            torch.manual_seed(seed)
        half = torch.tensor(EXTENTS) / 2
        signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)
        corners = signs * half  # [8, 3], z up
        seen = pointmap[torch.from_numpy(image[..., 3] > 0)]
        box = trimesh.creation.box(EXTENTS)
        up = box.vertices @ np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # y up
        glb = trimesh.Trimesh(up, box.faces, process=False)
        if with_texture_baking:
            grey = np.random.randint(256)  # noqa: NPY002 - as the real baker draws
            picture = np.full((4, 4, 3), grey, np.uint8)
            material = trimesh.visual.material.PBRMaterial(
                baseColorTexture=PIL.Image.fromarray(picture)
            )
            glb.visual = trimesh.visual.TextureVisuals(uv=up[:, :2] + 0.5, material=material)
        elif use_vertex_color:
            glb.visual.vertex_colors = np.tile([10, 20, 30, 255], (len(up), 1))
        angle = np.deg2rad(30) / 2
        return {
            "coords": torch.zeros(42, 4, dtype=torch.int32),
            # About PyTorch3D's y axis, for row vectors.
            "rotation": torch.tensor([[np.cos(angle), 0, np.sin(angle), 0]]),
            "translation": seen.nanmean(0, keepdim=True),
            "scale": torch.full((1, 3), 2.0),
            "gaussian": [Gaussian(corners, torch.rand(8, 3))],
            "glb": glb,
            "gs": None,
        }
