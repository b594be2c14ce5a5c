"""Stage 2, pointmap: where each pixel's surface lies in front of the camera."""

from scenelift.pointmap.base import POINT_MAPPERS, PointMapper
from scenelift.registry import Backend, BackendOptions

__all__ = ["POINT_MAPPERS", "PointMapper"]


def _load_embedded(options: BackendOptions) -> PointMapper:
    from scenelift.pointmap.embedded import EmbeddedPointMapper

    return EmbeddedPointMapper()


POINT_MAPPERS.add(Backend(name="embedded", load=_load_embedded))
