"""The answers "no" that belong to the day's work: who looks for errors need not hear of them."""

from orders.admission import NotLetIn
from orders.paying import PaymentRefused
from orders.pricing import CheckoutRefused
from orders.services import OrderIsFinal
from payments.gateway import ActionRequired, CardDeclined
from payments.refunds import NotRefundable

REFUSALS = (ActionRequired, CardDeclined, CheckoutRefused, NotLetIn, NotRefundable, OrderIsFinal, PaymentRefused)
