"""The URLs of the products, the cart, the checkout and the orders. A SKU may have a slash in it."""

from django.conf import settings
from django.templatetags.static import static
from django.urls import path, register_converter
from django.urls.converters import StringConverter
from django.views.generic import RedirectView

from orders.codes import PATTERN
from shop import bank_views, cart_views, checkout_views, order_views, picture_views, product_views, waiting_views


class CodeConverter(StringConverter):
    regex = PATTERN


class PictureConverter(StringConverter):
    regex = r"[0-9]+-[0-9a-f]{20}-[0-9]+\.webp"


register_converter(CodeConverter, "code")
register_converter(PictureConverter, "picture")

urlpatterns = [
    path("favicon.ico", RedirectView.as_view(url=static("shop/icon.svg"))),  # asked for if a page names no icon
    path("", product_views.list_products, name="product-list"),
    path("products/<slug:slug>/<path:sku>/", product_views.show_product, name="product"),
    path(f"{settings.MEDIA_URL.strip('/')}/products/<picture:name>", picture_views.show_picture, name="picture"),
    path("cart/", cart_views.show_cart, name="cart"),
    path("cart/add/", cart_views.add_to_cart, name="cart-add"),
    path("cart/change/", cart_views.change_cart, name="cart-change"),
    path("cart/fit/", cart_views.fit_cart, name="cart-fit"),
    path("waiting/", waiting_views.show_place, name="waiting"),
    path("checkout/", checkout_views.checkout, name="checkout"),
    path("orders/", order_views.list_orders, name="order-history"),
    path("orders/find/", order_views.find_order, name="order-find"),
    path("orders/<code:code>/", order_views.show_order, name="order"),
    path("orders/<code:code>/status/", order_views.show_status, name="order-status"),
    path("orders/<code:code>/cancel/", order_views.cancel, name="order-cancel"),
    path("orders/<code:code>/pay/", order_views.pay, name="order-pay"),
    path("orders/<code:code>/action/", bank_views.go_to_bank, name="order-action"),
    path("orders/<code:code>/return/", bank_views.return_from_bank, name="order-return"),  # PAYMENT_RETURN_URL
    path("orders/<code:code>/refund/", order_views.refund, name="order-refund"),
    path("orders/<code:code>/again/", order_views.order_again, name="order-again"),
]
