"""A small shop with somebody in each part."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.test import Client

from accounts.models import User
from accounts.tokens import create_token
from orders.models import Order
from orders.services import finalize_order
from payments.models import Payment
from tests.abuse.addresses import Address
from tests.builders import answer_payment, make_order, make_product

JSON = "application/json"


@dataclass(frozen=True)
class World:
    """Ann has a confirmed order; Eve has an account, and means no good."""

    order: Order
    ann: User
    eve: User
    staff: User
    token: str  # it may do everything
    ids: dict[str, Any]

    def find(self, address: Address) -> str:
        """Its path. Of a model without a row, the page of none."""
        return address.path.format_map(self.ids)

    def log_in(self, user: User | None, **options: Any) -> Client:
        """A browser in which somebody is logged in. What goes wrong in the shop is a 500 to it, as to anybody."""
        client = Client(raise_request_exception=False, **options)
        if user:
            client.force_login(user)
        return client

    def send(self, client: Client, address: Address, method: str = "GET", body: Any = b"", **options: Any) -> Any:
        """As whoever is allowed to: programs with a token, others by their session."""
        headers = {**self.identify(address), **options.pop("headers", {})}
        path = self.find(address) + options.pop("suffix", "")
        return client.generic(method, path, body, options.pop("content_type", JSON), headers=headers, **options)

    def identify(self, address: Address) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Idempotency-Key": "eve"} if address.kind == "api" else {}


def make_world() -> World:
    mug = make_product("MUG", name="The MUG")
    order = make_order({"MUG": 1}, user=None)
    answer_payment(order, Payment.Status.SUCCEEDED)
    order = finalize_order(code=order.code)
    ann = User.objects.create_user("ann@example.com", "secret")
    eve = User.objects.create_user("eve@example.com", "secret")
    staff = User.objects.create_superuser("staff@example.com", "secret")
    row, token = create_token(name="World", scopes=["orders", "refunds", "stock", "events"])
    known = {"order": order.pk, "payment": order.payment_id, "product": mug.pk, "stock": mug.pk}
    ids = defaultdict(lambda: 1, known | {"user": ann.pk, "apitoken": row.pk, "code": order.code})
    return World(order, ann, eve, staff, token, ids)
