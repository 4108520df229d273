from django.db import migrations

VIEW = {"view_difference": "Can view difference"}
NAMES = {"Support": VIEW, "Finance": VIEW | {"resolve_difference": "Can resolve differences"}}


def extend_roles(apps, schema_editor):
    """It runs once: what an administrator changes afterwards stays."""
    database = schema_editor.connection.alias
    # Django makes permissions after the last migration, which is too late for a new database. It keeps those it finds.
    content_type, _ = (
        apps.get_model("contenttypes", "ContentType")
        .objects.using(database)
        .get_or_create(app_label="audit", model="difference")
    )
    permissions = apps.get_model("auth", "Permission").objects.using(database)
    for role, names in NAMES.items():
        group, _ = apps.get_model("auth", "Group").objects.using(database).get_or_create(name=role)
        for codename, name in names.items():
            permission, _ = permissions.get_or_create(
                content_type=content_type, codename=codename, defaults={"name": name}
            )
            group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("backoffice", "0002_webhook_roles"), ("audit", "0002_differences")]

    operations = [migrations.RunPython(extend_roles, migrations.RunPython.noop)]
