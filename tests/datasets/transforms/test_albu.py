"""What is told before training of Albumentations within a pipeline."""

import pytest
from mmseg.datasets.transforms import Albu

from mmseg_rloss.datasets.transforms.pipeline_check import untracked_padding
from tests.datasets.transforms.pipelines import CLASSES, PACK_BY_MMSEG, Images, tracked


class BaseCompose:
    """Named like Albumentations' classes, by whose names its transforms are told apart.

    Albumentations itself replaces the OpenCV of MMCV by another one when it is installed.
    """

    def __init__(self, transforms):
        self.transforms = transforms


class ImageOnlyTransform:
    pass


class DualTransform:
    def __init__(self, **attributes):
        vars(self).update(attributes)


class Morphological(DualTransform):
    pass


def albu(*transforms, **keymap):
    result = Albu.__new__(Albu)
    result.aug = BaseCompose(list(transforms))
    result.keymap_to_albu = dict(img="image", gt_seg_map="mask") | keymap
    return result


@pytest.mark.parametrize("moved", [DualTransform(), BaseCompose([DualTransform()])])
def test_albu_that_moves_the_image_is_refused_whatever_its_keymap_says(moved):
    colours = ImageOnlyTransform()
    step = albu(colours, moved, gt_roi_map="mask2")
    with pytest.raises(ValueError, match=r"Albu does not move the region.*colours alone"):
        untracked_padding(tracked(after=[step]))
    with pytest.raises(ValueError, match=r"comes after Albu"):
        untracked_padding(tracked(before=[step]))
    assert untracked_padding(Images(pipeline=[step, PACK_BY_MMSEG])) == ["Albu"]


def test_albu_that_changes_colours_alone_may_stand_anywhere():
    step = albu(ImageOnlyTransform(), BaseCompose([ImageOnlyTransform()]))
    assert untracked_padding(tracked(before=[step], after=[step])) == []
    assert untracked_padding(Images(pipeline=[step, PACK_BY_MMSEG])) == []


@pytest.mark.parametrize(
    "attributes, message",
    [
        (dict(fill_mask=0.0, border_mode=0), "Albu would label .* as 0, ground"),
        (dict(cval_mask=1, mode=0), "Albu would label .* as 1, leaf"),
        (dict(mask_fill_value=2), "Albu would label .* as 2, fruit"),
        (dict(mask_interpolation=1), "Albu's DualTransform blends labels"),
        (dict(mask_value=0, border_mode=4), None),  # a mirrored border is image
        (dict(fill_mask=255, border_mode=0, mask_interpolation=0), None),
        (dict(fill_mask=None), None),
    ],
)
def test_albu_that_invents_labels_is_refused(attributes, message):
    pipeline = [albu(BaseCompose([DualTransform(**attributes)])), PACK_BY_MMSEG]
    images = Images(pipeline=pipeline, metainfo=CLASSES)
    if message is None:
        assert untracked_padding(images) == ["Albu"]
    else:
        with pytest.raises(ValueError, match=message):
            untracked_padding(images)


def test_albu_that_grows_labels_is_refused():
    images = Images(pipeline=[albu(Morphological()), PACK_BY_MMSEG])
    with pytest.raises(ValueError, match="Albu's Morphological blends labels"):
        untracked_padding(images)
