"""Each address is brought into the one form in which it is mailed to, and kept in it: see accounts 0005."""

from importlib import import_module

from django.db import migrations, models

read_stored = import_module("accounts.migrations.0005_addresses_in_one_form").read_stored


def unite(apps, schema_editor):
    orders = apps.get_model("orders", "Order").objects
    for order in orders.exclude(email__regex=r"^[ -@\[-~]+$").only("email").iterator():
        order.email = read_stored(order.email)
        order.save(update_fields=["email"])


class Migration(migrations.Migration):
    dependencies = [("orders", "0012_checks"), ("accounts", "0005_addresses_in_one_form")]

    operations = [
        migrations.RunPython(unite, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.CheckConstraint(
                condition=models.Q(("email__regex", r"^[ -@\[-~]+$")), name="order_email_is_ascii_lower"
            ),
        ),
    ]
