"""The networks whose training step is measured."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmseg_rloss.ops import Scene

from .deeplab import DeepLab
from .setting import Setting, scribbles_for

CONFIG = Path(__file__).resolve().parents[2] / "configs/deeplabv3plus_mobilenet_scribble.py"


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
        config = Config.fromfile(CONFIG)
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
