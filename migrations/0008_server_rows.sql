-- What a run says of each server goes into one row, where it took one of ranking_boards, one of server_stats and
-- one of ranking_groups for each class: of a small batch these rows cost more than the scores. The three are views
-- now, with the columns they had. Somebody's view of one of the tables makes this fail, and nothing is changed.

ALTER TABLE ranking_groups RENAME TO ranking_groups_before;
ALTER TABLE ranking_boards RENAME TO ranking_boards_before;
ALTER TABLE server_stats RENAME TO server_stats_before;

-- Server 'all' is the board over everybody.
CREATE TABLE ranking_servers (
    run_id       bigint NOT NULL REFERENCES batch_runs ON DELETE CASCADE,
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

-- The classes on each server: row n has the groups from 32 n on. They live as long as their generation, which the
-- batch sees to.
CREATE TABLE ranking_group_lists (
    run_id  bigint        NOT NULL,
    list_no integer       NOT NULL,
    servers varchar(64)[] NOT NULL,
    classes varchar(64)[] NOT NULL,
    PRIMARY KEY (run_id, list_no)
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

-- A number that is missing has its place all the same.
INSERT INTO ranking_group_lists
SELECT r.run_id, n / 32, array_agg(g.server ORDER BY n), array_agg(g.class ORDER BY n)
FROM (SELECT run_id, max(group_no) AS last FROM ranking_groups_before GROUP BY run_id) AS r
     CROSS JOIN generate_series(0, r.last) AS n
     LEFT JOIN ranking_groups_before AS g ON g.run_id = r.run_id AND g.group_no = n
GROUP BY r.run_id, n / 32;

CREATE VIEW ranking_groups AS
    SELECT l.run_id, l.list_no * 32 + g.place::integer - 1 AS group_no, g.server::varchar(64) AS server,
           g.class::varchar(64) AS class
    FROM ranking_group_lists AS l, unnest(l.servers, l.classes) WITH ORDINALITY AS g(server, class, place)
    WHERE g.server IS NOT NULL;
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

-- An entry names its list and the place in it.
CREATE OR REPLACE VIEW ranking_rows AS
    SELECT e.run_id, e.character_id, l.servers[((e.traits >> 37) & 31) + 1] AS server, e.name,
           l.classes[((e.traits >> 37) & 31) + 1] AS class, ((e.traits >> 20) & 131071)::integer AS level, e.power,
           e.power_score, tier_name(((e.traits >> 1) & 31)::smallint) AS power_rank,
           ((e.traits >> 6) & 16383) / 100.0::double precision AS percentile,
           (e.places >> 32)::integer AS rank, (e.places & 4294967295)::integer AS server_rank,
           (e.class_places >> 32)::integer AS class_rank, (e.class_places & 4294967295)::integer AS server_class_rank,
           (e.traits & 1) = 1 AS stale, e.last_scored_at
    FROM ranking_entries AS e
         JOIN ranking_group_lists AS l ON l.run_id = e.run_id AND l.list_no = (e.traits >> 42)::integer;

-- The first of a server are found by its groups, in the small index of the generation.
CREATE OR REPLACE VIEW ranking_snapshots AS
    SELECT b.run_id, b.server, b.generated_at, b.total,
           (SELECT coalesce(jsonb_agg(jsonb_build_object(
                       'rank', t.place, 'name', t.name, 'server', t.server, 'class', t.class,
                       'level', t.level, 'power', t.power, 'power_score', t.power_score,
                       'power_rank', t.power_rank) ORDER BY t.place), '[]')
            FROM (SELECT r.rank AS place, r.name, r.server, r.class, r.level, r.power, r.power_score, r.power_rank
                  FROM ranking_rows AS r
                  WHERE b.server = 'all' AND r.run_id = b.run_id AND r.rank <= 100
                  AND r.server_rank <= 100
                  UNION ALL
                  SELECT (e.places & 4294967295)::integer, e.name, g.server, g.class,
                         ((e.traits >> 20) & 131071)::integer, e.power, e.power_score,
                         tier_name(((e.traits >> 1) & 31)::smallint)
                  FROM ranking_groups AS g
                       JOIN ranking_entries AS e ON e.run_id = g.run_id AND (e.traits >> 37)::integer = g.group_no
                  WHERE b.server <> 'all' AND g.server = b.server AND g.run_id = b.run_id
                  AND (e.places & 4294967295)::integer <= 100) AS t) AS top_list
    FROM ranking_boards AS b;

-- Who might read, write or own a table before may do so with what took its place; of single columns, with the view.
DO $$
DECLARE
    former text;
    view text;
    base text;
    owner regrole;
    statement text;
BEGIN
    FOR view, base IN VALUES ('ranking_groups', 'ranking_group_lists'), ('ranking_boards', 'ranking_servers'),
                             ('server_stats', 'ranking_servers')
    LOOP
        former := view || '_before';
        FOR statement IN
            SELECT format('GRANT %s ON %I TO %s%s', a.privilege_type, heir,
                          CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                          CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
            FROM pg_class AS c, aclexplode(c.relacl) AS a, unnest(ARRAY[view, base]) AS heir
            WHERE c.oid = former::regclass AND a.grantee <> c.relowner
            UNION ALL
            SELECT format('GRANT %s (%I) ON %I TO %s%s', a.privilege_type, c.attname, view,
                          CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                          CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
            FROM pg_attribute AS c, aclexplode(c.attacl) AS a
            WHERE c.attrelid = former::regclass AND NOT c.attisdropped
        LOOP
            EXECUTE statement;
        END LOOP;
        owner := (SELECT relowner FROM pg_class WHERE oid = former::regclass);
        EXECUTE format('ALTER TABLE %I OWNER TO %s', view, owner);
        EXECUTE format('ALTER TABLE %I OWNER TO %s', base, owner);
        EXECUTE format('DROP TABLE %I', former);
    END LOOP;
    -- A view reads with the rights of its owner.
    FOR view, base IN VALUES ('ranking_boards', 'ranking_servers'), ('ranking_boards', 'ranking_state'),
                             ('ranking_rows', 'ranking_group_lists'), ('ranking_snapshots', 'ranking_groups'),
                             ('ranking_snapshots', 'ranking_boards'), ('ranking_snapshots', 'ranking_entries')
    LOOP
        owner := (SELECT relowner FROM pg_class WHERE oid = view::regclass);
        IF NOT has_table_privilege(owner, base, 'SELECT') THEN
            EXECUTE format('GRANT SELECT ON %I TO %s', base, owner);
        END IF;
    END LOOP;
END $$;
