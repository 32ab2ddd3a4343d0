"""Draw scribbles on an image in the browser, and see what the energy and the network make of them.

    python demo/web.py

shows the images of the sample data set and takes any other. For the image and its strokes, the page
shows how strongly the DenseCRF energy pulls each pixel towards a class, the labels that strokes and
image agree on, and, with a network, its prediction and the labels that all three agree on, which
are what SelfLabelLoss trains it with.

The network is that of `make train`, if it is there, or another:

    ... --config CONFIG --checkpoint CHECKPOINT --images FOLDER

Nothing is stored, and the page loads nothing from elsewhere.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor, nn

import mmseg_rloss  # noqa: F401  # before MMSeg's models, which need it beside mmcv-lite

# isort: split
from mmseg.apis import inference_model

from mmseg_rloss.checkpoint import CheckpointError, is_whole, load_network, palette_of
from mmseg_rloss.command_line import read_network_config
from mmseg_rloss.datasets.config_data import metainfo_of
from mmseg_rloss.datasets.converters.marks import Mark, as_points, draw_marks
from mmseg_rloss.datasets.image import reason
from mmseg_rloss.datasets.image_folder import files_by_id
from mmseg_rloss.datasets.label_png import UNLABELLED, voc_palette
from mmseg_rloss.models.logits import to_probabilities
from mmseg_rloss.ops import DenseCRFLoss, soft_labels
from mmseg_rloss.ops.checks import check_positive
from mmseg_rloss.visualization import colour_pulls, loss_and_pull, overlay_labels, read_image

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path(__file__).with_name("web.html")
# Those of `make train`.
IMAGES = ROOT / "data/sample/JPEGImages"
CONFIG = ROOT / "configs/deeplabv3plus_mobilenet_scribble_sample.py"
CHECKPOINT = ROOT / "work_dirs/deeplabv3plus_mobilenet_scribble_sample/iter_600.pth"

MAX_BYTES = 16 << 20  # of a request, such as an image
MAX_PIXELS = 50_000_000  # of an image
MAX_SIDE = 640  # larger images are scaled down to it, so that answers take less than a second
MAX_BRUSH = 99  # pixels
# The page may run its own script and show its own pictures, and may not reach any other host.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
POLICY += "img-src data: blob:; connect-src 'self'"


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    demo = make_demo(args)
    try:
        server = DemoServer(demo, args.host, args.port)
    except (OSError, OverflowError) as error:
        raise SystemExit(
            f"Port {args.port} of {args.host} cannot be used ({reason(error)}): name another, by "
            "--port or --host"
        ) from None
    print(f"{server.url} shows the demo, with {demo.checkpoint or 'no network'}. Ctrl-C ends it.")
    sys.stdout.flush()
    with server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


class Demo:
    """What the page shows of an image and the strokes on it.

    Args:
        images: Files to choose from, by name.
        classes: Their names.
        palette: (K, 3) of uint8, RGB, their colours.
        network: A segmentor of MMSegmentation for these classes, if there is one.
        checkpoint: Where it comes from.
    """

    def __init__(
        self,
        images: dict[str, Path],
        classes: list[str],
        palette: np.ndarray,
        network: nn.Module | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        self.images = images
        self.classes = classes
        self.palette = palette
        self.network = network
        self.checkpoint = checkpoint
        self._one_at_a_time = threading.Lock()  # more would only slow each other down

    def settings(self) -> dict[str, Any]:
        """What the page needs to know."""
        colours = ["#" + bytes(colour).hex() for colour in self.palette]
        return dict(
            images=list(self.images),
            classes=[dict(name=n, colour=c) for n, c in zip(self.classes, colours, strict=True)],
            checkpoint=str(self.checkpoint) if self.network else None,
            max_bytes=MAX_BYTES,
            max_brush=MAX_BRUSH,
        )

    def answer(
        self, image: np.ndarray, labels: np.ndarray, sigma_rgb: float, sigma_xy: float
    ) -> dict[str, Any]:
        """Compute all pictures.

        Args:
            image: (H, W, 3) of uint8, RGB.
            labels: (H, W) of uint8, the strokes, UNLABELLED elsewhere.
            sigma_rgb: Bandwidth of the colours, in grey levels.
            sigma_xy: Bandwidth of the position, in pixels.

        Returns:
            'pulls', heat maps by class, and the overlays 'agreed' of strokes and image,
            'prediction' of the network, and 'together' of all three; uint8 (H, W, 3), RGB. An
            overlay is None where there are no strokes or no network.
        """
        tensor = torch.from_numpy(image).permute(2, 0, 1).float()  # (3, H, W)
        drawn = np.unique(labels[labels != UNLABELLED])
        sigmas = sigma_rgb, sigma_xy
        pulls, maps = {}, {}
        with self._one_at_a_time:
            if len(drawn):
                loss = DenseCRFLoss(1.0, *sigmas, scale_factor=1.0)
                pulls = pulls_of_strokes(loss, tensor, labels, drawn)
                maps["agreed"] = agreed_by_strokes(tensor, labels, drawn, *sigmas)
            if self.network:
                probabilities = predict(self.network, image)
                maps["prediction"] = probabilities.argmax(0).numpy()
                if len(drawn):
                    maps["together"] = agreed(tensor, probabilities, labels, *sigmas)
        overlays = dict.fromkeys(("agreed", "prediction", "together"))
        for name, found in maps.items():
            overlays[name] = overlay_labels(image, found, self.palette)
        return dict(pulls=pulls, **overlays)


def pulls_of_strokes(
    loss: DenseCRFLoss, image: Tensor, labels: np.ndarray, drawn: np.ndarray
) -> dict[int, np.ndarray]:
    """Heat maps, uint8 (H, W, 3), of the pull of the strokes towards each class drawn."""
    strokes = torch.from_numpy(labels == drawn[:, None, None]).float()  # (K, H, W)
    _, pulls = loss_and_pull(loss, image, strokes, torch.ones(labels.shape))
    return dict(zip(drawn.tolist(), colour_pulls(pulls.numpy()), strict=True))


def agreed_by_strokes(
    image: Tensor, labels: np.ndarray, drawn: np.ndarray, sigma_rgb: float, sigma_xy: float
) -> np.ndarray:
    """The likeliest of the classes drawn (H, W), by image (3, H, W) and labels (H, W)."""
    numbers = np.full(256, UNLABELLED, dtype=np.uint8)
    numbers[drawn] = np.arange(len(drawn))
    even = torch.full((len(drawn), *labels.shape), 1 / len(drawn))
    return drawn[agreed(image, even, numbers[labels], sigma_rgb, sigma_xy)]


def agreed(
    image: Tensor, probabilities: Tensor, labels: np.ndarray, sigma_rgb: float, sigma_xy: float
) -> np.ndarray:
    """The likeliest class (H, W), by image (3, H, W), probabilities (K, H, W) and labels (H, W)."""
    maps = image, probabilities, torch.ones(labels.shape), torch.from_numpy(labels)
    batch = (of_one[None] for of_one in maps)
    return soft_labels(*batch, sigma_rgb, sigma_xy, scale_factor=1.0)[0].argmax(0).numpy()


def predict(network: nn.Module, image: np.ndarray) -> Tensor:
    """(K, H, W) probabilities of an image."""
    bgr = np.ascontiguousarray(image[..., ::-1])  # as MMSegmentation's reader has it
    logits = inference_model(network, bgr).seg_logits.data
    return to_probabilities(logits[None].float().cpu())[0]


def decode_image(data: bytes) -> np.ndarray:
    """Read the bytes of an image file: uint8 (H, W, 3), RGB, of MAX_SIDE pixels at most.

    Raises:
        OSError: They are not those of an image.
        ValueError: It is too large.
    """
    check_size(data)
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            image = read_image(file.name)
        except OSError as error:
            raise OSError(str(error).replace(file.name, "the file")) from error
    scale = MAX_SIDE / max(image.shape)
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def check_size(data: bytes) -> None:
    """Refuse an image of too many pixels before it is decoded; Pillow reads the header alone.

    Raises:
        ValueError: It is too large.
    """
    try:
        with Image.open(io.BytesIO(data)) as header:
            if header.width * header.height <= MAX_PIXELS:
                return
            size = f"{header.width}x{header.height}"
    except UnidentifiedImageError:  # OpenCV may know it.
        return
    except Image.DecompressionBombError as error:
        size = reason(error)
    raise ValueError(f"{size}: the image has more than {MAX_PIXELS} pixels")


def draw_strokes(strokes: Any, size: tuple[int, int], classes: list[str]) -> np.ndarray:
    """The label map, uint8 (H, W), of strokes as the page sends them, later ones over earlier ones.

    Raises:
        ValueError: A label, a width or a point is not one that the page would send.
    """
    labels = np.full(size, UNLABELLED, dtype=np.uint8)
    for stroke in strokes:
        label, width = stroke["label"], stroke["width"]
        if label not in range(len(classes)):
            raise ValueError(f"the label of a stroke must be below {len(classes)}, not {label!r}")
        if width not in range(1, MAX_BRUSH + 1, 2):
            raise ValueError(f"the width of a stroke must be odd, to {MAX_BRUSH}, not {width!r}")
        mark = Mark(classes[label], "line", as_points(stroke["points"], "a stroke"))
        drawn = draw_marks([mark], size, classes, width)
        labels[drawn != UNLABELLED] = label
    return labels


def as_png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG", compress_level=1)
    return file.getvalue()


def as_url(picture: np.ndarray | None) -> str | None:
    """A picture as the page can show it, without another request."""
    if picture is None:
        return None
    return "data:image/png;base64," + base64.b64encode(as_png(picture)).decode()


class RequestError(Exception):
    """A request that cannot be answered, and its HTTP status."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class DemoServer(ThreadingHTTPServer):
    """Serves the page, and listens from the start; port 0 takes any that is free."""

    def __init__(self, demo: Demo, host: str, port: int) -> None:
        super().__init__((host, port), PageHandler)
        self.demo = demo
        self.url = f"http://{host}:{self.server_port}"


class PageHandler(BaseHTTPRequestHandler):
    """Answers ``GET /``, ``/settings``, ``/images/NAME``, and ``POST /images``, ``/answers``."""

    server: DemoServer

    def do_GET(self) -> None:
        self._respond(self._get)

    def do_POST(self) -> None:
        self._respond(self._post)

    def log_request(self, *args: Any) -> None:
        """Log nothing: only errors deserve a line in the terminal."""

    def _get(self) -> tuple[str, bytes]:
        path = unquote(self.path)
        if path == "/":
            return "text/html; charset=utf-8", PAGE.read_bytes()
        if path == "/settings":
            return "application/json", json.dumps(self.server.demo.settings()).encode()
        name = path.removeprefix("/images/")
        images = self.server.demo.images
        if name in images:
            return "image/png", as_png(decode_image(images[name].read_bytes()))
        raise RequestError(HTTPStatus.NOT_FOUND, f"{path} is not here")

    def _post(self) -> tuple[str, bytes]:
        body = self._body()
        if self.path == "/images":
            return "image/png", as_png(decode_image(body))
        if self.path == "/answers":
            return "application/json", json.dumps(self._answers(body)).encode()
        raise RequestError(HTTPStatus.NOT_FOUND, f"{self.path} is not here")

    def _answers(self, body: bytes) -> dict[str, Any]:
        demo = self.server.demo
        try:
            given = json.loads(body)
            image = decode_image(base64.b64decode(given["image"]))
            labels = draw_strokes(given["strokes"], image.shape[:2], demo.classes)
            sigmas = [check_positive(name, given[name]) for name in ("sigma_rgb", "sigma_xy")]
        except (KeyError, TypeError) as error:
            raise ValueError(f"the request is not the page's ({reason(error)})") from error
        pictures = demo.answer(image, labels, *sigmas)
        pulls = {label: as_url(pull) for label, pull in pictures.pop("pulls").items()}
        return dict(pulls=pulls, **{name: as_url(shown) for name, shown in pictures.items()})

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise RequestError(HTTPStatus.LENGTH_REQUIRED, "the request has no length")
        if int(length) > MAX_BYTES:
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"{int(length) / 2**20:.1f} MiB are more than {MAX_BYTES >> 20} MiB",
            )
        return self.rfile.read(int(length))

    def _respond(self, route: Callable[[], tuple[str, bytes]]) -> None:
        status = HTTPStatus.OK
        try:
            kind, body = route()
        except Exception as error:
            if isinstance(error, RequestError):
                status = error.status
            elif isinstance(error, (OSError, ValueError)):
                status = HTTPStatus.BAD_REQUEST
            else:
                status = HTTPStatus.INTERNAL_SERVER_ERROR
                traceback.print_exc()
            kind, body = "application/json", json.dumps(dict(error=str(error))).encode()
        # The page has gone, or waits for the answer to a newer stroke.
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write(body)


def make_demo(args: argparse.Namespace) -> Demo:
    """What the options ask for.

    Raises:
        SystemExit: A file is not what it should be.
    """
    network, config = None, read_network_config(args.config)
    if args.checkpoint:
        try:
            network = load_network(config, str(args.checkpoint))
        except CheckpointError as error:
            raise SystemExit(str(error)) from None
        palette = palette_of(network)[: max(2, network.num_classes)]
        classes = network.dataset_meta.get("classes") or ()
        if len(classes) != len(palette):
            classes = [f"class {label}" for label in range(len(palette))]
    elif args.classes:
        classes, palette = args.classes, voc_palette()
    elif (named := metainfo_of(config)) is not None:
        classes, palette = named
    else:
        raise SystemExit(f"{args.config} names no classes: name them by --classes")
    if len(classes) > UNLABELLED:
        raise SystemExit(f"Label maps have room for {UNLABELLED} classes, not {len(classes)}")
    files = sorted(path for paths in files_by_id(args.images).values() for path in paths)
    images = {path.relative_to(args.images).as_posix(): path for path in files}
    return Demo(images, list(classes), palette[: len(classes)], network, args.checkpoint)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = "(default: %(default)s)"
    parser.add_argument("--config", type=Path, default=CONFIG, help=f"of the network {default}")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="weights of the network (default: those of `make train`, with its config, if there)",
    )
    parser.add_argument(
        "--classes", nargs="+", help="their names, without a network (default: the config's)"
    )
    parser.add_argument(
        "--images", type=Path, default=IMAGES, help=f"folder of images to choose from {default}"
    )
    parser.add_argument("--host", default="127.0.0.1", help=f"address to listen on {default}")
    parser.add_argument("--port", type=int, default=8000, help=f"0 for any that is free {default}")
    args = parser.parse_args(argv)
    if args.classes and args.checkpoint:
        parser.error("argument --classes: the classes of a network are its checkpoint's")
    if args.images != IMAGES and not args.images.is_dir():
        parser.error(f"argument --images: {args.images} is not a folder")
    if args.config == CONFIG and not args.classes and not args.checkpoint and is_whole(CHECKPOINT):
        args.checkpoint = CHECKPOINT
    return args


if __name__ == "__main__":
    main()
