from django.db import migrations

NAMES = {
    "endpoint": {"view_endpoint": "Can view webhook endpoint"},
    "delivery": {
        "view_delivery": "Can view webhook delivery",
        "replay_delivery": "Can replay webhook deliveries",
    },
}


def extend_roles(apps, schema_editor):
    """It runs once: what an administrator changes afterwards stays. Who is told of events is for administrators."""
    database = schema_editor.connection.alias
    types = apps.get_model("contenttypes", "ContentType").objects.using(database)
    permissions = apps.get_model("auth", "Permission").objects.using(database)
    support, _ = apps.get_model("auth", "Group").objects.using(database).get_or_create(name="Support")
    for model, names in NAMES.items():
        # Django makes permissions after the last migration, which is too late for a new database. It keeps those it finds.
        content_type, _ = types.get_or_create(app_label="events_out", model=model)
        for codename, name in names.items():
            permission, _ = permissions.get_or_create(
                content_type=content_type, codename=codename, defaults={"name": name}
            )
            support.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("backoffice", "0005_refund_roles"), ("events_out", "0001_events_out")]

    operations = [migrations.RunPython(extend_roles, migrations.RunPython.noop)]
