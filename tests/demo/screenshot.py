"""Take the picture of the page in the docs.

    make train
    .venv/bin/python -m tests.demo.screenshot

draws a few strokes on a scene of the sample data set and writes docs/images/demo.png.
"""

import io
import sys

from PIL import Image

from demo import web
from tests.demo.browser import open_browser, serve

OUT = web.ROOT / "docs/images/demo.png"
SIZE = 1360, 890
IMAGE = "val_0031.jpg"
STROKES = [  # labels, and points in pixels of the image
    (4, [(30, 14), (38, 24), (35, 36), (36, 50)]),
    (2, [(65, 9), (64, 20), (60, 32), (59, 46)]),
    (5, [(106, 45), (112, 58), (124, 62), (139, 56)]),
    (3, [(74, 80), (84, 85), (102, 90), (118, 93)]),
    (0, [(6, 66), (12, 92), (36, 96), (58, 92), (62, 110)]),
    (0, [(82, 10), (100, 8), (120, 12), (150, 22), (154, 70), (150, 104)]),
    (0, [(82, 44), (80, 62), (92, 54)]),
    (0, [(90, 112), (94, 106)]),
]


def main() -> None:
    demo = web.make_demo(web.parse_args([]))
    if demo.network is None:
        sys.exit(f"{web.CHECKPOINT} is not there: make train")
    with serve(demo) as url, open_browser(*SIZE) as browser:
        browser.open(url)
        browser.open_image(IMAGE)
        for label, points in STROKES:
            browser.choose_class(label)
            browser.draw(points, image_width=160)
        browser.choose_class(3)
        picture = Image.open(io.BytesIO(browser.driver.get_screenshot_as_png()))
    picture.convert("RGB").save(OUT, optimize=True)
    print(f"{OUT} is {picture.width}x{picture.height}.")


if __name__ == "__main__":
    main()
