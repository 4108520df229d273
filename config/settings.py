"""Every setting, from the environment. What is needed and missing, or wrong, is an error at start.

Those of limits, of the log, of mails, of payments and of the shop's face have modules of their own, which are a part of
this one.
"""

from math import ceil

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from config.addresses import (
    read_broker_url,
    read_database,
    read_direct_database,
    read_hosts,
    read_origins,
    read_redis_url,
    read_site_url,
)
from config.cache import configure_caches
from config.dotenv import BASE_DIR
from config.environment import (
    read_apps,
    read_bool,
    read_choice,
    read_currency,
    read_folder,
    read_networks,
    read_number,
    read_seconds,
    read_secret_key,
    read_titles,
    read_word,
)
from config.limit_settings import *
from config.log_settings import *
from config.mail_settings import *
from config.payment_settings import *
from config.postgresql import POOLERS, configure_databases
from config.privacy_settings import *
from config.shop_settings import *
from config.version import read_version

VERSION = read_version(BASE_DIR)  # the code that this process runs

# A shop on this machine, as lab/stack serves it: plain HTTP, on loopback. Every other shop is served over HTTPS.
LOCAL = read_bool("ORDERLY_LOCAL")

SECRET_KEY = read_secret_key("SECRET_KEY", local=LOCAL)
DEBUG = read_bool("DEBUG")
ALLOWED_HOSTS = read_hosts("ALLOWED_HOSTS", default=["127.0.0.1", "localhost"] if LOCAL else [])
CSRF_TRUSTED_ORIGINS = read_origins("CSRF_TRUSTED_ORIGINS")

SECURE_SSL_REDIRECT = not LOCAL
SECURE_HSTS_SECONDS = 0 if LOCAL else 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not LOCAL
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not LOCAL
# The networks of the proxies that end TLS in front of the shop. We believe X-Forwarded-For and -Proto from them alone.
TRUSTED_PROXIES = read_networks("TRUSTED_PROXIES")
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

INSTALLED_APPS = [
    "backoffice",  # before the admin, whose templates it overrides
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "ninja",  # its page of the API's document, from our own static files
    "accounts",
    "catalog",
    "payments",
    "orders",
    "events_out",
    "audit",
    "privacy",
    "api",
    "shop",
    "config",
    *read_apps("EXTRA_APPS"),
]

MIDDLEWARE = [
    "audit.health.answer_probes",
    "config.proxies.find_client",
    "config.request_ids.RequestIds",
    "django.middleware.security.SecurityMiddleware",
    "config.security.add_content_security_policy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "config.errors.explain_refused_methods",  # below what writes the length of an answer
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "shop.cart.cart_count",
            ],
        },
    },
]

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "log-in"
LOGIN_REDIRECT_URL = "order-history"
LOGOUT_REDIRECT_URL = "product-list"
VERIFICATION_LINK_AGE = 3 * 24 * 3600  # seconds

# Connections that the threads of a process share. 0: each thread keeps its own.
DATABASE_POOL = read_number("DATABASE_POOL", 0, least=0)
DATABASE_POOLER = read_choice("DATABASE_POOLER", "none", POOLERS)
DATABASES = configure_databases(
    read_database("DATABASE_URL"),
    read_direct_database("DATABASE_DIRECT_URL", needed=DATABASE_POOLER != "none"),
    pool=DATABASE_POOL,
    pooler=DATABASE_POOLER,
    name=f"orderly {VERSION}",
)
SESSION_DATABASE = "direct" if "direct" in DATABASES else "default"  # for what needs a session of its own
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = read_redis_url("REDIS_URL", broker="BROKER_URL")  # empty: a shop without Redis, and without limits
REDIS_PREFIX = read_word("REDIS_PREFIX")  # several shops on one Redis
BROKER_URL = read_broker_url("BROKER_URL", default=REDIS_URL)

CACHES = configure_caches(REDIS_URL, prefix=REDIS_PREFIX)
SESSION_ENGINE = "django.contrib.sessions.backends.db"  # a cached copy could be older: see docs/adr/0010

# The webhooks that we send go to public addresses, and to these networks of our own.
WEBHOOK_NETWORKS = read_networks("WEBHOOK_NETWORKS")
WEBHOOK_TIMEOUT = read_seconds("WEBHOOK_TIMEOUT", 10, most=30)  # for the whole of one delivery

# Seconds. Celery's own settings are in config/celery_settings.py, which reads these.
BROKER_TIMEOUT = read_seconds("BROKER_TIMEOUT", 5)  # shorter in a web process: see config/wsgi.py
WORKER_TIMEOUT = read_number("WORKER_TIMEOUT", 20, least=5)  # the watchdog ends an idle worker that reads no queue
# A charge may take STRIPE_TIMEOUT, half a minute for the provider's list, and as long to write the answer down. If the
# database is lost, the task waits half a minute for it and is run once more: see config/celery.py.
TASK_TIME_LIMIT = ceil(2 * (STRIPE_TIMEOUT + 30 + 30) + 30)

# The clock of an order, in seconds. At its end unpaid stock goes back to the shelf; the database allows a year at most.
ORDER_EXPIRES_AFTER = read_number("ORDER_EXPIRES_AFTER", 15 * 60, least=1, most=366 * 24 * 3600)
SWEEP_EVERY = read_seconds("SWEEP_EVERY", 5)
SWEEP_AFTER = read_seconds("SWEEP_AFTER", 20)  # longer than a charge may take, or the sweep competes with it
SWEEP_AFTER_MAX = read_seconds("SWEEP_AFTER_MAX", 10 * 60)
LOST_AFTER = read_seconds("LOST_AFTER", 1)  # then a worker that starts takes up what the one before may have held
SWEEP_GRACE = 60  # the audit allows a due sweep to be that late
# The audit allows an order to be pending for that long after its deadline. By then the provider was asked to cancel it,
# and asked twice more, each time after the longest pause. A shop whose provider answers never comes near.
PENDING_GRACE = read_seconds("PENDING_GRACE", max(30 * 60, 3 * SWEEP_AFTER_MAX))
REVIEW_GRACE = read_seconds("REVIEW_GRACE", 24 * 3600)  # the same for an order that a person was told of
ORDER_MAX_SWEEPS = read_number("ORDER_MAX_SWEEPS", 20, least=1)  # a person is told then, after some 2.5 hours
PAYMENT_MAX_REQUESTS = read_number("PAYMENT_MAX_REQUESTS", 200, least=1)  # requests to the provider for one payment

AUDIT_EVERY = read_seconds("AUDIT_EVERY", 5 * 60)
# How far back beat's audit asks for charges: as far as an order may have waited for them.
AUDIT_DAYS = read_number("AUDIT_DAYS", 2 + TRANSFER_DAYS if TAKES_TRANSFERS else 2, least=1, most=36_500)
RECONCILE_EVERY = read_seconds("RECONCILE_EVERY", 6 * 3600)
RECONCILE_DAYS = read_number("RECONCILE_DAYS", 60, least=1, most=36_500)  # the same for beat's reconciliation

# Seconds for the task that sends all mails that are due. Account mails, order mails and those to staff each stop after
# MAIL_EVERY, and the mail that is in hand at that moment may take its own time.
MAILS_TIME_LIMIT = TASK_TIME_LIMIT + ceil(3 * (MAIL_EVERY + MAIL_TIMEOUT))
# A worker that is told to stop ends the charge, the mail or the delivery that it has in hand. What takes longer is cut
# off: an audit.
STOP_TIMEOUT = ceil(max(STRIPE_TIMEOUT, MAIL_TIMEOUT, WEBHOOK_TIMEOUT)) + 5

# Seconds by which the clocks of two machines may differ. No message expires sooner, for Celery compares the clock of
# the process that published it with the clock of the worker.
CLOCK_SKEW = 60
# Seconds that an order may wait for its first charge or its end before staff are told that nobody is at work.
# A lost message alone raises no alarm, because its order is swept by then.
LIVENESS_PATIENCE = max(30, 1.5 * SWEEP_AFTER)

SHOP_CURRENCY = read_currency("SHOP_CURRENCY", "GBP")
# Seconds for which a page of the product list may be shown again as it was; 0: each is made anew.
PRODUCT_LIST_AGE = read_number("PRODUCT_LIST_AGE", 5, least=0, most=3600)
SHOP_MAX_QUANTITY = read_number("SHOP_MAX_QUANTITY", 100, least=1)  # units of one product in a cart
SHOP_MAX_LINES = read_number("SHOP_MAX_LINES", 100, least=1)  # products in a cart
SHOP_MAX_UNPAID = read_number("SHOP_MAX_UNPAID", 3, least=0)  # live unpaid orders of one customer; 0: any number
# Seconds for which the stock of a declined order stays reserved, so that the customer can try another card.
SHOP_HOLD_ON_DECLINE = read_number("SHOP_HOLD_ON_DECLINE", 10 * 60, least=0, most=366 * 24 * 3600)
# Hours after its confirmation in which a customer can cancel a paid order and have the money back; 0: only staff can.
CUSTOMER_REFUND_HOURS = read_number("CUSTOMER_REFUND_HOURS", 0, least=0, most=366 * 24)
SHOP_LOW_STOCK = read_number("SHOP_LOW_STOCK", 10, least=0)  # units; staff see products that have no more left

if SWEEP_AFTER < STRIPE_TIMEOUT + 1:  # an error here, not only a check: workers and web servers run no checks
    wrong = f"not {SWEEP_AFTER:g} beside {STRIPE_TIMEOUT:g}"
    raise ImproperlyConfigured(f"SWEEP_AFTER is longer than STRIPE_TIMEOUT by a second or more; {wrong}.")

# What the checkout offers beside the provider's own form.
SHOP_PAYMENT_METHODS = read_titles("SHOP_PAYMENT_METHODS")

SHOP_URL = read_site_url("SHOP_URL")  # where customers find the shop; mails link to it, and banks send them back there
if "*" in ALLOWED_HOSTS and not SHOP_URL:  # or a mail's links would follow the Host header of anybody's request
    raise ImproperlyConfigured("ALLOWED_HOSTS may be * only where SHOP_URL is set.")
# Where customers come back to from their bank: payments know no pages. Empty: nobody is sent there.
PAYMENT_RETURN_URL = f"{SHOP_URL}/orders/{{reference}}/return/" if SHOP_URL else ""
METRICS_TOKEN = read_word("METRICS_TOKEN")  # where it is empty, /metrics answers in a LOCAL shop only

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("ko", _("Korean"))]
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600  # seconds
LANGUAGE_COOKIE_SECURE = not LOCAL
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
FORMAT_MODULE_PATH = "languages.formats"
LOCALE_PATHS = [BASE_DIR / "locale"]
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = read_folder("STATIC_ROOT", str(BASE_DIR / "var" / "static"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
