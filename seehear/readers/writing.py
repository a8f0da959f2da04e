"""See what is written in images with rapidocr and the weights inside its package.

A first look at 640 pixels takes a fifth of a second and decides for photographs: without any trace
of writing they are done. What may be a screenshot or a page is always read at full size, which is
at most 2,000 pixels. Of what is read, a line counts if the reader is sure of it, and an image if
one line has three letters: false text is then seen in 1 of 200 photographs, not in 32.

The weights read Latin, Greek, Chinese and Japanese script; nothing is ever fetched.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seehear.errors import EnvironmentFaultError, one_line
from seehear.libraries import fault_of, remedy
from seehear.readers.base import Reader
from seehear.types import Box, ImageSample, Line, Reading

FIRST_LOOK_PX = 640
FULL_PX = 2_000
FIRST_LOOK_SURE, FULL_SURE = (0.2, 0.35), (0.3, 0.5)
"""How sure the detector must be of a pixel and of a line. The first look is lenient: with the
library's own values it passes over 3 of 8 photographs with letters of 20 pixels, with these none.
"""
LEAST_PX = 30
"""Shorter sides than this hold no line that can be read."""
LEAST_SCORE = 0.7
LEAST_LETTERS = 3
FLAT_SHARE = 0.6
"""From this share of pixels on that equal their neighbours, an image is drawn and not a photo."""
PAPER_LIGHT, PAPER_SHARE, GREY_SHARE = 150, 0.5, 0.9
"""A scan is grey, and half of it is paper: small letters on it vanish in the first look."""
_SETTINGS = "rules 1"
_PARTS = ("det", "rec", "cls")


def weights() -> dict[str, Path]:
    """Return the weights inside rapidocr's package, by their part: det, rec and cls.

    Raises EnvironmentFaultError where the package or its weights are missing.
    """
    spec = find_spec("rapidocr")
    if spec is None or spec.origin is None:
        raise EnvironmentFaultError(
            f"the library rapidocr is not installed; {remedy('rapidocr', missing=True)}", "rapidocr"
        )
    folder = Path(spec.origin).parent / "models"
    found: dict[str, Path] = {}
    for part in _PARTS:
        files = sorted(folder.glob(f"*_{part}_*.onnx"))
        if not files:
            raise EnvironmentFaultError(
                f"the weights of rapidocr are missing in {folder}; {remedy('rapidocr')}", "rapidocr"
            )
        found[part] = files[0]
    return found


def engine_of() -> str:
    """Return the identity of the reader; loads nothing. Raises as `weights`."""
    found = weights()
    return f"rapidocr {found['det'].stem} {found['rec'].stem}, {_SETTINGS}"


class WritingReader(Reader):
    """Sees lines of text that stand upright, on their head or at a slant."""

    def __init__(self, threads: int = 1) -> None:
        """Load the weights. Raises EnvironmentFaultError where that fails."""
        self.engine = engine_of()
        found = weights()
        import cv2
        from rapidocr import RapidOCR

        cv2.setNumThreads(max(1, threads))
        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
        sizes = {"EngineConfig.onnxruntime.intra_op_num_threads": max(1, threads)}
        paths = {f"{part.title()}.model_path": str(path) for part, path in found.items()}
        try:
            self._ocr = RapidOCR(params=sizes | paths | {"Global.log_level": "critical"})
            for load in ("_load_det_model", "_load_cls_model", "_load_rec_model"):
                getattr(self._ocr, load)()
        except Exception as error:  # of any origin: what the files hold decides
            raise fault_of(error) or EnvironmentFaultError(
                f"the weights of rapidocr cannot be loaded ({one_line(error)}); "
                f"{remedy('rapidocr')}",
                "rapidocr",
            ) from error

    def see(self, image: ImageSample) -> Reading:
        """Return what is written, in reading order; an image of any size takes bounded time."""
        if min(image.pixels.shape[:2]) < LEAST_PX:
            return Reading()
        pixels = np.ascontiguousarray(_bounded(image.pixels, FULL_PX)[:, :, ::-1])  # as BGR
        if not may_be_page(pixels) and len(self._detect(_bounded(pixels, FIRST_LOOK_PX))) == 0:
            return Reading()
        boxes = self._detect(pixels)
        if len(boxes) == 0:
            return Reading()
        crops = self._ocr.crop_text_regions(pixels, boxes)
        turned, judged = self._ocr.cls_and_rotate(crops)
        read = self._ocr.recognize_txt(turned)
        upside_down = [label == "180" and score > 0.9 for label, score in judged.cls_res or ()]
        lines = [
            Line(text.strip(), box=_share(box, pixels.shape), confidence=round(float(score), 3))
            for text, score, box in zip(read.txts or (), read.scores or (), boxes, strict=True)
            if score >= LEAST_SCORE and any(letter.isalnum() for letter in text)
        ]
        if not any(sum(map(str.isalpha, line.text)) >= LEAST_LETTERS for line in lines):
            return Reading()
        return Reading(tuple(_ordered(lines, upside_down=2 * sum(upside_down) > len(boxes))))

    def _detect(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the corners of each line that may be text: float32 (n, 4, 2), in pixels."""
        detector: Any = self._ocr.text_det
        small = max(pixels.shape[:2]) <= FIRST_LOOK_PX
        detector.limit_type = "max" if small else "min"
        detector.limit_side_len = FIRST_LOOK_PX if small else 736
        rules = detector.postprocess_op
        rules.thresh, rules.box_thresh = FIRST_LOOK_SURE if small else FULL_SURE
        boxes = detector(pixels).boxes
        return np.zeros((0, 4, 2), np.float32) if boxes is None else np.asarray(boxes, np.float32)


def may_be_page(pixels: NDArray[np.uint8]) -> bool:
    """Tell whether an image looks drawn by a program or like a scan: no photograph, most likely."""
    step = max(1, max(pixels.shape[:2]) // 1000)
    rows = pixels[::step]
    if float((rows[:, 1:] == rows[:, :-1]).all(axis=2).mean()) >= FLAT_SHARE:
        return True
    thin = pixels[::step, ::step].astype(np.int16)
    grey = (thin.max(axis=2) - thin.min(axis=2)) < 40
    light = thin.mean(axis=2)
    paper = int(np.bincount((light // 16).astype(np.int64).ravel(), minlength=16).argmax()) * 16 + 8
    on_paper = np.abs(light - paper) <= 24
    return bool(
        paper >= PAPER_LIGHT and grey.mean() >= GREY_SHARE and on_paper.mean() >= PAPER_SHARE
    )


def _bounded(pixels: NDArray[np.uint8], most_px: int) -> NDArray[np.uint8]:
    """Return an image whose longer side has at most so many pixels."""
    import cv2

    height, width = pixels.shape[:2]
    share = most_px / max(height, width)
    if share >= 1:
        return pixels
    size = max(1, round(width * share)), max(1, round(height * share))
    # Far larger images are thinned first: averaging a hundred megapixels takes a second.
    thin = max(1, int(1 / share) // 2)
    thinned = np.ascontiguousarray(pixels[::thin, ::thin])
    resized = cv2.resize(thinned, size, interpolation=cv2.INTER_AREA)
    return np.asarray(resized, dtype=np.uint8)


def _share(corners: NDArray[np.float32], shape: tuple[int, ...]) -> Box:
    across, down = corners[:, 0] / shape[1], corners[:, 1] / shape[0]
    left, right = (float(np.clip(edge, 0.0, 1.0)) for edge in (across.min(), across.max()))
    top, bottom = (float(np.clip(edge, 0.0, 1.0)) for edge in (down.min(), down.max()))
    return round(left, 4), round(top, 4), round(right, 4), round(bottom, 4)


def _ordered(lines: list[Line], *, upside_down: bool) -> list[Line]:
    boxes = np.array([line.box for line in lines])
    if upside_down:
        boxes = 1.0 - boxes[:, [2, 3, 0, 1]]
    return [lines[row] for row in _in_reading_order(boxes)]


def _in_reading_order(boxes: NDArray[np.float64]) -> list[int]:
    """Return rows from top to bottom, and those of one row of text from left to right."""
    ordered: list[int] = []
    line: list[int] = []
    for row in np.argsort(boxes[:, 1] + boxes[:, 3], kind="stable").tolist():
        if line:
            _, top, _, bottom = boxes[line[0]]
            middle = (boxes[row, 1] + boxes[row, 3]) / 2
            if not top <= middle <= bottom:
                ordered += sorted(line, key=lambda one: float(boxes[one, 0]))
                line = []
        line.append(row)
    return ordered + sorted(line, key=lambda one: float(boxes[one, 0]))
