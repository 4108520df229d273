"""The API's addresses."""

from django.urls import path

from orders import api

urlpatterns = [
    path("orders", api.create_order),
    path("orders/<code>", api.show_order),
]
