"""Each address is brought into the one form in which it is mailed to, and kept in it.

One that the shop would refuse today keeps the form that it was mailed to, by IDNA 2003. A verified address whose mails
went to another domain (IDNA 2003 takes straße for strasse) is not verified any more. Two accounts that become one are
nobody's to choose between: nothing is changed, and both are named.
"""

from collections import defaultdict

from django.core.exceptions import ValidationError
from django.db import migrations, models

from accounts.addresses import read_address


class SeveralAccounts(Exception):
    """Accounts whose addresses are one mailbox."""


def read_stored(address):
    try:
        return read_address(address)
    except ValidationError:
        return _mail_as_before(address)


def _mail_as_before(address):
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.encode('idna').decode()}".lower()


def unite(apps, schema_editor):
    users = apps.get_model("accounts", "User").objects
    odd = {user: read_stored(user.email) for user in users.exclude(email__regex=r"^[ -@\[-~]+$")}
    claims = defaultdict(list)
    for user, address in odd.items():
        claims[address].append(user)
    for user in users.filter(email__in=claims):
        claims[user.email].append(user)
    if several := {address: found for address, found in claims.items() if len(found) > 1}:
        names = "; ".join(
            f"{address}: " + ", ".join(f"{ascii(user.email)} (id {user.pk})" for user in found)
            for address, found in sorted(several.items())
        )
        raise SeveralAccounts(f"These accounts share a mailbox. Give all but one of each another address: {names}")
    for user, address in odd.items():
        if user.verified_email == user.email:
            user.verified_email = address if _mail_as_before(user.email) == address else ""
        user.email = address
        user.save(update_fields=["email", "verified_email"])


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_account_mail")]

    operations = [
        migrations.RunPython(unite, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("email__regex", r"^[ -@\[-~]+$")), name="user_email_is_ascii_lower"
            ),
        ),
    ]
