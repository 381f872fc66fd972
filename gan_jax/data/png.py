"""The chunks of PNG files, as far as PIL's limits concern them: texts that it does not read, 16 bits that it does not write."""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")


def without_texts(content: bytes) -> bytes:
    """The file without texts and colour profile, which PIL reads up to a limit only and which are no pixels."""
    kept, place = [content[: len(SIGNATURE)]], len(SIGNATURE)
    while place < len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4])  # length, type, data, checksum
        if content[place + 4 : place + 8] not in TEXTS:
            kept.append(content[place:end])
        place = end
    return b"".join(kept)


def deep_png(pixels: np.ndarray, exif: bytes = b"") -> bytes:
    """A PNG of 16 bits a channel, uint16 (h, w, c) of 1 to 4 channels, with EXIF if given: PIL writes grey ones only."""
    h, w, c = pixels.shape
    rows = np.frombuffer(np.ascontiguousarray(pixels, ">u2").tobytes(), np.uint8).reshape(h, 2 * w * c)
    filtered = np.empty((h, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = 2  # filter "up": each row less the one above
    filtered[0, 1:], filtered[1:, 1:] = rows[0], rows[1:] - rows[:-1]
    header = struct.pack(">IIBBBBB", w, h, 16, _COLOUR_TYPES[c], 0, 0, 0)
    about = [_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))] if exif else []
    parts = [
        SIGNATURE,
        _chunk(b"IHDR", header),
        *about,
        _chunk(b"IDAT", zlib.compress(filtered.tobytes())),
        _chunk(b"IEND", b""),
    ]
    return b"".join(parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # grey, with opacity, colours, with opacity
