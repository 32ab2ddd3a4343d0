"""Trains MMSeg's own model configs with DenseCRFLoss merged into their heads.

``python -m tests.models.every_config`` writes the table of docs/heads.md from these runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmengine.utils import track_iter_progress
from torch import Tensor, nn

from mmseg_rloss import provide_images
from mmseg_rloss.models.head_check import check_heads
from mmseg_rloss.models.losses import losses_by_name

# isort: split
import mmseg
from mmseg.models.decode_heads import cc_head
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

CONFIGS = Path(mmseg.__path__[0], ".mim", "configs")
DENSECRF = dict(
    type="DenseCRFLoss", loss_weight=1e-7, sigma_rgb=15.0, sigma_xy=20.0, scale_factor=0.5
)
HEADS = Path(__file__).parents[2] / "docs" / "heads.md"
TABLE_START = "| --- | --- | --- |"
TABLE_END = "\n<!-- end of the table -->"
CROSS_ENTROPY = dict(type="CrossEntropyLoss")

DDRNET = "ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024"
PIDNET = "pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes"
KNET = "knet/knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512"
SEGNEXT = "segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512"

_FOUR_LAYERS = {"model.backbone.num_layers": 4, "model.backbone.out_indices": [0, 1, 2, 3]}
_NARROW_HEAD = {"model.decode_head.channels": 64}
_NARROW_UNET = {
    "model.backbone.base_channels": 16,
    "model.decode_head.in_channels": 16,
    "model.auxiliary_head.in_channels": 32,
}
_SMALL_IMAGE = {"model.backbone.img_size": (64, 64)}
# What the small images of these runs need, or what makes a large network small.
OVERRIDES = {
    "lraspp_m-v3-d8": {  # The small MobileNetV3, since the head pools 49x49 pixels at stride 8.
        "size": 400,
        "model.backbone.arch": "small",
        "model.backbone.out_indices": (0, 1, 12),
        "model.decode_head.in_channels": (16, 16, 576),
    },
    "deeplabv3_unet_s5-d16": _NARROW_UNET,
    "fcn_unet_s5-d16": _NARROW_UNET,
    "pspnet_unet_s5-d16": _NARROW_UNET,
    "twins_pcpvt-s_upernet": _NARROW_HEAD,
    "upernet_beit": _SMALL_IMAGE | _FOUR_LAYERS | _NARROW_HEAD,
    "upernet_mae": _SMALL_IMAGE
    | _FOUR_LAYERS
    | _NARROW_HEAD
    | {  # Without these, as configs/mae has them, its parts do not fit.
        "model.neck.embed_dim": 768,
        "model.decode_head.in_channels": [768] * 4,
        "model.auxiliary_head.in_channels": 768,
    },
    "dpt_vit-b16": _FOUR_LAYERS,
    "setr_mla": _FOUR_LAYERS,
    "setr_naive": _FOUR_LAYERS,
    "setr_pup": _FOUR_LAYERS,
    "segmenter_vit-b16_mask": {"model.backbone.num_layers": 2},
    "upernet_r50": _NARROW_HEAD,
    "upernet_swin": _NARROW_HEAD,
    "upernet_vit-b16_ln_mln": _FOUR_LAYERS | _NARROW_HEAD,
}
NOT_RUN = {
    "fpn_poolformer_s12": "its backbone is MMPreTrain's; its head runs as fpn_r50",
    "upernet_convnext": "its backbone is MMPreTrain's; its head runs as upernet_r50",
    "psanet_r50-d8": "calls an operator of the compiled MMCV",
    "san_vit-b16": "its head cannot use the loss",
    "vpd_sd": "estimates depth",
}
# Their heads import operators of MMCV, which the maintained fork can do without; then they do not
# build. The official stack has the operators that are plain Python beside any MMCV.
NEED_MMCV_OPS = {"ccnet_r50-d8", "pointrend_r50", "san_vit-b16"}
# The heads that take the loss, as a user would name them in a config.
DECODE_HEADS = {
    name: ["model.decode_head"]
    for name in sorted(path.stem for path in (CONFIGS / "_base_/models").glob("*.py"))
    if name not in NOT_RUN
} | {
    "pointrend_r50": ["model.decode_head.0"],
    "ocrnet_hr18": ["model.decode_head.0", "model.decode_head.1"],
    "ocrnet_r50-d8": ["model.decode_head.0", "model.decode_head.1"],
    KNET: ["model.decode_head.kernel_generate_head"],
    SEGNEXT: ["model.decode_head"],
}
# DDRNet and PIDNet come without an auxiliary head; this one reads what they give their own head.
_FCN_HEAD = dict(type="FCNHead", in_index=1, channels=16, num_convs=1, num_classes=19)
OVERRIDES |= {
    DDRNET: {"model.auxiliary_head": _FCN_HEAD | dict(in_channels=128)},
    PIDNET: {"model.auxiliary_head": _FCN_HEAD | dict(in_channels=128)},
}
# The heads that cannot.
REFUSED_HEADS = {
    DDRNET: "model.decode_head",
    PIDNET: "model.decode_head",
    "pointrend_r50": "model.decode_head.1",
    "san_vit-b16": "model.decode_head",
}
AUXILIARY_HEADS = {
    DDRNET: ["model.auxiliary_head"],
    PIDNET: ["model.auxiliary_head"],
    "bisenetv1_r18-d32": ["model.auxiliary_head.0", "model.auxiliary_head.1"],
    "encnet_r50-d8": ["model.auxiliary_head"],
    "setr_pup": [f"model.auxiliary_head.{i}" for i in range(3)],
    "stdc": [f"model.auxiliary_head.{i}" for i in range(3)],
    "upernet_swin": ["model.auxiliary_head"],
}


def lacks_ops_for(name: str) -> bool:
    """Whether a config cannot be built because MMCV comes without operators."""
    return name in NEED_MMCV_OPS and cc_head.CrissCrossAttention is None


def load(name: str) -> Config:
    """A model config of MMSeg, without pretrained weights and with images of 64x64."""
    path = name if "/" in name else f"_base_/models/{name}"
    config = Config.fromfile(CONFIGS / f"{path}.py")
    overrides = dict(OVERRIDES.get(name, {}))
    size = overrides.pop("size", 64)
    overrides |= {"model.pretrained": None, "model.data_preprocessor": _preprocessor(size)}
    config.merge_from_dict(overrides)
    backbone = config.model.get("backbone", {})
    if "init_cfg" in backbone:
        backbone.init_cfg = None
    if "/" not in name and backbone.get("type") == "ResNetV1c" and "neck" not in config.model:
        _make_resnet_narrow(config.model)
    return config


def _make_resnet_narrow(model: Config) -> None:
    """A quarter of the channels, for speed: 64 to 512 where they were 256 to 2048."""
    model.backbone.base_channels = 16
    for head in (model.decode_head, model.get("auxiliary_head", [])):
        for part in head if isinstance(head, list) else [head]:
            for key in {"in_channels", "c1_in_channels"} & part.keys():
                wide = part[key]
                part[key] = wide // 4 if isinstance(wide, int) else [n // 4 for n in wide]


def _preprocessor(size: int) -> dict[str, Any]:
    return dict(type="SegDataPreProcessor", size=(size, size), _delete_=True)


def find(config: Config, head: str) -> ConfigDict:
    """The part of a config at a dotted path such as ``model.decode_head.0``."""
    for key in head.split("."):
        config = config[int(key) if key.isdigit() else key]
    return config


def add_loss(config: Config, head: str, *losses: dict[str, Any]) -> None:
    """Merge losses into a head's ``loss_decode``, after those that it has."""
    present = find(config, head).get("loss_decode", CROSS_ENTROPY)
    present = list(present) if isinstance(present, (list, tuple)) else [present]
    config.merge_from_dict({f"{head}.loss_decode": [*present, *losses]})


def build(config: Config) -> nn.Module:
    """The segmentor of a config, in training, as a Runner without a GPU would build it."""
    init_default_scope("mmseg")
    torch.manual_seed(0)
    return revert_sync_batchnorm(MODELS.build(config.model)).train()


def batch_of(model: nn.Module) -> dict[str, Any]:
    """Two images of random grey levels with random labels of two classes."""
    size = model.data_preprocessor.size
    samples = []
    for _ in range(2):
        sample = SegDataSample(metainfo=dict(img_shape=size))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 2, (1, *size)))
        sample.gt_edge_map = PixelData(data=torch.randint(0, 2, (1, *size)))
        samples.append(sample)
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for _ in samples]
    return dict(inputs=images, data_samples=samples)


@dataclass
class Call:
    """One call of a DenseCRFLoss in a training forward."""

    loss: str
    value: float
    gradient: Tensor  # (N, K, H, W), with respect to the logits


def train(model: nn.Module, iterations: int = 2) -> tuple[list[dict[str, float]], list[Call]]:
    """Train on random batches, following each DenseCRFLoss back to the logits it gets.

    Returns:
        What is logged, iteration by iteration, and all calls of the losses.
    """
    calls: list[Call] = []

    def record(name: str) -> Callable:
        def hook(loss: nn.Module, args: tuple, value: Tensor) -> None:
            (gradient,) = torch.autograd.grad(value, args[0], retain_graph=True)
            calls.append(Call(name, value.item(), gradient))

        return hook

    for name, loss in losses_by_name(model).items():
        loss.register_forward_hook(record(name))
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-3))
    with provide_images(model):
        logs = [model.train_step(batch_of(model), optimizer) for _ in range(iterations)]
    return [{name: float(value) for name, value in log.items()} for log in logs], calls


def build_with_loss(name: str, heads: list[str], *losses: dict[str, Any]) -> nn.Module:
    """The segmentor of a config with losses (one DenseCRFLoss, if none is given) in its heads."""
    config = load(name)
    for head in heads:
        add_loss(config, head, *(losses or [DENSECRF]))
    return build(config)


def heads_with_loss(model: nn.Module) -> dict[str, str]:
    """The class of the head that each DenseCRFLoss of a network serves."""
    return {
        name: type(model.get_submodule(name.partition(".loss_decode")[0])).__name__
        for name in losses_by_name(model)
    }


def refusal(name: str, head: str) -> tuple[str, str]:
    """The class of a head that cannot use the loss, and the reason it is refused with."""
    config = load(name)
    add_loss(config, head, DENSECRF)
    init_default_scope("mmseg")
    network = nn.ModuleDict({"head": MODELS.build(find(config, head))})
    try:
        check_heads(network)
    except ValueError as error:
        return type(network["head"]).__name__, str(error).partition(", because it ")[2]
    raise AssertionError(f"{head} of {name} is not refused")


def table() -> Iterator[str]:
    """The rows of docs/heads.md: the heads that trained with the loss and those refused."""
    configs: dict[str, list[str]] = {}
    runs = [*DECODE_HEADS.items(), *AUXILIARY_HEADS.items()]
    for name, heads in track_iter_progress(runs, file=sys.stderr):
        model = build_with_loss(name, heads)
        _, calls = train(model)
        for loss, head in heads_with_loss(model).items():
            assert loss in {call.loss for call in calls}
            configs.setdefault(head, []).append(name.partition("/")[0])
    for head, names in sorted(configs.items()):
        run_with = ", ".join(f"`{name}`" for name in dict.fromkeys(names))
        yield f"| `{head}` | yes | {run_with} |"
    for name, path in REFUSED_HEADS.items():
        head, reason = refusal(name, path)
        verdict = "no" if name not in AUXILIARY_HEADS else "beside it, in an auxiliary head"
        yield f"| `{head}` | {verdict} | {reason} |"


def main() -> None:
    """Put the table of these runs in the place of the one in docs/heads.md."""
    torch.set_num_threads(1)
    before, start, rest = HEADS.read_text().partition(TABLE_START)
    _, end, after = rest.partition(TABLE_END)
    HEADS.write_text("\n".join([before + start, *table(), end + after]))


if __name__ == "__main__":
    main()
