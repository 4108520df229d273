from django.db import migrations

APPEND_ONLY = """
CREATE FUNCTION catalog_stockmovement_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'catalog_stockmovement is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON catalog_stockmovement
FOR EACH ROW EXECUTE FUNCTION catalog_stockmovement_append_only();
"""

UNDO = "DROP TRIGGER append_only ON catalog_stockmovement; DROP FUNCTION catalog_stockmovement_append_only();"


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]

    operations = [migrations.RunSQL(APPEND_ONLY, UNDO)]
