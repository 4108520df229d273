from django.db import migrations

GUARD = """
CREATE FUNCTION catalog_stockmovement_reservation_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM catalog_stockmovement
        WHERE (stock_id, reference, kind, quantity) = (NEW.stock_id, NEW.reference, 'RESERVED', NEW.quantity)
    ) THEN
        RAISE EXCEPTION '%: % units of stock % were not reserved for %',
            TG_NAME, NEW.quantity, NEW.stock_id, NEW.reference
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $$;

-- After the insert: of a repeat, which ON CONFLICT skips, nothing is asked.
CREATE TRIGGER movement_ends_a_reservation AFTER INSERT ON catalog_stockmovement FOR EACH ROW
WHEN (NEW.kind IN ('DEDUCTED', 'RELEASED')) EXECUTE FUNCTION catalog_stockmovement_reservation_first();
"""

UNDO = """
DROP TRIGGER movement_ends_a_reservation ON catalog_stockmovement;
DROP FUNCTION catalog_stockmovement_reservation_first();
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0006_labels")]

    operations = [migrations.RunSQL(GUARD, UNDO)]
