"""What is packed with a sample, and what is refused."""

import pytest
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from tests.datasets.transforms.pipelines import LOAD, PACK, run, sample


def test_a_pipeline_without_a_region_packs_what_mmseg_packs():
    ours = run([PACK], sample((9, 12), 1))
    mmseg = run([dict(type="PackSegInputs")], sample((9, 12), 1))
    assert (ours["inputs"] == mmseg["inputs"]).all()
    assert ours["data_samples"].keys() == mmseg["data_samples"].keys() == ["gt_sem_seg"]
    assert ours["data_samples"].metainfo == mmseg["data_samples"].metainfo


def test_a_region_that_nobody_packs_does_no_harm():
    packed = run(
        [LOAD, dict(type="Pad", size=(16, 16)), dict(type="PackSegInputs")], sample((9, 12), 1)
    )
    assert packed["data_samples"].keys() == ["gt_sem_seg"]


@TRANSFORMS.register_module()
class CropImageAndLabels(BaseTransform):
    """A user's transform that ignores ``seg_fields``."""

    def transform(self, results):
        for key in ("img", "gt_seg_map"):
            results[key] = results[key][2:]
        return results


def test_a_transform_that_leaves_the_region_behind_is_refused():
    with pytest.raises(ValueError, match=r"\(9, 12\) but the image is \(7, 12\).*default_scope"):
        run([LOAD, dict(type="CropImageAndLabels"), PACK], sample((9, 12), 1))


def test_labels_that_a_transform_leaves_behind_are_refused_when_packed():
    results = sample((9, 12), 1)
    results["gt_seg_map"] = results["gt_seg_map"][2:]
    results["seg_map_path"] = "labels/7.png"
    with pytest.raises(
        ValueError, match=r"labels/7\.png: the label map is \(7, 12\), but the image"
    ):
        run([PACK], results)
