"""Whatever is sent: no 5xx, no file outside the job's folder, nothing left behind."""

from __future__ import annotations

import http.client
import io
import random
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL.GifImagePlugin import GifImageFile

from scenelift.errors import ImageError
from scenelift.io.image import FORMATS, read_image
from scenelift.testing.fakes import disc_photo
from scenelift.webapp import decoding
from scenelift.webapp.folders import JobFolder

LIMIT = 200_000


@pytest.fixture(scope="module")
def client(open_client):
    with open_client(upload_bytes=LIMIT, max_pixels=1_000_000) as client:
        yield client


def png(size=None):
    buffer = io.BytesIO()
    picture = PIL.Image.fromarray(disc_photo().pixels)
    (picture if size is None else PIL.Image.new("L", size)).save(buffer, "PNG")
    return buffer.getvalue()


def submit(client, content, name="photo.png", **fields):
    return client.post(
        "/api/jobs", files={"image": (name, content)}, data={"text_prompt": "red", **fields}
    )


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert {"type", "title", "status", "detail", "instance"} <= set(body)
    return body["detail"]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width, height):
    """A PNG whose header claims a size that its few bytes of zeros do not back."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"\x00" * 1000,
        png()[:300],
        bomb(30_000, 30_000),
        bomb(2**31 - 1, 2**31 - 1),
        bomb(900, 900),
        png((8, 8)),
        # A TIFF without a size, for which Pillow has a TypeError.
        b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    ],
)
def test_what_is_no_photo_is_refused_and_not_kept(client, content):
    assert problem(submit(client, content), 422)
    assert not list(client.app.state.services.data.incoming.iterdir())


def test_a_photo_with_too_many_pixels_is_refused_by_its_header(client):
    assert "megapixels" in problem(submit(client, png((1100, 1100))), 422)


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large_is_refused(client, announced):
    body = b"x" * (LIMIT + 2**20 + 1)
    content = body if announced else iter([body[:1000], body[1000:]])
    answer = client.post(
        "/api/jobs",
        content=content,
        headers={"Content-Type": "multipart/form-data; boundary=a"},
    )
    # Without a length, the parser may stumble over the nonsense before the limit does.
    assert answer.status_code in ((413,) if announced else (400, 413))
    assert "MiB" in problem(submit(client, b"x" * (LIMIT + 1)), 413)


@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd", "/etc/passwd", "..\\..\\x", "a\x00b", "x" * 5000, "", "ü\r\n.png"],
)
def test_a_file_name_means_nothing(client, name):
    answer = submit(client, png(), name=name or " ")
    assert answer.status_code in (202, 400, 422)
    if answer.status_code == 202:
        folder = client.app.state.services.data.job(answer.json()["id"]).path
        assert {p.name for p in folder.iterdir()} >= {"photo", "shown.jpg", "thumbnail.jpg"}
        assert name not in answer.text or not name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", "-1"),
        ("seed", "1e99"),
        ("seed", "9" * 100),
        ("max_objects", "0"),
        ("min_score", "nan"),
        ("min_score", "2"),
        ("boxes", "[[1,2,3]]"),
        ("boxes", "["),
        ("boxes", "[" * 50_000),
        ("boxes", '[{"box": [1, 2, 1, 4]}]'),
        ("boxes", '[{"box": [0, 0, 1e308, Infinity]}]'),
        ("boxes", '[{"box": [0, 0, 9, 9], "label": "' + "x" * 300 + '"}]'),
        ("boxes", '[{"box": [0, 0, 9, 9], "url": "http://localhost/"}]'),
        ("review", "maybe"),
        ("quality", "../x"),
        ("image_url", "http://localhost/"),
        ("text_prompt", "x" * 201),
        ("text_prompt", "a\x07b"),
        ("text_prompt", ""),
        ("text_prompt", ";".join(str(i) for i in range(100))),
    ],
)
def test_a_field_that_makes_no_sense_is_refused(client, field, value):
    answer = submit(client, png(), **{field: value})
    assert answer.status_code in (400, 422, 503), answer.text
    problem(answer, answer.status_code)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=", b"--\r\n"),
        ("multipart/form-data; boundary=" + "x" * 300, b""),
        ("multipart/form-data; boundary=a", b"--a\r\n\r\n\r\n--a--"),
        ("multipart/form-data; boundary=a", b"--a\r\n" + b"A: b\r\n" * 1000),
        (
            "multipart/form-data; boundary=a; charset=utf-7",
            b'--a\r\nContent-Disposition: form-data; name="image"\r\n\r\nx\r\n--a--',
        ),
        ("application/x-www-form-urlencoded", b"image=x&text_prompt=red"),
        ("application/json", b"{}"),
        ("", b""),
    ],
)
def test_a_body_that_is_no_form_is_refused(client, kind, body):
    answer = client.post("/api/jobs", content=body, headers={"Content-Type": kind})
    assert answer.status_code in (400, 415, 422), answer.text
    problem(answer, answer.status_code)


def test_two_photos_files_for_texts_or_hundreds_of_fields_are_refused(client):
    for name, detail in (("image", "one photo"), ("boxes", "'boxes' came as a file")):
        two = [("image", ("a.png", png())), (name, ("b.json", b"[]"))]
        answer = client.post("/api/jobs", files=two)
        assert detail in problem(answer, 422)
    many = {f"f{i}": "x" for i in range(500)}
    assert submit(client, png(), **many).status_code == 400


ESCAPES = [
    "../photo",
    "../../queue.sqlite3",
    "%2e%2e/photo",
    "%2e%2e%2fphoto",
    "..%2f..%2fqueue.sqlite3",
    "..%5cphoto",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "....//photo",
    "photo",
    "stages/segment.npz",
    "scene/scene.json",
    "found/../photo",
    "./shown.jpg",
    "shown.jpg/",
    "shown.jpg%00",
    ".scenelift/lock",
    "",
]


def get_raw(server, path):
    """Status of a path sent as it is: other clients tidy it up first."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("prefix", ["/api/jobs/{}/files/", "/objects/{}/", "/assets/"])
def test_no_path_leads_to_a_file_that_the_job_does_not_list(server, prefix):
    job = server.submit("red")
    server.wait(job)
    shown = "scene.json" if "assets" not in prefix else "x"
    for path in ESCAPES:
        status = get_raw(server, prefix.format(job) + path)
        assert status in (404, 405), path
    assert get_raw(server, prefix.format(job) + shown) == (200 if shown == "scene.json" else 404)


def test_a_link_planted_in_a_job_leads_nowhere(client, tmp_path):
    job = submit(client, png()).json()["id"]
    secret = tmp_path / "secret"
    secret.write_text("secret")
    shown = client.app.state.services.data.job(job).display_photo
    shown.unlink()
    shown.symlink_to(secret)
    assert client.get(f"/api/jobs/{job}/files/shown.jpg").status_code == 404


@pytest.mark.parametrize("job", ["..", "%2e%2e", "0" * 31, "G" * 32, "'; DROP TABLE jobs; --"])
def test_what_is_no_id_names_no_job(client, job):
    for call in (client.get, client.delete):
        assert call(f"/api/jobs/{job}").status_code in (404, 405, 422)


@pytest.mark.parametrize("value", ["x", "-1", "1" * 40, "1;2"])
def test_an_event_number_that_is_none_is_refused(client, value):
    assert client.get("/api/events", headers={"Last-Event-ID": value}).status_code == 422


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"keep": "x"}', b"{" * 10_000, b'{"a": 1}', b"\xff"]
)
def test_a_json_body_that_makes_no_sense_is_refused(client, body):
    job = submit(client, png()).json()["id"]
    headers = {"Content-Type": "application/json"}
    for call in ("continue", "rerun"):
        answer = client.post(f"/api/jobs/{job}/{call}", content=body, headers=headers)
        assert answer.status_code in (400, 422), (call, answer.text)


def test_damaged_photos_are_refused_or_taken_but_never_break_the_server(client):
    """A few of what `benchmarks/hostile.py` sends ten thousand of."""
    rng = random.Random(0)
    whole = png()
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        answer = submit(client, bytes(content[: rng.randint(1, len(content))]))
        assert answer.status_code in (202, 422), answer.text
    assert not list(client.app.state.services.data.incoming.iterdir())


@pytest.mark.parametrize("charset", ["hex", "rot13", "idna", "undefined", "x" * 99, "a\x00b"])
def test_a_form_in_no_encoding_is_refused(client, charset):
    body = b'--a\r\nContent-Disposition: form-data; name="text_prompt"\r\n\r\nred\r\n--a--\r\n'
    kind = f'multipart/form-data; boundary=a; charset="{charset}"'
    answer = client.post("/api/jobs", content=body, headers={"Content-Type": kind})
    assert "UTF-8" in problem(answer, 415)


def test_uploads_arrive_where_the_free_space_is_watched(open_client, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there is no such folder"))
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(noise).save(buffer, "PNG")
    assert len(buffer.getvalue()) > 2**21, "more than is kept in memory"
    with open_client() as client:
        assert submit(client, buffer.getvalue()).status_code == 202
        assert not list(client.app.state.services.data.spool.iterdir())


def test_a_photo_that_costs_gigabytes_costs_the_server_nothing(open_client):
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.zeros((8000, 8000), np.uint16)).save(buffer, "PNG")
    assert len(buffer.getvalue()) < 200_000
    with open_client() as client:
        assert submit(client, png()).status_code == 202
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert submit(client, buffer.getvalue()).status_code in (202, 422)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 50_000, f"{grown} KiB"
        assert submit(client, png()).status_code == 202


@pytest.fixture
def decoder():
    made = []

    def make(**options):
        made.append(decoding.Decoder(max_pixels=10**6, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def folder_of(path, content):
    folder = JobFolder(path / "job")
    folder.path.mkdir()
    folder.photo.write_bytes(content)
    return folder


def test_decoding_has_limits_of_memory_and_time(decoder, tmp_path, monkeypatch):
    folder = folder_of(tmp_path, png((1000, 1000)))
    with pytest.raises(ImageError, match="memory or time"):
        decoder(seconds=0.0).check(folder)
    with monkeypatch.context() as patched:
        patched.setattr(decoding, "BYTES_A_PIXEL", 0)
        patched.setattr(decoding, "OTHER_BYTES", 10_000)
        with pytest.raises(ImageError, match="memory"):
            decoder().check(folder)
    assert decoder().check(folder) == (1000, 1000)


def test_a_decoder_that_died_is_replaced(decoder, tmp_path):
    one = decoder()
    folder = folder_of(tmp_path, png())
    assert one.check(folder) == (160, 120)
    child = one._idle.queue[0]
    child.kill()
    child.wait()
    assert one.check(folder) == (160, 120)


def test_decoders_end_with_the_server(tmp_path):
    """Their standard input is all that holds them."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from scenelift.webapp.decoding import Decoder\n"
        "from scenelift.webapp.folders import JobFolder\n"
        "decoder = Decoder(max_pixels=10**6)\n"
        "decoder.check(JobFolder(Path(sys.argv[1])))\n"
        "print(decoder._idle.queue[0].pid, flush=True); time.sleep(600)\n"
    )
    folder = folder_of(tmp_path, png())
    command = [sys.executable, "-c", code, str(folder.path)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    pid = int(server.stdout.readline())
    server.kill()
    server.communicate()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_frames_of_an_animation_are_not_counted(tmp_path, monkeypatch):
    frames = [PIL.Image.new("RGB", (32, 32), (90 * k, 0, 0)) for k in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])

    def count(self):
        raise AssertionError("counting millions takes a while")

    monkeypatch.setattr(GifImageFile, "n_frames", property(count))
    assert any("first frame" in note for note in read_image(tmp_path / "a.gif").notes)


def test_no_decoder_starts_another_program():
    """PostScript would be handed to Ghostscript: no file is opened but in formats that we name."""
    assert not {"EPS", "WMF", "IPTC"} & set(FORMATS)
    source = Path(decoding.__file__).parents[1]
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for call in re.findall(r"(?:PIL\.Image|PillowImage|Pillow|Image)\.open\([^\n]*", text):
            assert "formats=" in call, f"{path}: {call}"


def part(name, data, head=b""):
    start = b'--a\r\nContent-Disposition: form-data; name="' + name + b'"'
    return start + head + b"\r\n\r\n" + data + b"\r\n"


def send(client, *parts, end=b"--a--\r\n"):
    photo = part(b"image", png(), b'; filename="a.png"')
    return client.post(
        "/api/jobs",
        content=photo + b"".join(parts) + end,
        headers={"Content-Type": "multipart/form-data; boundary=a"},
    )


def in_charset(name):
    return b"\r\nContent-Type: text/plain; charset=" + name


def test_a_text_is_read_in_the_charset_of_its_part_or_of_the_form(client):
    chair = "椅子"
    for parts in (
        (part(b"text_prompt", chair.encode("gb18030"), in_charset(b'"GB18030"')),),
        (part(b"text_prompt", chair.encode("shift_jis")), part(b"_charset_", b"Shift_JIS")),
        (part(b"_charset_", b"big5"), part(b"text_prompt", chair.encode(), in_charset(b"utf-8"))),
    ):
        assert send(client, *parts).json()["prompt"]["phrases"] == [chair]
    answer = send(client, part(b"text_prompt", b"\xff\xfe", in_charset(b"utf-8")))
    assert "'text_prompt' is not in utf-8" in problem(answer, 422)
    answer = send(client, part(b"text_prompt", b"+AGE-", in_charset(b"utf-7")))
    assert "charset 'utf-7'; send UTF-8" in problem(answer, 415)


def test_a_form_that_is_too_long_or_cut_off_is_told_in_our_words(client):
    answer = send(client, part(b"boxes", b"x" * 70_000))
    assert "'boxes' is longer than 64 kB" in problem(answer, 413)
    assert "more than 100 fields" in problem(send(client, *[part(b"text_prompt", b"a")] * 101), 400)
    # The photo and the text are there, and more may have been.
    assert "cut off" in problem(send(client, part(b"text_prompt", b"red"), end=b""), 400)
    answer = client.post("/api/jobs", content=b"", headers={"Content-Type": "multipart/form-data"})
    assert "names no boundary" in problem(answer, 400)
    two = '[{"box": [1, 2, 30, 40], "box": [3, 4, 50, 60]}]'
    assert "has the name 'box' twice" in problem(submit(client, png(), boxes=two), 422)
    broken = problem(submit(client, png(), boxes='[{"box": [1, 2, 3, 4]'), 422)
    assert "a comma or the closing bracket is missing (line 1, column 22)" in broken


def test_numbers_of_a_form_are_read_as_everywhere(client):
    for text, score in (("50%", 0.5), ("0,25", 0.25), (" .5 ", 0.5)):
        job = submit(client, png(), min_score=text, seed="7.0").json()
        assert (job["prompt"]["min_score"], job["seed"]) == (score, 7)
    assert "min_score is '150%'; expected a number from 0 to 1" in problem(
        submit(client, png(), min_score="150%"), 422
    )


@pytest.mark.parametrize(
    ("call", "body", "words"),
    [
        ("rerun", {"seed": -1}, "seed must be 0 or more, not -1."),
        ("rerun", {"sead": 1}, "sead is not known here."),
        ("rerun", {"boxes": [{"box": [1, 2, 3]}]}, "boxes.0.box.3 is missing."),
        ("rerun", [1], "The body must be JSON, sent as application/json."),
        ("exports", {"turntables": [{"path": "x"}]}, "turntables.0.path must be one of 'swing'"),
        ("exports", {"pictures": [{"size": "big"}]}, "pictures.0.size must be a whole number, not"),
        ("continue", {"keep": [True]}, "keep.0 must be a whole number, not True."),
        ("click", {}, "Give a point on the object, a box around it, or a mask of it."),
    ],
)
def test_what_is_wrong_with_json_is_said_in_plain_words(client, call, body, words):
    answer = client.post(f"/api/jobs/{'0' * 32}/{call}", json=body)
    assert problem(answer, 422).startswith(words)


def test_json_that_cannot_be_read_or_says_a_thing_twice_is_refused(client):
    for text, words in (
        ('{"seed": 1, "seed": 2}', "has the name 'seed' twice"),
        ('{"seed": 1', "a comma or the closing bracket is missing"),
        ("[" * 5000, "nested too deeply"),
        (b"\xff", "not UTF-8"),
    ):
        answer = client.post(
            f"/api/jobs/{'0' * 32}/rerun",
            content=text,
            headers={"Content-Type": "application/json"},
        )
        assert words in problem(answer, 400)


def test_a_lone_text_is_one_of_several_and_numbers_label_points(client):
    job = submit(client, png()).json()["id"]
    again = {"text_prompt": "cup; spoon", "points": [{"point": [50, 60], "label": 0}]}
    answer = client.post(f"/api/jobs/{job}/rerun", json=again).json()
    assert answer["prompt"]["phrases"] == ["cup", "spoon"]
    assert answer["prompt"]["points"] == [{"point": [50, 60], "label": "", "positive": False}]


def test_options_says_what_an_address_takes(client):
    for path, methods in (
        ("/api/jobs", "GET, HEAD, OPTIONS, POST"),
        (f"/api/jobs/{'0' * 32}/edits", "GET, HEAD, OPTIONS, PUT"),
        ("/health", "GET, HEAD, OPTIONS"),
    ):
        answer = client.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (204, methods)
