"""What annotation tools export of one image, written after their documentation."""

import base64
import io

import numpy as np
from PIL import Image

SIZE = (20, 30)  # height, width
ID = "my photo.v1"
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
        sizes = dict(original_height=SIZE[0], original_width=SIZE[1])
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
