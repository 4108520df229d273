from functools import partial
from threading import Barrier
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from backoffice.product_admin import ProductAdmin
from catalog.models import Product
from tests.builders import make_product
from tests.concurrency.race import race

pytestmark = pytest.mark.django_db(transaction=True)


def save_two_forms_at_once() -> list[int]:
    """Both opened before either is saved; how each was answered: 302 is saved, 200 says what is wrong."""
    page = f"/admin/catalog/product/{make_product('MUG', price=500).pk}/change/"
    clients = [Client(), Client()]
    for client in clients:
        client.force_login(User.objects.get_or_create(email="staff@example.com", is_staff=True, is_superuser=True)[0])
    initial = clients[0].get(page).context["adminform"].form.initial
    form = {name: "" if value is None else value for name, value in initial.items()}
    changes: list[dict[str, Any]] = [{"price": "9.00"}, {"description": "A mug."}]
    answers = race([partial(client.post, page, form | change) for client, change in zip(clients, changes, strict=True)])
    return sorted(answer.status_code for answer in answers)


def test_of_two_product_forms_saved_at_the_same_time_one_is_refused() -> None:
    assert save_two_forms_at_once() == [200, 302]
    assert (Product.objects.get().price == 900) != (Product.objects.get().description == "A mug.")


def test_control_without_the_rows_lock_one_overwrites_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    both_have_read = Barrier(2, timeout=10)

    def read_without_locking(admin: ProductAdmin, request: Any, pk: str, from_field: str | None = None) -> Product:
        product = Product.objects.get(pk=pk)
        if request.method == "POST":
            both_have_read.wait()
        return product

    monkeypatch.setattr(ProductAdmin, "get_object", read_without_locking)

    assert save_two_forms_at_once() == [302, 302]
    assert (Product.objects.get().price == 900) != (Product.objects.get().description == "A mug.")
