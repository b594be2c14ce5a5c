"""The catalogue of published models: origin, files, sizes, hashes, licences and use.

The one place that names them. `locate` finds them on a machine, `hub_models` fetches and checks
them, `bundles` gathers those of a quality; CONTRIBUTING says how to add one.

Revisions are those that sizes and SHA-256 were published for. Where only the first sixteen digits
of a hash are known, they are what is compared. Nothing here imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from scenelift.weights.artefact import Role
from scenelift.weights.hub import HubFile, HubRepository, WebFolder

__all__ = ["MODELS", "Model", "Terms", "by_name_only", "of_quality"]

_SAM_LICENCE = "SAM License; commercial use under conditions: see the licence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is not plain about a licence. Who fetches the model is told, and asked.

    Attributes:
        question: what was asked and not answered, in plain sentences.
        changed: since when the licence is as `question` says; earlier revisions had another.
        revision: one that other public programs pin, to be proposed.
    """

    question: str
    changed: date
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One published model.

    Attributes:
        name: what the code calls it, and its folder.
        bundle: the folder that it is put into, for all bundles that have it.
        purpose: what it is for, a few words.
        role: the stage that runs it.
        licence: of the weights; `repository` has its text.
        repository: where its files come from.
        files: all of them.
        signs: files that tell that a folder holds this model: any one of each group.
        qualities: those that use it; the first is what `models download` is told to get it.
        optional_in: those of them that can do without.
        bare: a user's own folder of weights may be this model's own, with nothing else in it.
        model_types: what its `config.json` calls itself, for models that transformers loads.
        reads_text: of those: it comes with a tokenizer.
        needs: models that it does not run without, where it belongs to no quality.
        unclear: what is not plain about its licence; None where nothing is.
        other_form: a tensor's name that tells another file of the same weights, which loads too
            in the place of the published one: the user's own, never compared or replaced.
    """

    name: str
    bundle: str
    purpose: str
    role: Role
    licence: str
    repository: HubRepository | WebFolder
    files: tuple[HubFile, ...]
    signs: tuple[tuple[str, ...], ...]
    qualities: tuple[str, ...] = ()
    optional_in: tuple[str, ...] = ()
    bare: bool = False
    model_types: tuple[str, ...] = ()
    reads_text: bool = True
    needs: tuple[str, ...] = ()
    unclear: Terms | None = None
    other_form: str = ""

    @property
    def size(self) -> int:
        """Bytes of its files, as far as they are known beforehand: all of the large ones."""
        return sum(file.size or 0 for file in self.files)

    @property
    def hub_id(self) -> str:
        """Its owner/name on huggingface.co; "" where it comes from elsewhere."""
        return self.repository.hub_id if isinstance(self.repository, HubRepository) else ""

    @property
    def gated(self) -> bool:
        """Whether its publisher asks for a signed-in user who has accepted the licence."""
        return isinstance(self.repository, HubRepository) and self.repository.gated

    @property
    def pinned(self) -> bool:
        """Whether its revision is the catalogue's; else the user names one."""
        return bool(self.repository.revision)

    def lies_in(self, folder: Path) -> bool:
        """Whether a folder holds this model, by the names of its main files."""
        return all(any((folder / name).is_file() for name in group) for group in self.signs)


def _files(table: str, *, folder: str = "", needed: bool = True) -> tuple[HubFile, ...]:
    """List files of a repository.

    Args:
        table: name, size and SHA-256 of each; "-" where it is not known.
        folder: of the repository, that they lie in, as "checkpoints/".
        needed: see `HubFile`.
    """
    words = ["" if word == "-" else word for word in table.split()]
    return tuple(
        HubFile(
            name=name,
            path=folder + name,
            size=int(size) if size else None,
            sha256=sha256,
            needed=needed,
        )
        for name, size, sha256 in zip(words[::3], words[1::3], words[2::3], strict=True)
    )


_SAM3 = Model(
    name="sam3",
    qualities=("full",),
    model_types=("sam3", "sam3_video"),
    bundle="full",
    purpose="from a phrase to masks",
    role="segment",
    licence=_SAM_LICENCE,
    repository=HubRepository(
        hub_id="facebook/sam3",
        revision="3c879f39826c281e95690f02c7821c4de09afae7",
        gated=True,
    ),
    files=(
        *_files(
            """
            model.safetensors 3_439_938_512
                6d06f0a5f84e435071fe6603e61d0b4cc7b40e0d39d487cfd4d67d8cc11cc14a
            config.json - -
            processor_config.json - -
            tokenizer.json - -
            tokenizer_config.json - -
            """,
        ),
        *_files(
            """
            special_tokens_map.json - -
            vocab.json - -
            merges.txt - -
            LICENSE - -
            """,
            needed=False,
        ),
    ),
    signs=(("config.json",), ("model.safetensors", "model.safetensors.index.json")),
)

_MOGE = Model(
    name="moge",
    qualities=("full",),
    bundle="full",
    purpose="depth and camera",
    role="pointmap",
    licence="MIT; commercial use allowed",
    repository=HubRepository(
        hub_id="Ruicheng/moge-vitl", revision="ad326bfb61facd6c52b5a825bc1e34d7c97d9672"
    ),
    files=_files(
        """
        model.pt 1_256_823_446 da96b09a0485a3c45a5aa455e67743c8b4efc4dd8437c1f2aa93c2b4303d957f
        """,
    ),
    signs=(("model.pt", "model.safetensors"),),
)


def _moge2(
    size: str,
    bundle: str,
    revision: str,
    bytes_: int,
    sha256: str,
    *,
    purpose: str,
    qualities: tuple[str, ...] = (),
    optional_in: tuple[str, ...] = (),
) -> Model:
    return Model(
        name=f"moge-2-{size}",
        qualities=qualities,
        optional_in=optional_in,
        bundle=bundle,
        purpose=purpose,
        role="pointmap",
        licence="MIT; commercial use allowed",
        repository=HubRepository(hub_id=f"Ruicheng/moge-2-{size}", revision=revision),
        files=_files(f"model.pt {bytes_} {sha256}"),
        signs=(("model.pt",),),
    )


_MOGE2 = (
    _moge2(
        "vitl-normal",
        "open",
        "b135031bae30b5ac2ae141a0e68717795ce38340",
        1_323_815_904,
        "280741fd09bc3f403ccff9967784c2a391b52d2c0742ae3efdb21d9f90cc1a01",
        purpose="depth in metres, normals and camera",
        qualities=("open", "pbr", "full"),
        optional_in=("full",),
    ),
    _moge2(
        "vitl",
        "open",
        "39c4d5e957afe587e04eec59dc2bcc3be5ecd968",
        1_305_030_700,
        "3eefd4abb2102f38f12b2d1992e5ff15e4923e5431c67dd494afe157e0111cd5",
        purpose="depth in metres and camera",
    ),
    _moge2(
        "vitb-normal",
        "open",
        "54ad3a693e61907ea4633d13dec6ee682fa09419",
        419_110_160,
        "16b8110e86d5dc5a849db120ca96ef3a223fd30b0c9146d1d81db504073da5f6",
        purpose="depth in metres, normals and camera; a middle size",
    ),
    _moge2(
        "vits-normal",
        "light",
        "679230677b4d282c6f304189a93e98e14f085902",
        140_550_416,
        "79a16621928c2bf0ed04659218c55c01075e950507f40bb3332fb4c873d3e1dc",
        purpose="depth in metres, normals and camera",
        qualities=("light",),
    ),
)

_SAM3D = Model(
    name="sam3d",
    qualities=("full",),
    bundle="full",
    purpose="shape, appearance and pose",
    role="reconstruct",
    licence=_SAM_LICENCE,
    repository=HubRepository(
        hub_id="facebook/sam-3d-objects",
        revision="2e73555018d2741ccd486e56c24fac41155a1dc6",
        gated=True,
    ),
    files=(
        *_files(
            """
            pipeline.yaml 3_548 53c3d226b21df85c0bb3d16e6e4fa63abde0d6167525765eb929d02bfa9d358c
            ss_generator.yaml 5_076 3c265448bca7c057f94e3ef56adea3a895a10bcd9f15f992a41dd03fa35412cd
            ss_generator.ckpt 6_690_136_964
                225f40479e4cff4f39d6fa14c55be3abad1475bf55b61af3bec1e19ed2f6c146
            ss_decoder.yaml 244 baacff269b664f84f7aa1896ebd66128065f6568cdb88d419d5c3d2ccb4193ae
            ss_decoder.ckpt 147_609_242
                6dac1cd7b7fda5a38e0614fadae441f1794f80e39ea2981f1ac8aff0a7e99340
            slat_generator.yaml 1_986
                53029fadff6fe34a0344381a16d64d65d0567d603484952712e8969319559c4e
            slat_generator.ckpt 4_906_537_684
                91529bde8e7daa12d09618a66c319e3a5a6398db6b23b958cedcb1c3f28faabb
            slat_decoder_gs.yaml 576
                53f054e02a0c185f0a6885d30bb6ca0ec92efe0a98148688e7f05f7c26afe670
            slat_decoder_gs.ckpt 171_476_155
                f8077c36a06eaf890dd93cda1937411f793dea1eb80b3dd9329f2038ba84a111
            """,
            folder="checkpoints/",
        ),
        *_files(
            """
            slat_decoder_gs_4.yaml 575
                3d1dfd4c56cdac56f30e0cf5eb310d4df973fe25c60ac0a462c86ca4e3bf8b48
            slat_decoder_gs_4.ckpt 170_269_801
                731a0eceaa47945b52aa27f650d695b2aea9cc70945751e5609e5cb5b49f0186
            """,
            folder="checkpoints/",
            needed=False,
        ),
        *_files(
            """
            slat_decoder_mesh.yaml 300
                8f46952764aa985c50109a56f0b4f07625cdb06457aaded74957d26f3520c69e
            slat_decoder_mesh.ckpt 363_726_862
                85907b37b67d8ce5b099a96629bdcfbd873eb407dee6b3aa9a75deb15038db33
            """,
            folder="checkpoints/",
        ),
        *_files("LICENSE - -", needed=False),
    ),
    signs=(("pipeline.yaml",), ("ss_generator.ckpt", "ss_generator.safetensors")),
    bare=True,
)

_GROUNDING_DINO = Model(
    name="grounding-dino",
    qualities=("open", "pbr"),
    model_types=("grounding-dino",),
    bundle="open",
    purpose="from a phrase to boxes",
    role="segment",
    licence="Apache-2.0; commercial use allowed",
    repository=HubRepository(
        hub_id="IDEA-Research/grounding-dino-base",
        revision="12bdfa3120f3e7ec7b434d90674b3396eccf88eb",
    ),
    files=_files(
        """
        model.safetensors 933_400_872
            5548f844c928c4b6f411fa8cbcc2bfa8dbbba437cb1d513975519f93c2a9ed21
        config.json - eda416dae6f49419ff831b1c190ec430a060b19aae688dbaf2425a075b650608
        preprocessor_config.json - 8454179ba95e2ad22947835aad7b45862a601fc0055ab88bf1ee70892d3aea60
        tokenizer.json - d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66
        tokenizer_config.json - d40ab645b68211910b9170d22433d43186a6ec8ee6fd10ba170524b25bf4fb56
        vocab.txt - 07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3
        special_tokens_map.json - b6d346be366a7d1d48332dbc9fdf3bf8960b5d879522b7799ddba59e76237ee3
        """,
    ),
    signs=(("config.json",), ("model.safetensors",)),
)

_OWN_FILES = ("model.safetensors", "config.json")  # what differs between sizes of a model

_SAM2 = Model(
    name="sam2.1",
    qualities=("open", "pbr"),
    model_types=("sam2", "sam2_video"),
    reads_text=False,
    bundle="open",
    purpose="from boxes to masks",
    role="segment",
    licence="Apache-2.0; commercial use allowed",
    repository=HubRepository(
        hub_id="facebook/sam2.1-hiera-large", revision="665f8e2ad61cf5f53d65644ff27c8ee525124610"
    ),
    files=_files(
        """
        model.safetensors 897_897_416
            dc407dce21301fd94abb395c5099b4f2c455fdc8a8f261ac3d0ea6d4cd197230
        config.json 5_705 00446988cf4d617118d2d347eabe2c46aebed744628facdd540508be30b69ec3
        preprocessor_config.json 683
            6ebf229ee259368ce4a8d4f2fe893a72b053023710853e257253939e601f583d
        processor_config.json 95 f8a68e865cfad115c1c2763f3d93eca7b1c622da06da2a9273eb437fb2389b6d
        """,
    ),
    signs=(("config.json",), ("model.safetensors",)),
)

_GROUNDING_DINO_TINY = Model(
    name="grounding-dino-tiny",
    qualities=("light",),
    model_types=("grounding-dino",),
    bundle="light",
    purpose="from a phrase to boxes",
    role="segment",
    licence="Apache-2.0; commercial use allowed",
    repository=HubRepository(
        hub_id="IDEA-Research/grounding-dino-tiny",
        revision="a2bb814dd30d776dcf7e30523b00659f4f141c71",
    ),
    files=(
        *_files(
            """
            model.safetensors 689_359_096
                1a2412ef99bd74bcd3c2a246fa1e48581f8889a1300c9051974741314fc042f3
            config.json - eec82c5ab66e16df12a9a212e68ac011779927c2536cf9078658e35d85f0c67a
            """,
        ),
        *(file for file in _GROUNDING_DINO.files if file.name not in _OWN_FILES),
    ),
    signs=(("config.json",), ("model.safetensors",)),
)

_SAM2_TINY = Model(
    name="sam2.1-tiny",
    qualities=("light",),
    model_types=("sam2", "sam2_video"),
    reads_text=False,
    bundle="light",
    purpose="from boxes to masks",
    role="segment",
    licence="Apache-2.0; commercial use allowed",
    repository=HubRepository(
        hub_id="facebook/sam2.1-hiera-tiny", revision="de431c4043854a71d8101e17995dfe596bf101a5"
    ),
    files=(
        *_files(
            """
            model.safetensors 155_908_064
                48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7
            config.json - 860aff9751b139d83a4ad7df1e5535416fded533e0ead02625edbefcb9953cce
            """,
        ),
        *(file for file in _SAM2.files if file.name not in _OWN_FILES),
    ),
    signs=(("config.json",), ("model.safetensors",)),
)

_TRELLIS = Model(
    name="trellis",
    qualities=("open",),
    bundle="open",
    purpose="shape and appearance",
    role="reconstruct",
    licence="MIT; commercial use allowed",
    repository=HubRepository(
        hub_id="microsoft/TRELLIS-image-large", revision="25e0d31ffbebe4b5a97464dd851910efc3002d96"
    ),
    files=(
        *_files(
            """
            pipeline.json 1_987 2686b6c9b3b0a100
            ckpts/ss_flow_img_dit_L_16l8_fp16.json 385 bf69161da7ece9a8
            ckpts/ss_flow_img_dit_L_16l8_fp16.safetensors 1_130_770_840
                96dc6bfd4136fd950af564dd16b4ae533c9ba6af8f26c670646b2a9f2789b1db
            ckpts/ss_dec_conv3d_16l8_fp16.json 245 646781293f1cda74
            ckpts/ss_dec_conv3d_16l8_fp16.safetensors 147_591_972
                1c76d4a40519aa2d711cc263a8404105231ac26db31d946bed48b84fee79009a
            ckpts/slat_flow_img_dit_L_64l8p2_fp16.json 442 c0a9bd57227f55cf
            ckpts/slat_flow_img_dit_L_64l8p2_fp16.safetensors 1_203_755_136
                693fb2a58ad497bd222007301eeec49d14d60f8c12d2f2f00c221fa747b4c66c
            ckpts/slat_dec_gs_swin8_B_64l8gs32_fp16.json 843 ebe9d3eade6d9cb7
            ckpts/slat_dec_gs_swin8_B_64l8gs32_fp16.safetensors 171_450_952
                38c84bcef5ce0af1f48b1b5558dabc7575a13346043c41a7e0610f1fa619a161
            ckpts/slat_dec_mesh_swin8_B_64l8m256c_fp16.json 372 293900795cb69cc9
            ckpts/slat_dec_mesh_swin8_B_64l8m256c_fp16.safetensors 181_903_412
                3e87aba94b5786407eb06d0502c1ed0885a0027a3f2b8537bfe15b0a92c01859
            """,
        ),
        *_files("README.md - -", needed=False),  # states the licence
    ),
    signs=(("pipeline.json",), ("ckpts/ss_flow_img_dit_L_16l8_fp16.safetensors",)),
    bare=True,
)

_DINOV2 = Model(
    name="dinov2-large",
    qualities=("open",),
    bundle="open",
    purpose="what TRELLIS sees pictures with",
    role="reconstruct",
    licence="Apache-2.0; commercial use allowed",
    repository=WebFolder(
        base="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/",
        url="https://github.com/facebookresearch/dinov2",
    ),
    files=_files(
        """
        dinov2_vitl14_reg4_pretrain.pth 1_217_607_321
            36e4deffbaef061a2576705b0c36f93621e2ae20bf6274694821b0b492551b51
        """,
    ),
    signs=(("dinov2_vitl14_reg4_pretrain.pth",),),
    bare=True,
)

_TRELLIS2_REVISION = "af44b45f2e35a493886929c6d786e563ec68364d"

_TRELLIS2 = Model(
    name="trellis2",
    qualities=("pbr",),
    bundle="pbr",
    purpose="shape and materials",
    role="reconstruct",
    licence="MIT; commercial use allowed",
    repository=HubRepository(hub_id="microsoft/TRELLIS.2-4B", revision=_TRELLIS2_REVISION),
    files=(
        *_files(
            """
            pipeline.json 4_186 222c359ab1ed9bc6735a640a34f95d47f8681b9bc4aaa101bfb80274676253c6
            ckpts/ss_flow_img_dit_1_3B_64_bf16.json 467
                6cdfb636854f60ffcadd8c49244169cd449f34c5ccdb55b5ff7c04678f9c399e
            ckpts/ss_flow_img_dit_1_3B_64_bf16.safetensors 2_584_426_920
                ca01377c485bec418076d38ee80166d32dc776d744f2553b835cba1e97a7abf6
            ckpts/slat_flow_img2shape_dit_1_3B_512_bf16.json 458
                ddbd7a1d34ce9a8e7af2f6ef9ae686d9ab49f69e62dacb98d8409b511cdbd5e2
            ckpts/slat_flow_img2shape_dit_1_3B_512_bf16.safetensors 2_584_574_424
                ec5e0917ef9b7e25ad51dffc7d19687a42019871f94239f2fa7f86264c55b70f
            ckpts/slat_flow_img2shape_dit_1_3B_1024_bf16.json 458
                7ebd6d367393f52fee9e92c2b3d727a9026a338549c6a6fa84c7ea122140ffdd
            ckpts/slat_flow_img2shape_dit_1_3B_1024_bf16.safetensors 2_584_574_424
                07cd0596f634c5adc1890023d16023afc5eed02fb84b22bb23aff5bf0030fbbd
            ckpts/slat_flow_imgshape2tex_dit_1_3B_512_bf16.json 458
                3093796257a62f838d2e5578ac4580ca3b7d88d10b87d348065d3fdfcc4c2077
            ckpts/slat_flow_imgshape2tex_dit_1_3B_512_bf16.safetensors 2_584_672_728
                8371aa1c5d13be79dcd5ddfd2cf3835e902e204dc34427169a1c702828e1a94d
            ckpts/slat_flow_imgshape2tex_dit_1_3B_1024_bf16.json 458
                31f4fdad9974930e5e9324ac9dfb6ef7de6b30cea51854ba515ef827a8d353b2
            ckpts/slat_flow_imgshape2tex_dit_1_3B_1024_bf16.safetensors 2_584_672_728
                580401269059a339b8318ab9ced459a13ba63391721c83a6c383198c29e77686
            ckpts/shape_dec_next_dc_f16c32_fp16.json 678
                5f1b856dffce79466fb18f5f0eefc08f08c673b24b3c05b20359c0b6d318a209
            ckpts/shape_dec_next_dc_f16c32_fp16.safetensors 948_490_494
                e3b718d3e43e4f8780e9a24ac6fff231811a67e3b058e336e10fe654c911d581
            ckpts/tex_dec_next_dc_f16c32_fp16.json 705
                22074e4ab5b28e2b72d33a3fe61bf416134b89e12d0fc5c729f37da75da0c4d1
            ckpts/tex_dec_next_dc_f16c32_fp16.safetensors 948_458_812
                97ea69addea2ecd9312910f5f548234665eef51c088386180b7cd5b258645e3c
            """,
        ),
        *_files("README.md - -", needed=False),  # states the licence
    ),
    signs=(("pipeline.json",), ("ckpts/ss_flow_img_dit_1_3B_64_bf16.safetensors",)),
    bare=True,
)

# TRELLIS.2's `pipeline.json` names this file of TRELLIS's.
_TRELLIS_STRUCTURE = Model(
    name="trellis-structure",
    qualities=("pbr",),
    bundle="pbr",
    purpose="TRELLIS.2's structure decoder",
    role="reconstruct",
    licence="MIT; commercial use allowed",
    repository=_TRELLIS.repository,
    files=tuple(file for file in _TRELLIS.files if "ss_dec" in file.name),
    signs=(("ckpts/ss_dec_conv3d_16l8_fp16.safetensors",),),
)

_DINOV3 = Model(
    name="dinov3-large",
    qualities=("pbr",),
    bundle="pbr",
    purpose="what TRELLIS.2 and Pixal3D see pictures with",
    role="reconstruct",
    licence=(
        "DINOv3 License; commercial use under conditions: no military, nuclear or weapons use, "
        "and it goes on to others only with a copy of it"
    ),
    repository=HubRepository(
        hub_id="facebook/dinov3-vitl16-pretrain-lvd1689m",
        revision="ea8dc2863c51be0a264bab82070e3e8836b02d51",
        gated=True,
    ),
    files=(
        *_files(
            """
            model.safetensors 1_212_559_808
                dcb2e45127cccbf1601e5f42fef165eea275c8e5213197e8dcf3f48822718179
            config.json 745 135ecd23e34a70b6fbed8b083fdecb319b7e3a54e3d849258bbe4ddcf1783bb5
            """,
        ),
        *_files("LICENSE.md - -", needed=False),
    ),
    signs=(("model.safetensors",),),
    other_form="cls_token",  # timm's vit_large_patch16_dinov3
)

# No checksums of Pixal3D were published: the user names the revision, and the hub tells them.
# Its sizes follow from the networks' shapes.
_PIXAL3D = Model(
    name="pixal3d",
    bundle="pbr",
    purpose="shape and materials in the photo's own view",
    role="reconstruct",
    licence="code MIT since 20 May 2026; whether its weights follow was not answered",
    repository=HubRepository(hub_id="TencentARC/Pixal3D", revision=""),
    files=(
        *_files(
            """
            pipeline.json - -
            ckpts/ss_flow_img_dit_1_3B_64_bf16.json - -
            ckpts/ss_flow_img_dit_1_3B_64_bf16.safetensors 5_359_822_584 -
            ckpts/ss_dec_conv3d_16l8_fp16.json - -
            ckpts/ss_dec_conv3d_16l8_fp16.safetensors 147_591_972 -
            ckpts/slat_flow_img2shape_dit_1_3B_512_bf16.json - -
            ckpts/slat_flow_img2shape_dit_1_3B_512_bf16.safetensors 5_546_764_048 -
            ckpts/slat_flow_img2shape_dit_1_3B_1024_bf16.json - -
            ckpts/slat_flow_img2shape_dit_1_3B_1024_bf16.safetensors 5_546_764_048 -
            ckpts/slat_flow_imgshape2tex_dit_1_3B_1024_bf16.json - -
            ckpts/slat_flow_imgshape2tex_dit_1_3B_1024_bf16.safetensors 5_546_960_656 -
            ckpts/shape_dec_next_dc_f16c32_fp16.json - -
            ckpts/shape_dec_next_dc_f16c32_fp16.safetensors 948_490_494 -
            ckpts/tex_dec_next_dc_f16c32_fp16.json - -
            ckpts/tex_dec_next_dc_f16c32_fp16.safetensors 948_458_812 -
            """,
        ),
        *_files("LICENSE - - NOTICE - - README.md - -", needed=False),
    ),
    signs=(("pipeline.json",), ("ckpts/ss_flow_img_dit_1_3B_64_bf16.safetensors",)),
    needs=("dinov3-large", "naf"),
    unclear=Terms(
        question=(
            "Until 20 May 2026 it was for academic purposes only, and not for use within the "
            "European Union. On that day one of its makers announced MIT "
            "(https://github.com/TencentARC/Pixal3D/issues/11). Whether that holds for the weights "
            "too was asked on 9 July 2026 (issue 33 there), and had no answer when this was "
            "written."
        ),
        changed=date(2026, 5, 20),
        revision="b0cb2e1b794cab9aa0ac38a95d794a4d9337437f",
    ),
)

_NAF = Model(
    name="naf",
    bundle="pbr",
    purpose="what Pixal3D makes features finer with",
    role="reconstruct",
    licence="Apache-2.0; commercial use allowed",
    repository=WebFolder(
        base="https://github.com/valeoai/NAF/releases/download/model/",
        url="https://github.com/valeoai/NAF",
    ),
    files=_files(
        """
        naf_release.pth 2_664_431 c096c1ab2217a5c3ac136365f721685e2201379cb69d509cfb0261183847c98f
        """,
    ),
    signs=(("naf_release.pth",),),
)

_PBR = (_TRELLIS2, _TRELLIS_STRUCTURE, _DINOV3, _PIXAL3D, _NAF)

# Within a quality, in the order of the pipeline.
MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        _SAM3,
        _MOGE,
        _SAM3D,
        _GROUNDING_DINO,
        _SAM2,
        _GROUNDING_DINO_TINY,
        _SAM2_TINY,
        *_MOGE2,
        _TRELLIS,
        _DINOV2,
        *_PBR,
    )
}
"""By name."""


def of_quality(quality: str) -> tuple[str, ...]:
    """Return the names of the models that a quality uses, in the order of the pipeline."""
    return tuple(name for name, model in MODELS.items() if quality in model.qualities)


def by_name_only(bundle: str) -> tuple[str, ...]:
    """Return the names of models that lie beside a bundle's and that no quality uses."""
    return tuple(n for n, model in MODELS.items() if model.bundle == bundle and not model.qualities)
