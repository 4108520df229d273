"""What a provider's ledger and our rows may say differently. Each query finds one kind; each is set-based."""

from audit.models import Difference

Kind = Difference.Kind

# The columns of every query, beside its kind.
COLUMNS = """
gateway, provider_id, reference, amount_there, currency_there, status_there, amount_here, currency_here, status_here,
occurred_at
"""

# A payment that is SENT may be the charge's own: the provider is being asked, and the answer will say so. One that was
# never sent has no charge of ours: SENT is committed before the provider hears of it, and the ledger was read before.
MISSING_HERE = """
SELECT charge.gateway, charge.provider_id, charge.reference,
    charge.amount - charge.refunded, charge.currency, '', 0, '', '', charge.created_at
FROM audit_charge charge
WHERE charge.amount > charge.refunded + charge.owed AND NOT EXISTS (
    SELECT FROM payments_payment payment WHERE payment.gateway = charge.gateway
        AND payment.reference = charge.reference
        AND (payment.provider_id = charge.provider_id OR payment.status IN ('SENT', 'ACTION_REQUIRED'))
)
"""
# What pays may have been taken for an earlier payment of the same reference. So a payment has its place in the list by
# the first one's time: its charge is not older. Most payments are the first, and nothing is looked up for these.
FIRST = """
CASE payment.number WHEN 1 THEN payment.created_at ELSE (
    SELECT min(first.created_at) FROM payments_payment first
    WHERE first.reference = payment.reference AND first.number <= payment.number
) END
"""
# Only what was answered before any of the ledger was read has to be in it. A charge may be newer than its payment, and
# so have been in the copy of a newer part: those payments are carried.
MISSING_THERE = f"""
SELECT payment.gateway, payment.provider_id, payment.reference, 0, '', '', payment.amount, payment.currency, '',
    {FIRST}
FROM payments_payment payment
WHERE payment.status = 'SUCCEEDED' AND payment.answered_at < %(began)s AND payment.created_at >= %(paid_since)s
    AND (payment.number > 1 OR payment.created_at < %(paid_until)s)
    AND {FIRST} >= %(paid_since)s AND {FIRST} < %(paid_until)s AND payment.gateway = ANY(%(gateways)s)
    AND NOT EXISTS (SELECT FROM unnest(%(carried)s::bigint[]) AS carried (id) WHERE carried.id = payment.id)
    AND NOT EXISTS (
        SELECT FROM audit_charge charge WHERE charge.gateway = payment.gateway
            AND charge.provider_id = payment.provider_id AND charge.reference = payment.reference
    )
"""
# A payment that was asked for and whose charge is of another amount never gets an answer: that is not confirmed.
AMOUNT_DIFFERS = """
SELECT charge.gateway, charge.provider_id, charge.reference, charge.amount, charge.currency, '',
    payment.amount, payment.currency, '', charge.created_at
FROM audit_charge charge
JOIN payments_payment payment ON payment.gateway = charge.gateway AND payment.reference = charge.reference
    AND (payment.provider_id = charge.provider_id
        OR payment.status IN ('SENT', 'ACTION_REQUIRED') AND charge.amount > charge.refunded + charge.owed)
WHERE (charge.amount, charge.currency) <> (payment.amount, payment.currency)
"""
# The ledger was read before the rows: what was answered after that may or may not be in it.
REFUND_DIFFERS = """
SELECT charge.gateway, charge.provider_id, charge.reference, charge.refunded, charge.currency, '',
    COALESCE(refund.given, 0), payment.currency, '', charge.created_at
FROM audit_charge charge
JOIN payments_payment payment ON (payment.gateway, payment.provider_id) = (charge.gateway, charge.provider_id)
LEFT JOIN (
    SELECT payment_id, SUM(amount) FILTER (WHERE status = 'SUCCEEDED' AND answered_at < %(started)s) AS given,
        SUM(amount) FILTER (WHERE status <> 'FAILED' OR answered_at >= %(started)s) AS perhaps_given
    FROM payments_refund GROUP BY payment_id
) refund ON refund.payment_id = payment.id
WHERE charge.refunded NOT BETWEEN COALESCE(refund.given, 0) AND COALESCE(refund.perhaps_given, 0)
"""
# One that was asked about after the ledger was read is not compared with it.
DISPUTE_DIFFERS = """
SELECT made.gateway, made.provider_id, COALESCE(payment.reference, ''), made.amount, made.currency, made.status,
    COALESCE(dispute.amount, 0), COALESCE(dispute.currency, ''), COALESCE(dispute.status, ''), made.created_at
FROM audit_dispute made
LEFT JOIN payments_payment payment ON (payment.gateway, payment.provider_id) = (made.gateway, made.charge_id)
LEFT JOIN payments_dispute dispute ON (dispute.gateway, dispute.provider_id) = (made.gateway, made.provider_id)
WHERE dispute.id IS NULL
    OR dispute.checked_at < %(started)s AND (dispute.amount, dispute.status) <> (made.amount, made.status)
"""
QUERIES = {
    Kind.MISSING_HERE: MISSING_HERE,
    Kind.MISSING_THERE: MISSING_THERE,
    Kind.AMOUNT_DIFFERS: AMOUNT_DIFFERS,
    Kind.REFUND_DIFFERS: REFUND_DIFFERS,
    Kind.DISPUTE_DIFFERS: DISPUTE_DIFFERS,
}

MATCHING = """
FROM audit_charge charge
JOIN payments_payment payment ON payment.gateway = charge.gateway AND payment.reference = charge.reference
    AND payment.provider_id = charge.provider_id
"""
COUNT = f"""
SELECT (SELECT count(*) FROM audit_charge),
    (SELECT count(*) {MATCHING} WHERE (charge.amount, charge.currency) = (payment.amount, payment.currency))
"""
# The payments whose charge is in this copy or in a newer one, and which have their place in an older one.
CARRY = f"""
WITH found AS (
    SELECT unnest(%(carried)s::bigint[]) AS id
    UNION SELECT payment.id {MATCHING} WHERE payment.number > 1 OR payment.created_at < %(paid_since)s
)
SELECT payment.id FROM found JOIN payments_payment payment USING (id) WHERE {FIRST} < %(paid_since)s
"""

# The copy of the ledger, as persons have accepted it: each difference that was reviewed exactly as it is now is made
# good there. So the audit reports what nobody has looked at, and reports it again as soon as anything more differs.
ACCEPT_REVIEWED = """
DELETE FROM audit_charge charge USING audit_difference known
WHERE known.kind = 'missing_here' AND known.resolution = 'reviewed'
    AND (known.gateway, known.provider_id) = (charge.gateway, charge.provider_id)
    AND (known.amount_there, known.currency_there) = (charge.amount - charge.refunded, charge.currency)
    AND NOT EXISTS ( -- it pays an order since
        SELECT FROM payments_payment payment
        WHERE (payment.gateway, payment.provider_id) = (charge.gateway, charge.provider_id)
    );

INSERT INTO audit_charge
SELECT gateway, provider_id, reference, amount_here, 0, 0, currency_here, occurred_at FROM audit_difference known
WHERE known.kind = 'missing_there' AND known.resolution = 'reviewed' AND NOT EXISTS (
    SELECT FROM audit_charge charge
    WHERE (known.gateway, known.provider_id) = (charge.gateway, charge.provider_id)
);

UPDATE audit_charge charge SET amount = known.amount_here, currency = known.currency_here
FROM audit_difference known
WHERE known.kind = 'amount_differs' AND known.resolution = 'reviewed'
    AND (known.gateway, known.provider_id) = (charge.gateway, charge.provider_id)
    AND (known.amount_there, known.currency_there) = (charge.amount, charge.currency);

UPDATE audit_charge charge SET refunded = known.amount_here
FROM audit_difference known
WHERE known.kind = 'refund_differs' AND known.resolution = 'reviewed'
    AND (known.gateway, known.provider_id, known.amount_there)
        = (charge.gateway, charge.provider_id, charge.refunded);

DELETE FROM audit_dispute made USING audit_difference known
WHERE known.kind = 'dispute_differs' AND known.resolution = 'reviewed'
    AND (known.gateway, known.provider_id) = (made.gateway, made.provider_id)
    AND (known.amount_there, known.status_there) = (made.amount, made.status);
"""
