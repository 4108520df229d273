"""The URLs of the cart, the checkout and the orders."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from orders import cart_views, checkout_views, views


class CodeConverter(StringConverter):
    regex = "[0-9]{6}-[0-9A-Z]{5}-[0-9A-Z]{5}"


register_converter(CodeConverter, "code")

urlpatterns = [
    path("cart/", cart_views.show_cart, name="cart"),
    path("cart/add/", cart_views.add_to_cart, name="cart-add"),
    path("cart/change/", cart_views.change_cart, name="cart-change"),
    path("cart/fit/", cart_views.fit_cart, name="cart-fit"),
    path("checkout/", checkout_views.checkout, name="checkout"),
    path("orders/", views.list_orders, name="order-history"),
    path("orders/<code:code>/", views.show_order, name="order"),
    path("orders/<code:code>/status/", views.show_status, name="order-status"),
    path("orders/<code:code>/cancel/", views.cancel, name="order-cancel"),
    path("orders/<code:code>/again/", views.order_again, name="order-again"),
]
