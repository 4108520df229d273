CREATE TABLE IF NOT EXISTS payment_intent (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    charge_id text,
    status text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    refunded bigint NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND amount),
    currency text NOT NULL,
    payment_method text,
    metadata jsonb NOT NULL,
    decline jsonb,              -- the answer of the card's bank, where it said no or is going to
    processing_until timestamptz,
    created timestamptz NOT NULL DEFAULT now(),
    canceled_at timestamptz,
    CHECK (refunded = 0 OR status = 'succeeded')
);
ALTER TABLE payment_intent ADD COLUMN IF NOT EXISTS client_secret text;
ALTER TABLE payment_intent ADD COLUMN IF NOT EXISTS return_url text;
ALTER TABLE payment_intent ADD COLUMN IF NOT EXISTS bank_url text;      -- null: Stripe.js handles the action
ALTER TABLE payment_intent ADD COLUMN IF NOT EXISTS processes boolean NOT NULL DEFAULT false;      -- after the action
-- A table that is older than the action: not validated, so that it is not read at each start.
ALTER TABLE payment_intent DROP CONSTRAINT IF EXISTS payment_intent_status_check;
ALTER TABLE payment_intent ADD CONSTRAINT payment_intent_status_check CHECK (status IN
    ('requires_payment_method', 'requires_confirmation', 'requires_action', 'processing', 'succeeded', 'canceled'))
    NOT VALID;
CREATE UNIQUE INDEX IF NOT EXISTS payment_intent_client_secret ON payment_intent (client_secret);
CREATE INDEX IF NOT EXISTS payment_intent_created ON payment_intent (created);
CREATE INDEX IF NOT EXISTS payment_intent_processing ON payment_intent (processing_until) WHERE status = 'processing';

CREATE TABLE IF NOT EXISTS refund (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    payment_intent text NOT NULL REFERENCES payment_intent (id),
    amount bigint NOT NULL CHECK (amount > 0),
    metadata jsonb NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS refund_payment_intent ON refund (payment_intent);
ALTER TABLE refund ADD COLUMN IF NOT EXISTS status text NOT NULL DEFAULT 'succeeded'
    CHECK (status IN ('pending', 'succeeded', 'failed'));
ALTER TABLE refund ADD COLUMN IF NOT EXISTS next_status text;       -- what the customer's bank is going to say
ALTER TABLE refund ADD COLUMN IF NOT EXISTS next_status_at timestamptz;
CREATE INDEX IF NOT EXISTS refund_next_status ON refund (next_status_at) WHERE next_status_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS dispute (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    payment_intent text NOT NULL REFERENCES payment_intent (id),
    amount bigint NOT NULL CHECK (amount > 0),
    reason text NOT NULL,
    status text NOT NULL DEFAULT 'needs_response' CHECK (status IN ('needs_response', 'won', 'lost')),
    due_by timestamptz NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS saved_answer (
    key text PRIMARY KEY,
    path text NOT NULL,
    params jsonb NOT NULL,
    status smallint NOT NULL,
    body text NOT NULL,         -- not jsonb: a replay is the same to the byte
    created timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS control (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    fault text,
    times integer CHECK (times >= 0),   -- null: until it is taken back
    latency_ms integer NOT NULL DEFAULT 0 CHECK (latency_ms BETWEEN 0 AND 600000)
);
ALTER TABLE control ADD COLUMN IF NOT EXISTS webhooks text[] NOT NULL DEFAULT '{}';

CREATE TABLE IF NOT EXISTS event (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    body text NOT NULL,         -- the same to the byte each time it is sent
    created timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    send_after timestamptz DEFAULT now()    -- null: the shop has it, or will never get it
);
CREATE INDEX IF NOT EXISTS event_to_send ON event (send_after) WHERE send_after IS NOT NULL;

CREATE TABLE IF NOT EXISTS confirmation_token (
    id text PRIMARY KEY,
    payment_method text NOT NULL,
    method_types jsonb,         -- what the card form was told to take; null: anything
    payment_intent text,        -- that it confirmed: it is used up then
    created timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
