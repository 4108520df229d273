from django.db import migrations

# The rules stand in the triggers' conditions, which cost next to nothing while they are kept.
TRIGGERS = """
CREATE FUNCTION orders_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: %', TG_NAME, TG_ARGV[0]
    USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;

CREATE TRIGGER order_keeps_what_was_agreed BEFORE UPDATE ON orders_order FOR EACH ROW
WHEN ((OLD.code, OLD.checkout_key, OLD.checkout_hash, OLD.currency, OLD.total, OLD.created_at)
    IS DISTINCT FROM (NEW.code, NEW.checkout_key, NEW.checkout_hash, NEW.currency, NEW.total, NEW.created_at))
EXECUTE FUNCTION orders_refuse('code, key, currency, total and created_at of an order never change');

CREATE TRIGGER order_ends_once BEFORE UPDATE ON orders_order FOR EACH ROW
WHEN (OLD.status <> 'PENDING' AND (OLD.status, OLD.cancel_reason, OLD.payment_id, OLD.finalized_at)
    IS DISTINCT FROM (NEW.status, NEW.cancel_reason, NEW.payment_id, NEW.finalized_at))
EXECUTE FUNCTION orders_refuse('a final order stays as it ended');

-- Each time is held against the clock once, when it is written: an order that was placed before the clock was set back,
-- or before a standby with another clock took over, must still find its end.
CREATE TRIGGER order_is_placed_now BEFORE INSERT ON orders_order FOR EACH ROW
WHEN (NEW.created_at > clock_timestamp() OR NEW.finalized_at > clock_timestamp())
EXECUTE FUNCTION orders_refuse('an order is placed now, not in the future');

CREATE TRIGGER order_is_finalized_now BEFORE UPDATE ON orders_order FOR EACH ROW
WHEN (NEW.finalized_at IS DISTINCT FROM OLD.finalized_at AND NEW.finalized_at > clock_timestamp())
EXECUTE FUNCTION orders_refuse('an order is finalized now, not in the future');

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON orders_orderline FOR EACH ROW
EXECUTE FUNCTION orders_refuse('orders_orderline is append-only');

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON orders_orderevent FOR EACH ROW
EXECUTE FUNCTION orders_refuse('orders_orderevent is append-only');
"""

UNDO = """
DROP TRIGGER append_only ON orders_orderevent;
DROP TRIGGER append_only ON orders_orderline;
DROP TRIGGER order_is_finalized_now ON orders_order;
DROP TRIGGER order_is_placed_now ON orders_order;
DROP TRIGGER order_ends_once ON orders_order;
DROP TRIGGER order_keeps_what_was_agreed ON orders_order;
DROP FUNCTION orders_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]

    operations = [migrations.RunSQL(TRIGGERS, UNDO)]
