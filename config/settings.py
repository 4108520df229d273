"""Every setting, from the environment; what is needed and missing is an error at start."""

from pathlib import Path

import django
import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from config.addresses import (
    read_database,
    read_email_url,
    read_hosts,
    read_origins,
    read_redis_url,
    read_sender,
    read_site_url,
)
from config.environment import (
    read_bool,
    read_choice,
    read_class,
    read_currency,
    read_limits,
    read_networks,
    read_number,
    read_required,
    read_seconds,
    read_secret_key,
    read_text,
    read_word,
    read_words,
)

BASE_DIR = Path(__file__).resolve().parent.parent
environ.Env.read_env(BASE_DIR / ".env")

# Plain HTTP on loopback: only what lab/stack serves. Everywhere else HTTPS is taken for granted.
LOCAL = read_bool("ORDERLY_LOCAL")

SECRET_KEY = read_secret_key("SECRET_KEY", local=LOCAL)
DEBUG = read_bool("DEBUG")
ALLOWED_HOSTS = read_hosts("ALLOWED_HOSTS", default=["127.0.0.1", "localhost"] if LOCAL else [])
CSRF_TRUSTED_ORIGINS = read_origins("CSRF_TRUSTED_ORIGINS")

SECURE_SSL_REDIRECT = not LOCAL
SECURE_HSTS_SECONDS = 0 if LOCAL else 365 * 24 * 3600
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not LOCAL
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not LOCAL
# The networks of the proxies that end TLS before the shop: only from them we take X-Forwarded-For and -Proto.
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
    "accounts",
    "catalog",
    "payments",
    "orders",
    "audit",
    "shop",
    *read_words("EXTRA_APPS"),
]

MIDDLEWARE = [
    "config.proxies.find_client",
    "django.middleware.security.SecurityMiddleware",
    "config.security.add_content_security_policy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
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

DATABASES = {"default": read_database("DATABASE_URL")}
DATABASES["default"] |= {
    "ENGINE": "config.postgresql",
    "CONN_MAX_AGE": 300,
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": {
        **DATABASES["default"].get("OPTIONS", {}),  # such as sslmode
        "connect_timeout": 5,
        # A server that vanishes says nothing, and Linux would wait a quarter of an hour for its answer to a query, and
        # two hours where it had taken the query before.
        "tcp_user_timeout": 20_000,  # milliseconds
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        # A lock or a statement that takes longer is a bug or a dead peer; the row is swept again, so giving up is safe.
        "options": "-c statement_timeout=15s -c lock_timeout=5s -c idle_in_transaction_session_timeout=15s",
    },
}
# Connections that the threads of a process share, each for as long as a request takes, or a task until it asks the
# provider. 0: each thread keeps its own.
DATABASE_POOL = read_number("DATABASE_POOL", 0, least=0)
if DATABASE_POOL:
    DATABASES["default"] |= {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False}  # see config/postgresql
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 0,
        "max_size": DATABASE_POOL,
        "max_lifetime": 300,
        # Seconds. On a busy machine threads wait for one another. And the pool tries to connect less and less often
        # while the database is away, so it begins anew soon.
        "timeout": 10,
        "reconnect_timeout": 5,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = read_redis_url("REDIS_URL")
REDIS_PREFIX = read_word("REDIS_PREFIX")  # several shops on one Redis

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": f"{REDIS_PREFIX}cache",
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 0.5, "SOCKET_TIMEOUT": 0.5, "IGNORE_EXCEPTIONS": True},
    },
}
SESSION_ENGINE = "django.contrib.sessions.backends.db"  # and no copy that can be older: see docs/adr/0010

CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": REDIS_PREFIX,
    "socket_connect_timeout": 1,
    "socket_timeout": read_seconds("BROKER_TIMEOUT", 5),  # less in a web process: see config/wsgi.py
    "health_check_interval": 10,
    # A worker keeps what it has fetched in memory and gives it back when it is stopped. Copies in Redis would save what
    # a killed one had fetched, but come back only after five minutes: the sweep has done it by then.
    "ack_emulation": False,
    "max_retries": 1,  # a web request waits about a second for a broker that is down; the sweep does the rest
    "interval_start": 0,
    "interval_max": 0.2,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CHANNEL_ERROR_RETRY = True  # or an OOM or READONLY answer ends the worker
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_max": 0.2}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "orders"
CELERY_TASK_ROUTES = {
    "accounts.tasks.*": {"queue": "mails"},
    "audit.tasks.record_audit": {"queue": "payments"},  # it waits for the provider, which the orders worker never does
    "orders.tasks.send_due_mails": {"queue": "mails"},
    "orders.tasks.sweep_stuck_orders": {"queue": "sweep"},  # or a backlog of orders would hold up the repair
    "audit.tasks.check_liveness": {"queue": "sweep"},  # its worker does not hang with the charges
    "orders.tasks.*": {"queue": "orders"},
    "payments.tasks.*": {"queue": "payments"},
}
CELERY_BEAT_SCHEDULER = "config.beat.Scheduler"
CELERY_WORKER_CONSUMER = "config.consumer.Consumer"
# What config/watchdog.py allows, in seconds: a worker to read no queue while it has no task, and a task to run.
WORKER_TIMEOUT = read_number("WORKER_TIMEOUT", 20, least=5)
CELERY_TASK_TIME_LIMIT = 150  # it may wait 30 s for the database, 60 for the provider and 30 for its list
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_DISABLE_RATE_LIMITS = True
CELERY_DB_REUSE_MAX = 1_000_000_000  # see config/celery.py

# An order's clock, in seconds.
# Then unpaid stock goes back to the shelf. PostgreSQL takes no more than a year: order_expires_within_a_year.
ORDER_EXPIRES_AFTER = read_number("ORDER_EXPIRES_AFTER", 15 * 60, least=1, most=366 * 24 * 3600)
SWEEP_EVERY = read_seconds("SWEEP_EVERY", 5)
# Longer than a charge may take, or the sweep competes with the live path.
SWEEP_AFTER = read_seconds("SWEEP_AFTER", 20)
SWEEP_AFTER_MAX = read_seconds("SWEEP_AFTER_MAX", 10 * 60)
SWEEP_GRACE = 60  # the audit allows a due sweep to be that late
# And an order to be pending so long after its deadline: the provider was then asked to cancel it, and asked again twice
# after the longest pause. A shop whose provider answers never comes near.
PENDING_GRACE = read_seconds("PENDING_GRACE", max(30 * 60, 3 * SWEEP_AFTER_MAX))
REVIEW_GRACE = read_seconds("REVIEW_GRACE", 24 * 3600)  # the same where a person was told
ORDER_MAX_SWEEPS = read_number("ORDER_MAX_SWEEPS", 20, least=1)  # then a person is told, after some 2.5 hours
PAYMENT_MAX_REQUESTS = read_number("PAYMENT_MAX_REQUESTS", 200, least=1)  # requests to the provider for one payment

AUDIT_EVERY = read_seconds("AUDIT_EVERY", 5 * 60)
AUDIT_DAYS = read_number("AUDIT_DAYS", 2, least=1, most=36_500)  # how far back beat's audit asks for charges

MAIL_EVERY = read_seconds("MAIL_EVERY", 5)
MAIL_AFTER = 60  # seconds to the second try of a mail; then twice as long, at most MAIL_AFTER_MAX
MAIL_AFTER_MAX = 6 * 3600
# Seconds for the whole sending of one mail: it must be over before anybody else tries it.
MAIL_TIMEOUT = read_seconds("MAIL_TIMEOUT", 20, most=MAIL_AFTER / 2)

# Seconds by which the clocks of two machines may differ. No message expires sooner: Celery compares the clock of who
# publishes it with that of who takes it.
CLOCK_SKEW = 60
# Seconds that an order may wait for its first charge, or a finalize, before staff are told that nobody is at work.
# A message that was lost is no alarm: its order is swept by then.
LIVENESS_PATIENCE = max(30, 1.5 * SWEEP_AFTER)

CELERY_BEAT_SCHEDULE = {
    "sweep-stuck-orders": {
        "task": "orders.tasks.sweep_stuck_orders",
        "schedule": SWEEP_EVERY,
        "options": {"expires": max(SWEEP_EVERY, CLOCK_SKEW)},  # ticks don't pile up for ever while no worker runs
    },
    "send-due-mails": {
        "task": "orders.tasks.send_due_mails",
        "schedule": MAIL_EVERY,
        "options": {"expires": max(MAIL_EVERY, CLOCK_SKEW)},
    },
    "check-liveness": {
        "task": "audit.tasks.check_liveness",
        "schedule": 20,
        "options": {"expires": CLOCK_SKEW},
    },
    "clear-sessions": {
        "task": "accounts.tasks.clear_sessions",
        "schedule": 24 * 3600,
        "options": {"expires": 3600},
    },
    "delete-old-mails": {
        "task": "accounts.tasks.delete_old_mails",
        "schedule": 24 * 3600,
        "options": {"expires": 3600},
    },
    "audit-orders": {
        "task": "audit.tasks.record_audit",
        "schedule": AUDIT_EVERY,
        "options": {"expires": max(AUDIT_EVERY, CLOCK_SKEW)},
    },
}

SHOP_CURRENCY = read_currency("SHOP_CURRENCY", "GBP")
SHOP_MAX_QUANTITY = read_number("SHOP_MAX_QUANTITY", 100, least=1)  # units of one product in a cart
SHOP_MAX_LINES = read_number("SHOP_MAX_LINES", 100, least=1)  # products in a cart
SHOP_MAX_UNPAID = read_number("SHOP_MAX_UNPAID", 3, least=0)  # live unpaid orders of one customer; 0: any number
# How many orders one visitor may place, and how many cards may be declined, within LIMIT_WINDOW; 0: any number.
LIMIT_WINDOW = read_number("LIMIT_WINDOW", 60 * 60, least=1)  # seconds
CHECKOUT_LIMITS = read_limits("CHECKOUT_LIMITS", session=10, account=10, ip=60)
DECLINE_LIMITS = read_limits("DECLINE_LIMITS", session=5, account=5, ip=20)
LOG_IN_LIMITS = read_limits("LOG_IN_LIMITS", account=10, ip=50)  # tries
MAIL_LIMITS = read_limits("MAIL_LIMITS", account=3, ip=20)  # of each kind: see accounts.models.AccountMail
API_TOKENS = read_words("API_TOKENS")  # of clients of the API that none of these limits hold
SHOP_LOW_STOCK = read_number("SHOP_LOW_STOCK", 10, least=0)  # units; staff are shown products with no more left

PAYMENT_GATEWAY = read_class("PAYMENT_GATEWAY", "payments.stripe.StripeGateway")
STRIPE_API_KEY = read_required("STRIPE_API_KEY", "the secret key of the account that takes the money")
STRIPE_API_BASE = read_site_url("STRIPE_API_BASE")  # empty: Stripe itself
STRIPE_TIMEOUT = read_seconds("STRIPE_TIMEOUT", 10, most=60)
if SWEEP_AFTER < STRIPE_TIMEOUT + 1:
    raise ImproperlyConfigured(
        f"SWEEP_AFTER is longer than STRIPE_TIMEOUT by a second or more; not {SWEEP_AFTER:g} beside {STRIPE_TIMEOUT:g}."
    )

# Tasks that these settings allow to take longer. Account mails and order mails each stop after MAIL_EVERY, and the mail
# that is then in hand has its own time.
CELERY_TASK_ANNOTATIONS = {
    "orders.tasks.send_due_mails": {"time_limit": CELERY_TASK_TIME_LIMIT + 2 * (MAIL_EVERY + MAIL_TIMEOUT)},
}

# What the checkout offers: the sandbox's test cards, or nothing, and the browser sends a token that Stripe gave it.
SHOP_PAYMENT_METHODS = [
    ("pm_card_visa", _("Test card: pays")),
    ("pm_sandbox_slow", _("Test card: pays, slowly")),
    ("pm_sandbox_processing", _("Test card: the bank takes its time, then pays")),
    ("pm_sandbox_drop", _("Test card: pays, but the answer is lost")),
    ("pm_card_visa_chargeDeclined", _("Test card: declined")),
    ("pm_card_visa_chargeDeclinedInsufficientFunds", _("Test card: declined, not enough money")),
    ("pm_sandbox_500_before", _("Test card: the provider fails")),
]
if not STRIPE_API_BASE:
    SHOP_PAYMENT_METHODS = []

SHOP_URL = read_site_url("SHOP_URL")  # where customers find the shop: for the links in mails
if "*" in ALLOWED_HOSTS and not SHOP_URL:  # else anybody's Host header would be in the links of others' mails
    raise ImproperlyConfigured("ALLOWED_HOSTS may be * only where SHOP_URL is set.")
MAIL = read_email_url("EMAIL_URL", "consolemail://")
if django.VERSION < (6, 1):
    vars().update(MAIL, EMAIL_TIMEOUT=min(10, MAIL_TIMEOUT))
else:  # the same under its new names
    MAIL_OPTIONS = {
        "host": MAIL.get("EMAIL_HOST"),
        "port": MAIL.get("EMAIL_PORT"),
        "username": MAIL.get("EMAIL_HOST_USER"),
        "password": MAIL.get("EMAIL_HOST_PASSWORD"),
        "use_tls": MAIL.get("EMAIL_USE_TLS"),
        "use_ssl": MAIL.get("EMAIL_USE_SSL"),
    }
    MAIL_OPTIONS = {name: value for name, value in MAIL_OPTIONS.items() if value}
    MAILERS = {
        "default": {
            "BACKEND": MAIL["EMAIL_BACKEND"],
            "OPTIONS": {"timeout": min(10, MAIL_TIMEOUT), **MAIL_OPTIONS} if "smtp" in MAIL["EMAIL_BACKEND"] else {},
        }
    }
DEFAULT_FROM_EMAIL, MAIL_DOMAIN = read_sender("DEFAULT_FROM_EMAIL", "shop@localhost")

METRICS_TOKEN = read_word("METRICS_TOKEN")  # empty: /metrics is forbidden, but for a LOCAL shop

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("ko", _("Korean"))]
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600  # seconds
LANGUAGE_COOKIE_SECURE = not LOCAL
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = read_text("STATIC_ROOT", str(BASE_DIR / "var" / "static"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}

LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    # Or they write two lines for each call, each task and each use of a connection. What fails is logged all the same.
    "loggers": {
        name: {"level": "WARNING"} for name in ("stripe", "psycopg.pool", "celery.app.trace", "celery.worker.strategy")
    },
    "root": {"handlers": ["console"], "level": read_choice("LOG_LEVEL", "INFO", LOG_LEVELS)},
}
