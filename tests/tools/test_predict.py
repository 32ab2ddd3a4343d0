"""tools/predict.py, against the network itself."""

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_rloss.ops import dense_crf_inference
from mmseg_rloss.visualization import overlay_labels
from tests.tools.network import PALETTE, write_network, write_photo
from tools import predict


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network"))


def run(network, photos, out, *options):
    predict.main([network.config, network.checkpoint, str(photos), "--out", str(out), *options])


def test_masks_and_overlays_are_those_of_the_network(network, tmp_path):
    photos = {
        name: write_photo(tmp_path / "photos" / f"{name}.png", size)
        for name, size in (("a", (24, 32)), ("trip/b", (40, 16)))
    }
    run(network, tmp_path / "photos", tmp_path / "out")
    for name, photo in photos.items():
        expected = network.logits(photo).argmax(0).numpy()
        assert len(np.unique(expected)) > 1, "the test needs a prediction of several classes"
        with Image.open(tmp_path / "out" / "masks" / f"{name}.png") as mask:
            assert np.array_equal(np.array(mask), expected)
            assert np.array_equal(np.array(mask.convert("RGB")), np.array(PALETTE)[expected])
        overlay = np.array(Image.open(tmp_path / "out" / "overlays" / f"{name}.jpg")).astype(int)
        ideal = overlay_labels(photo, expected, np.array(PALETTE, np.uint8))
        assert np.abs(overlay - ideal).mean() < 12  # JPEG blurs the colours
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"masks", "overlays"}


def test_saves_the_scores_where_asked_to(network, tmp_path):
    photo = write_photo(tmp_path / "a.png")
    run(network, tmp_path / "a.png", tmp_path / "out", "--save-scores")
    scores = np.load(tmp_path / "out" / "scores" / "a.npy")
    assert scores.dtype == np.float16
    assert np.allclose(scores, network.logits(photo), atol=1e-2)


def test_refines_by_the_dense_crf(network, tmp_path):
    photo = write_photo(tmp_path / "a.png")
    probabilities = network.logits(photo).softmax(0)
    image = torch.from_numpy(photo).permute(2, 0, 1)[None]

    def check(*options, **parameters):
        run(network, tmp_path / "a.png", tmp_path / "out", *options)
        expected = dense_crf_inference(image, probabilities[None], **parameters)[0].argmax(0)
        assert not torch.equal(expected, probabilities.argmax(0)), "the test needs a refinement"
        with Image.open(tmp_path / "out" / "masks" / "a.png") as mask:
            assert np.array_equal(np.array(mask), expected)

    check("--refine")
    options = ["--cfg-options", "model.dense_crf.bilateral_sigma_rgb=100"]
    check("--refine", "1", *options, iterations=1, bilateral_sigma_rgb=100)
    options += ["model.type=DenseCRFEncoderDecoder"]
    check("--refine", "2", *options, iterations=2, bilateral_sigma_rgb=100)


def test_a_segmentor_that_cannot_refine_is_told(network, tmp_path):
    write_photo(tmp_path / "a.png")
    options = ["--refine", "--cfg-options", "model.type=DepthEstimator"]
    with pytest.raises(SystemExit, match=r"with EncoderDecoder and Cascade.*not with DepthEst"):
        run(network, tmp_path / "a.png", tmp_path / "out", *options)


def test_a_second_run_does_the_same(network, tmp_path):
    write_photo(tmp_path / "photos" / "a.png")
    run(network, tmp_path / "photos", tmp_path / "out")
    first = (tmp_path / "out" / "masks" / "a.png").read_bytes()
    run(network, tmp_path / "photos", tmp_path / "out")
    assert (tmp_path / "out" / "masks" / "a.png").read_bytes() == first


def test_a_broken_photo_is_told_and_the_others_are_predicted(network, tmp_path):
    write_photo(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(SystemExit, match=r"left out: .*broken\.jpg"):
        run(network, tmp_path / "photos", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["a.png"]


def test_a_folder_without_photos_is_told(network, tmp_path):
    (tmp_path / "notes.txt").write_text("no photo")
    with pytest.raises(SystemExit, match="No photo"):
        run(network, tmp_path, tmp_path / "out")


def test_photos_that_would_share_a_mask_are_told(network, tmp_path):
    for name in ("a.png", "a.bmp"):
        write_photo(tmp_path / "photos" / name)
    with pytest.raises(SystemExit, match=r"a\.bmp and .*a\.png would share a mask"):
        run(network, tmp_path / "photos", tmp_path / "out")
