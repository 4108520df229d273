from django.db import migrations

# A note may be erased: somebody may have written of a person.
TRIGGERS = """
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE ON payments_transfer FOR EACH ROW
WHEN (to_jsonb(OLD) - 'note' IS DISTINCT FROM to_jsonb(NEW) - 'note' OR NEW.note NOT IN (OLD.note, '[erased]'))
EXECUTE FUNCTION payments_refuse('payments_transfer is append-only, but a note may be erased');
CREATE TRIGGER never_deleted BEFORE DELETE ON payments_transfer FOR EACH ROW
EXECUTE FUNCTION payments_refuse('payments_transfer is append-only');
"""
UNDO = """
DROP TRIGGER never_deleted ON payments_transfer;
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON payments_transfer FOR EACH ROW
EXECUTE FUNCTION payments_refuse('payments_transfer is append-only');
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0009_refund_succeeded_at")]

    operations = [migrations.RunSQL(TRIGGERS, UNDO)]
