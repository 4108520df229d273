"""The WSGI application that gunicorn serves."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver
from django.utils.module_loading import import_string

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# A customer doesn't wait for a broker that hangs: the order stands, and the sweep publishes it.
os.environ.setdefault("BROKER_TIMEOUT", "0.5")

application = get_wsgi_application()
get_resolver().url_patterns  # noqa: B018 - otherwise the first customer waits until every page's code is imported
for path in settings.PAYMENT_GATEWAYS.values():
    import_string(path)  # otherwise the first customer at the checkout waits until its SDK is imported
