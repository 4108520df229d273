from django.db import migrations

# The rules stand in the triggers' conditions, which cost next to nothing while they are kept.
TRIGGERS = """
CREATE FUNCTION payments_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: %', TG_NAME, TG_ARGV[0]
    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;

CREATE TRIGGER payment_keeps_what_is_asked BEFORE UPDATE ON payments_payment FOR EACH ROW
WHEN ((OLD.reference, OLD.amount, OLD.currency, OLD.payment_method)
    IS DISTINCT FROM (NEW.reference, NEW.amount, NEW.currency, NEW.payment_method))
EXECUTE FUNCTION payments_refuse('the provider has bound the key of a payment to what was first asked');

CREATE TRIGGER payment_is_answered_once BEFORE UPDATE ON payments_payment FOR EACH ROW
WHEN (OLD.status NOT IN ('PENDING', 'SENT') AND (OLD.status, OLD.provider_id, OLD.decline_code, OLD.answered_at)
    IS DISTINCT FROM (NEW.status, NEW.provider_id, NEW.decline_code, NEW.answered_at))
EXECUTE FUNCTION payments_refuse('an answered payment keeps its answer');
"""

UNDO = """
DROP TRIGGER payment_is_answered_once ON payments_payment;
DROP TRIGGER payment_keeps_what_is_asked ON payments_payment;
DROP FUNCTION payments_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial")]

    operations = [migrations.RunSQL(TRIGGERS, UNDO)]
