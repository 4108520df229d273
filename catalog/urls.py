"""The URLs of the products. A SKU may have a slash in it."""

from django.templatetags.static import static
from django.urls import path
from django.views.generic import RedirectView

from catalog import views

urlpatterns = [
    path("favicon.ico", RedirectView.as_view(url=static("shop/icon.svg"))),  # asked for by pages that name none
    path("", views.list_products, name="product-list"),
    path("products/<slug:slug>/<path:sku>/", views.show_product, name="product"),
]
