"""Published models are found where they may be, fetched where they are missing, and checked."""

import dataclasses
import hashlib
import json
import os
import struct

import pytest
from tests.drivers.fake_hub import serve_hub

from scenelift.errors import Cancelled, InputError, WeightsError
from scenelift.progress import CancelToken, Reporter, silent
from scenelift.weights import hub_models, published, seals
from scenelift.weights.bundles import FULL, HUB_BUNDLES, LIGHT, OPEN, PBR, bundle_named
from scenelift.weights.hub import WebFolder
from scenelift.weights.locate import home_of, locate, require


def small(model):
    """The same model with small files: their content is their path in the repository."""
    repository = model.repository
    if isinstance(repository, WebFolder):
        repository = dataclasses.replace(repository, base="{endpoint}/publisher/dino/resolve/v/")
    files = tuple(
        dataclasses.replace(
            file,
            size=None if file.size is None else len(file.path),
            sha256="" if not file.sha256 else hashlib.sha256(file.path.encode()).hexdigest(),
        )
        for file in model.files
    )
    return dataclasses.replace(model, files=files, repository=repository)


@pytest.fixture
def models(monkeypatch):
    """A table with the published names and small files."""
    table = {name: small(model) for name, model in published.MODELS.items()}
    monkeypatch.setattr(published, "MODELS", table)
    return table


@pytest.fixture
def hub(models, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    files = {
        f"{getattr(model.repository, 'hub_id', 'publisher/dino')}/{file.path}": file.path.encode()
        for model in models.values()
        for file in model.files
    }
    with serve_hub(files) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        for name, model in models.items():
            if isinstance(model.repository, WebFolder):
                base = model.repository.base.format(endpoint=server.endpoint)
                there = dataclasses.replace(model.repository, base=base)
                models[name] = dataclasses.replace(model, repository=there)
        yield server


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("SCENELIFT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    return tmp_path / "home"


def put(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


def rows(weights=None, *, verify=False):
    return {row.name: row for row in FULL.status(weights, verify=verify)}


def test_sizes_and_hashes_are_of_the_published_form():
    for model in published.MODELS.values():
        hub = not isinstance(model.repository, WebFolder)
        assert len(model.repository.revision) == (40 if model.pinned else 0) or not hub
        for file in model.files:
            assert not file.sha256 or len(bytes.fromhex(file.sha256)) in (8, 32)
            weighs = file.name.endswith((".safetensors", ".ckpt", ".pt", ".pth"))
            assert not weighs or (file.size and len(file.sha256) == (64 if model.pinned else 0))
        # What has no pinned revision is asked about, and belongs to no quality.
        assert model.pinned == (model.unclear is None)
        assert model.pinned or not model.qualities
    # What the disk must hold: checkpoints, settings, segmenters and MoGe of both versions.
    for bundle, size in ((FULL, 18.47e9), (OPEN, 7.21e9), (LIGHT, 0.986e9)):
        total = sum(f.size or 0 for m in bundle.models for f in m.files)
        assert total == pytest.approx(size, rel=1e-3)


@pytest.mark.parametrize(
    "place",
    ["full/sam3d-safetensors", "full/sam3d", "full/sam3d/checkpoints", "sam3d", ".", "checkpoints"],
)
def test_the_published_folder_is_found_under_the_weights_folder_or_is_it(tmp_path, place):
    expected = put(tmp_path / "weights" / place, "pipeline.yaml", "ss_generator.ckpt")
    assert locate("sam3d", tmp_path / "weights") == expected


@pytest.mark.parametrize("place", ["full/moge", "moge"])
def test_what_the_named_folder_lacks_is_looked_for_in_the_cache(tmp_path, home, place):
    cached = put(home / "weights" / place, "model.pt")
    assert locate("moge", tmp_path / "elsewhere") == cached
    own = put(tmp_path / "elsewhere" / "moge", "model.pt")
    assert locate("moge", tmp_path / "elsewhere") == own


def test_a_folder_of_another_model_is_not_taken(tmp_path):
    put(tmp_path, "model.pt", "config.json")
    put(tmp_path / "sam3", "config.json")
    assert not any(locate(name, tmp_path) for name in published.MODELS)


HUB = [name for name, model in published.MODELS.items() if model.hub_id]


@pytest.mark.parametrize("name", HUB)
def test_a_snapshot_in_the_hubs_cache_is_found_for_every_model(tmp_path, home, name):
    """Of the catalogue's revision, else of `main`; after the user's folder and our own store."""
    model = published.MODELS[name]
    files = [group[-1] for group in model.signs]
    inside = "checkpoints" if name == "sam3d" else "."
    repository = tmp_path / "hub-cache" / f"models--{model.hub_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("b" * 40)

    def lay(folder):
        for file in files:
            put((folder / file).parent, (folder / file).name)
        return folder

    main = lay(repository / "snapshots" / ("b" * 40) / inside)
    assert locate(name) == main
    if model.pinned:
        pinned = lay(repository / "snapshots" / model.repository.revision / inside)
        assert locate(name) == pinned
    own = lay(home_of(name))
    assert locate(name) == own
    named = lay(tmp_path / "named" / name)
    assert locate(name, tmp_path / "named") == named


@pytest.mark.parametrize("name", published.MODELS)
def test_what_is_nowhere_says_where_was_looked_and_how_to_get_it(tmp_path, home, name):
    with pytest.raises(WeightsError) as error:
        require(name, tmp_path / "named")
    message = str(error.value)
    assert str(tmp_path / "named") in message
    assert str(home / "weights") in message
    model = published.MODELS[name]
    assert ("hub-cache" in message) == bool(model.hub_id)
    assert ("granted you access" in message) == model.gated
    which = model.qualities[0] if model.qualities else f"{model.bundle} --only {name}"
    assert f"scenelift models download {which}" in message


def test_every_model_of_a_quality_is_in_the_catalogue_once():
    used = {name for bundle in HUB_BUNDLES.values() for name in bundle.names}
    assert used == {name for name, model in published.MODELS.items() if model.qualities}
    for model in published.MODELS.values():
        assert set(model.qualities) <= set(HUB_BUNDLES)
        assert set(model.optional_in) <= set(model.qualities)


def test_everything_is_fetched_and_counts_as_verified(hub, models):
    assert not any(row.present for row in rows().values())
    assert FULL.download(silent()) == []
    for name, row in rows().items():
        assert (row.present, row.checked, row.problem) == (True, True, "")
        assert row.size == sum(len(file.path) for file in models[name].files)
    found = locate("sam3d")
    assert found == home_of("sam3d")
    assert (found / "ss_generator.ckpt").read_bytes() == b"checkpoints/ss_generator.ckpt"


def test_what_is_there_is_not_fetched_again(hub):
    FULL.download(silent())
    sent = hub.sent
    FULL.download(silent())
    assert hub.sent == sent


def test_a_file_that_is_gone_or_changed_is_fetched_again(hub):
    FULL.download(silent())
    target = home_of("sam3d")
    (target / "ss_decoder.ckpt").unlink()
    (target / "ss_generator.ckpt").write_bytes(b"CHECKPOINTS/ss_generator.ckpt")
    assert "lacks its file ss_decoder.ckpt" in rows()["sam3d"].problem
    sent = hub.sent
    assert FULL.download(silent()) == []
    assert rows()["sam3d"].checked
    assert hub.sent - sent == len("checkpoints/ss_decoder.ckpt" + "checkpoints/ss_generator.ckpt")


def test_only_what_is_asked_for_is_fetched(hub):
    assert FULL.download(silent(), only=["moge"]) == []
    assert [name for name, row in rows().items() if row.present] == ["moge"]
    with pytest.raises(InputError, match=r"sam2.*Known: sam3, moge, sam3d, moge-2-vitl-normal"):
        FULL.download(silent(), only=["sam2"])


def test_where_access_is_refused_the_others_are_fetched(hub):
    hub.gated = {"facebook/sam3": "", "facebook/sam-3d-objects": ""}
    *failures, instead = FULL.download(silent())
    assert [failure.partition(" ")[0] for failure in failures] == ["sam3", "sam3d"]
    assert all("ask for access at https://huggingface.co/facebook/" in f for f in failures)
    assert all(word in instead for word in ("--weights", "SCENELIFT_HOME", "--quality embedded"))
    assert [n for n, row in rows().items() if row.present] == ["moge", "moge-2-vitl-normal"]


def test_progress_counts_all_bytes_to_the_end(hub):
    events = []
    FULL.download(Reporter(events.append))
    fractions = [e.fraction for e in events if e.kind == "stage_progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_licence_is_told_before_the_first_byte_of_its_model(hub):
    told = []

    def listen(event):
        if event.kind == "note":
            told.append((event.message, hub.sent))

    FULL.download(Reporter(listen))
    starts, ends = told[::2], told[1::2]
    assert [m for m, _ in ends] == [f"Fetched {model.name}." for model in FULL.models]
    assert [m for m, _ in starts] == [
        f"Fetching {m.name}. Licence: {m.licence}, {m.repository.url}." for m in FULL.models
    ]
    assert [sent for _, sent in starts] == [0, *(sent for _, sent in ends[:-1])]


def test_too_full_a_disk_is_noticed_before_anything_is_fetched(hub, monkeypatch):
    usage = type("Usage", (), {"free": hub_models.SPARE_BYTES})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(WeightsError, match="free"):
        FULL.download(silent())
    assert hub.sent == 0


def test_verify_reads_what_the_user_brought_and_remembers_it(models, tmp_path):
    target = tmp_path / "weights" / "moge"
    target.mkdir(parents=True)
    (target / "model.pt").write_bytes(b"model.pt")
    assert not rows(tmp_path / "weights")["moge"].checked
    assert rows(tmp_path / "weights", verify=True)["moge"].checked
    assert rows(tmp_path / "weights")["moge"].checked

    os.utime(target / "model.pt", ns=(1, 1))  # touched: nobody knows what is in it now
    row = rows(tmp_path / "weights")["moge"]
    assert (row.present, row.checked) == (True, False)


def test_verify_finds_a_changed_byte_though_size_and_date_are_the_same(hub):
    FULL.download(silent(), only=["moge"])
    path = home_of("moge") / "model.pt"
    date = path.stat().st_mtime_ns
    path.write_bytes(b"Model.pt")
    os.utime(path, ns=(date, date))
    assert rows()["moge"].checked
    row = rows(verify=True)["moge"]
    assert "model.pt has SHA-256" in row.problem
    assert not row.present
    assert FULL.download(silent(), only=["moge"]) == []
    assert path.read_bytes() == b"model.pt"


def test_a_folder_that_may_only_be_read_is_verified_all_the_same(models, tmp_path):
    target = tmp_path / "moge"
    target.mkdir()
    (target / "model.pt").write_bytes(b"model.pt")
    (target / seals.RECORD).mkdir()  # nothing can be written under that name
    row = rows(tmp_path, verify=True)["moge"]
    assert (row.present, row.problem) == (True, "")


@pytest.mark.parametrize(
    ("name", "place", "files"),
    [
        ("trellis", ".", ["pipeline.json", "ckpts/ss_flow_img_dit_L_16l8_fp16.safetensors"]),
        ("trellis", "trellis", ["pipeline.json", "ckpts/ss_flow_img_dit_L_16l8_fp16.safetensors"]),
        ("dinov2-large", ".", ["dinov2_vitl14_reg4_pretrain.pth"]),
        ("dinov2-large", "open/dinov2-large", ["dinov2_vitl14_reg4_pretrain.pth"]),
    ],
)
def test_an_offline_folder_needs_no_network(tmp_path, name, place, files):
    (tmp_path / place / "ckpts").mkdir(parents=True)
    expected = put(tmp_path / place, *files)
    assert locate(name, tmp_path) == expected


def test_the_open_bundle_is_fetched_whole_and_without_a_gate(hub, monkeypatch):
    seen = []
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.gated = {"facebook/sam3": "", "facebook/sam-3d-objects": ""}
    hub.watch = seen.append
    assert OPEN.download(silent()) == []
    for row in OPEN.status():
        assert (row.present, row.checked, row.problem) == (True, True, "")
    ckpt = home_of("trellis") / "ckpts" / "ss_dec_conv3d_16l8_fp16.safetensors"
    assert ckpt.read_bytes() == b"ckpts/ss_dec_conv3d_16l8_fp16.safetensors"
    # The token is for the hub, and for nobody else.
    told = {repository: bool(token) for repository, token in seen}
    assert told["microsoft/TRELLIS-image-large"]
    assert not told["publisher/dino"]


def test_what_two_bundles_share_is_fetched_once(hub):
    FULL.download(silent(), only=["moge-2-vitl-normal"])
    sent = hub.sent
    OPEN.download(silent(), only=["moge-2-vitl-normal"])
    assert hub.sent == sent


def test_what_gives_full_its_metres_is_no_condition_for_it(hub):
    essential = {name: row.essential for name, row in rows().items()}
    assert essential == {"sam3": True, "moge": True, "sam3d": True, "moge-2-vitl-normal": False}
    assert all(row.essential for row in [*OPEN.status(), *LIGHT.status()])


def test_light_is_fetched_resumed_and_checked(hub):
    assert LIGHT.download(silent()) == []
    assert all(row.present and row.checked for row in LIGHT.status(verify=True))
    sent = hub.sent
    assert LIGHT.download(silent()) == []
    assert hub.sent == sent
    path = home_of("sam2.1-tiny") / "model.safetensors"
    path.write_bytes(b"damaged")
    assert LIGHT.download(silent()) == []
    assert path.read_bytes() == b"model.safetensors"


def test_licences_are_named_with_their_source():
    table = rows()
    assert "SAM License" in table["sam3"].licence
    assert "SAM License" in table["sam3d"].licence
    assert table["moge"].licence == "MIT; commercial use allowed"
    for row in OPEN.status():
        assert "commercial use allowed" in row.licence
        assert row.source.startswith("https://")
    assert table["sam3d"].source == "https://huggingface.co/facebook/sam-3d-objects"


def test_a_file_of_dinov3_in_another_form_is_the_users_and_stays(hub, home):
    """timm's, where the documents say that it may lie: the gated one was to replace it."""
    hub.gated = {"facebook/dinov3-vitl16-pretrain-lvd1689m": ""}
    header = json.dumps({"cls_token": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
    content = struct.pack("<Q", len(header)) + header.encode() + bytes(4)
    file = home_of("dinov3-large") / "model.safetensors"
    put(file.parent)
    file.write_bytes(content)
    assert PBR.download(silent()) == []
    assert file.read_bytes() == content
    for verify in (False, True):
        (row,) = (r for r in PBR.status(verify=verify) if r.name == "dinov3-large")
        assert (row.present, row.problem) == (True, "")
    assert row.checked
    file.write_bytes(content[:-1] + b"!")  # what was verified changed since
    assert "SHA-256" in next(r for r in PBR.status(verify=True) if r.name == "dinov3-large").problem


# Pixal3D: the user names the revision, and is asked.

COMMIT = "c" * 40


@pytest.fixture
def pixal3d(hub):
    """What the hub tells of it: a branch, its commit, and an older one."""
    name = "TencentARC/Pixal3D"
    hub.revisions = {
        f"{name}@main": (COMMIT, "2026-08-31"),
        f"{name}@{COMMIT}": (COMMIT, "2026-08-31"),
        f"{name}@{'a' * 40}": ("a" * 40, "2026-05-10"),
    }
    hub.tags = {name: ["license:mit"]}
    del hub.files[f"{name}/NOTICE"]  # which need not be there
    return hub


def pixal3d_row(*, verify=False):
    return next((row for row in PBR.status(verify=verify) if row.name == "pixal3d"), None)


def test_without_a_revision_nothing_is_fetched_and_the_question_is_told(pixal3d):
    for attempt in (
        lambda: PBR.offers(["pixal3d"]),
        lambda: PBR.download(silent(), only=["pixal3d"]),
    ):
        with pytest.raises(InputError, match="--revision") as told:
            attempt()
        assert "Union" in str(told.value)
        assert "commits/main" in str(told.value)
    assert pixal3d.sent == 0
    with pytest.raises(InputError, match=r"--only pixal3d"):
        bundle_named("pixal3d")


def test_an_offer_says_what_is_not_plain_and_what_the_hub_says(pixal3d):
    (offer,) = PBR.offers(["pixal3d"], "main")
    assert offer.model.repository.revision == COMMIT  # a branch may move on
    text = offer.statement()
    assert all(part in text for part in ("31 August 2026", COMMIT, "'mit'", "LICENSE", "Union"))
    assert "older than" not in text
    (old,) = PBR.offers(["pixal3d"], "a" * 40)
    assert "older than 20 May 2026" in old.statement()
    assert pixal3d.sent == 0


def test_an_accepted_revision_is_fetched_resumed_and_checked(pixal3d, models):
    (offer,) = PBR.offers(["pixal3d"], "main")
    token = CancelToken()

    def stop_at_the_first_weights(event):
        if ".safetensors" in (event.message or ""):
            token.cancel()

    with pytest.raises(Cancelled):
        stopped = Reporter(stop_at_the_first_weights, token=token)
        PBR.download(stopped, only=["pixal3d"], offers=[offer])
    assert pixal3d.sent > 0
    assert pixal3d_row() is None
    assert PBR.download(silent(), only=["pixal3d"], offers=[offer]) == []
    row = pixal3d_row(verify=True)
    assert (row.present, row.checked, row.essential) == (True, True, False)
    content = sum(len(f.path) for f in models["pixal3d"].files if f.name != "NOTICE")
    assert pixal3d.sent == row.size == content
    assert seals.revision(home_of("pixal3d")) == COMMIT
    # A file with another hash than the hub tells is fetched again; the rest is left.
    path = home_of("pixal3d") / "ckpts" / "tex_dec_next_dc_f16c32_fp16.safetensors"
    path.write_bytes(b"damaged")
    PBR.download(silent(), only=["pixal3d"], offers=PBR.offers(["pixal3d"], COMMIT))
    assert path.read_bytes() == b"ckpts/tex_dec_next_dc_f16c32_fp16.safetensors"
    assert PBR.offers(["pixal3d"]) == []  # it is here: nothing is asked


def test_another_revision_replaces_what_differs(pixal3d):
    PBR.download(silent(), only=["pixal3d"], offers=PBR.offers(["pixal3d"], "a" * 40))
    flow = "TencentARC/Pixal3D/ckpts/ss_flow_img_dit_1_3B_64_bf16.safetensors"
    pixal3d.files[flow] = pixal3d.files[flow].upper()
    sent = pixal3d.sent
    PBR.download(silent(), only=["pixal3d"], offers=PBR.offers(["pixal3d"], "main"))
    assert (home_of("pixal3d") / flow.partition("Pixal3D/")[2]).read_bytes() == pixal3d.files[flow]
    # Weights that are the same by the hub's hash are not fetched again; small files have none.
    small = [f for f in published.MODELS["pixal3d"].files if not f.name.endswith("tensors")]
    fetched = sum(len(f.path) for f in small if f.name != "NOTICE") + len(pixal3d.files[flow])
    assert pixal3d.sent - sent == fetched


def test_a_file_that_the_hub_tells_another_size_or_nothing_of_is_refused(pixal3d, models):
    with pytest.raises(WeightsError, match="no revision 'nowhere'"):
        PBR.offers(["pixal3d"], "nowhere")
    decoder = "TencentARC/Pixal3D/ckpts/ss_dec_conv3d_16l8_fp16.safetensors"
    pixal3d.files[decoder] += b"!"
    with pytest.raises(WeightsError, match="bytes at revision"):
        PBR.offers(["pixal3d"], "main")
    del pixal3d.files[decoder]
    with pytest.raises(WeightsError, match="has no ckpts/ss_dec_conv3d"):
        PBR.offers(["pixal3d"], "main")


@pytest.mark.parametrize(("bundle", "only"), [("pbr", ["naf"]), ("pbr", None), ("light", None)])
def test_a_revision_of_what_is_pinned_is_refused(hub, bundle, only):
    with pytest.raises(InputError, match=r"--revision main.*pixal3d"):
        bundle_named(bundle).offers(only, "main")


@pytest.mark.parametrize("name", ["naf", "moge-2-vitb-normal"])
def test_what_no_quality_uses_is_fetched_by_its_name(hub, name):
    """Also where the publisher's server sends on to another host."""
    hub.moved = {"publisher/dino"}
    bundle = HUB_BUNDLES[published.MODELS[name].bundle]
    assert not any(row.name == name for row in bundle.status())
    assert bundle.download(silent(), only=[name]) == []
    (row,) = (row for row in bundle.status() if row.name == name)
    assert (row.present, row.checked, row.essential) == (True, True, False)
