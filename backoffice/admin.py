"""Registers the pages of the back office. Django imports this module; each module named here registers its own."""

from django.conf import settings
from django.contrib import admin

from accounts.forms import StaffLogInForm
from backoffice import (
    audit_admin,
    category_admin,
    delivery_admin,
    difference_admin,
    dispute_admin,
    endpoint_admin,
    order_admin,
    payment_admin,
    privacy_admin,
    product_admin,
    stock_admin,
    token_admin,
    transfer_admin,
    user_admin,
    webhook_admin,
)

__all__ = [
    "audit_admin",
    "category_admin",
    "delivery_admin",
    "difference_admin",
    "dispute_admin",
    "endpoint_admin",
    "order_admin",
    "payment_admin",
    "privacy_admin",
    "product_admin",
    "stock_admin",
    "token_admin",
    "transfer_admin",
    "user_admin",
    "webhook_admin",
]

admin.site.site_header = admin.site.site_title = settings.SHOP_NAME
admin.site.login_form = StaffLogInForm
admin.site.enable_nav_sidebar = False  # the lists need its width
