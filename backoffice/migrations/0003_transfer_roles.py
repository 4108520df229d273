from django.db import migrations

VIEW = {"transfer": ["view"], "transferrefund": ["view"]}
NAMES = {
    "Support": VIEW,
    "Finance": {"transfer": ["view", "add"], "transferrefund": ["view", "change"]},
}
MODEL_NAMES = {"transfer": "transfer", "transferrefund": "refund of a transfer"}


def extend_roles(apps, schema_editor):
    """It runs once: what an administrator changes afterwards stays."""
    database = schema_editor.connection.alias
    types = apps.get_model("contenttypes", "ContentType").objects.using(database)
    permissions = apps.get_model("auth", "Permission").objects.using(database)
    for role, models in NAMES.items():
        group, _ = apps.get_model("auth", "Group").objects.using(database).get_or_create(name=role)
        for model, actions in models.items():
            # Django makes permissions after the last migration, which is too late for a new database. It keeps those
            # it finds.
            content_type, _ = types.get_or_create(app_label="payments", model=model)
            for action in actions:
                permission, _ = permissions.get_or_create(
                    content_type=content_type,
                    codename=f"{action}_{model}",
                    defaults={"name": f"Can {action} {MODEL_NAMES[model]}"},
                )
                group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("backoffice", "0002_webhook_roles"), ("payments", "0007_transfers")]

    operations = [migrations.RunPython(extend_roles, migrations.RunPython.noop)]
