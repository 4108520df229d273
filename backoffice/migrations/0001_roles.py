from django.db import migrations

ROLES = {
    "Support": [
        "orders.view_order",
        "orders.change_order",
        "payments.view_payment",
        "catalog.view_product",
        "catalog.view_stock",
        "catalog.view_stockmovement",
    ],
    "Stock": [
        "catalog.add_product",
        "catalog.change_product",
        "catalog.view_product",
        "catalog.change_stock",
        "catalog.view_stock",
        "catalog.view_stockmovement",
    ],
    "Finance": [
        "orders.view_order",
        "orders.export_order",
        "audit.view_auditrun",
        "payments.view_payment",
    ],
}


def make_roles(apps, schema_editor):
    """It runs once: what an administrator changes afterwards stays. A group that exists only gets permissions added."""
    database = schema_editor.connection.alias
    groups = apps.get_model("auth", "Group").objects.using(database)
    for role, names in ROLES.items():
        group, _ = groups.get_or_create(name=role)
        group.permissions.add(*(get_permission(apps, database, name) for name in names))


def get_permission(apps, database, name):
    # Django makes permissions after the last migration, which is too late for a new database. It keeps those it finds.
    app_label, codename = name.split(".")
    action, model = codename.split("_")
    types = apps.get_model("contenttypes", "ContentType").objects.using(database)
    content_type, _ = types.get_or_create(app_label=app_label, model=model)
    model_name = apps.get_model(app_label, model)._meta.verbose_name
    permission, _ = (
        apps.get_model("auth", "Permission")
        .objects.using(database)
        .get_or_create(
            content_type=content_type,
            codename=codename,
            defaults={"name": "Can export orders" if action == "export" else f"Can {action} {model_name}"},
        )
    )
    return permission


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0001_initial"),
        ("orders", "0001_initial"),
        ("catalog", "0001_initial"),
        ("payments", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
