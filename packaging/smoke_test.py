"""Check an installed mmseg_rloss, without the project around it: smoke_test.py compiled|plain.

Its files are there; a loss is that of the original, a filter that of the plain-PyTorch twin; and
the kernels are in use, or are not and the user is told.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import torch

import mmseg_rloss
from mmseg_rloss.ops import backends, bilateral_filter

GOLDEN = Path(__file__).parents[1] / "tests" / "data" / "binary_sharp.npz"
FILES = ["py.typed", "ops/backends/_native.pyi", ".mim/model-index.yml", ".mim/configs/README.md"]
FILES += [".mim/configs/metafile.yml", ".mim/configs/deeplabv3plus_mobilenet_scribble.py"]
FILES += [".mim/demo/web.py", ".mim/demo/web.html"]
FILES += [".mim/tools/mmseg_tool.py", ".mim/tools/dataset_converters/scribbles.py"]


def check_loss() -> None:
    golden = {name: torch.from_numpy(array) for name, array in np.load(GOLDEN).items()}
    names = ("weight", "sigma_rgb", "sigma_xy", "scale_factor")
    layer = mmseg_rloss.DenseCRFLoss(**{name: golden[name].item() for name in names})
    loss = layer(golden["image"], golden["segmentation"], golden["roi"])
    torch.testing.assert_close(loss.double(), golden["loss"].double(), rtol=1e-5, atol=0)


def check_filter() -> None:
    torch.manual_seed(0)
    image, values = torch.rand(2, 3, 40, 50) * 255, torch.rand(2, 5, 40, 50)
    filtered = bilateral_filter(image, values, 30, 10)
    backends.select = lambda device: backends.reference
    torch.testing.assert_close(filtered, bilateral_filter(image, values, 30, 10))


def main(kind: str) -> None:
    package = Path(mmseg_rloss.__file__).parent
    missing = [name for name in FILES if not (package / name).is_file()]
    assert not missing, f"not in {package}: {missing}"
    assert backends.native.is_available() == (kind == "compiled"), f"not {kind}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_loss()
        check_filter()
    told = [str(warning.message) for warning in caught]
    assert any("plain PyTorch" in text for text in told) == (kind == "plain"), told
    print(f"{package}: fine, {kind}")


if __name__ == "__main__":
    main(*sys.argv[1:])
