"""The chunks of PNG files, as far as PIL's limits on the texts in them are concerned."""

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
