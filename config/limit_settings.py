"""The settings of limits: what one visitor may do, and how many visitors may buy at a time."""

import config.dotenv  # noqa: F401
from config.environment import read_choice, read_limits, read_number, read_seconds, read_skus, read_words

# How many orders one visitor may place, and how many declined cards they may have, within LIMIT_WINDOW; 0: any number.
LIMIT_WINDOW = read_number("LIMIT_WINDOW", 60 * 60, least=1)  # seconds
CHECKOUT_LIMITS = read_limits("CHECKOUT_LIMITS", session=10, account=10, ip=60)
DECLINE_LIMITS = read_limits("DECLINE_LIMITS", session=5, account=5, ip=20)
LOG_IN_LIMITS = read_limits("LOG_IN_LIMITS", account=10, ip=50)  # tries
MAIL_LIMITS = read_limits("MAIL_LIMITS", account=3, ip=20)  # of each kind: see accounts.models.AccountMail
API_TOKENS = read_words("API_TOKENS")  # these clients of the API have none of these limits
API_REFUND_TOKENS = read_words("API_REFUND_TOKENS")  # the same, and they may refund every order, as staff may
# A waiting room for a rush: see docs/waiting-room.md. At the checkout, or at the products of WAITING_ROOM_SKUS.
WAITING_ROOM = read_choice("WAITING_ROOM", "off", ["off", "checkout", "products"])
WAITING_ROOM_SKUS = read_skus("WAITING_ROOM_SKUS")
WAITING_ROOM_LEAST = read_number("WAITING_ROOM_LEAST", 10, least=1)  # visitors let in a second, at least
WAITING_ROOM_MOST = read_number("WAITING_ROOM_MOST", 100, least=WAITING_ROOM_LEAST)  # the same, at most
WAITING_ROOM_INSIDE = read_number("WAITING_ROOM_INSIDE", 1000, least=1)  # visitors inside at a time
WAITING_ROOM_WINDOW = read_seconds("WAITING_ROOM_WINDOW", 10 * 60)  # for which a visitor who was let in stays inside
WAITING_ROOM_PATIENCE = read_seconds("WAITING_ROOM_PATIENCE", 60)  # then a visitor who asks no more has left
WAITING_ROOM_WITHOUT_REDIS = read_choice("WAITING_ROOM_WITHOUT_REDIS", "open", ["open", "closed"])
