"""What importing the package costs, and in which orders it and MMSegmentation may be imported."""

from pathlib import Path

from tests.children import interpreter_of_tools, run_each

LAYER_ALONE = """
import sys
import torch

before = set(sys.modules)
import mmseg_rloss
import mmseg_rloss.ops

new = {name.partition('.')[0] for name in set(sys.modules) - before}
assert new <= {'mmseg_rloss', 'numpy', *sys.stdlib_module_names}, new
mmseg_rloss.DenseCRFLoss(2e-9, sigma_rgb=15, sigma_xy=100, scale_factor=0.5)
assert 'mmseg' not in sys.modules
print('fine')
"""

WITHOUT_MMSEG = """
import sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {'mmseg', 'mmengine', 'mmcv', 'matplotlib', 'scipy'}:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Blocked())
"""

ASKING_FOR_MMSEG = """
for statement in ('import mmseg', 'from mmseg_rloss import provide_images') * 2:
    try:
        exec(statement)
    except Exception as error:
        print(error)
"""

WARNED = """
import warnings

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    {order}
print(*{{str(w.message) for w in caught if 'mmseg_rloss' in str(w.message)}})
print(mmseg_rloss.DenseCRFLoss, mmseg)
import mmseg_rloss.mmseg
"""

REGISTERED = """
import sys
import mmseg
import mmseg_rloss
from mmseg.registry import DATASETS, HOOKS, MODELS, TRANSFORMS

assert MODELS.get('DenseCRFLoss').__module__ == 'mmseg_rloss.models.losses.densecrf_loss'
assert HOOKS.get('ProvideImagesHook') and TRANSFORMS.get('LoadRegionOfInterest')
assert DATASETS.get('PascalScribbleDataset')
assert callable(mmseg_rloss.provide_images)
assert mmseg_rloss.models.DenseCRFLoss is MODELS.get('DenseCRFLoss')
assert mmseg_rloss.datasets and mmseg_rloss.engine and mmseg_rloss.visualization
left = *sys.meta_path, mmseg.__loader__, mmseg.__spec__.loader
assert not any(type(part).__module__.startswith('mmseg_rloss') for part in left)
"""

CHECKPOINT = """
import sys
import torch
import mmseg_rloss
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, save_checkpoint

save_checkpoint(dict(history=HistoryBuffer([0.5], [1])), {path!r})
print(CheckpointLoader.load_checkpoint({path!r})['history'].current())
assert 'mmseg' not in sys.modules
"""

# Every package of this one that may be the first to be imported, and users' ways.
ORDERS = [
    "import mmseg_rloss",
    "import mmseg, mmseg_rloss",
    "from mmseg_rloss import provide_images",
    "import mmseg_rloss.mmseg",
    "import mmseg_rloss.compat",
    "import mmseg_rloss.datasets.transforms",
    "import mmseg_rloss.engine.hooks",
    "import mmseg_rloss.models.losses",
    "import mmseg_rloss.visualization",
    "import mmseg_rloss; from importlib.util import find_spec; find_spec('mmseg')",
    "from mmengine import Config; Config(dict(custom_imports=dict(imports=['mmseg_rloss'])))",
]


def mmseg_package(folder: Path, source: str) -> str:
    """Write a package ``mmseg``; the line of a script that lets it come before the real one."""
    (folder / "mmseg").mkdir(parents=True)
    (folder / "mmseg" / "__init__.py").write_text(source)
    return f"import sys; sys.path.insert(0, {str(folder)!r})\n"


def test_the_layers_need_torch_alone_and_mmseg_does_them_no_harm(tmp_path):
    broken = mmseg_package(tmp_path / "broken", "raise RuntimeError('broken')")
    incomplete = mmseg_package(tmp_path / "incomplete", "__version__ = '1.2.2'")
    orders = ["import mmseg, mmseg_rloss", "import mmseg_rloss, mmseg"]
    scripts = [
        LAYER_ALONE,
        WITHOUT_MMSEG + LAYER_ALONE + ASKING_FOR_MMSEG,
        broken + LAYER_ALONE + ASKING_FOR_MMSEG,
        CHECKPOINT.format(path=str(tmp_path / "iter_1.pth")),
    ]
    present, absent, broken, checkpoint = run_each(scripts, modules=["torch"])
    assert present.stdout == "fine\n", present.stderr
    assert absent.stdout == "fine\n" + 4 * "No module named 'mmseg'\n", absent.stderr
    assert broken.stdout == "fine\n" + 4 * "broken\n", broken.stderr
    assert checkpoint.stdout.splitlines()[-1:] == ["0.5"], checkpoint.stderr
    for order in orders:
        child = interpreter_of_tools().run(incomplete + WARNED.format(order=order))
        told, usable = child.stdout.splitlines()
        assert "cannot be used with the installed MMSegmentation: " in told
        assert "DenseCRFLoss" in usable
        assert child.returncode == 1 and "No module named 'mmseg.datasets'" in child.stderr


def test_it_is_registered_in_whichever_order_the_two_are_imported():
    children = [interpreter_of_tools().run(order + REGISTERED) for order in ORDERS]
    failed = {
        order: child.stderr
        for order, child in zip(ORDERS, children, strict=True)
        if child.returncode
    }
    assert not failed
