"""The settings of what is kept for how long."""

from django.core.exceptions import ImproperlyConfigured

import config.dotenv  # noqa: F401
from config.environment import read_folder, read_number

# Days after its end, and after the last that happened to it. Until then a bank takes money back, and a client that
# repeats a request finds its order.
ORDER_LEAST_DAYS = 180
ORDER_DAYS = read_number("ORDER_DAYS", 0, least=0, most=36_500)  # 0: orders are kept for ever
ARCHIVE_DIR = read_folder("ARCHIVE_DIR")  # empty: beat archives nothing
ARCHIVE_EVERY = 600  # seconds
AUDIT_RUN_DAYS = read_number("AUDIT_RUN_DAYS", 30, least=1, most=36_500)
KEY_DAYS = read_number("KEY_DAYS", 2, least=1, most=366)  # the answers that the API repeats under a key
SESSION_DAYS = read_number("SESSION_DAYS", 14, least=1, most=366)
SESSION_COOKIE_AGE = SESSION_DAYS * 24 * 3600  # from the last change of the session on

if 0 < ORDER_DAYS < ORDER_LEAST_DAYS:
    raise ImproperlyConfigured(f"ORDER_DAYS is 0 or at least {ORDER_LEAST_DAYS}; not {ORDER_DAYS}.")
if ARCHIVE_DIR and not ORDER_DAYS:
    raise ImproperlyConfigured(f"ARCHIVE_DIR is set beside ORDER_DAYS only; not {ARCHIVE_DIR!r} without it.")
