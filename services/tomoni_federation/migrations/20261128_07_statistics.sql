-- What was published of counts: made once, never changed, and all that the statistics are answered from.
-- depends: 20261128_04_lock_logs

-- migrate: apply
CREATE SCHEMA statistics;

-- The threshold everything was published with. Another one would show between two multiples of the first.
CREATE TABLE statistics.rule (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    threshold integer NOT NULL CHECK (threshold >= 5)
);

-- A prefecture's month, closed. `month` is its last day.
CREATE TABLE statistics.publication (
    prefecture text COLLATE "C" NOT NULL,
    month date NOT NULL,
    PRIMARY KEY (prefecture, month)
);

-- Who was admitted then, as of when it was heard of, and whether that was enough to be counted.
CREATE TABLE statistics.part (
    prefecture text COLLATE "C" NOT NULL,
    month date NOT NULL,
    log text COLLATE "C" NOT NULL,
    fresh_as_of timestamptz,
    counted boolean NOT NULL,
    PRIMARY KEY (prefecture, month, log)
);

-- Where each certificate was counted: in one month as certified, and in one year as ended.
CREATE TABLE statistics.counted (
    log text COLLATE "C" NOT NULL,
    certificate uuid NOT NULL,
    month date NOT NULL,
    kind text NOT NULL,
    conditional boolean NOT NULL,
    ended_year integer,
    PRIMARY KEY (log, certificate)
);
CREATE INDEX counted_by_month ON statistics.counted (log, month);

-- What is shown. A cell that is not here is shown nowhere: it is small, or there is nothing.
CREATE TABLE statistics.cell (
    prefecture text COLLATE "C" NOT NULL,
    closes_on date NOT NULL,
    span text NOT NULL CHECK (span IN ('month', 'year')),
    area text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    measure text NOT NULL CHECK (measure IN ('certified', 'conditional', 'ended')),
    at_least integer NOT NULL CHECK (at_least > 0),
    PRIMARY KEY (prefecture, closes_on, span, area, kind, measure)
);

-- migrate: rollback
DROP SCHEMA statistics CASCADE;
