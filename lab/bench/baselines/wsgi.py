"""The WSGI application of the baseline that BASELINE names."""

import os

from django.core.wsgi import get_wsgi_application

from lab.bench.baselines.celery import app

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lab.bench.baselines.settings")
app.set_default()  # else the tasks would be published by an app without a broker

application = get_wsgi_application()
