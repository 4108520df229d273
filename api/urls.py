"""The URLs of the API."""

from django.urls import path, re_path

from api import views

urlpatterns = [
    path("orders", views.create_order),
    re_path(r"^orders/(?P<code>[0-9A-Z-]{1,18})$", views.show_order),
    re_path(r"^orders/(?P<code>[0-9A-Z-]{1,18})/payments$", views.create_payment),
    re_path(r"^orders/(?P<code>[0-9A-Z-]{1,18})/refunds$", views.create_refund),
    re_path(r"", views.refuse_unknown_url),
]
