from django.db import migrations

APPEND_ONLY = """
CREATE FUNCTION orders_orderevent_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'orders_orderevent is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON orders_orderevent
FOR EACH ROW EXECUTE FUNCTION orders_orderevent_append_only();
"""

UNDO = "DROP TRIGGER append_only ON orders_orderevent; DROP FUNCTION orders_orderevent_append_only();"


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]

    operations = [migrations.RunSQL(APPEND_ONLY, UNDO)]
