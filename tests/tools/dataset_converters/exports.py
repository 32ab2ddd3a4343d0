"""What annotation tools export of one image, written after their documentation."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import nibabel
import numpy as np
from PIL import Image

from tests.tools.network import write_image

SIZE = (20, 30)  # height, width
ID = "my image.v1"
LINE = [[2.5, 3.5], [12.5, 3.5]]
POINT = [20.5, 10.5]
AREA = [[15, 14], [25, 14], [25, 17], [15, 17]]
HOLED = np.ones((4, 5), bool)  # whose upper left corner is at x = 3, y = 14
HOLED[1, 2] = False
CLASSES = ["ground", "leaf"]
COLOURS = {"ground": (200, 10, 20), "leaf": (0, 160, 60)}


def labels_of(*parts: str) -> np.ndarray:
    """The label map of what was drawn, counted out by hand."""
    labels = np.full(SIZE, 255, np.uint8)
    if "line" in parts:
        labels[2:5, 1:14] = 0
    if "point" in parts:
        labels[9:12, 19:22] = 1
    if "area" in parts:
        labels[14:18, 15:26] = 1
    if "mask" in parts:
        labels[14:18, 3:8][HOLED] = 0
    return labels


ALL = labels_of("line", "point", "area", "mask")


def shape(label: str, kind: str, points: list, **more: object) -> dict:
    return dict(label=label, shape_type=kind, points=points, group_id=None, flags={}, **more)


def labelme(*shapes: dict) -> dict:
    head = dict(version="5.4.1", flags={}, imageData=None, imagePath=f"..\\images\\{ID}.jpg")
    return head | dict(shapes=shapes, imageHeight=SIZE[0], imageWidth=SIZE[1])


def holed_png() -> str:
    file = io.BytesIO()
    Image.fromarray(HOLED).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><job><labels>
<label><name>ground</name><color>#c80a14</color><type>any</type></label>
<label><name>leaf</name><color>#00a03c</color><type>any</type></label>
</labels></job></meta>
<image id="0" name="{name}" width="30" height="20">
<polygon label="leaf" source="manual" occluded="0" points="15.00,14.00;25.00,14.00;25.00,17.00;\
15.00,17.00" z_order="0"></polygon>
<mask label="ground" source="manual" occluded="0" rle="{rle}" left="3" top="14" width="5" \
height="4" z_order="0"></mask>
<points label="leaf" points="20.50,10.50" z_order="1"></points>
<polyline label="ground" points="2.50,3.50;12.50,3.50" z_order="0"></polyline>
<box label="leaf" xtl="2.0" ytl="3.0" xbr="5.0" ybr="4.0" z_order="-1"></box>
</image>
<image id="1" name="other.tif" width="30" height="20"></image>
</annotations>"""


def runs(mask: np.ndarray, order: str) -> list[int]:
    """Lengths of runs of zeros and ones in turn, zeros first."""
    counts, value = [0], False
    for pixel in mask.flatten(order=order).tolist():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


def in_colours(labels: np.ndarray, unlabelled: tuple[int, ...] = (0, 0, 0)) -> np.ndarray:
    colours = np.empty((*labels.shape, len(unlabelled)), np.uint8)
    colours[:] = unlabelled
    for label, colour in enumerate(COLOURS.values()):
        colours[labels == label] = colour if len(unlabelled) == 3 else (*colour, 255)
    return colours


def packed(counts: list[int]) -> str:
    """The text of pycocotools' rleToString."""
    text = ""
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            bits, value = value & 31, value >> 5
            done = value == (-1 if bits & 16 else 0)
            text += chr(bits + (0 if done else 32) + 48)
            if done:
                break
    return text


def coco(counts: object) -> dict:
    drawn = [
        dict(category_id=4, keypoints=[*LINE[0], 2, *LINE[1], 1, 0, 0, 0]),
        dict(category_id=9, keypoints=[*POINT, 2]),
        dict(category_id=9, segmentation=[np.ravel(AREA).tolist()]),
        dict(category_id=4, segmentation=dict(size=SIZE, counts=counts)),
    ]
    return dict(
        images=[dict(id=7, file_name=f"images/{ID}.jpg", height=SIZE[0], width=SIZE[1])],
        categories=[
            dict(id=9, name="leaf"),
            dict(id=4, name="ground", keypoints=list("abc"), skeleton=[[1, 2], [2, 3]]),
        ],
        annotations=[dict(entry, id=i, image_id=7) for i, entry in enumerate(drawn)],
    )


def rle_pack(values: np.ndarray) -> list[int]:
    """Runs of one value, or here and there of several, as thi.ng's rle-pack."""
    bits = f"{len(values):032b}{8 - 1:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    place = 0
    while place < len(values):
        end = place + 1
        while end < len(values) and values[end] == values[place]:
            end += 1
        if end == place + 1 and end < len(values):  # two values as they are
            bits += f"0{0:02b}{2 - 1:03b}" + "".join(f"{v:08b}" for v in values[place : end + 1])
            place = end + 1
        else:
            bits += f"1{3:02b}{end - place - 1:016b}{values[place]:08b}"
            place = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def label_studio() -> list[dict]:
    """A project, whose mask is a stroke of the brush, and whose line a vector."""
    pixels = np.zeros((*SIZE, 4), np.uint8)
    pixels[14:18, 3:8][HOLED] = 255, 1, 255, 255
    pixels[0, 0] = 9, 9, 9, 100  # the soft rim of a stroke

    def result(kind: str, name: str, **value: object) -> dict:
        sizes = dict(original_height=SIZE[0], original_width=SIZE[1], from_name="my-tag")
        return dict(type=kind, value={kind: [name], **value}, **sizes)

    def per_cent(point: list) -> dict:
        return dict(x=point[0] / 0.3, y=point[1] / 0.2)

    drawn = [
        result("brushlabels", "ground", format="rle", rle=rle_pack(pixels.ravel())),
        result("vectorlabels", "ground", vertices=[per_cent(point) for point in LINE]),
        result("keypointlabels", "leaf", width=1, **per_cent(POINT)),
        result("polygonlabels", "leaf", points=[[x / 0.3, y / 0.2] for x, y in AREA]),
        dict(type="choices", value=dict(choices=["good"])),
    ]
    task = dict(
        id=1,
        data=dict(image=f"/data/upload/3/0a1b2c3d-{ID.replace(' ', '%20')}.jpg"),
        annotations=[dict(result=drawn), dict(was_cancelled=True, result=[{"type": "x"}])],
    )
    return [task]


class Conversion(NamedTuple):
    """What is named to the tool."""

    format: str
    export: Path
    options: tuple[object, ...] = ()


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def export_labelme(root: Path) -> Conversion:
    drawn = labelme(
        shape("ground", "linestrip", [LINE[0], [7, 3.2], LINE[1]]),
        shape("leaf", "point", [POINT]),
        shape("leaf", "polygon", AREA),
        shape("ground", "mask", [[3, 14], [7, 17]], mask=holed_png()),
    )
    return Conversion("labelme", write(root / "json" / "a.json", drawn).parent)


def export_cvat(root: Path) -> Conversion:
    rle = ", ".join(map(str, runs(HOLED, "C")))
    text = CVAT.format(rle=rle, name=f"{ID}.jpg")
    return Conversion("cvat", write(root / "annotations.xml", text))


def export_cvats_masks(root: Path) -> Conversion:
    export = root / "cvat"
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    lines += [f"{name}:{','.join(map(str, colour))}::" for name, colour in COLOURS.items()]
    write(export / "labelmap.txt", "\n".join(lines))
    save(export / "SegmentationClass" / f"{ID}.png", in_colours(ALL))
    save(export / "SegmentationObject" / f"{ID}.png", in_colours(ALL))
    return Conversion("cvat-masks", export)


def export_coco(root: Path, form: Callable = list) -> Conversion:
    mask = np.zeros(SIZE, bool)
    mask[14:18, 3:8] = HOLED
    return Conversion("coco", write(root / "coco.json", coco(form(runs(mask, "F")))))


def export_packed_coco(root: Path) -> Conversion:
    return export_coco(root, packed)


def export_coco_polylines(root: Path) -> Conversion:
    """Lines as `polyline` and as polygons of two points, which some tools write."""
    drawn = coco([SIZE[0] * SIZE[1]])
    line, point, area, _ = drawn["annotations"]
    line |= dict(keypoints=None, polyline=[np.ravel(LINE).tolist()])
    brush = dict(line, polyline=None, segmentation=[[*LINE[0], *LINE[0]]])
    mask = np.zeros(SIZE, bool)
    mask[14:18, 3:8] = HOLED
    rle = dict(line, polyline=None, segmentation=dict(size=SIZE, counts=runs(mask, "F")))
    drawn["annotations"] = [line, point, area, brush, rle]
    return Conversion("coco", write(root / "coco.json", drawn))


def export_label_studio(root: Path) -> Conversion:
    return Conversion("label-studio", write(root / "project.json", label_studio()))


def export_brush(root: Path, tasks: Callable[[], list[dict]] = label_studio) -> Conversion:
    """Two strokes of one class and one of another, by two annotators."""
    stroke = np.where(labels_of("mask") == 0, 255, 0).astype(np.uint8)
    stroke[0, 0] = 100  # a soft rim
    first = np.where(labels_of("line") == 0, 200, 0).astype(np.uint8)
    leaf = np.where(labels_of("point", "area") == 1, 255, 0).astype(np.uint8)
    for name, pixels in {
        "task-1-annotation-2-by-a@b.org-my-tag-ground-0": first,
        "task-1-annotation-2-by-a@b.org-my-tag-ground-1": stroke,
        "task-1-annotation-10-by-7-my-tag-leaf-0": leaf,
    }.items():
        save(root / "brush" / f"{name}.png", pixels)
    write(root / "brush" / "project.json", tasks())
    return Conversion("label-studio-png", root / "brush")


def export_brush_beside_the_short_json(root: Path) -> Conversion:
    (task,) = label_studio()
    short = {
        "id": 1,
        "created_at": "2026-11-27",
        "image": task["data"]["image"],
        "my-tag": [dict(format="rle")],
    }
    return export_brush(root, lambda: [short])


def export_colours(root: Path, unlabelled: tuple[int, ...] = (0, 0, 0, 0)) -> Conversion:
    save(root / "drawn" / f"{ID}.png", in_colours(ALL, unlabelled))
    lines = [f"{name} {' '.join(map(str, colour))}" for name, colour in COLOURS.items()]
    palette = write(root / "palette.txt", "\n".join([*lines, "void 255 255 255"]))
    return Conversion("colours", root / "drawn", ("--palette", palette))


def export_colours_on_white(root: Path) -> Conversion:
    return export_colours(root, (255, 255, 255, 255))


def export_labels(root: Path, unlabelled: int = 255, suffix: str = "png") -> Conversion:
    shift = 1 if unlabelled == 0 else 0
    drawn = np.where(ALL == 255, unlabelled, ALL.astype(np.uint16) + shift).astype(np.uint16)
    save(root / "drawn" / f"{ID}.{suffix}", drawn)
    options = [] if unlabelled == 255 else ["--unlabelled", unlabelled]
    return Conversion("index", root / "drawn", ("--classes", *CLASSES, *options))


def export_labels_with_4_unlabelled(root: Path) -> Conversion:
    return export_labels(root, 4)


def export_napari(root: Path) -> Conversion:
    return export_labels(root, 0, "tif")


def export_per_class(root: Path) -> Conversion:
    for label, name in enumerate(CLASSES):
        save(root / "drawn" / name / f"{ID}.png", np.where(label == ALL, 255, 0).astype(np.uint8))
    return Conversion("per-class", root / "drawn")


def export_nifti(root: Path) -> Conversion:
    """Two slices, of which the first has no mark."""
    (root / "drawn").mkdir()
    (root / "images").mkdir(exist_ok=True)
    labels = np.zeros((2, *SIZE), np.uint8)
    labels[1] = np.where(ALL == 255, 0, ALL + 1)
    image = np.linspace(-50, 300, labels.size).reshape(labels.shape)
    for path, values in {"images/p.1.nii.gz": image, "drawn/p.1_scribble.nii.gz": labels}.items():
        nibabel.save(nibabel.Nifti1Image(values.T, np.eye(4)), root / path)
    return Conversion("volume", root / "drawn", ("--classes", *CLASSES))


def export_h5(root: Path) -> Conversion:
    with h5py.File(root / "patient_slice_1.h5", "w") as file:
        file["image"] = np.linspace(0, 1, ALL.size).reshape(SIZE)
        file["label"] = np.zeros(SIZE, np.uint8)
        file["scribble"] = np.where(ALL == 255, 4, ALL)
    options = ("--classes", *CLASSES, "--unlabelled", 4)
    return Conversion("volume", root / "patient_slice_1.h5", options)


EXPORTS = [
    export_labelme,
    export_cvat,
    export_cvats_masks,
    export_coco,
    export_label_studio,
    export_brush,
    export_colours,
    export_labels,
    export_napari,
    export_per_class,
    export_nifti,
    export_h5,
]
VARIANTS = [
    export_packed_coco,
    export_coco_polylines,
    export_brush_beside_the_short_json,
    export_colours_on_white,
    export_labels_with_4_unlabelled,
]


def in_three_channels(labels: np.ndarray) -> np.ndarray:
    return np.repeat(labels.astype(np.uint8)[..., None], 3, axis=2)


def scribbles4all(kind: str, root: Path) -> tuple[Conversion, dict[int, str]]:
    """One of its data sets; and the names of the classes that stand where ALL has 0 and 1."""
    image, label, values, unlabelled = {
        "s4Pascal": ("2007_000032.jpg", "2007_000032.png", {0: 0, 1: 12}, 255),
        "s4Cityscapes": (
            "aachen/aachen_000000_000019_leftImg8bit.png",
            "aachen/aachen_000000_000019_gtFine_labelIds.png",
            {0: 7, 1: 33},
            0,
        ),
        "s4ADE20K": ("ADE_train_00000001.jpg", "ADE_train_00000001.png", {0: 1, 1: 150}, 0),
    }[kind]
    drawn = np.full(SIZE, unlabelled)
    for mark, value in values.items():
        drawn[mark == ALL] = value
    if kind == "s4Cityscapes":
        drawn[19] = 4  # static, which its evaluation leaves out
    save(root / "drawn" / label, in_three_channels(drawn))
    (root / "drawn" / label).with_suffix(".h5").touch()
    write_image(root / "images" / image, SIZE)
    names = {
        "s4Pascal": {0: "background", 1: "dog"},
        "s4Cityscapes": {0: "road", 1: "bicycle"},
        "s4ADE20K": {0: "wall", 1: "flag"},
    }
    return Conversion("scribbles4all", root / "drawn"), names[kind]
