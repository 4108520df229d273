from django.db import migrations

ROLES = ["Support", "Finance"]


def let_roles_refund(apps, schema_editor):
    """It runs once: what an administrator changes afterwards stays."""
    database = schema_editor.connection.alias
    # Django makes permissions after the last migration, which is too late for a new database. It keeps those it finds.
    content_type, _ = (
        apps.get_model("contenttypes", "ContentType")
        .objects.using(database)
        .get_or_create(app_label="orders", model="order")
    )
    permission, _ = (
        apps.get_model("auth", "Permission")
        .objects.using(database)
        .get_or_create(content_type=content_type, codename="refund_order", defaults={"name": "Can refund orders"})
    )
    for role in ROLES:
        group, _ = apps.get_model("auth", "Group").objects.using(database).get_or_create(name=role)
        group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("backoffice", "0004_difference_roles"), ("orders", "0008_refund_permission")]

    operations = [migrations.RunPython(let_roles_refund, migrations.RunPython.noop)]
