"""Django's cache and its connection to Redis, which the limits share. Without Redis there is none, and no limits."""

from typing import Any

from config.sentinel import parse_service

# A customer does not wait for a Redis that hangs: the shop sells without it.
PATIENCE = {"SOCKET_CONNECT_TIMEOUT": 0.5, "SOCKET_TIMEOUT": 0.5, "IGNORE_EXCEPTIONS": True}
# Pages are text. Who can write to Redis could make us run a pickle. Failures are told, so that it is left alone.
PAGES = {"SERIALIZER": "django_redis.serializers.json.JSONSerializer", "IGNORE_EXCEPTIONS": False}


def configure_caches(url: str, *, prefix: str) -> dict[str, Any]:
    """Django's CACHES: `default`, and `pages` for what is shown again as it was."""
    cache = configure_cache(url, prefix=prefix)
    pages = (
        {**cache, "KEY_PREFIX": f"{prefix}pages", "OPTIONS": {**cache.get("OPTIONS", {}), **PAGES}} if url else cache
    )
    return {"default": cache, "pages": pages}


def configure_cache(url: str, *, prefix: str) -> dict[str, Any]:
    """An entry of Django's CACHES for the Redis that the URL names, or its sentinels; for none if the URL is empty."""
    if not url:
        return {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}
    cache = {"BACKEND": "django_redis.cache.RedisCache", "KEY_PREFIX": f"{prefix}cache"}
    if not url.startswith("sentinel://"):
        return {**cache, "LOCATION": url, "OPTIONS": PATIENCE}
    service = parse_service(url)
    options = {
        **PATIENCE,
        "CLIENT_CLASS": "django_redis.client.SentinelClient",
        "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
        "SENTINELS": service.sentinels,
        "SENTINEL_KWARGS": {**service.sentinel_options, "socket_connect_timeout": 0.5, "socket_timeout": 0.5},
    }
    location = f"redis://{service.credentials}{service.name}/{service.database}"
    return {**cache, "LOCATION": location, "OPTIONS": options}
