"""The settings of both baselines: nothing that an order does not need."""

import os

import environ

env = environ.Env()

SECRET_KEY = env("SECRET_KEY")
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["lab.bench.baselines"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]  # says how long an answer is
ROOT_URLCONF = f"lab.bench.baselines.{os.environ.get('BASELINE', 'naive')}"
DATABASES = {"default": env.db("DATABASE_URL") | {"CONN_MAX_AGE": 300}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

STRIPE_API_BASE = env("STRIPE_API_BASE")
CELERY_BROKER_URL = env("REDIS_URL")
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": env("REDIS_PREFIX", default="") + "typical-"}
