"""The settings of mails: how they are sent, how often, and who is told what."""

import django

import config.dotenv  # noqa: F401
from config.addresses import read_mailer, read_recipients, read_sender
from config.environment import read_seconds

MAIL_EVERY = read_seconds("MAIL_EVERY", 5)
MAIL_AFTER = 60  # seconds to the second try of a mail; each further pause is twice as long, up to MAIL_AFTER_MAX
MAIL_AFTER_MAX = 6 * 3600
# Seconds for the whole sending of one mail. It must be over before anybody else tries to send it.
MAIL_TIMEOUT = read_seconds("MAIL_TIMEOUT", 20, most=MAIL_AFTER / 2)

MAILER = read_mailer("EMAIL_URL", "consolemail://", timeout=min(10, MAIL_TIMEOUT))
if django.VERSION >= (6, 1):
    MAILERS = {"default": MAILER}
else:  # the same by its older names
    EMAIL_BACKEND = MAILER["BACKEND"]
    EMAIL_HOST = MAILER["OPTIONS"].get("host", "localhost")
    EMAIL_PORT = MAILER["OPTIONS"].get("port", 25)
    EMAIL_HOST_USER = MAILER["OPTIONS"].get("username", "")
    EMAIL_HOST_PASSWORD = MAILER["OPTIONS"].get("password", "")
    EMAIL_USE_TLS = MAILER["OPTIONS"].get("use_tls", False)
    EMAIL_USE_SSL = MAILER["OPTIONS"].get("use_ssl", False)
    EMAIL_FILE_PATH = MAILER["OPTIONS"].get("file_path")
    EMAIL_TIMEOUT = MAILER["OPTIONS"].get("timeout")
STAFF_EMAILS = read_recipients("STAFF_EMAILS")  # who is told of disputes; empty: nobody
DEFAULT_FROM_EMAIL, MAIL_DOMAIN = read_sender("DEFAULT_FROM_EMAIL", "shop@localhost")
