"""The WSGI application that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# A customer doesn't wait for a broker that hangs: the order stands, and the sweep publishes it.
os.environ.setdefault("BROKER_TIMEOUT", "0.5")

application = get_wsgi_application()
