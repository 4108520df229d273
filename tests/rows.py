"""Everything that is written of a shop, to compare before and after what must change nothing."""

from typing import Any

from django.apps import apps

# What a request may write without changing anything of the shop.
UNTOLD = {"sessions.Session", "contenttypes.ContentType", "auth.Permission"}
UNTOLD_FIELDS = {"last_login", "last_used_at"}


def everything_written() -> dict[str, list[Any]]:
    """Every row of every model, but for sessions."""
    found = {}
    for model in apps.get_models():
        if model._meta.label not in UNTOLD and model._meta.managed:
            fields = [field.attname for field in model._meta.concrete_fields if field.name not in UNTOLD_FIELDS]
            found[model._meta.label] = list(model._default_manager.order_by("pk").values_list(*fields))
    return found
