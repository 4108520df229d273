"""What is kept of a picture that somebody uploads, and what is refused."""

from functools import partial
from io import BytesIO
from pathlib import Path
from struct import pack
from typing import Any
from zlib import crc32

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from PIL import Image

from catalog.models import Picture
from catalog.pictures import NotAPicture, TooManyPixels, encode_picture, remove_picture, save_picture
from tests.builders import make_product
from tests.concurrency.race import race

RED = (200, 20, 20)
SECRET = b"51.5074 N, home of the photographer"


def make_image(form: str = "JPEG", *, size: tuple[int, int] = (1600, 800), color: Any = RED, **options: Any) -> bytes:
    file = BytesIO()
    Image.new("RGBA" if len(color) == 4 else "RGB", size, color).save(file, form, **options)
    return file.getvalue()


def make_bomb(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes that says it is so large."""
    head = b"IHDR" + pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    image = make_image("PNG", size=(1, 1))
    return image[:12] + head + pack(">I", crc32(head)) + image[33:]


def open_files(files: Any) -> list[Image.Image]:
    return [Image.open(BytesIO(content)) for content in files.values()]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_written_anew_in_a_few_widths(form: str) -> None:
    encoded = encode_picture(make_image(form))

    images = open_files(encoded.files)
    assert [(image.format, image.size) for image in images] == [
        ("WEBP", (320, 160)),
        ("WEBP", (640, 320)),
        ("WEBP", (1280, 640)),
    ]
    assert (encoded.width, encoded.height) == (1280, 640)


def test_a_small_picture_is_not_made_larger() -> None:
    assert list(encode_picture(make_image(size=(500, 100))).files) == [320, 500]
    assert list(encode_picture(make_image(size=(40, 40))).files) == [40]


def test_what_a_camera_wrote_beside_the_picture_is_gone_and_the_picture_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = SECRET.decode()
    content = make_image(size=(400, 200), exif=exif)
    assert SECRET in content

    encoded = encode_picture(content)

    assert (encoded.width, encoded.height) == (200, 400)
    assert not any(SECRET in file for file in encoded.files.values())
    assert not any(image.getexif() for image in open_files(encoded.files))


def test_what_is_transparent_stays_so() -> None:
    (image,) = open_files(encode_picture(make_image("PNG", size=(10, 10), color=(0, 0, 0, 0))).files)

    assert image.convert("RGBA").getpixel((0, 0))[3] == 0  # type: ignore[index]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        make_image("GIF"),
        make_image("TIFF"),
        make_image()[:400],
        make_image("PNG")[:60],
        b"\x89PNG\r\n\x1a\n" + bytes(100),
    ],
    ids=["empty", "svg", "eps", "gif", "tiff", "cut jpeg", "cut png", "bad png"],
)
def test_what_is_no_picture_is_refused_whatever_it_is_called(content: bytes) -> None:
    with pytest.raises(NotAPicture):
        encode_picture(content)


def test_what_makes_a_reader_stumble_is_refused() -> None:
    """A camera's notes, of which one is a word and is called what only a number is called."""
    notes = Image.Exif()
    notes[0x0112], notes[0x010E] = 6, "hello"
    content = make_image(exif=notes)
    spoiled = content.replace(b"\x01\x0e\x00\x02", b"\x01\x07\x00\x02").replace(
        b"\x0e\x01\x02\x00", b"\x07\x01\x02\x00"
    )
    assert spoiled != content

    with pytest.raises(NotAPicture):
        encode_picture(spoiled)


@pytest.mark.parametrize("size", [(5000, 5000), (50_000, 50_000), (1, 20_000), (10_000, 10_000)])
def test_what_is_too_large_once_unpacked_is_refused(size: tuple[int, int]) -> None:
    bomb = make_bomb(*size)
    assert len(bomb) < 1_000

    with pytest.raises(TooManyPixels):
        encode_picture(bomb)


@pytest.mark.django_db(transaction=True)
def test_a_picture_takes_the_place_of_the_one_before_and_its_files_go(settings: LazySettings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    product = make_product("MUG")
    save_picture(product=product, encoded=encode_picture(make_image()), alt="A red mug")

    picture = save_picture(product=product, encoded=encode_picture(make_image(size=(300, 300))), alt="A mug")

    assert [f"products/{path.name}" for path in tmp_path.glob("products/*")] == picture.names
    assert picture.srcset == f"{picture.url} 300w"
    remove_picture(product=product)
    assert not Picture.objects.exists()
    assert not list(tmp_path.glob("products/*"))


@pytest.mark.django_db(transaction=True)
def test_a_picture_that_comes_back_meanwhile_keeps_its_files(settings: LazySettings, tmp_path: Path) -> None:
    """One puts another in its place, and before its files go another one uploads it again."""
    settings.MEDIA_ROOT = tmp_path
    product = make_product("MUG")
    first, second = encode_picture(make_image()), encode_picture(make_image(size=(300, 300)))
    save_picture(product=product, encoded=first, alt="A mug")
    with transaction.atomic():
        save_picture(product=product, encoded=second, alt="A mug")
        delete_files = connection.run_on_commit[-1][1]
        connection.run_on_commit.clear()

    picture = save_picture(product=product, encoded=first, alt="A mug")
    delete_files()

    assert {f"products/{path.name}" for path in tmp_path.glob("products/*")} == set(picture.names)


@pytest.mark.django_db(transaction=True)
def test_of_pictures_that_are_uploaded_at_once_one_is_kept_whole(settings: LazySettings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    product = make_product("MUG")
    encoded = [encode_picture(make_image(size=(side, side))) for side in (300, 310)]

    for _ in range(10):
        race([partial(save_picture, product=product, encoded=one, alt="A mug") for one in (*encoded, encoded[0])])

        names = Picture.objects.get().names
        assert {f"products/{path.name}" for path in tmp_path.glob("products/*")} == set(names)
