"""Draw an image in a terminal, by one of the protocols that terminals have for it."""

from __future__ import annotations

import base64
import io
from enum import StrEnum

from PIL import Image

CELL_PX = (10, 20)
"""Width and height of one character in pixels, roughly, as in most terminals."""
_KITTY_CHUNK = 4096
"""Bytes of base64 in one escape sequence; the protocol allows at most this many."""


class Graphics(StrEnum):
    """Ways to draw."""

    KITTY = "kitty"
    ITERM2 = "iterm2"
    SIXEL = "sixel"
    BLOCKS = "blocks"
    """Half blocks in 24-bit colours: two pixels a character, in any terminal with colours."""


def terminal_image(picture: bytes, graphics: Graphics, columns: int, rows: int) -> str:
    """Return the text that draws an image, at most `columns` x `rows` characters.

    Raises ModuleNotFoundError for sixel and blocks where timg (extra `preview`) is not installed.
    """
    with Image.open(io.BytesIO(picture), formats=("WEBP", "PNG")) as opened:
        image = opened.convert("RGB")
    width_px, height_px = columns * CELL_PX[0], rows * CELL_PX[1]
    scale = min(width_px / image.width, height_px / image.height)
    width, height = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    columns, rows = max(1, round(width / CELL_PX[0])), max(1, round(height / CELL_PX[1]))
    if graphics is Graphics.BLOCKS:
        from timg import Ansi24HblockMethod

        small = image.resize((columns, 2 * rows), Image.Resampling.LANCZOS)
        return str(Ansi24HblockMethod(small).to_string()).rstrip("\n")
    if graphics is Graphics.SIXEL:
        from timg import SixelMethod

        whole_bands = max(6, height - height % 6)
        drawn = image.resize((width, whole_bands), Image.Resampling.LANCZOS)
        # A palette, because a sixel image has at most 256 colours.
        return str(SixelMethod(drawn.quantize(64)).to_string())
    png = io.BytesIO()
    image.resize((width, height), Image.Resampling.LANCZOS).save(png, "PNG")
    data = base64.b64encode(png.getvalue()).decode("ascii")
    if graphics is Graphics.ITERM2:
        size = f"width={columns};height={rows};preserveAspectRatio=1"
        return f"\033]1337;File=inline=1;size={len(png.getvalue())};{size}:{data}\a"
    chunks = [data[at : at + _KITTY_CHUNK] for at in range(0, len(data), _KITTY_CHUNK)]
    heads = [f"a=T,f=100,q=2,c={columns},r={rows},", *[""] * (len(chunks) - 1)]
    return "".join(
        f"\033_G{head}m={int(at < len(chunks) - 1)};{chunk}\033\\"
        for at, (head, chunk) in enumerate(zip(heads, chunks, strict=True))
    )
