"""The URL of a customer's own data."""

from django.urls import path

from privacy import views

urlpatterns = [path("", views.show_own_data, name="own-data")]
