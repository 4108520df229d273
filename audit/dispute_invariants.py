"""What must always hold of disputes: A10."""

from audit.queries import Check

DISPUTE_CHECKS = [
    Check(
        "A10",
        "a dispute at the provider that our rows don't know, or know otherwise",
        """
        SELECT COALESCE(payment.reference, made.provider_id) FROM audit_dispute made
        LEFT JOIN payments_payment payment ON (payment.gateway, payment.provider_id) = (made.gateway, made.charge_id)
        LEFT JOIN payments_dispute dispute
            ON (dispute.gateway, dispute.provider_id) = (made.gateway, made.provider_id)
        WHERE dispute.id IS NULL AND made.created_at < %(started)s - make_interval(secs => %(sweep_grace)s)
            OR dispute.payment_id <> payment.id
            OR dispute.checked_at < %(started)s AND (dispute.amount, dispute.status) <> (made.amount, made.status)
        """,
        ledger=True,
    ),
    Check(
        "A10",
        "an order lacks the event or the mail of a dispute that was opened or closed",
        """
        SELECT payment.reference FROM payments_dispute dispute
        JOIN payments_payment payment ON payment.id = dispute.payment_id
        JOIN orders_order o ON o.code = payment.reference
        WHERE (
            SELECT COUNT(*) FILTER (WHERE kind = 'dispute_opened') <> 1
                OR dispute.status <> 'OPEN'
                    AND COUNT(*) FILTER (WHERE kind = 'dispute_closed' AND data ->> 'outcome' = dispute.status) = 0
            FROM orders_orderevent WHERE order_id = o.id AND data ->> 'dispute' = dispute.provider_id
        ) OR NOT EXISTS (
            SELECT FROM orders_disputemail WHERE dispute_id = dispute.id
                AND kind = CASE dispute.status WHEN 'OPEN' THEN 'opened' ELSE lower(dispute.status) END
        )
        """,
    ),
]
