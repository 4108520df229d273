from django.db import migrations

# The rules stand in the triggers' conditions, which cost next to nothing while they are kept.
TRIGGERS = """
CREATE FUNCTION catalog_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: %', TG_NAME, TG_ARGV[0]
    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON catalog_stockmovement FOR EACH ROW
EXECUTE FUNCTION catalog_refuse('catalog_stockmovement is append-only');

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
DROP TRIGGER append_only ON catalog_stockmovement;
DROP FUNCTION catalog_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]

    operations = [migrations.RunSQL(TRIGGERS, UNDO)]
