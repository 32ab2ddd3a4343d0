"""The server of demo/web.py, over real requests, against the functions that it calls."""

import base64
import functools
import http.client
import io
import json
import re
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from demo import web
from mmseg_rloss.ops import bilateral_filter, soft_labels
from mmseg_rloss.visualization import colour_pulls, overlay_labels, read_image
from tests.demo.browser import serve
from tests.tools.network import CLASSES, PALETTE, write_image, write_network

SIZE = (24, 32)
SIGMAS = dict(sigma_rgb=20, sigma_xy=6)
STROKES = [
    dict(label=1, width=3, points=[[4, 3], [20.4, 3]]),
    dict(label=2, width=1, points=[[8, 1], [8, 20]]),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of images, with a network beside it."""
    folder = tmp_path_factory.mktemp("demo")
    write_image(folder / "images" / "an image.png", SIZE)
    write_image(folder / "images" / "sub" / "b.png", SIZE)
    return folder


@pytest.fixture(scope="module")
def network(folder):
    return write_network(folder)


def options(folder, network):
    return [
        f"--config={network.config}",
        f"--checkpoint={network.checkpoint}",
        f"--images={folder / 'images'}",
    ]


@pytest.fixture(scope="module")
def url(folder, network):
    with serve(web.make_demo(web.parse_args(options(folder, network)))) as url:
        yield url


@pytest.fixture(scope="module")
def url_without_network(folder):
    arguments = ["--classes", "sea", "sand", "sun", f"--images={folder / 'images'}"]
    with serve(web.make_demo(web.parse_args(arguments))) as url:
        yield url


def request(url, method, path, body=None, **headers):
    """Status and body of the response."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, response.read()


def pixels(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)))


def shown(address: str) -> np.ndarray:
    """The pixels of a picture in an answer."""
    return pixels(base64.b64decode(address.removeprefix("data:image/png;base64,")))


def ask(url, path: Path, given, **changes):
    """Status and content of the answer to strokes."""
    body = dict(image=base64.b64encode(path.read_bytes()).decode(), strokes=given, **SIGMAS)
    status, answer = request(url, "POST", "/answers", json.dumps(body | changes))
    return status, json.loads(answer)


def test_sends_the_page_its_settings(url, url_without_network, network):
    status, page = request(url, "GET", "/")
    assert status == 200 and page == web.PAGE.read_bytes()
    settings = json.loads(request(url, "GET", "/settings")[1])
    assert settings["images"] == ["an image.png", "sub/b.png"]
    assert settings["checkpoint"] == network.checkpoint
    colours = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in PALETTE]
    pairs = zip(CLASSES, colours, strict=True)
    assert settings["classes"] == [dict(name=name, colour=colour) for name, colour in pairs]
    settings = json.loads(request(url_without_network, "GET", "/settings")[1])
    assert settings["checkpoint"] is None
    assert [entry["name"] for entry in settings["classes"]] == ["sea", "sand", "sun"]
    assert [entry["colour"] for entry in settings["classes"]] == ["#000000", "#800000", "#008000"]


@pytest.mark.parametrize("name", ["an image.png", "sub/b.png"])
def test_shows_the_images_of_the_folder(url, folder, name):
    for path in (name.replace(" ", "%20"), name.replace(" ", "%20").replace("/", "%2F")):
        status, body = request(url, "GET", f"/images/{path}")
        assert status == 200
        assert np.array_equal(pixels(body), read_image(folder / "images" / name))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "1", "I;16", "CMYK", "turned"])
def test_opens_images_of_any_mode_as_the_network_would(url, tmp_path, mode):
    rgb = Image.fromarray(write_image(tmp_path / "image.png", (20, 30)))
    if mode == "CMYK":
        rgb.convert("CMYK").save(tmp_path / "image.jpg")
    elif mode == "turned":
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        rgb.save(tmp_path / "image.jpg", exif=exif)
    elif mode == "I;16":
        Image.fromarray(np.array(rgb)[..., 0].astype(np.uint16) * 257).save(tmp_path / "image.png")
    else:
        rgb.convert(mode).save(tmp_path / "image.png")
    path = max(tmp_path.iterdir(), key=lambda path: path.suffix == ".jpg")
    status, body = request(url, "POST", "/images", path.read_bytes())
    assert status == 200, body
    expected = read_image(path)
    assert expected.shape == ((30, 20, 3) if mode == "turned" else (20, 30, 3))
    assert np.array_equal(pixels(body), expected)


def test_scales_large_images_down(url):
    file = io.BytesIO()
    Image.linear_gradient("L").resize((1600, 900)).save(file, "PNG")
    small = pixels(request(url, "POST", "/images", file.getvalue())[1])
    assert small.shape == (360, 640, 3)
    assert abs(small[180].mean() - 127.5) < 2 and small[5].mean() < 10 and small[-5].mean() > 245


def test_an_image_keeps_a_pixel_of_its_shorter_side(url):
    data = web.as_png(np.zeros((1, 3000, 3), np.uint8))
    assert pixels(request(url, "POST", "/images", data)[1]).shape == (1, 640, 3)


def test_answers_are_those_of_the_functions(url, folder, network):
    path = folder / "images" / "an image.png"
    image, palette = read_image(path), np.array(PALETTE, np.uint8)
    labels = np.full(SIZE, 255, np.uint8)
    labels[2:5, 3:22] = 1
    labels[1:21, 8] = 2
    status, answers = ask(url, path, STROKES)
    assert status == 200, answers

    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    strokes = torch.from_numpy(labels == np.array([1, 2])[:, None, None])[None].float()
    pulls = colour_pulls(2 * bilateral_filter(tensor, strokes, **SIGMAS)[0].numpy())
    assert answers["pulls"].keys() == {"1", "2"}
    for label, pull in zip("12", pulls, strict=True):
        # The gradient is computed in another order of sums.
        difference = np.abs(shown(answers["pulls"][label]).astype(int) - pull)
        assert difference.max() <= 3 and pull.std() > 10

    def check(name, found):
        assert len(np.unique(found)) > 1, "the test needs several classes"
        assert np.array_equal(shown(answers[name]), overlay_labels(image, found, palette)), name

    region, label = torch.ones(1, *SIZE), torch.from_numpy(labels)[None]
    probabilities = network.logits(image).softmax(0)[None]
    tags = torch.tensor([[False, True, True]])  # the classes drawn
    even = torch.full_like(probabilities, 0.5)
    labels_of = functools.partial(soft_labels, **SIGMAS, scale_factor=1.0)
    soft = labels_of(tensor, even, region, label, image_tags=tags)
    check("agreed", soft[0].argmax(0).numpy())
    check("prediction", probabilities[0].argmax(0).numpy())
    check("together", labels_of(tensor, probabilities, region, label)[0].argmax(0).numpy())


def test_answers_what_it_can_without_strokes_or_network(url, url_without_network, folder):
    path = folder / "images" / "an image.png"

    def answered(url, strokes):
        status, answers = ask(url, path, strokes)
        assert status == 200
        return {name for name, picture in answers.items() if picture}

    assert answered(url, []) == {"prediction"}
    assert answered(url_without_network, []) == set()
    assert answered(url_without_network, STROKES) == {"pulls", "agreed"}


def test_strokes_may_leave_the_image_or_be_a_point(url, folder):
    path = folder / "images" / "an image.png"
    strokes = [
        dict(label=0, width=1, points=[[-50, 10], [500, 10]]),
        dict(label=1, width=3, points=[[31, 23]]),
    ]
    labels = web.draw_strokes(strokes, SIZE, list(CLASSES))
    expected = np.full(SIZE, 255)
    expected[10] = 0
    expected[22:, 30:] = 1
    assert np.array_equal(labels, expected)
    assert ask(url, path, strokes)[0] == 200


@pytest.mark.parametrize(
    "changes, told",
    [
        (dict(strokes=[dict(label=3, width=3, points=[[1, 1]])]), "label .* below 3, not 3"),
        (dict(strokes=[dict(label="x", width=3, points=[[1, 1]])]), "label .* not 'x'"),
        (dict(strokes=[dict(label=0, width=2, points=[[1, 1]])]), "width .* odd, to 99, not 2"),
        (dict(strokes=[dict(label=0, width=101, points=[[1, 1]])]), "width .* not 101"),
        (dict(strokes=[dict(label=0, width=1, points=[["x"]])]), "points .* pairs of numbers"),
        (dict(strokes=[dict(label=0, width=1, points=[[1, 1e9]])]), "points that lie in no image"),
        (dict(strokes=[dict(label=0, width=1, points=[])]), "has no points"),
        (dict(strokes=[{}]), "not the page's .*label"),
        (dict(strokes=None), "not the page's"),
        (dict(sigma_rgb=0), "sigma_rgb must be .*0"),
        (dict(sigma_xy="far"), "sigma_xy must be .*far"),
        (dict(image=base64.b64encode(b"no image").decode()), "unreadable"),
        (dict(image="abc"), "padding"),
    ],
)
def test_answers_to_nonsense_say_what_is_wrong(url, folder, changes, told):
    status, answer = ask(url, folder / "images" / "an image.png", STROKES, **changes)
    assert status == 400
    assert re.search(told, answer["error"]), answer


def test_files_that_are_not_images_are_refused(url):
    status, body = request(url, "POST", "/images", b"GIF89a and no more")
    assert status == 400 and b"unreadable" in body and b"tmp" not in body
    assert request(url, "POST", "/images", b"")[0] == 400


@pytest.mark.parametrize("side", [8000, 40000])
def test_images_of_too_many_pixels_are_refused_by_their_header(url, side):
    data = bytearray(web.as_png(np.zeros((1, 1, 3), np.uint8)))
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    status, body = request(url, "POST", "/images", bytes(data))
    assert status == 400 and b"the image has more than 50000000 pixels" in body


def test_requests_that_are_too_large_are_refused_before_they_are_read(url):
    length = {"Content-Length": str(web.MAX_BYTES + 2**20)}
    for path in ("/images", "/answers"):
        status, body = request(url, "POST", path, **length)
        assert status == 413 and json.loads(body)["error"] == "17.0 MiB are more than 16 MiB"
    status, body = request(url, "POST", "/images", **{"Content-Length": "many"})
    assert status == 411


@pytest.mark.parametrize("path", ["/images/../network.py", "/images/%2e%2e/network.py", "/web.py"])
def test_nothing_else_is_served(url, path):
    for method in ("GET", "POST"):
        status, body = request(url, method, path, b"" if method == "POST" else None)
        assert status == 404 and "is not here" in json.loads(body)["error"]


def test_a_failure_is_reported_on_the_page_and_in_the_terminal(folder, capsys):
    demo = web.make_demo(web.parse_args([f"--images={folder / 'images'}", "--classes", "a"]))
    demo.palette = None
    with serve(demo) as url:
        status, body = request(url, "GET", "/settings")
        assert status == 500 and "NoneType" in json.loads(body)["error"]
        assert "Traceback" in capsys.readouterr().err
        assert request(url, "GET", "/")[0] == 200


def test_the_command_serves_until_ctrl_c(folder, network):
    command = [sys.executable, web.__file__, "--port=0", *options(folder, network)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = next(line for line in process.stdout if "shows the demo" in line)
        assert f"with {network.checkpoint}" in line
        address = line.split()[0]
        assert address.startswith("http://127.0.0.1:")
        status, answers = ask(address, folder / "images" / "an image.png", STROKES)
        assert status == 200 and answers["together"]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_a_port_in_use_is_reported(url, folder):
    port = url.rpartition(":")[2]
    for taken in (port, "70000"):
        with pytest.raises(SystemExit, match=rf"Port {taken} of .* cannot .*another, by --port"):
            web.main([f"--images={folder / 'images'}", "--classes", "a", "--port", taken])


def test_options_are_listed_and_wrong_ones_are_reported(folder, network, tmp_path, capsys):
    for arguments, told in [
        ([*options(folder, network), "--classes", "a"], "the classes of a network are its"),
        ([f"--images={tmp_path / 'none'}"], "none is not a folder"),
    ]:
        with pytest.raises(SystemExit):
            web.parse_args(arguments)
        assert told in capsys.readouterr().err
    (tmp_path / "broken.pth").write_bytes(b"no checkpoint")
    arguments = [f"--config={network.config}", f"--checkpoint={tmp_path / 'broken.pth'}"]
    with pytest.raises(SystemExit, match=r"broken\.pth cannot be loaded"):
        web.make_demo(web.parse_args(arguments))
    with pytest.raises(SystemExit, match="names no classes: name them by --classes"):
        web.make_demo(web.parse_args([f"--config={network.config}"]))
    with pytest.raises(SystemExit, match="room for 255 classes, not 256"):
        web.make_demo(web.parse_args(["--classes", *map(str, range(256))]))
    with pytest.raises(SystemExit):
        web.main(["--help"])
    assert web.__doc__.splitlines()[0] in capsys.readouterr().out


def test_takes_the_network_of_make_train_if_it_is_there(monkeypatch, network, tmp_path):
    monkeypatch.setattr(web, "CHECKPOINT", Path(network.checkpoint))
    assert web.parse_args([]).checkpoint == Path(network.checkpoint)
    assert web.parse_args(["--classes", "a"]).checkpoint is None
    assert web.parse_args(["--config", network.config]).checkpoint is None
    monkeypatch.setattr(web, "CHECKPOINT", tmp_path / "none.pth")
    assert web.parse_args([]).checkpoint is None
