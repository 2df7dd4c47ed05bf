-- The whole batch as one statement that updates the characters in place. The same rules, the same
-- results: averages per server, scores, percentiles, tiers and the order within the server.
WITH stats AS MATERIALIZED (
    SELECT id, server, power, level,
           coalesce((stats_payload -> 'attack')::float8, 0) AS attack,
           coalesce((stats_payload -> 'damage_amp')::float8, 0) AS damage_amp,
           coalesce((stats_payload -> 'crit_rate')::float8, 0) AS crit_rate,
           coalesce((stats_payload -> 'crit_damage')::float8, 0) AS crit_damage,
           coalesce((stats_payload -> 'attack_speed')::float8, 0) AS attack_speed,
           coalesce((stats_payload -> 'defense')::float8, 0) AS defense,
           coalesce((stats_payload -> 'damage_reduction')::float8, 0) AS damage_reduction,
           coalesce((stats_payload -> 'hp')::float8, 0) AS hp
    FROM peer.characters_inplace
    WHERE stats_payload IS NOT NULL AND stats_payload <> '{}'
), averages AS (
    -- nullif: an average of 0 makes the ratio 1 below.
    SELECT server, count(*) AS n,
           nullif(floor(sum(attack) / count(*)), 0) AS attack,
           nullif(floor(sum(damage_amp) / count(*)), 0) AS damage_amp,
           nullif(floor(sum(crit_rate) / count(*)), 0) AS crit_rate,
           nullif(floor(sum(crit_damage) / count(*)), 0) AS crit_damage,
           nullif(floor(sum(attack_speed) / count(*)), 0) AS attack_speed,
           nullif(floor(sum(defense) / count(*)), 0) AS defense,
           nullif(floor(sum(damage_reduction) / count(*)), 0) AS damage_reduction,
           nullif(floor(sum(hp) / count(*)), 0) AS hp
    FROM stats GROUP BY server
), scored AS (
    SELECT s.id, s.server, s.power, s.level, a.n,
           round(1000 * (0.30 * coalesce(s.attack / a.attack, 1)
                         + 0.20 * coalesce(s.damage_amp / a.damage_amp, 1)
                         + 0.30 * ((coalesce(s.crit_rate / a.crit_rate, 1)
                                    + coalesce(s.crit_damage / a.crit_damage, 1)) / 2.0)
                         + 0.10 * coalesce(s.attack_speed / a.attack_speed, 1)
                         + 0.10 * ((coalesce(s.defense / a.defense, 1)
                                    + coalesce(s.damage_reduction / a.damage_reduction, 1)
                                    + coalesce(s.hp / a.hp, 1)) / 3.0)))::bigint AS power_score
    FROM stats AS s JOIN averages AS a USING (server)
), placed AS (
    SELECT id, power_score,
           -- The cheap way to round: the last digit can differ from printf("%.2f").
           round((rank() OVER (PARTITION BY server ORDER BY power_score DESC) - 1)::float8
                 / n * 100.0 * 100.0) / 100.0 AS percentile,
           row_number() OVER (PARTITION BY server ORDER BY power_score DESC,
                              power DESC NULLS LAST, level DESC, id) AS server_rank
    FROM scored
)
UPDATE peer.characters_inplace AS c
SET power_score = p.power_score,
    percentile = p.percentile,
    server_rank = p.server_rank,
    power_rank = CASE
        WHEN p.percentile < 0.06 THEN 'S5' WHEN p.percentile < 0.12 THEN 'S4'
        WHEN p.percentile < 0.18 THEN 'S3' WHEN p.percentile < 0.24 THEN 'S2'
        WHEN p.percentile < 0.3 THEN 'S1'
        WHEN p.percentile < 1.24 THEN 'A5' WHEN p.percentile < 2.18 THEN 'A4'
        WHEN p.percentile < 3.12 THEN 'A3' WHEN p.percentile < 4.06 THEN 'A2'
        WHEN p.percentile < 5 THEN 'A1'
        WHEN p.percentile < 9 THEN 'B5' WHEN p.percentile < 13 THEN 'B4'
        WHEN p.percentile < 17 THEN 'B3' WHEN p.percentile < 21 THEN 'B2'
        WHEN p.percentile < 25 THEN 'B1'
        WHEN p.percentile < 30 THEN 'C5' WHEN p.percentile < 35 THEN 'C4'
        WHEN p.percentile < 40 THEN 'C3' WHEN p.percentile < 45 THEN 'C2'
        WHEN p.percentile < 50 THEN 'C1'
        WHEN p.percentile < 60 THEN 'D5' WHEN p.percentile < 70 THEN 'D4'
        WHEN p.percentile < 80 THEN 'D3' WHEN p.percentile < 90 THEN 'D2'
        ELSE 'D1' END,
    last_scored_at = now()
FROM placed AS p
WHERE c.id = p.id
