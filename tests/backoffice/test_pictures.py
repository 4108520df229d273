"""Staff give a product a picture, and customers see it."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from catalog.models import Picture, Product
from tests.backoffice.test_product_admin import open_form, product_page
from tests.builders import everything, make_product
from tests.catalog.test_pictures import make_bomb, make_image

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def media(settings: LazySettings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def upload(client: Client, product: Product, content: bytes, **fields: str) -> Any:
    file = SimpleUploadedFile("mug.jpg", content)
    return client.post(product_page(product), {**open_form(client, product), "picture_file": file, **fields})


def test_a_picture_is_uploaded_in_the_admin_and_shown_with_its_size(admin_client: Client, client: Client) -> None:
    product = make_product("MUG")

    upload(admin_client, product, make_image(), picture_alt="A <red> mug")

    picture = Picture.objects.get(product=product)
    for address, lazy in [("/", 1), (product.get_absolute_url(), 0)]:
        page = client.get(address).text
        assert f'src="{picture.url}" srcset="{picture.srcset}"' in page
        assert 'width="1280" height="640" alt="A &lt;red&gt; mug"' in page
        assert page.count('loading="lazy"') == lazy
    answer = client.get(picture.url)
    assert answer["Content-Type"] == "image/webp"
    assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
    assert b"".join(answer.streaming_content)[8:12] == b"WEBP"  # type: ignore[attr-defined]


def test_a_picture_without_words_is_called_as_its_product_and_can_be_removed(admin_client: Client) -> None:
    product = make_product("MUG")
    upload(admin_client, product, make_image())
    assert Picture.objects.get().alt == "The MUG"

    admin_client.post(product_page(product), {**open_form(admin_client, product), "picture_alt": "A mug"})
    assert Picture.objects.get().alt == "A mug"

    admin_client.post(product_page(product), {**open_form(admin_client, product), "picture_removed": "on"})
    assert not Picture.objects.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no picture", "This is no picture, or a damaged one."),
        (make_bomb(5000, 5000), "The picture has too many pixels: make it smaller."),
        (bytes(2_001), "The file is larger than 2.0\xa0KB."),
    ],
    ids=["text", "bomb", "large"],
)
def test_a_file_that_is_refused_changes_nothing(
    admin_client: Client, settings: LazySettings, media: Path, content: bytes, says: str
) -> None:
    settings.SHOP_PICTURE_BYTES = 2_000
    product = make_product("MUG")
    before = everything()

    answer = upload(admin_client, product, content, price="9.00")

    assert says in answer.text
    assert everything() == before
    assert not Picture.objects.exists()
    assert not list(media.iterdir())


def test_a_product_without_a_picture_is_shown_without_one(client: Client) -> None:
    product = make_product("MUG")

    assert "<img" not in client.get("/").text + client.get(product.get_absolute_url()).text


@pytest.mark.parametrize("name", ["1-" + "a" * 20 + "-320.webp", "../../etc/passwd", "x.svg"])
def test_no_other_file_is_served(client: Client, name: str) -> None:
    assert client.get(f"/media/products/{name}").status_code == 404
