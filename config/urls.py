"""Where requests go."""

from django.contrib import admin
from django.urls import include, path

from audit.metrics import show_metrics

handler400, handler500 = "config.errors.answer_bad_request", "config.errors.answer_error"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("api.urls")),
    path("", include("shop.urls")),
    path("account/", include("accounts.urls")),
    path("account/data/", include("privacy.urls")),
    path("payments/", include("payments.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("metrics", show_metrics),
]
