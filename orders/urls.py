"""The URLs of the API."""

from django.urls import path, re_path

from orders import api

urlpatterns = [
    path("orders", api.create_order),
    re_path(r"^orders/(?P<code>[0-9A-Z-]{1,18})$", api.show_order),
    re_path(r"", api.refuse_unknown_url),
]
