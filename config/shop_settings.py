"""The settings that make a shop its owner's: its name, its contact, its links, its time zone, its pictures."""

import config.dotenv  # noqa: F401
from config.addresses import read_contact, read_links, read_path
from config.dotenv import BASE_DIR
from config.environment import read_folder, read_label, read_number, read_time_zone

SHOP_NAME = read_label("SHOP_NAME", "Orderly")
SHOP_CONTACT = read_contact("SHOP_CONTACT")  # an email address; empty: pages and mails name none
SHOP_LINKS = read_links("SHOP_LINKS")  # titles and addresses at the foot of every page
TIME_ZONE = read_time_zone("SHOP_TIME_ZONE", "UTC")
USE_TZ = True

# Pictures of products. Another server may serve them, such as a proxy: see docs/shop.md.
MEDIA_ROOT = read_folder("MEDIA_ROOT", str(BASE_DIR / "var" / "media"))
MEDIA_URL = read_path("MEDIA_URL", "media/")
SHOP_PICTURE_BYTES = read_number("SHOP_PICTURE_BYTES", 8_000_000, least=1, most=10_000_000)  # of an upload
