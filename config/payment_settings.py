"""The settings of payments: the gateways, and what each of them has to know."""

import config.dotenv  # noqa: F401
from config.addresses import read_site_url
from config.environment import (
    read_account,
    read_api_key,
    read_choices,
    read_classes,
    read_label,
    read_number,
    read_publishable_key,
    read_seconds,
    read_words,
)

PAYMENT_GATEWAYS = read_classes("PAYMENT_GATEWAYS", "stripe=payments.stripe.StripeGateway")  # by name
CHECKOUT_GATEWAYS = read_choices("CHECKOUT_GATEWAYS", PAYMENT_GATEWAYS)  # the names of those that customers choose from
PAYMENT_GATEWAY = CHECKOUT_GATEWAYS[0]  # of a payment that names none
STRIPE_API_KEY = read_api_key("STRIPE_API_KEY", needed="payments.stripe.StripeGateway" in PAYMENT_GATEWAYS.values())
STRIPE_API_BASE = read_site_url("STRIPE_API_BASE")  # empty: Stripe itself
STRIPE_PUBLISHABLE_KEY = read_publishable_key("STRIPE_PUBLISHABLE_KEY")  # empty: the checkout has no card form
STRIPE_JS_URL = read_site_url("STRIPE_JS_URL")  # empty: Stripe itself
STRIPE_TIMEOUT = read_seconds("STRIPE_TIMEOUT", 10, most=60)
# What a customer is told who pays by bank transfer, and the days that such an order waits for the money.
TAKES_TRANSFERS = "payments.manual.ManualGateway" in PAYMENT_GATEWAYS.values()
TRANSFER_ACCOUNT_HOLDER = read_label("TRANSFER_ACCOUNT_HOLDER", needed=TAKES_TRANSFERS)
TRANSFER_ACCOUNT = read_account("TRANSFER_ACCOUNT", needed=TAKES_TRANSFERS)  # an IBAN, or another account number
TRANSFER_BANK = read_label("TRANSFER_BANK")  # its name or BIC
TRANSFER_DAYS = read_number("TRANSFER_DAYS", 7, least=1, most=90)
TRANSFER_REFUND_DAYS = read_number("TRANSFER_REFUND_DAYS", 14, least=1, most=366)  # then the audit is red
STRIPE_WEBHOOK_SECRETS = read_words("STRIPE_WEBHOOK_SECRETS")  # any of them may sign; none: the address answers 404
WEBHOOK_DAYS = read_number("WEBHOOK_DAYS", 30, least=1, most=36_500)
PAYMENT_NEWS_HOOK = "orders.tasks.take_up_order"  # called with the reference: payments know no orders
DISPUTE_NEWS_HOOK = "orders.disputes.record_dispute"  # called with what the provider says of a dispute
