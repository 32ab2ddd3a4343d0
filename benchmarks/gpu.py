"""What the DenseCRF loss costs on a GPU, after a check that it computes what the CPU does.

    python benchmarks/gpu.py --data PHOTOS --json gpu.json

Needs torch and Triton alone and runs from a bare source tree; nothing has to be installed. First
it compares filter, probabilities and loss with those of the CPU, and stops where they differ. Then
it measures, forward and backward from logits: device time with the device kept busy beforehand, as
in training, the kernels with the pauses between them, and the memory. Last, a training step with
and without the loss: that of MMSegmentation's DeepLabV3+ MobileNetV2 where MMSegmentation is
installed, else that of a DeepLab of stock modules.

`--device cpu` shows on any machine that the benchmark works: everything is small, the kernels run
in Triton's interpreter where Triton is there, and the times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from deeplab import DeepLab
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # Triton reads it when it is imported
from mmseg_rloss.ops import DenseCRFLoss, Lattice, Scene
from mmseg_rloss.ops.backends import reference, select, triton

ROOT = Path(__file__).resolve().parents[1]


class Setting(NamedTuple):
    """The batch and the loss that are measured."""

    batch: int
    classes: int
    size: int  # side of the square images in pixels
    scale_factor: float
    sigma_rgb: float
    sigma_xy: float

    def layer(self) -> DenseCRFLoss:
        return DenseCRFLoss(2e-9, self.sigma_rgb, self.sigma_xy, self.scale_factor)


PUBLISHED = Setting(12, 21, 513, 0.5, 15.0, 100.0)  # rloss's own on PASCAL VOC
TINY = Setting(1, 2, 17, 0.5, 15.0, 30.0)  # for the interpreter

TOLERANCE = 1e-5  # of the norm, between sums of float32 in different orders
PAUSE = 20.0  # microseconds between the loss's kernels within a step, at most


def main() -> None:
    args = parse_args()
    device = torch.device(args.device)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            sys.exit("there is no GPU that torch can use: --device cpu shows the benchmark")
        device = torch.device("cuda", device.index or 0)
        torch.cuda.set_device(device)
    torch.manual_seed(0)
    setting = TINY if device.type == "cpu" else PUBLISHED
    given = {name: value for name, value in vars(args).items() if value is not None}
    setting = setting._replace(**{name: given[name] for name in Setting._fields if name in given})
    report: dict[str, object] = {"machine": machine(device), "setting": setting._asdict()}
    print(json.dumps(report, indent=2), flush=True)

    image = read_photos(args.data, setting) if args.data else draw_photos(setting)
    report["parity"] = parity(device)
    print_table("parity: relative difference", report["parity"], "{:.1e}")
    wrong = [name for name, error in report["parity"].items() if not error < TOLERANCE]
    if not wrong:
        report.update(measure(setting, image.to(device), args.repeats))
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")
        print(f"written: {args.json}")
    if wrong:
        sys.exit(f"nothing was timed: the results are wrong for {', '.join(wrong)}")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog="Sizes default to rloss's: batch 12, 513x513."
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="photos (drawn ones)")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ... or cpu (cuda)")
    parser.add_argument("--batch", type=int, help="images (12)")
    parser.add_argument("--classes", type=int, help="classes (21)")
    parser.add_argument("--size", type=int, help="side of the images in pixels (513)")
    parser.add_argument("--scale-factor", type=float, help="of the loss (0.5)")
    parser.add_argument("--repeats", type=int, default=50, help="timings per median (50)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    return parser.parse_args()


def machine(device: torch.device) -> dict[str, str]:
    found = {"date": f"{datetime.now(timezone.utc):%Y-%m-%d}", "python": platform.python_version()}
    found["torch"] = torch.__version__
    found["triton"] = version("triton") if triton.is_available() else "none"
    on_cpu = "triton" if triton.is_available() else "reference"
    found["kernels"] = "triton" if select(device) is triton else on_cpu
    found["kernels_of_the_host"] = select(torch.device("cpu")).__name__.rpartition(".")[2]
    on_gpu = device.type == "cuda"
    found["device"] = torch.cuda.get_device_name(device) if on_gpu else platform.machine()
    return found


def read_photos(folder: Path, setting: Setting) -> Tensor:
    """The first photos of a folder, by name, scaled to squares (N, 3, size, size)."""
    from PIL import Image

    paths = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".jpeg", ".png"))
    if not paths:
        sys.exit(f"--data: {folder} holds no photo (.jpg, .jpeg, .png)")
    paths = [paths[i % len(paths)] for i in range(setting.batch)]
    size = setting.size, setting.size
    photos = [np.asarray(Image.open(path).convert("RGB").resize(size)) for path in paths]
    return torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).float().contiguous()


def draw_photos(setting: Setting) -> Tensor:
    """Images (N, 3, size, size) of smooth areas, edges and noise, each of other content."""
    batch, size = setting.batch, setting.size
    coarse = torch.rand(batch, 3, size // 16 + 2, size // 16 + 2) * 255
    image = F.interpolate(coarse, size=(size, size), mode="bicubic")
    patches = F.interpolate(coarse, size=(size, size), mode="nearest")
    image = torch.where(torch.rand(batch, 1, 1, 1) < 0.5, image, 0.5 * (image + patches))
    return (image + 3 * torch.randn_like(image)).clamp(0, 255).round()


# Parity ------------------------------------------------------------------------------------------


def parity(device: torch.device) -> dict[str, float]:
    """Relative differences between ``device`` and the CPU."""
    on_gpu = device.type == "cuda"
    paths = sorted((ROOT / "tests" / "data").glob("*.npz"))
    errors = {f"golden {path.stem}": golden_error(path, device) for path in paths}
    # Without a GPU, the kernels run in the interpreter, on a few pixels.
    kernels = triton if on_gpu or triton.is_available() else reference
    num_images, num_pixels = (2, 5000) if on_gpu else (1, 10)
    for dim, num_channels in enumerate((1, 2, 3, 4, 21, 33, 100, 150), start=1):
        num_channels = num_channels if on_gpu else dim
        features = torch.randn(num_images, dim, num_pixels) * 2
        values = torch.randn(num_images, num_channels, num_pixels)
        lattice = kernels.lattice.build(features.to(device), 1.0, None)
        result = kernels.lattice.filter(lattice, values.to(device), "both").cpu()
        expected = Lattice.from_features(features).filter(values)
        errors[f"filter, {dim} dimensions, {num_channels} channels"] = relative(result, expected)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        errors[f"loss and gradient from {dtype} logits"] = loss_error(dtype, device)
    if on_gpu:
        errors["one run against another, 2048x2048"] = repeated_error(device)
    return errors


def golden_error(path: Path, device: torch.device) -> float:
    """The original's own result: the gradient of its layer, of one order of the blur."""
    arrays = np.load(path)
    image, segmentation, region, expected = (
        torch.from_numpy(arrays[name]).to(device)
        for name in ("image", "segmentation", "roi", "grad")
    )
    scale, weight = arrays["scale_factor"].item(), arrays["weight"].item()
    segmentation.requires_grad_()
    scene = Scene(image, region)
    lattice = scene.lattice(arrays["sigma_rgb"].item(), arrays["sigma_xy"].item(), scale)
    scaled = segmentation
    if scale != 1:
        scaled = F.interpolate(segmentation, scale_factor=scale, mode="bilinear")
    scaled = scaled * scene.region(scale, segmentation).unsqueeze(1)
    filtered = lattice.filter(scaled.detach(), symmetric=False)
    energy = -2 * weight / len(image) * (scaled * filtered).sum()
    (gradient,) = torch.autograd.grad(energy, segmentation)
    return relative(gradient, expected)


def loss_error(dtype: torch.dtype, device: torch.device) -> float:
    setting = PUBLISHED._replace(batch=2, size=65) if device.type == "cuda" else TINY
    image = draw_photos(setting)
    logits = torch.randn(setting.batch, setting.classes, setting.size, setting.size).to(dtype)

    def compute(at: torch.device) -> tuple[Tensor, Tensor]:
        leaf = logits.to(at).requires_grad_()
        scene = Scene(image.to(at), torch.ones(len(image), *image.shape[2:], device=at))
        loss = setting.layer().from_logits(scene, leaf)
        return loss.detach().cpu(), torch.autograd.grad(loss, leaf)[0].float().cpu()

    pairs = zip(compute(device), compute(torch.device("cpu")), strict=True)
    errors = [relative(result, expected) for result, expected in pairs]
    # A gradient next to the middle of two numbers of the shorter type may be rounded either way.
    return max(errors[0], errors[1] if dtype == torch.float32 else errors[1] * 1e-3)


def repeated_error(device: torch.device) -> float:
    setting = PUBLISHED._replace(batch=1, size=2048)
    image, values = draw_photos(setting).to(device), torch.rand(1, 5, 2048, 2048, device=device)
    first, second = (Lattice.from_image(image, 15.0, 40.0).filter(values) for _ in range(2))
    return 0.0 if torch.equal(first, second) else max(relative(first, second), 1.0)


def relative(result: Tensor, expected: Tensor) -> float:
    result, expected = result.double(), expected.double()
    return ((result - expected).norm() / expected.norm()).item()


# Times -------------------------------------------------------------------------------------------


class Clock:
    """Medians of device times; of wall times on the CPU."""

    def __init__(self, device: torch.device, repeats: int) -> None:
        self.device, self.repeats = device, repeats
        # Occupies a GPU for some milliseconds, so that the host is ahead of it as in training.
        size = 1 << (29 if device.type == "cuda" else 20)
        self.busy = torch.rand(2, size, device=device)

    def milliseconds(
        self,
        function: Callable[..., object],
        before: Callable[[], object] | None = None,
        occupy: int = 20,
    ) -> float:
        """``occupy`` copies of 2 GB keep a GPU busy while the host launches.

        What ``before`` returns, not timed and ahead of them, is the argument of ``function``.
        """
        for _ in range(min(3, self.repeats)):
            self._once(function, before, occupy=0)
        return median(self._once(function, before, occupy) for _ in range(self.repeats))

    def wall_milliseconds(self, function: Callable[[], object], calls: int = 10) -> float:
        """Of a call, when one follows another."""
        function()
        self.synchronize()
        times = []
        for _ in range(3):
            start = time.perf_counter()
            for _ in range(calls):
                function()
            self.synchronize()
            times.append((time.perf_counter() - start) / calls * 1e3)
        return median(times)

    def bandwidth(self) -> float:
        """Bytes read and written per second by a copy."""
        moved = 2 * self.busy[0].nbytes
        return moved / (self.milliseconds(self._copy, occupy=1) * 1e-3)

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _copy(self) -> None:
        self.busy[0].copy_(self.busy[1])

    def _once(
        self, function: Callable[..., object], before: Callable[[], object] | None, occupy: int
    ) -> float:
        arguments = () if before is None else (before(),)
        if self.device.type == "cpu":
            start = time.perf_counter()
            function(*arguments)
            return (time.perf_counter() - start) * 1e3
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        for _ in range(occupy):
            self._copy()
        begin.record()
        function(*arguments)
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)


class Kernel(NamedTuple):
    """One that ran, in microseconds."""

    name: str
    pause: float  # of the device before it
    duration: float


def kernels_of(function: Callable[[], object], device: torch.device) -> list[Kernel]:
    """What a call runs on the GPU, in order."""
    function()
    torch.cuda.synchronize(device)
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
        function()
        torch.cuda.synchronize(device)
    events = [e for e in profiler.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    events = sorted(events, key=lambda event: event.time_range.start)
    kernels, end = [], None
    for event in events:
        start = event.time_range.start
        pause = 0.0 if end is None else max(0.0, start - end)
        end = max(end or 0.0, event.time_range.end)
        kernels.append(Kernel(event.name, pause, event.time_range.end - start))
    return kernels


def measure(setting: Setting, image: Tensor, repeats: int) -> dict[str, object]:
    device = image.device
    clock = Clock(device, repeats if device.type == "cuda" else 1)
    report: dict[str, object] = {"copy_gb_per_s": clock.bandwidth() * 1e-9}
    print(f"\ncopy bandwidth: {report['copy_gb_per_s']:.0f} GB/s, read and written")
    report["loss_ms"] = loss_times(setting, image, clock)
    print_table("forward and backward of the loss: ms", report["loss_ms"], "{:.3f}")
    if device.type == "cuda":
        ours = loss_call(setting, image, torch.float32)
        kernels = kernels_of(ours, device)
        report["kernels"] = [kernel._asdict() for kernel in kernels]
        report["busy_us"] = sum(kernel.duration for kernel in kernels)
        show_kernels(kernels)
        report["memory_mb"] = memory(setting, image)
        print_table("extra memory at the peak: MB", report["memory_mb"], "{:.0f}")
    report["step"] = steps(setting, image, clock)
    return report


def loss_call(
    setting: Setting, image: Tensor, dtype: torch.dtype, by_torch: bool = False
) -> Callable[[], Tensor]:
    """A call from the images and the logits to the gradient of the logits.

    By torch, softmax, scaling and mask are its own functions, on full-size maps.
    """
    layer = setting.layer()
    region = torch.ones(len(image), *image.shape[2:], device=image.device)
    shape = len(image), setting.classes, *image.shape[2:]
    logits = torch.randn(shape, device=image.device, dtype=dtype).requires_grad_()

    def from_logits() -> Tensor:
        (gradient,) = torch.autograd.grad(layer.from_logits(Scene(image, region), logits), logits)
        return gradient

    def from_probabilities() -> Tensor:
        loss = layer(image, logits.float().softmax(1), region)
        return torch.autograd.grad(loss, logits)[0]

    return from_probabilities if by_torch else from_logits


def loss_times(setting: Setting, image: Tensor, clock: Clock) -> dict[str, float]:
    region = torch.ones(len(image), *image.shape[2:], device=image.device)
    layer, times = setting.layer(), {}

    def scene() -> Scene:
        """With its lattice, which is built ahead of the network in a training."""
        ahead = Scene(image, region)
        ahead.lattice(*layer.bandwidths)
        return ahead

    for dtype in (torch.float32, torch.bfloat16):
        shape = len(image), setting.classes, *image.shape[2:]
        logits = torch.randn(shape, device=image.device, dtype=dtype).requires_grad_()
        times[f"from {dtype} logits, after the lattice".replace("torch.", "")] = clock.milliseconds(
            lambda ahead, z=logits: torch.autograd.grad(layer.from_logits(ahead, z), z), scene
        )
    times["the lattice"] = clock.milliseconds(scene)
    by_torch = loss_call(setting, image, torch.float32, by_torch=True)
    times["all with torch's softmax and scaling"] = clock.milliseconds(by_torch)
    alone = loss_call(setting, image, torch.float32)
    times["wall of all, call after call"] = clock.wall_milliseconds(alone)
    return times


def memory(setting: Setting, image: Tensor) -> dict[str, float]:
    """What is allocated at the peak beyond images, logits and their gradient."""
    found = {}
    for name, by_torch in (("from logits", False), ("with torch's softmax and scaling", True)):
        call = loss_call(setting, image, torch.float32, by_torch)
        call()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        gradient = call()
        peak = torch.cuda.max_memory_allocated()
        found[name] = (peak - before - gradient.nbytes) / 1e6
        del gradient
    return found


# Steps -------------------------------------------------------------------------------------------


def steps(setting: Setting, image: Tensor, clock: Clock) -> dict[str, object]:
    """A step of SGD on scribbles in several layouts and types, with and without the loss."""
    on_gpu = image.device.type == "cuda"
    trainer = MMSegTrainer if on_gpu and find_spec("mmseg") else StockTrainer
    print(f"\ntraining step of {trainer.network}")
    print(f"  {'':34} {'wall ms':>9} {'device ms':>9} {'peak GB':>8}")
    report: dict[str, object] = {"network": trainer.network}
    for layout in (torch.contiguous_format, torch.channels_last)[: 2 if on_gpu else 1]:
        for bfloat16 in (False, True)[: 2 if on_gpu else 1]:
            for with_loss in (False, True):
                name = "channels last" if layout is torch.channels_last else "NCHW"
                name += ", bfloat16" if bfloat16 else ", float32"
                name += ", with the loss" if with_loss else ""
                trained = trainer(setting, image, layout, bfloat16, with_loss)
                report[name] = row = time_step(trained, clock)
                print(f"  {name:34} {row['wall']:9.2f} {row['device']:9.2f} {row['peak_gb']:8.2f}")
                if with_loss and on_gpu:
                    row |= inspect_step(trained, image.device)
                    print(
                        f"  {'':34} longest pause beside the loss's kernels "
                        f"{row['longest_pause_us']:.0f} us (at most {PAUSE:.0f} wanted), "
                        f"its waits after the forward has begun: {row['synchronisations']}"
                    )
                sys.stdout.flush()
                del trained
                if on_gpu:
                    torch.cuda.empty_cache()
    return report


def time_step(trained: StockTrainer, clock: Clock) -> dict[str, float]:
    if clock.device.type == "cpu":
        return {"wall": clock.milliseconds(trained.step), "device": 0.0, "peak_gb": 0.0}
    trained.step()
    torch.cuda.reset_peak_memory_stats()
    wall = clock.wall_milliseconds(trained.step)
    peak = torch.cuda.max_memory_allocated() * 1e-9
    device = sum(k.duration for k in kernels_of(trained.step, clock.device)) * 1e-3
    return {"wall": wall, "device": device, "peak_gb": peak}


def inspect_step(trained: StockTrainer, device: torch.device) -> dict[str, float]:
    """The pauses of the device beside the loss's kernels, and what the host waited for."""
    kernels = kernels_of(trained.step, device)
    ours = [is_ours(kernel.name) for kernel in kernels]
    # The building of the lattice, ahead of the network, is apart from the rest.
    pauses = [
        kernel.pause
        for i, kernel in enumerate(kernels)
        if i > 0 and ours[i] and (ours[i - 1] or "build" not in stage(kernel.name))
    ]
    return {
        "longest_pause_us": max(pauses, default=0.0),
        "synchronisations": synchronisations(trained),
    }


def synchronisations(trained: StockTrainer) -> int:
    """How often this package's part of a step waits once the network's forward has begun."""
    begun = trained.body.register_forward_pre_hook(
        lambda *call: torch.cuda.set_sync_debug_mode("warn")
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained.step()
    torch.cuda.set_sync_debug_mode("default")
    begun.remove()
    return sum("mmseg_rloss" in Path(warning.filename).parts for warning in caught)


def stage(name: str) -> str:
    return "build" if name.startswith(("insert", "number")) else "loss"


def is_ours(name: str) -> bool:
    """Whether a kernel is one of this package's."""
    return any(name.startswith(kernel) for kernel in triton_kernels())


def triton_kernels() -> Iterable[str]:
    from mmseg_rloss.ops.backends.triton import lattice_kernels, probabilities_kernels

    for module in (lattice_kernels, probabilities_kernels):
        yield from (name for name in vars(module) if name.endswith("_kernel"))


class StockTrainer:
    """Trains a DeepLab of stock modules by SGD."""

    network = "a DeepLab of stock modules, ResNet-50"

    def __init__(
        self,
        setting: Setting,
        image: Tensor,
        layout: torch.memory_format,
        bfloat16: bool,
        with_loss: bool,
    ) -> None:
        self.image, self.bfloat16 = image, bfloat16
        self.layer = setting.layer() if with_loss else None
        self.inputs = ((image - 118.0) / 58.0).contiguous(memory_format=layout)
        self.region = torch.ones(len(image), *image.shape[2:], device=image.device)
        self.scribbles = scribbles_for(setting, image)
        self.model = self.build(setting).to(image.device, memory_format=layout).train()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)

    def build(self, setting: Setting) -> nn.Module:
        return DeepLab(setting.classes, width=64 if self.image.device.type == "cuda" else 8)

    def loss(self) -> Tensor:
        scene = Scene(self.image, self.region)
        if self.layer:
            scene.lattice(*self.layer.bandwidths)
        scores = self.model(self.inputs)
        loss = F.cross_entropy(scores, self.scribbles, ignore_index=255)
        return loss + self.layer.from_logits(scene, scores) if self.layer else loss

    @property
    def body(self) -> nn.Module:
        """What runs first of the network."""
        return self.model

    def step(self) -> None:
        with torch.autocast(self.image.device.type, torch.bfloat16, enabled=self.bfloat16):
            loss = self.loss()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


class MMSegTrainer(StockTrainer):
    """Trains MMSegmentation's DeepLabV3+ MobileNetV2 by the config of this project."""

    network = "MMSegmentation's DeepLabV3+ MobileNetV2"

    def build(self, setting: Setting) -> nn.Module:
        import mmseg_rloss

        # isort: split
        from mmengine.config import Config
        from mmengine.logging import MMLogger
        from mmengine.model import revert_sync_batchnorm
        from mmengine.registry import init_default_scope
        from mmseg.registry import MODELS
        from mmseg.structures import SegDataSample

        init_default_scope("mmseg")
        MMLogger.get_current_instance().setLevel("WARNING")  # not every weight's initialisation
        config = Config.fromfile(str(ROOT / "configs/deeplabv3plus_mobilenet_scribble.py"))
        config.model.pretrained = None
        config.model.backbone.init_cfg = None
        losses = config.model.decode_head.loss_decode
        config.model.decode_head.loss_decode = losses if self.layer else losses[1:]
        model = revert_sync_batchnorm(MODELS.build(config.model))
        model.init_weights()
        if self.layer:
            mmseg_rloss.provide_images(model)
        self.samples = []
        for label in self.scribbles:
            sample = SegDataSample(metainfo=dict(img_shape=tuple(label.shape)))
            sample.set_data(dict(gt_sem_seg=_pixels(label[None])))
            self.samples.append(sample)
        mean, std = (
            torch.tensor(config.model.data_preprocessor[name], device=self.image.device)
            for name in ("mean", "std")
        )
        self.inputs = (self.image - mean.view(3, 1, 1)) / std.view(3, 1, 1)
        return model

    @property
    def body(self) -> nn.Module:
        return self.model.backbone

    def loss(self) -> Tensor:
        losses = self.model(self.inputs, self.samples, mode="loss")
        return self.model.parse_losses(losses)[0]


def _pixels(data: Tensor) -> object:
    from mmengine.structures import PixelData

    return PixelData(data=data)


def scribbles_for(setting: Setting, image: Tensor) -> Tensor:
    """Labels (N, H, W) of 3 % of the pixels."""
    shape = len(image), *image.shape[2:]
    scribbles = torch.randint(setting.classes, shape, device=image.device)
    scribbles[torch.rand(shape, device=image.device) > 0.03] = 255
    return scribbles


# Tables ------------------------------------------------------------------------------------------


def show_kernels(kernels: list[Kernel]) -> None:
    print(f"\n  {'pause us':>8} {'time us':>8}  kernel")
    for kernel in kernels:
        print(f"  {kernel.pause:8.0f} {kernel.duration:8.1f}  {kernel.name[:90]}")
    busy, pauses = (sum(getattr(k, name) for k in kernels) for name in ("duration", "pause"))
    print(f"  busy {busy:.0f} of {busy + pauses:.0f} us, {len(kernels)} kernels", flush=True)


def print_table(title: str, rows: dict[str, float], number: str) -> None:
    print(f"\n{title}")
    for name, value in rows.items():
        print(f"  {name:45} {number.format(value):>12}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
