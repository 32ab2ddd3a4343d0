"""tools/visualize_densecrf.py: one figure for each image, by a network or of saved scores."""

import functools

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_rloss.datasets.label_png import write_label_png
from mmseg_rloss.ops import (
    dense_energy_loss,
    densecrf_loss,
    kernel_cut_loss,
    neighbour_potts_loss,
    normalized_cut_loss,
)
from tests.tools.network import write_image
from tools import visualize_densecrf


def energy(image, probabilities, sigma_rgb, sigma_xy, scale_factor) -> float:
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    region = torch.ones(1, *image.shape[:2])
    loss = densecrf_loss(tensor, probabilities[None], region, sigma_rgb, sigma_xy, scale_factor)
    return loss.item()


def draw_saved(folder, *options) -> None:
    """Draw a.png of a folder by the scores of a.npy beside it."""
    image, out = str(folder / "a.png"), str(folder / "out")
    visualize_densecrf.main([image, "--scores", str(folder), "--out", out, *options])


def losses_in(figure) -> list[float]:
    titles = [axis.get_title() for axis in figure.axes]
    return [float(title.split()[1]) for title in titles if title.startswith("loss")]


def test_by_a_network_with_the_parameters_of_its_config(network, tmp_path, figures):
    images = [write_image(tmp_path / f"{name}.png") for name in "ab"]
    files = [str(tmp_path / f"{name}.png") for name in "ab"]
    out = tmp_path / "out"
    visualize_densecrf.main([network.config, network.checkpoint, *files, "--out", str(out)])
    assert {path.name for path in out.iterdir()} == {"a.png", "b.png"}
    for image, figure in zip(images, figures, strict=True):
        probabilities = network.logits(image).softmax(0)
        expected = 1e-6 * energy(image, probabilities, 15, 20, 0.5)
        assert losses_in(figure) == [pytest.approx(expected, rel=1e-3)]
        assert "pull towards grass" in [axis.get_title() for axis in figure.axes]


@pytest.mark.parametrize(
    "loss, energy_of",
    [
        (
            dict(type="KernelCutLoss", densecrf_weight=5.0),
            functools.partial(kernel_cut_loss, densecrf_weight=5.0),
        ),
        (
            dict(type="DenseCRFLoss", normalize=True),
            functools.partial(densecrf_loss, normalize=True),
        ),
        (dict(type="DenseEnergyLoss"), densecrf_loss),  # an image has no labels
    ],
)
def test_the_loss_is_the_one_of_the_config(network, tmp_path, figures, loss, energy_of):
    config = Config.fromfile(network.config)
    config.model.decode_head.loss_decode[1] = loss | dict(loss_weight=1e-3)
    config.dump(tmp_path / "config.py")
    image = write_image(tmp_path / "a.png")
    files = [str(tmp_path / "config.py"), network.checkpoint, str(tmp_path / "a.png")]
    visualize_densecrf.main([*files, "--sigma-xy", "8", "--out", str(tmp_path / "out")])
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    maps = tensor, network.logits(image).softmax(0)[None], torch.ones(1, *image.shape[:2])
    expected = 1e-3 * energy_of(*maps, 15, 8, 0.5).item()
    assert losses_in(figures[0]) == [pytest.approx(expected, rel=1e-3)]


def test_a_row_for_each_loss_that_is_named(network, tmp_path, figures):
    config = Config.fromfile(network.config)
    parameters = dict(loss_weight=1.0, sigma_rgb=15, sigma_xy=8, scale_factor=0.5)
    config.regularized_losses = dict(
        normalized=dict(type="DenseCRFLoss", normalize=True, **parameters),
        cut=dict(type="NormalizedCutLoss", **parameters),
    )
    config.dump(tmp_path / "config.py")
    image = write_image(tmp_path / "a.png")
    files = [str(tmp_path / "config.py"), network.checkpoint, str(tmp_path / "a.png")]
    names = ["--losses", "cut", "normalized"]
    visualize_densecrf.main([*files, *names, "--out", str(tmp_path / "out")])
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    maps = tensor, network.logits(image).softmax(0)[None], torch.ones(1, *image.shape[:2])
    expected = [
        normalized_cut_loss(*maps, 15, 8, 0.5).item(),
        densecrf_loss(*maps, 15, 8, 0.5, normalize=True).item(),
    ]
    assert losses_in(figures[0]) == pytest.approx(expected, rel=1e-3)

    with pytest.raises(
        SystemExit, match="--losses: no loss of the name crf: .* has cut, normalized"
    ):
        visualize_densecrf.main([*files, "--losses", "crf", "--out", str(tmp_path / "out")])


def test_the_loss_of_neighbours_has_a_row_for_each_bandwidth_of_the_colours(
    network, tmp_path, figures
):
    config = Config.fromfile(network.config)
    config.regularized_losses = dict(potts=dict(type="NeighbourPottsLoss"))
    config.dump(tmp_path / "config.py")
    image = write_image(tmp_path / "a.png")
    files = [str(tmp_path / "config.py"), network.checkpoint, str(tmp_path / "a.png")]
    sigmas = ["--sigma-rgb", "5", "15", "--sigma-xy", "4", "8", "16"]
    visualize_densecrf.main([*files, "--losses", "potts", *sigmas, "--out", str(tmp_path / "out")])
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    maps = tensor, network.logits(image).softmax(0)[None], torch.ones(1, *image.shape[:2])
    expected = [neighbour_potts_loss(*maps, sigma, 0.5).item() for sigma in (5, 15)]
    assert losses_in(figures[0]) == pytest.approx(expected, rel=1e-3)


def test_the_gate_follows_the_labels(network, tmp_path, figures):
    config = Config.fromfile(network.config)
    parameters = dict(loss_weight=1e-3, sigma_rgb=15, sigma_xy=8, scale_factor=0.5)
    config.model.decode_head.loss_decode[1] = dict(type="DenseEnergyLoss", **parameters)
    config.dump(tmp_path / "config.py")
    image = write_image(tmp_path / "a.png")
    labels = np.full(image.shape[:2], 255, np.uint8)
    labels[:, 10:] = 1
    (tmp_path / "labels").mkdir()
    write_label_png(labels, tmp_path / "labels" / "a.png")
    call = [str(tmp_path / "config.py"), network.checkpoint, str(tmp_path / "a.png")]
    call += ["--labels", str(tmp_path / "labels"), "--out", str(tmp_path / "out")]
    visualize_densecrf.main(call)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    maps = tensor, network.logits(image).softmax(0)[None], torch.ones(1, *image.shape[:2])
    expected = 1e-3 * dense_energy_loss(*maps, torch.from_numpy(labels)[None], 15, 8, 0.5).item()
    assert losses_in(figures[0]) == [pytest.approx(expected, rel=1e-3)]

    write_label_png(labels[:12], tmp_path / "labels" / "a.png")
    with pytest.raises(SystemExit, match=r"--labels: .*a\.png: \(12, 32\), but .* has \(24, 32\)"):
        visualize_densecrf.main(call)
    (tmp_path / "labels" / "a.png").unlink()
    with pytest.raises(SystemExit, match=r"--labels: .*a\.png: missing"):
        visualize_densecrf.main(call)


def test_a_folder_stands_for_its_images_and_classes_have_the_configs_names(
    network, tmp_path, figures
):
    config = Config.fromfile(network.config)
    classes = ("background", "my leaf", "fruit")
    config.train_dataloader = dict(
        dataset=dict(type="ScribbleDataset", metainfo=dict(classes=classes))
    )
    config.dump(tmp_path / "config.py")
    weights = torch.load(network.checkpoint, weights_only=True) | dict(meta={})
    torch.save(weights, tmp_path / "without_names.pth")
    for name in ("a.png", "trip 1/a.v2.bmp"):
        write_image(tmp_path / "images" / name)
    call = [str(tmp_path / name) for name in ("config.py", "without_names.pth", "images")]
    visualize_densecrf.main([*call, "--out", str(tmp_path / "out")])
    written = {str(path.relative_to(tmp_path / "out")) for path in tmp_path.glob("out/**/*.png")}
    assert written == {"a.png", "trip 1/a.v2.png"}
    titles = {axis.get_title() for figure in figures for axis in figure.axes}
    assert "pull towards my leaf" in titles


def test_a_config_names_the_classes_and_the_loss_of_saved_scores(
    network, tmp_path, figures, capsys
):
    config = Config.fromfile(network.config)
    metainfo = dict(classes=("sky", "my leaf", "fruit"), palette=[[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    config.train_dataloader = dict(dataset=dict(type="ScribbleDataset", metainfo=metainfo))
    config.dump(tmp_path / "config.py")
    image = write_image(tmp_path / "images" / "an image.png")
    logits = network.logits(image)
    np.save(tmp_path / "an image.npy", logits.numpy())
    options = ["--scores", str(tmp_path), "--out", str(tmp_path / "out")]
    visualize_densecrf.main([str(tmp_path / "config.py"), str(tmp_path / "images"), *options])
    expected = 1e-6 * energy(image, logits.softmax(0), 15, 20, 0.5)
    assert losses_in(figures[0]) == [pytest.approx(expected, rel=1e-3)]
    assert "pull towards my leaf" in [axis.get_title() for axis in figures[0].axes]
    (legend,) = figures[0].legends
    colours = [patch.get_facecolor()[:3] for patch in legend.get_patches()]
    assert np.allclose(colours[1], np.array([4, 5, 6]) / 255)
    with pytest.raises(SystemExit):
        visualize_densecrf.main([str(tmp_path / "images"), *options, "--losses", "cut"])
    assert "--losses names losses of a config: name it before the images" in capsys.readouterr().err


def test_a_row_for_each_pair_of_sigmas_of_saved_scores(tmp_path, figures):
    image = write_image(tmp_path / "a.png")
    logits = torch.randn(21, 24, 32, generator=torch.Generator().manual_seed(0)) * 3
    np.save(tmp_path / "a.npy", logits.numpy())
    grid = ["--sigma-rgb", "5", "30", "--sigma-xy", "4", "16"]
    draw_saved(tmp_path, *grid, "--weight", "1e-3", "--scale-factor", "1")
    expected = [
        1e-3 * energy(image, logits.softmax(0), sigma_rgb, sigma_xy, 1)
        for sigma_rgb in (5, 30)
        for sigma_xy in (4, 16)
    ]
    assert losses_in(figures[0]) == pytest.approx(expected, rel=1e-3)
    with Image.open(tmp_path / "out" / "a.png") as file:
        assert len(file.convert("RGB").getcolors(maxcolors=10**6)) > 100


@pytest.mark.parametrize("kind", ["logits", "probabilities", "one class"])
def test_scores_may_be_logits_or_probabilities(tmp_path, figures, kind):
    image = write_image(tmp_path / "a.png")
    logits = torch.randn(2, 24, 32, generator=torch.Generator().manual_seed(0))
    probabilities = logits.softmax(0)
    scores = {"logits": logits, "probabilities": probabilities, "one class": probabilities[1:]}
    np.save(tmp_path / "a.npy", scores[kind].numpy())
    draw_saved(tmp_path)
    expected = 1.5e-9 * energy(image, probabilities, 15, 100, 0.5)
    assert losses_in(figures[0]) == [pytest.approx(expected, rel=1e-3)]


def test_scores_of_another_size_are_refused(tmp_path):
    write_image(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", np.zeros((3, 12, 16)))
    with pytest.raises(SystemExit, match=r"is \(3, 12, 16\). It must be \(classes, 24, 32\)"):
        draw_saved(tmp_path)


def test_absent_files_are_reported(tmp_path, capsys):
    with pytest.raises(SystemExit):
        visualize_densecrf.main(["config.py", "checkpoint.pth", str(tmp_path / "a.png")])
    assert f"no such image: {tmp_path}/a.png" in capsys.readouterr().err
    write_image(tmp_path / "a.png")
    with pytest.raises(SystemExit, match=r"a\.png needs its score map .*a\.npy"):
        draw_saved(tmp_path)


def test_a_call_without_an_image_is_refused(capsys):
    with pytest.raises(SystemExit):
        visualize_densecrf.main(["config.py", "checkpoint.pth"])
    assert "name at least one image" in capsys.readouterr().err


def test_what_cannot_be_drawn_is_named_and_the_others_are_drawn(tmp_path, figures):
    scores = np.random.default_rng(0).random((3, 24, 32)).astype(np.float32)
    for name in "abcdef":
        write_image(tmp_path / f"{name}.png")
        np.save(tmp_path / f"{name}.npy", scores)
    (tmp_path / "b.png").write_bytes(b"no image")
    (tmp_path / "c.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{[(broken")
    np.save(tmp_path / "d.npy", np.where(scores > 0.99, np.nan, scores))
    np.save(tmp_path / "e.npy", np.array({"no": "array"}), allow_pickle=True)
    files = [str(tmp_path / f"{name}.png") for name in "abcdef"]
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as stop:
        visualize_densecrf.main([*files, "--scores", str(tmp_path), "--out", str(out)])
    assert str(stop.value).startswith("4 images have no figure")
    wrong = "b.png: unreadable", "c.npy is not a score map", "d.png has values", "e.npy is not"
    for words in wrong:
        assert words in str(stop.value)
    assert {path.name for path in out.iterdir()} == {"a.png", "f.png"}


def test_images_that_would_share_a_figure_are_reported(tmp_path, capsys):
    for folder in "xy":
        write_image(tmp_path / folder / "a.png")
    files = [str(tmp_path / folder / "a.png") for folder in "xy"]
    with pytest.raises(SystemExit):
        visualize_densecrf.main([*files, "--scores", str(tmp_path)])
    assert "would share a figure" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_figures_are_not_written_over_what_they_show(tmp_path, capsys, folder):
    for kind in ("images", "labels"):
        write_image(tmp_path / kind / "a.png")
    options = ["--scores", str(tmp_path), "--labels", str(tmp_path / "labels")]
    image = str(tmp_path / "images" / "a.png")
    with pytest.raises(SystemExit):
        visualize_densecrf.main([image, *options, "--out", str(tmp_path / folder)])
    assert f"would write a figure over {tmp_path / folder / 'a.png'}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "scores, told",
    [
        (np.zeros((0, 24, 32)), r"is \(0, 24, 32\)"),
        (np.zeros((1, 3, 24, 32)), r"is \(1, 3, 24, 32\)"),
        (np.zeros((3, 24, 32), complex), "a.npy is not a score map .*complex"),
    ],
)
def test_scores_of_other_forms_are_named(tmp_path, scores, told):
    write_image(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", scores)
    with pytest.raises(SystemExit, match=told):
        draw_saved(tmp_path)


def test_a_scale_that_leaves_no_pixel_of_an_image_names_it(tmp_path):
    write_image(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", np.zeros((3, 24, 32)))
    with pytest.raises(SystemExit, match=r"a\.png: its figure .*scale_factor 0\.001 leaves no"):
        draw_saved(tmp_path, "--scale-factor", "0.001")


def test_logits_of_one_class_are_drawn_as_their_probabilities(tmp_path, figures):
    write_image(tmp_path / "a.png")
    logits = np.random.default_rng(0).normal(size=(1, 24, 32), scale=5)
    for scores in (logits, 1 / (1 + np.exp(-logits))):
        np.save(tmp_path / "a.npy", scores)
        draw_saved(tmp_path)
    assert losses_in(figures[0]) == pytest.approx(losses_in(figures[1]), rel=1e-3)
