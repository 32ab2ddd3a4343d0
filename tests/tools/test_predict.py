"""tools/predict.py, against the network itself."""

import os

import cv2
import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from mmseg_rloss.ops import dense_crf_inference
from mmseg_rloss.visualization import overlay_labels
from tests.tools.network import PALETTE, write_image
from tools import predict


def run(network, images, out, *options):
    predict.main([network.config, network.checkpoint, str(images), "--out", str(out), *options])


def test_masks_and_overlays_are_those_of_the_network(network, tmp_path):
    images = {
        name: write_image(tmp_path / "images" / f"{name}.png", size)
        for name, size in (("a", (24, 32)), ("trip/b", (40, 16)))
    }
    run(network, tmp_path / "images", tmp_path / "out")
    for name, image in images.items():
        expected = network.logits(image).argmax(0).numpy()
        assert len(np.unique(expected)) > 1, "the test needs a prediction of several classes"
        with Image.open(tmp_path / "out" / "masks" / f"{name}.png") as mask:
            assert np.array_equal(np.array(mask), expected)
            assert np.array_equal(np.array(mask.convert("RGB")), np.array(PALETTE)[expected])
        overlay = np.array(Image.open(tmp_path / "out" / "overlays" / f"{name}.jpg")).astype(int)
        ideal = overlay_labels(image, expected, np.array(PALETTE, np.uint8))
        assert np.abs(overlay - ideal).mean() < 12  # JPEG blurs the colours
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"masks", "overlays"}


def test_saves_the_scores_where_asked_to(network, tmp_path):
    image = write_image(tmp_path / "a.png")
    run(network, tmp_path / "a.png", tmp_path / "out", "--save-scores")
    scores = np.load(tmp_path / "out" / "scores" / "a.npy")
    assert scores.dtype == np.float16
    assert np.allclose(scores, network.logits(image), atol=1e-2)


def test_refines_by_the_dense_crf(network, tmp_path):
    image = write_image(tmp_path / "a.png")
    probabilities = network.logits(image).softmax(0)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]

    def check(*options, **parameters):
        run(network, tmp_path / "a.png", tmp_path / "out", *options)
        expected = dense_crf_inference(tensor, probabilities[None], **parameters)[0].argmax(0)
        assert not torch.equal(expected, probabilities.argmax(0)), "the test needs a refinement"
        with Image.open(tmp_path / "out" / "masks" / "a.png") as mask:
            assert np.array_equal(np.array(mask), expected)

    check("--refine")
    options = ["--cfg-options", "model.dense_crf.bilateral_sigma_rgb=100"]
    check("--refine", "1", *options, iterations=1, bilateral_sigma_rgb=100)
    options += ["model.type=DenseCRFEncoderDecoder"]
    check("--refine", "2", *options, iterations=2, bilateral_sigma_rgb=100)


def test_a_segmentor_that_cannot_refine_is_reported(network, tmp_path):
    write_image(tmp_path / "a.png")
    options = ["--refine", "--cfg-options", "model.type=DepthEstimator"]
    with pytest.raises(SystemExit, match=r"with EncoderDecoder and Cascade.*not with DepthEst"):
        run(network, tmp_path / "a.png", tmp_path / "out", *options)


def test_a_second_run_does_the_same(network, tmp_path):
    write_image(tmp_path / "images" / "a.png")
    run(network, tmp_path / "images", tmp_path / "out")
    first = (tmp_path / "out" / "masks" / "a.png").read_bytes()
    run(network, tmp_path / "images", tmp_path / "out")
    assert (tmp_path / "out" / "masks" / "a.png").read_bytes() == first


def test_a_second_run_takes_the_results_of_the_first_for_no_images(network, tmp_path):
    images = tmp_path / "images"
    write_image(images / "trip" / "a.png")
    for _ in range(2):
        run(network, images, images / "out")
    found = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.*g"))
    assert found == ["out/masks/trip/a.png", "out/overlays/trip/a.jpg", "trip/a.png"]


def test_the_results_may_lie_beside_the_folder_of_the_images(network, tmp_path):
    write_image(tmp_path / "images" / "a.png")
    for _ in range(2):
        run(network, tmp_path / "images", tmp_path)
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["a.png"]


@pytest.mark.parametrize("images, out", [("", "."), ("masks", "."), ("masks/a.png", "masks/..")])
def test_images_are_not_written_over(network, tmp_path, images, out):
    write_image(tmp_path / "masks" / "a.png")
    before = (tmp_path / "masks" / "a.png").read_bytes()
    with pytest.raises(SystemExit, match="is where --out would write.*name another"):
        run(network, tmp_path / images, tmp_path / out)
    assert (tmp_path / "masks" / "a.png").read_bytes() == before


def test_a_broken_image_is_reported_and_the_others_are_predicted(network, tmp_path):
    write_image(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(SystemExit, match=r"left out: .*broken\.jpg"):
        run(network, tmp_path / "images", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["a.png"]


def test_a_folder_without_images_is_reported(network, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(SystemExit, match="No image"):
        run(network, tmp_path, tmp_path / "out")


def test_images_that_would_share_a_mask_are_reported(network, tmp_path):
    for name in ("a.png", "a.bmp"):
        write_image(tmp_path / "images" / name)
    with pytest.raises(SystemExit, match=r"a\.bmp and .*a\.png would share a mask"):
        run(network, tmp_path / "images", tmp_path / "out")


def test_files_of_every_odd_kind_are_named_and_the_others_predicted(network, tmp_path):
    images = tmp_path / "images"
    for name in ("a.png", "z.png"):
        write_image(images / name)
    grey = np.random.default_rng(0).random((24, 32)).astype(np.float32)
    Image.fromarray(grey).save(images / "b.tif")  # Pillow reads it, OpenCV does not
    (images / "c.jpg").write_bytes((images / "a.png").read_bytes()[:200])
    (images / "d.bmp").touch()
    os.mkfifo(images / "e.jpg")
    (images / "f.jpg").symlink_to(images / "f.jpg")
    (images / "._a.jpg").write_bytes(b"Mac OS X")
    (images / "g.jpg").mkdir()
    with pytest.raises(SystemExit) as stop:
        run(network, images, tmp_path / "out")
    assert str(stop.value).startswith("5 files could not be predicted")
    for name in ("b.tif", "c.jpg", "d.bmp", "e.jpg", "f.jpg"):
        assert f"{images / name}: " in str(stop.value)
    masks = sorted(path.name for path in (tmp_path / "out" / "masks").iterdir())
    assert masks == ["a.png", "z.png"]


def test_an_image_that_the_network_fails_on_is_named(network, tmp_path, monkeypatch):
    for name in "ab":
        write_image(tmp_path / "images" / f"{name}.png")
    infer = predict.inference_model

    def out_of_memory(model, path):
        if path.endswith("a.png"):
            raise RuntimeError("out of memory")
        return infer(model, path)

    monkeypatch.setattr(predict, "inference_model", out_of_memory)
    with pytest.raises(SystemExit, match=r"a\.png: RuntimeError: out of memory"):
        run(network, tmp_path / "images", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["b.png"]


def test_images_of_16_bits_and_turned_ones_look_as_the_network_sees_them(network, tmp_path):
    image = write_image(tmp_path / "images" / "a.png", (40, 40))
    cv2.imwrite(str(tmp_path / "images" / "a.png"), image[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(image[:20]).save(tmp_path / "images" / "b.jpg", exif=exif)
    run(network, tmp_path / "images", tmp_path / "out")
    image = image[..., :1].repeat(3, axis=2)
    with Image.open(tmp_path / "out" / "masks" / "a.png") as mask:
        labels = np.array(mask)
    assert np.array_equal(labels, network.logits(image).argmax(0).numpy())
    overlay = np.array(Image.open(tmp_path / "out" / "overlays" / "a.jpg")).astype(int)
    ideal = overlay_labels(image, labels, np.array(PALETTE, np.uint8))
    assert np.abs(overlay - ideal).mean() < 12  # JPEG blurs the colours
    for name in ("masks/b.png", "overlays/b.jpg"):
        assert Image.open(tmp_path / "out" / name).size == (20, 40)


def test_a_checkpoint_of_another_network_is_reported(network, tmp_path):
    write_image(tmp_path / "a.png")
    torch.save(dict(state_dict={}, meta=torch.load(network.checkpoint)["meta"]), tmp_path / "x.pth")
    with pytest.raises(SystemExit, match=r"x\.pth lacks .*25 of 25 of the backbone"):
        other = network._replace(checkpoint=str(tmp_path / "x.pth"))
        run(other, tmp_path / "a.png", tmp_path / "out")


def test_results_that_cannot_be_written_are_named_and_the_others_are(network, tmp_path):
    for name in "ab":
        write_image(tmp_path / "images" / f"{name}.png")
    (tmp_path / "out" / "masks" / "a.png").mkdir(parents=True)
    with pytest.raises(SystemExit, match=r"a\.png: its results cannot be written .*Is a directory"):
        run(network, tmp_path / "images", tmp_path / "out")
    assert (tmp_path / "out" / "masks" / "b.png").is_file()


@pytest.mark.parametrize(
    "text, told",
    [
        (None, "cannot be read as a config .*FileNotFoundError"),
        ("model = dict(", "cannot be read as a config .*SyntaxError"),
        ("1 / 0", "cannot be read as a config .*ZeroDivisionError"),
        ("lr = 1", "is not a config of a network"),
    ],
)
def test_a_file_that_is_not_a_config_is_named(network, tmp_path, text, told):
    write_image(tmp_path / "a.png")
    config = tmp_path / "other.py"
    if text:
        config.write_text(text)
    with pytest.raises(SystemExit, match=rf"other\.py {told}"):
        run(network._replace(config=str(config)), tmp_path / "a.png", tmp_path / "out", "--refine")
