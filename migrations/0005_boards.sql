-- The first 100 of each board stand in the generation itself. Writing them a second time as JSON took a
-- small batch longer than reading and scoring everybody, so they are put together when asked for.

ALTER TABLE ranking_snapshots RENAME TO ranking_boards;
ALTER TABLE ranking_boards DROP COLUMN top_list;
COMMENT ON TABLE ranking_boards IS 'header of each board of a generation; server ''all'' is the board over everybody';

-- A place on the board over everybody is never better than that on the server: one small index of a
-- generation, on group_no WHERE server_rank <= 100, finds the first of every board.
CREATE VIEW ranking_snapshots AS
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
COMMENT ON VIEW ranking_snapshots IS 'header and first 100 of each board of the generations that are kept';
