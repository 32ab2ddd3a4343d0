"""Hooks for ``custom_hooks``, registered with MMSegmentation."""

from .provide_images_hook import ProvideImagesHook

__all__ = ["ProvideImagesHook"]
