"""The image of a FITS file, found and bounded by the headers before a number is read.

It is the extension named `SCI`, which instruments write beside masks and errors, or else the first image. A header
costs 80 bytes to claim any size, and compressed tiles unpack to a thousand times what they weigh. Here the headers are
walked as the standard lays them out (FITS 4.0, sections 3, 4.4, 7.3 and 10), and astropy, which trusts them, is given
the one part that was checked.
"""

import math
import re
import zlib
from dataclasses import dataclass

import numpy as np

# what an image may have: 8192 x 8192, 256 MiB as float32
MOST_NUMBERS = 2**26
# what a file may weigh or unpack to [bytes]
LARGEST_FILE = 2**28
GZIP = b"\x1f\x8b"
_BLOCK, _CARD = 2880, 80
# of one header: 18,432 cards
_MOST_BLOCKS = 512
_MOST_PARTS = 256
_MOST_TILES = 2**16
# as Hubble and JWST name it
_SCIENCE = "SCI"
_COMPRESSIONS = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2")
_READ = re.compile(
    rb"(?:XTENSION|EXTNAME|BITPIX|PCOUNT|GCOUNT|GROUPS|TFIELDS|THEAP|ZIMAGE|ZCMPTYPE|Z?NAXIS\d*|ZTILE\d+|T(?:TYPE|FORM)\d+)$"
)
_FIELD = re.compile(r"(\d*)([LXBIJKAEDCMPQ])([BIJ]?)")
_WIDTHS = dict(zip("LBIJKAEDCMPQ", (1, 1, 2, 4, 8, 1, 4, 8, 8, 16, 8, 16), strict=True))


@dataclass(frozen=True)
class _Part:
    """A header and where its data lie in the file."""

    cards: dict[str, str]
    start: int
    data: int
    end: int

    def number(self, name: str, absent: int | None = None) -> int:
        text = self.cards.get(name)
        if text is None and absent is not None:
            return absent
        if text is None or not re.fullmatch(r"[+-]?\d{1,18}", text):
            raise ValueError(f"its header has {name}={text}, which is no whole number")
        return int(text)

    @property
    def is_compressed(self) -> bool:
        return self.cards.get("XTENSION") == "BINTABLE" and self.cards.get("ZIMAGE") == "T"

    @property
    def shape(self) -> tuple[int, ...]:
        """The axes of the image, the fastest first, as the header has them; empty where there is none."""
        if not self.is_compressed and self.cards.get("XTENSION", "IMAGE") != "IMAGE":
            return ()
        letter = "Z" if self.is_compressed else ""
        lengths = [self.number(f"{letter}NAXIS{axis}") for axis in range(1, self.number(f"{letter}NAXIS") + 1)]
        return tuple(lengths) if all(length > 0 for length in lengths) else ()


def unpacked(content: bytes) -> bytes:
    """Unpack gzip, as far as it is not too large.

    Args:
        content: What begins with `GZIP`.

    Returns:
        What was packed.

    Raises:
        ValueError: If it is larger than `LARGEST_FILE`, or cut off.
        zlib.error: If it is damaged.
    """
    packed = zlib.decompressobj(wbits=31)
    plain = packed.decompress(content, LARGEST_FILE + 1)
    if len(plain) > LARGEST_FILE:
        raise ValueError(f"unpacked it is larger than {LARGEST_FILE} bytes")
    if not packed.eof:
        raise ValueError("it is cut off")
    return plain


def first_image(content: bytes, largest: int = MOST_NUMBERS) -> bytes:
    """Cut a FITS file down to its image: of the parts with two or more axes the first named `SCI`, else the first.

    Args:
        content: The file; one that is packed with gzip is unpacked.
        largest: Numbers that the image may have.

    Returns:
        A FITS file of the primary part, for its header, and the part that holds the image; of one part where that is
        the same.

    Raises:
        ValueError: If there is no such image among the first 256 parts, it has more than `largest` numbers, or it is
            cut off or damaged, or compressed in another way than RICE and GZIP.
        zlib.error: If it is damaged.
    """
    if content.startswith(GZIP):
        content = unpacked(content)
    primary, part = _image_part(content)
    _check_image(content, part, largest)
    own = content[part.start : part.end]
    # the last block need not be full
    own += bytes(-len(own) % _BLOCK)
    return own if part is primary else content[: primary.end] + own


def check_extension(data: np.ndarray, name: str) -> None:
    """Refuse the image of a part in which nothing can be seen; the name tells which one of several was read.

    Args:
        data: The numbers, of any shape.
        name: Name of the part.

    Raises:
        ValueError: If no number is finite, or all finite ones are equal.
    """
    finite = np.isfinite(data)
    known = data if finite.all() else data[finite]
    which = f"its extension {name or 'without a name'}"
    remedy = f"give the extension that is the image the name {_SCIENCE}, or a file of its own"
    if known.size == 0:
        raise ValueError(f"{data.size} of {data.size} pixels of {which} are NaN or infinite; {remedy}")
    if known.min() == known.max():
        raise ValueError(f"every pixel of {which} is {known.flat[0]:g}; {remedy}")


def _image_part(content: bytes) -> tuple[_Part, _Part]:
    """Return the primary part and the one that holds the image."""
    place = 0
    primary: _Part | None = None
    first: _Part | None = None
    for _ in range(_MOST_PARTS):
        if place >= len(content):
            break
        try:
            part = _read_part(content, place)
            has_image = len(part.shape) >= 2
        except ValueError:
            if first is None:
                raise
            # what is damaged behind an image does not take it away
            break
        primary = primary or part
        if has_image and part.cards.get("EXTNAME", "").upper() == _SCIENCE:
            return primary, part
        if has_image and first is None:
            first = part
        place = part.end
    if primary is None or first is None:
        raise ValueError("the FITS file holds no image of two or more axes")
    return primary, first


def _read_part(content: bytes, start: int) -> _Part:
    """Read the header at a place, as far as it tells sizes."""
    cards: dict[str, str] = {}
    end = min(len(content), start + _MOST_BLOCKS * _BLOCK)
    for place in range(start, end, _CARD):
        card = content[place : place + _CARD]
        name = card[:8].rstrip()
        if name == b"END":
            break
        if card[8:9] == b"=" and _READ.match(name):
            # the first one counts, as for astropy
            cards.setdefault(name.decode("ascii"), _value(card[10:]))
    else:
        raise ValueError(f"a header of the FITS file has no end within {end - start} bytes")
    data = start + math.ceil((place + _CARD - start) / _BLOCK) * _BLOCK
    part = _Part(cards, start, data, data)
    lengths = [part.number(f"NAXIS{axis}") for axis in range(1, _axes(part) + 1)]
    if lengths and lengths[0] == 0 and cards.get("GROUPS") == "T":
        lengths = lengths[1:]
    numbers = part.number("GCOUNT", 1) * (part.number("PCOUNT", 0) + math.prod(lengths)) if lengths else 0
    size = abs(part.number("BITPIX")) // 8 * numbers
    if size < 0:
        raise ValueError("a header of the FITS file has a negative size")
    return _Part(cards, start, data, data + math.ceil(size / _BLOCK) * _BLOCK)


def _axes(part: _Part) -> int:
    axes = part.number("NAXIS")
    if not 0 <= axes <= 999:
        raise ValueError(f"a header of the FITS file has {axes} axes")
    return axes


def _value(card: bytes) -> str:
    """Return the value of a card, a text without its quotes and spaces."""
    text = card.decode("latin1").strip()
    return text[1:].partition("'")[0].strip() if text.startswith("'") else text.partition("/")[0].strip()


def _check_image(content: bytes, part: _Part, largest: int) -> None:
    """Refuse an image that is too large or not all there."""
    numbers = math.prod(part.shape)
    if numbers > largest:
        shape = tuple(reversed(part.shape))
        raise ValueError(f"its image of shape {shape} has more than {largest} numbers; cut the lens out")
    rows = part.number("NAXIS1") * part.number("NAXIS2", 1) if part.is_compressed else 0
    needed = rows + part.number("PCOUNT") if part.is_compressed else abs(part.number("BITPIX")) // 8 * numbers
    if part.data + needed > len(content):
        raise ValueError(f"it is cut off: its image needs {needed} bytes, {max(len(content) - part.data, 0)} are there")
    if part.is_compressed:
        _check_tiles(content, part, rows)


def _check_tiles(content: bytes, part: _Part, rows: int) -> None:
    """Refuse compressed tiles that unpack to more than they should."""
    compression = part.cards.get("ZCMPTYPE", "")
    if compression not in _COMPRESSIONS:
        raise ValueError(f"it is compressed by {compression!r}, not by RICE or GZIP; unpack it with funpack first")
    axes = part.shape
    tile = [part.number(f"ZTILE{axis}", size if axis == 1 else 1) for axis, size in enumerate(axes, start=1)]
    # astropy writes tiles that are larger than the image
    tile = [min(side, size) for side, size in zip(tile, axes, strict=True)]
    tiles = math.prod(math.ceil(size / max(side, 1)) for size, side in zip(axes, tile, strict=True))
    if tiles > _MOST_TILES:
        raise ValueError(
            f"it is compressed in {tiles:,} tiles, at most {_MOST_TILES:,} are taken; unpack it with funpack"
        )
    if min(tile) < 1:
        raise ValueError(f"its tiles of shape {tuple(reversed(tile))} do not fit its image")
    table = np.frombuffer(content, np.uint8, rows, part.data).reshape(part.number("NAXIS2"), part.number("NAXIS1"))
    heap = memoryview(content)[part.data + part.number("THEAP", rows) : part.data + rows + part.number("PCOUNT")]
    largest = 8 * math.prod(tile)
    for name, places in _tile_columns(part, table):
        lengths = places[:, 0]
        if places.min(initial=0) < 0 or lengths.max(initial=0) > len(heap) or int(lengths.sum()) > len(heap):
            raise ValueError("its tiles overlap")
        if name == "GZIP_COMPRESSED_DATA" or (name == "COMPRESSED_DATA" and compression.startswith("GZIP")):
            for length, start in places.tolist():
                _check_packed_tile(heap[start : start + length], largest)


def _check_packed_tile(packed: memoryview, largest: int) -> None:
    """Refuse a tile that unpacks to more bytes than it may hold."""
    if packed and len(zlib.decompressobj(wbits=47).decompress(packed, largest + 1)) > largest:
        raise ValueError("one of its tiles unpacks to more than a tile may hold")


def _tile_columns(part: _Part, table: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Return name, and length and place in the heap [bytes] of every tile, of the columns that hold tiles."""
    columns = []
    place = 0
    for number in range(1, part.number("TFIELDS") + 1):
        field = _FIELD.match(part.cards.get(f"TFORM{number}", ""))
        if field is None:
            raise ValueError(f"its column {number} has no known format")
        repeat, kind = int(field[1] or 1), field[2]
        width = math.ceil(repeat / 8) if kind == "X" else repeat * _WIDTHS[kind]
        if kind in "PQ" and repeat == 1:
            raw = np.ascontiguousarray(table[:, place : place + width])
            pairs = raw.view(">i4" if kind == "P" else ">i8").astype(np.int64)
            pairs[:, 0] *= _WIDTHS.get(field[3], 1)
            columns.append((part.cards.get(f"TTYPE{number}", ""), pairs))
        place += width
    return columns
