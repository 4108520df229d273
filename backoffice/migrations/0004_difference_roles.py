from django.db import migrations

DIFFERENCES, DISPUTES = ("audit", "difference"), ("payments", "dispute")
NAMES = {
    "Support": [(DIFFERENCES, "view", "Can view difference"), (DISPUTES, "view", "Can view dispute")],
    "Finance": [
        (DIFFERENCES, "view", "Can view difference"),
        (DIFFERENCES, "resolve", "Can resolve differences"),
        (DISPUTES, "view", "Can view dispute"),
    ],
}


def extend_roles(apps, schema_editor):
    """It runs once: what an administrator changes afterwards stays."""
    database = schema_editor.connection.alias
    for role, permissions in NAMES.items():
        group, _ = apps.get_model("auth", "Group").objects.using(database).get_or_create(name=role)
        group.permissions.add(*(get_permission(apps, database, *names) for names in permissions))


def get_permission(apps, database, model, action, name):
    # Django makes permissions after the last migration, which is too late for a new database. It keeps those it finds.
    types = apps.get_model("contenttypes", "ContentType").objects.using(database)
    content_type, _ = types.get_or_create(app_label=model[0], model=model[1])
    permissions = apps.get_model("auth", "Permission").objects.using(database)
    permission, _ = permissions.get_or_create(
        content_type=content_type, codename=f"{action}_{model[1]}", defaults={"name": name}
    )
    return permission


class Migration(migrations.Migration):
    dependencies = [
        ("backoffice", "0003_transfer_roles"),
        ("audit", "0002_differences"),
        ("payments", "0008_disputes"),
    ]

    operations = [migrations.RunPython(extend_roles, migrations.RunPython.noop)]
