"""Stage 2, pointmap: where each pixel's surface lies in front of the camera."""

from scenelift.pointmap.base import POINT_MAPPERS, PointMapper
from scenelift.registry import Backend, BackendOptions

__all__ = ["POINT_MAPPERS", "PointMapper"]


def _load_embedded(options: BackendOptions) -> PointMapper:
    from scenelift.errors import WeightsError
    from scenelift.models.embedded.depth_head import DepthHeadPointMapper
    from scenelift.pointmap.embedded import EmbeddedPointMapper

    try:
        return DepthHeadPointMapper.from_options(options)
    except WeightsError:  # the backbone is not installed: a guess from sizes needs no weights
        return EmbeddedPointMapper()


POINT_MAPPERS.add(Backend(name="embedded", load=_load_embedded))


def _load_moge(options: BackendOptions) -> PointMapper:
    from scenelift.pointmap.moge import MoGePointMapper

    return MoGePointMapper.from_options(options)


def _moge_lacks(options: BackendOptions) -> list[str]:
    from scenelift.pointmap.moge_weights import lacks

    return lacks(options)


POINT_MAPPERS.add(
    Backend(
        name="moge",
        load=_load_moge,
        lacks=_moge_lacks,
        licence=(
            "code and weights MIT: commercial use allowed, "
            "https://huggingface.co/Ruicheng/moge-vitl"
        ),
    )
)
