"""What the benchmarks of a config's training share: its options, and the config they change."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import mmseg_rloss  # before MMSeg's models, which need it beside mmcv-lite

# isort: split
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope


def config_parser(description: str | None, config: str) -> argparse.ArgumentParser:
    """A parser of a config, which ``config`` describes, and the options of every such benchmark."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help=config)
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to it")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, help="as in tools/train.py"
    )
    return parser


def read_config(options: argparse.Namespace) -> Config:
    """The config, without pretrained weights; PyTorch and the filter keep to the threads."""
    torch.set_num_threads(options.threads)
    mmseg_rloss.ops.set_num_threads(options.threads)
    config = Config.fromfile(options.config)
    config.merge_from_dict(options.cfg_options)
    config.model.pretrained = None
    init_default_scope("mmseg")
    return config
