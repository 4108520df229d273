"""A product's picture: what staff upload is read as an image, and written anew in a few widths."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from io import BytesIO

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from PIL import Image, ImageOps

from catalog.models import Product
from catalog.picture_models import Picture, name_file

WIDTHS = (320, 640, 1280)  # of a card, of a product's page, and of both on a screen of twice the pixels
FORMATS = ("JPEG", "PNG", "WEBP")  # no other reader of Pillow's is given a file that somebody uploaded
MAX_PIXELS = 24_000_000  # a hundred megabytes once they are unpacked
MAX_SIDE = 12_000  # WebP has no more than 16,383
QUALITY = 80


class PictureRefused(Exception):
    """The file is no picture that can be shown."""


class NotAPicture(PictureRefused):
    """It is none of FORMATS, or is damaged."""


class TooManyPixels(PictureRefused):
    """It has more than MAX_PIXELS, or a side longer than MAX_SIDE, however small the file is."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A picture as it will be kept: its files by their widths, and the size of the largest."""

    digest: str
    width: int
    height: int
    files: Mapping[int, bytes]


def encode_picture(content: bytes) -> Encoded:
    """Read an image by what is in it, and write it as WebP: nothing but its pixels goes on, turned upright.

    Raises PictureRefused. What is too large is refused before it is unpacked.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = _read_image(content)
        except TooManyPixels:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise TooManyPixels from error
        except Exception as error:  # of a damaged file Pillow's readers raise whatever they stumble over
            raise NotAPicture from error
    largest = min(image.width, WIDTHS[-1])
    sized = {width: _resize(image, width) for width in sorted({min(width, largest) for width in WIDTHS})}
    return Encoded(
        digest=sha256(content).hexdigest()[:20],
        width=sized[largest].width,
        height=sized[largest].height,
        files={width: _write(smaller) for width, smaller in sized.items()},
    )


def save_picture(*, product: Product, encoded: Encoded, alt: str) -> Picture:
    """Keep the files, then the row that names them, in place of the product's picture before."""
    fields = {"digest": encoded.digest, "width": encoded.width, "height": encoded.height, "alt": alt}
    with _changing(product) as before:
        for width, content in encoded.files.items():
            name = name_file(product.pk, encoded.digest, width)
            if not default_storage.exists(name):
                default_storage.save(name, ContentFile(content))
        picture, _ = Picture.objects.update_or_create(
            product=product, defaults={**fields, "widths": sorted(encoded.files)}
        )
        if before and before.digest != picture.digest:
            transaction.on_commit(partial(_delete_files, before))
    return picture


def remove_picture(*, product: Product) -> None:
    """Remove the product's picture, if it has one. Its files go once that is committed."""
    with _changing(product) as picture:
        if picture:
            Picture.objects.filter(product=product).delete()
            transaction.on_commit(partial(_delete_files, picture))


@contextmanager
def _changing(product: Product) -> Iterator[Picture | None]:
    """Its picture, which nobody else changes until the commit: there may be none yet, so it is the product's lock."""
    with transaction.atomic():
        list(Product.objects.select_for_update(no_key=True).filter(pk=product.pk).values("pk"))
        yield Picture.objects.filter(product=product).first()


def _read_image(content: bytes) -> Image.Image:
    image = Image.open(BytesIO(content), formats=FORMATS)  # reads the head of the file alone
    if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
        raise TooManyPixels
    image.draft("RGB", (WIDTHS[-1], WIDTHS[-1]))  # a JPEG is unpacked no larger than needed
    upright = ImageOps.exif_transpose(image)
    return upright.convert("RGBA" if upright.has_transparency_data else "RGB")


def _resize(image: Image.Image, width: int) -> Image.Image:
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _write(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "WEBP", quality=QUALITY)
    return file.getvalue()


def _delete_files(picture: Picture) -> None:
    """Unless somebody has given the product the same picture again since."""
    with _changing(Product(pk=picture.product_id)) as now:
        if now is None or now.digest != picture.digest:
            for name in picture.names:
                default_storage.delete(name)
