from django.db import migrations

ROLES = {"Stock": ["view", "add", "change", "delete"], "Support": ["view"]}


def extend_roles(apps, schema_editor):
    """It runs once: what an administrator changes afterwards stays."""
    database = schema_editor.connection.alias
    # Django makes permissions after the last migration, which is too late for a new database. It keeps those it finds.
    content_type, _ = (
        apps.get_model("contenttypes", "ContentType")
        .objects.using(database)
        .get_or_create(app_label="catalog", model="category")
    )
    permissions = apps.get_model("auth", "Permission").objects.using(database)
    for role, actions in ROLES.items():
        group, _ = apps.get_model("auth", "Group").objects.using(database).get_or_create(name=role)
        for action in actions:
            permission, _ = permissions.get_or_create(
                content_type=content_type, codename=f"{action}_category", defaults={"name": f"Can {action} category"}
            )
            group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("backoffice", "0006_event_roles"), ("catalog", "0005_categories")]

    operations = [migrations.RunPython(extend_roles, migrations.RunPython.noop)]
