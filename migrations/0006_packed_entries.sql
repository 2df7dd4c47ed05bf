-- Copying a generation in costs PostgreSQL time for every column of every row, and reading it again does, too:
-- twelve numbers and a name become six numbers and a name. ranking_rows shows them as before.

-- Two places: the first decides the order.
CREATE FUNCTION pack_places(place integer, on_server integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (place::bigint << 32) | on_server::bigint;

-- What has few values: 26 bits of the group, 17 of the level (100,000 at most), 14 of the percentile in hundredths,
-- 5 of the tier and one for stale.
CREATE FUNCTION pack_traits(group_no integer, level integer, percentile_c integer, tier integer, stale boolean)
RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (group_no::bigint << 37) | (level::bigint << 20) | (percentile_c::bigint << 6) | (tier::bigint << 1)
       | stale::integer::bigint;

ALTER TABLE ranking_entries RENAME TO ranking_entries_before;

CREATE TABLE ranking_entries (
    run_id         bigint      NOT NULL,
    character_id   bigint      NOT NULL,
    power          bigint,
    power_score    bigint      NOT NULL,
    last_scored_at timestamptz NOT NULL,
    -- pack_places() of the ranks over everybody and within the server ...
    places         bigint      NOT NULL,
    -- ... and of those within the class and within both.
    class_places   bigint      NOT NULL,
    -- pack_traits(). tier: 0 is S5, the highest, 24 is D1. stale: the character failed in this run and keeps the
    -- score of last_scored_at; name, level, power and class are what the run read.
    traits         bigint      NOT NULL,
    name           varchar(64) NOT NULL
) PARTITION BY LIST (run_id);

CREATE OR REPLACE VIEW ranking_rows AS
    SELECT e.run_id, e.character_id, g.server, e.name, g.class, ((e.traits >> 20) & 131071)::integer AS level, e.power,
           e.power_score, tier_name(((e.traits >> 1) & 31)::smallint) AS power_rank,
           ((e.traits >> 6) & 16383) / 100.0::double precision AS percentile,
           (e.places >> 32)::integer AS rank, (e.places & 4294967295)::integer AS server_rank,
           (e.class_places >> 32)::integer AS class_rank, (e.class_places & 4294967295)::integer AS server_class_rank,
           (e.traits & 1) = 1 AS stale, e.last_scored_at
    FROM ranking_entries AS e
         JOIN ranking_groups AS g ON g.run_id = e.run_id AND g.group_no = (e.traits >> 37)::integer;

-- The live generation and the one before it; older ones that still lie about are dropped.
DO $$
DECLARE
    run bigint;
    owner text := (SELECT relowner::regrole FROM pg_class WHERE oid = 'ranking_entries_before'::regclass);
    statement text;
BEGIN
    FOR run IN
        SELECT r FROM ranking_state, unnest(ARRAY[run_id, previous_run_id]) AS r
        WHERE to_regclass('ranking_entries_' || r) IS NOT NULL
    LOOP
        EXECUTE format('ALTER TABLE ranking_entries_%1$s RENAME TO ranking_entries_%1$s_before', run);
        EXECUTE format('CREATE TABLE ranking_entries_%1$s (LIKE ranking_entries, CHECK (run_id = %1$s))', run);
        EXECUTE format(
            'INSERT INTO ranking_entries_%1$s SELECT run_id, character_id, power, power_score, last_scored_at,'
            ' pack_places(rank, server_rank), pack_places(class_rank, server_class_rank),'
            ' pack_traits(group_no, level, percentile_c, tier, stale), name FROM ranking_entries_%1$s_before', run);
        EXECUTE format('ALTER TABLE ranking_entries ATTACH PARTITION ranking_entries_%1$s FOR VALUES IN (%1$s)', run);
        EXECUTE format('ALTER TABLE ranking_entries_%s OWNER TO %s', run, owner);
    END LOOP;
    -- Who might read or own the table before may now.
    FOR statement IN
        SELECT format('GRANT %s ON ranking_entries TO %s%s', a.privilege_type,
                      CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                      CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
        FROM pg_class AS c, aclexplode(c.relacl) AS a
        WHERE c.oid = 'ranking_entries_before'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE statement;
    END LOOP;
    EXECUTE format('ALTER TABLE ranking_entries OWNER TO %s', owner);
END $$;
DROP TABLE ranking_entries_before;
