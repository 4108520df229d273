"""Where requests go."""

from django.contrib import admin
from django.urls import include, path

from accounts.forms import StaffLogInForm
from orders.metrics import show_metrics

admin.site.site_header = admin.site.site_title = "Orderly"
admin.site.login_form = StaffLogInForm
admin.site.enable_nav_sidebar = False  # the lists need its room

handler400, handler500 = "config.errors.answer_bad_request", "config.errors.answer_error"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("orders.urls")),
    path("", include("catalog.urls")),
    path("", include("orders.shop_urls")),
    path("account/", include("accounts.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("metrics", show_metrics),
]
