"""Signatures by https://www.standardwebhooks.com, with which a receiver knows that an event is ours."""

from datetime import datetime

from standardwebhooks import Webhook

from events_out.models import Endpoint


def sign(endpoint: Endpoint, *, message_id: str, now: datetime, body: str) -> dict[str, str]:
    """The headers of one try, whose time is `now`. While an old secret holds, it signs as well."""
    secrets = [endpoint.secret]
    if endpoint.old_secret_until and endpoint.old_secret_until > now:
        secrets.append(endpoint.old_secret)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, now, body) for secret in secrets),
    }
