"""Stage 2, pointmap: find a 3D point in front of the camera for each pixel."""

from scenelift.lacks import Lack
from scenelift.options import BackendOptions
from scenelift.pointmap.base import POINT_MAPPERS, PointMapper
from scenelift.registry import Backend
from scenelift.runtime import Runtime

__all__ = ["POINT_MAPPERS", "PointMapper"]


def _load_embedded(runtime: Runtime) -> PointMapper:
    from scenelift.errors import WeightsError
    from scenelift.models.embedded.depth_head import DepthHeadPointMapper
    from scenelift.pointmap.embedded import EmbeddedPointMapper

    try:
        return DepthHeadPointMapper.from_options(runtime)
    except WeightsError:  # the backbone is not installed: a guess from sizes needs no weights
        return EmbeddedPointMapper()


POINT_MAPPERS.add(Backend(name="embedded", load=_load_embedded))


def _load_moge(runtime: Runtime) -> PointMapper:
    from scenelift.pointmap.moge import MoGePointMapper

    mapper = MoGePointMapper.from_options(runtime)
    if _moge2_lacks(runtime.options):
        return mapper
    from scenelift.pointmap.metres import ScaledPointMapper

    return ScaledPointMapper(mapper, _load_moge2(runtime))


def _moge_lacks(options: BackendOptions) -> list[Lack]:
    from scenelift.pointmap.moge_weights import lacks

    return lacks(options)


POINT_MAPPERS.add(
    Backend(
        name="moge",
        load=_load_moge,
        networks=True,
        lacks=_moge_lacks,
        licence=(
            "code and weights MIT: commercial use allowed, "
            "https://huggingface.co/Ruicheng/moge-vitl"
        ),
    )
)


def _load_moge2(runtime: Runtime) -> PointMapper:
    from scenelift.pointmap.moge2 import MetricMoGePointMapper

    return MetricMoGePointMapper.from_options(runtime)


def _moge2_lacks(options: BackendOptions) -> list[Lack]:
    from scenelift.pointmap.moge_weights import metric_lacks

    return metric_lacks("moge-2", options)


def _load_moge2_small(runtime: Runtime) -> PointMapper:
    from scenelift.pointmap.moge2 import MetricMoGePointMapper

    return MetricMoGePointMapper.from_options(runtime, name="moge-2-small")


def _moge2_small_lacks(options: BackendOptions) -> list[Lack]:
    from scenelift.pointmap.moge_weights import metric_lacks

    return metric_lacks("moge-2-small", options)


POINT_MAPPERS.add(
    Backend(
        name="moge-2",
        load=_load_moge2,
        networks=True,
        lacks=_moge2_lacks,
        licence=(
            "code and weights MIT: commercial use allowed, "
            "https://huggingface.co/Ruicheng/moge-2-vitl-normal"
        ),
    )
)
POINT_MAPPERS.add(
    Backend(
        name="moge-2-small",
        load=_load_moge2_small,
        networks=True,
        lacks=_moge2_small_lacks,
        licence=(
            "code and weights MIT: commercial use allowed, "
            "https://huggingface.co/Ruicheng/moge-2-vits-normal"
        ),
    )
)
