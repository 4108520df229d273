"""The bodies of requests and answers, as the API's document describes them."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from api.fields import (
    MAX_LINES,
    Amount,
    Asked,
    Currency,
    Email,
    Gateway,
    Metadata,
    Note,
    PaymentMethod,
    PaymentNumber,
    Quantity,
    Reason,
    RefundNumber,
    Seconds,
    Sku,
    Units,
)
from events_out.event_types import TYPES
from orders.models import Order
from payments.refund_models import Refund

OrderStatus = Annotated[str, Field(json_schema_extra={"enum": Order.Status.values})]


class NewLine(Asked):
    sku: Sku
    quantity: Quantity


class NewOrder(Asked):
    """A checkout. If `expected_total` or its currency is not today's, the order is refused as `price_changed`."""

    email: Email
    lines: Annotated[list[NewLine], Field(min_length=1, max_length=MAX_LINES)]
    payment_method: PaymentMethod
    gateway: Gateway | None = None
    expected_total: Amount | None = None
    expected_currency: Currency | None = None
    hold_on_decline: Seconds | None = None
    metadata: Metadata = {}


class NewPayment(Asked):
    """Another try to pay a held order. Its first payment is number 1, so the next is 2."""

    number: PaymentNumber
    payment_method: PaymentMethod
    gateway: Gateway | None = None


class ReturnedLine(Asked):
    """Units that come back; they go back to stock unless `restock` is false."""

    sku: Sku
    quantity: Quantity
    restock: Annotated[bool, Field(strict=True)] = True


class NewRefund(Asked):
    """An order's first refund is number 1. Without an amount it is what the units cost."""

    number: RefundNumber
    lines: Annotated[list[ReturnedLine], Field(max_length=MAX_LINES)] = []
    amount: Amount | None = None
    note: Note = ""


class NewAdjustment(Asked):
    """Units to add after a count or, with a minus, to take away."""

    quantity: Units
    reason: Reason


class OrderLineAnswer(BaseModel):
    sku: str
    name: str
    quantity: int
    price: int
    total: int


class RefundLineAnswer(BaseModel):
    sku: str
    quantity: int
    restock: bool


class RefundAnswer(BaseModel):
    number: int
    status: Annotated[str, Field(json_schema_extra={"enum": Refund.Status.values})]
    amount: int
    lines: list[RefundLineAnswer]


class NextAction(BaseModel):
    """Where the customer's browser has to go."""

    url: str


class PaymentAnswer(BaseModel):
    number: int
    status: str
    decline_code: str


class Instruction(BaseModel):
    label: str
    value: str


class OrderState(BaseModel):
    """What each answer says of an order. Amounts are in minor units."""

    code: str
    status: OrderStatus
    reason: str
    currency: str
    total: int
    refunded: int
    metadata: dict[str, Any]
    created_at: datetime
    finalized_at: datetime | None


class OrderAnswer(OrderState):
    """An order. Amounts are in minor units. A field that does not apply now is left out."""

    refunds: list[RefundAnswer]
    lines: list[OrderLineAnswer]
    next_action: NextAction | None = Field(default=None, description="While the customer has to act at the bank.")
    held_until: datetime | None = Field(default=None, description="Of an order with `hold_on_decline`.")
    payment: PaymentAnswer | None = Field(default=None, description="Of an order with `hold_on_decline`.")
    expires_at: datetime | None = Field(default=None, description="While the customer has to pay unasked.")
    instructions: list[Instruction] = Field(default=[], description="How to pay unasked.")


class ListedOrder(OrderState):
    """An order in a list. Ask for the order itself for its lines and refunds."""

    email: str


class OrderPage(BaseModel):
    """The newest first. Ask for the next page with `after`, unless `next` is null."""

    data: list[ListedOrder]
    next: str | None


class ListedProduct(BaseModel):
    """A product for sale. `max_quantity` is how many units of it one order may have."""

    sku: str
    name: str
    price: int
    currency: str
    available: int
    max_quantity: int
    category: str | None = Field(description="Its slug.")
    url: str


class ProductAnswer(ListedProduct):
    description: str


class ProductPage(BaseModel):
    """By name. Ask for the next page with `after`, unless `next` is null."""

    data: list[ListedProduct]
    next: str | None


class StockAnswer(BaseModel):
    sku: str
    on_hand: int
    reserved: int
    available: int


class EventAnswer(BaseModel):
    """What happened, and the order as it is now: docs/events.md."""

    id: str
    type: Annotated[str, Field(json_schema_extra={"enum": list(TYPES)})]
    timestamp: datetime
    version: int
    data: dict[str, Any]


class EventPage(BaseModel):
    """The oldest first. `next` is where to go on: there may be more now, and there will be later."""

    data: list[EventAnswer]
    next: str


class Problem(BaseModel):
    """A refusal (RFC 9457). `error` is a stable code; `lines` says what is wrong with which line of an order."""

    type: str
    title: str
    status: int
    detail: str
    error: str
    lines: list[dict[str, str | int]]
