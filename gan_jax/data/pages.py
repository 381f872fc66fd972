"""Pages of TIFF and frames of animations as pictures of their own."""

from collections.abc import Callable
from dataclasses import replace

from gan_jax.data.opening import File
from gan_jax.data.pictures import pages
from gan_jax.data.source import Example, Source, Split, Unreadable


def all_pages(source: Source) -> Source:
    """The source with every page or frame of every picture as an example of its own, in the split of its file."""
    splits = {name: _paged(split) for name, split in source.splits.items()}
    place = source.place and f"{source.place} all pages"
    return replace(source, splits=splits, identity=f"{source.identity} all pages", place=place, pages="all")


def _paged(split: Split) -> Split:
    places = [(i, page) for i in range(split.size) for page in range(_count(split, i))]
    return Split(len(places), _reader(split.read, places))


def _count(split: Split, i: int) -> int:
    try:
        return pages(split.read(i).image)
    except (Unreadable, OSError):  # told when it is decoded
        return 1


def _reader(read: Callable[[int], Example], places: list[tuple[int, int]]) -> Callable[[int], Example]:
    def page_of(i: int) -> Example:
        file, page = places[i]
        example = read(file)
        image = example.image
        if page == 0 or not isinstance(image, bytes):
            return example
        name = image.name if isinstance(image, File) else f"picture {file}"
        return example._replace(image=File(image, f"{name}, page {page + 1}", page))

    return page_of
