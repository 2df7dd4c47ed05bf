-- What a run says of each server goes into one row, where it took one of ranking_boards, one of server_stats and
-- one of ranking_groups for each class: of a small batch these rows cost more than the scores. The three are views
-- of it now, with the columns they had. Somebody's view of one of the tables makes this fail, and nothing is changed.

ALTER TABLE ranking_groups RENAME TO ranking_groups_before;
ALTER TABLE ranking_boards RENAME TO ranking_boards_before;
ALTER TABLE server_stats RENAME TO server_stats_before;

-- Server 'all' is the board over everybody.
CREATE TABLE ranking_servers (
    run_id       bigint NOT NULL,
    server       text   NOT NULL,
    -- Of its board; NULL: it has none.
    generated_at timestamptz,
    total        bigint,
    -- Of the characters the run has scored; NULL: there was none. The averages of the eight stats in the order in
    -- which they are checked; of each tier, S5 first, the lowest score and the number of characters.
    sample_size  bigint,
    averages     bigint[],
    tier_scores  bigint[],
    tier_counts  integer[],
    PRIMARY KEY (run_id, server)
);
CREATE INDEX ranking_servers_server_idx ON ranking_servers (server, run_id DESC);

-- They go with their run, as by a foreign key, which would be checked for each row that comes.
CREATE FUNCTION ranking_servers_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM ranking_servers WHERE run_id IN (SELECT id FROM gone);
    RETURN NULL;
END
$$;
CREATE TRIGGER batch_runs_deleted AFTER DELETE ON batch_runs
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION ranking_servers_follow();

-- The classes on each server, some dozens a row: group first_no, first_no + 1, ... They live as long as their
-- generation, which the batch sees to.
CREATE TABLE ranking_group_lists (
    run_id   bigint        NOT NULL,
    first_no integer       NOT NULL,
    servers  varchar(64)[] NOT NULL,
    classes  varchar(64)[] NOT NULL,
    PRIMARY KEY (run_id, first_no)
);

INSERT INTO ranking_servers
SELECT run_id, server, b.generated_at, b.total, s.sample_size,
       CASE WHEN s.run_id IS NOT NULL THEN
           ARRAY[avg_attack, avg_damage_amp, avg_crit_rate, avg_crit_damage, avg_attack_speed, avg_defense,
                 avg_damage_reduction, avg_hp] END,
       CASE WHEN s.run_id IS NOT NULL THEN
           ARRAY(SELECT coalesce((tier_cutoffs -> tier_name(t::smallint) ->> 'min_score')::bigint, 0)
                 FROM generate_series(0, 24) AS t ORDER BY t) END,
       CASE WHEN s.run_id IS NOT NULL THEN
           ARRAY(SELECT coalesce((tier_cutoffs -> tier_name(t::smallint) ->> 'count')::integer, 0)
                 FROM generate_series(0, 24) AS t ORDER BY t) END
FROM ranking_boards_before AS b FULL JOIN server_stats_before AS s USING (run_id, server);

INSERT INTO ranking_group_lists
SELECT run_id, min(group_no), array_agg(server ORDER BY group_no), array_agg(class ORDER BY group_no)
FROM ranking_groups_before GROUP BY run_id, group_no / 32;

CREATE VIEW ranking_groups AS
    SELECT l.run_id, l.first_no + g.place::integer - 1 AS group_no, g.server::varchar(64) AS server,
           g.class::varchar(64) AS class
    FROM ranking_group_lists AS l, unnest(l.servers, l.classes) WITH ORDINALITY AS g(server, class, place);
COMMENT ON VIEW ranking_groups IS 'a class on a server, as the entries of a generation name it';

CREATE VIEW ranking_boards AS
    SELECT run_id, server, generated_at, total FROM ranking_servers
    WHERE total IS NOT NULL
          AND EXISTS (SELECT FROM ranking_state AS s WHERE ranking_servers.run_id IN (s.run_id, s.previous_run_id));
COMMENT ON VIEW ranking_boards IS
    'header of each board of the generations that are kept; server ''all'' is the board over everybody';

CREATE VIEW server_stats AS
    SELECT run_id, server, sample_size, averages[1] AS avg_attack, averages[2] AS avg_damage_amp,
           averages[3] AS avg_crit_rate, averages[4] AS avg_crit_damage, averages[5] AS avg_attack_speed,
           averages[6] AS avg_defense, averages[7] AS avg_damage_reduction, averages[8] AS avg_hp,
           -- {"S1": {"min_score": 1500, "count": 3}, ...}, tiers that somebody has
           (SELECT coalesce(jsonb_object_agg(tier_name((t.place - 1)::smallint),
                                             jsonb_build_object('min_score', t.score, 'count', t.count)), '{}')
            FROM unnest(tier_scores, tier_counts) WITH ORDINALITY AS t(score, count, place)
            WHERE t.count > 0) AS tier_cutoffs
    FROM ranking_servers WHERE sample_size IS NOT NULL;
COMMENT ON VIEW server_stats IS 'averages and tiers of each server in the runs that are kept';

CREATE OR REPLACE VIEW ranking_rows AS
    SELECT e.run_id, e.character_id, g.server, e.name, g.class, ((e.traits >> 20) & 131071)::integer AS level, e.power,
           e.power_score, tier_name(((e.traits >> 1) & 31)::smallint) AS power_rank,
           ((e.traits >> 6) & 16383) / 100.0::double precision AS percentile,
           (e.places >> 32)::integer AS rank, (e.places & 4294967295)::integer AS server_rank,
           (e.class_places >> 32)::integer AS class_rank, (e.class_places & 4294967295)::integer AS server_class_rank,
           (e.traits & 1) = 1 AS stale, e.last_scored_at
    FROM ranking_entries AS e
         JOIN ranking_groups AS g ON g.run_id = e.run_id AND g.group_no = (e.traits >> 37)::integer;

CREATE OR REPLACE VIEW ranking_snapshots AS
    SELECT b.run_id, b.server, b.generated_at, b.total,
           (SELECT coalesce(jsonb_agg(jsonb_build_object(
                       'rank', t.place, 'name', t.name, 'server', t.server, 'class', t.class,
                       'level', t.level, 'power', t.power, 'power_score', t.power_score,
                       'power_rank', t.power_rank) ORDER BY t.place), '[]')
            FROM (SELECT r.rank AS place, r.* FROM ranking_rows AS r
                  WHERE b.server = 'all' AND r.run_id = b.run_id AND r.rank <= 100
                  AND r.server_rank <= 100
                  UNION ALL
                  SELECT r.server_rank, r.* FROM ranking_rows AS r
                  WHERE b.server <> 'all' AND r.server = b.server AND r.run_id = b.run_id
                  AND r.server_rank <= 100) AS t) AS top_list
    FROM ranking_boards AS b;

-- Who might read, write or own a table before may do so with what took its place.
DO $$
DECLARE
    former text;
    heirs text[];
    heir text;
    owner regrole;
    statement text;
BEGIN
    FOR former, heirs IN VALUES ('ranking_groups_before', ARRAY['ranking_groups', 'ranking_group_lists']),
                                ('ranking_boards_before', ARRAY['ranking_boards', 'ranking_servers']),
                                ('server_stats_before', ARRAY['server_stats', 'ranking_servers'])
    LOOP
        owner := (SELECT relowner FROM pg_class WHERE oid = former::regclass);
        FOREACH heir IN ARRAY heirs LOOP
            FOR statement IN
                SELECT format('GRANT %s ON %I TO %s%s', a.privilege_type, heir,
                              CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                              CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
                FROM pg_class AS c, aclexplode(c.relacl) AS a
                WHERE c.oid = former::regclass AND a.grantee <> c.relowner
            LOOP
                EXECUTE statement;
            END LOOP;
            EXECUTE format('ALTER TABLE %I OWNER TO %s', heir, owner);
        END LOOP;
        -- A view reads with the rights of its owner.
        IF former = 'ranking_boards_before' AND NOT has_table_privilege(owner, 'ranking_state', 'SELECT') THEN
            EXECUTE format('GRANT SELECT ON ranking_state TO %s', owner);
        END IF;
        EXECUTE format('DROP TABLE %I', former);
    END LOOP;
END $$;
