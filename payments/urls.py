"""The addresses of payments: for providers, not for people."""

from django.urls import path

from payments import views

urlpatterns = [path("webhooks/stripe/", views.receive_stripe_event)]
