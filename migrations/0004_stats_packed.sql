-- What the batch reads of nearly every character: the eight stats as numbers of four bytes. Printing
-- jsonb and reading it again took half of the batch. PostgreSQL keeps the column true to
-- stats_payload whoever writes; nobody sets it. Adding it rewrites the table.

-- Four bytes of a whole number from 0 to 2147483647 that is written as one; NULL of anything else.
CREATE FUNCTION stat_packed(value jsonb) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(value) = 'number' THEN
    CASE WHEN value::numeric BETWEEN 0 AND 2147483647 AND scale(value::numeric) = 0
         THEN int4send(value::int4) END
END;

-- The eight stats in the order in which they are checked. NULL where only one of them is missing, of
-- another kind or larger, and where "mode" is anything but "sheet": then the payload is read as text.
-- No rule of scoring stands here: what is packed is scored under any of them.
CREATE FUNCTION stats_packed(payload jsonb) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN coalesce(payload -> 'mode', '"sheet"') = '"sheet"' THEN
    stat_packed(payload -> 'attack') || stat_packed(payload -> 'damage_amp')
    || stat_packed(payload -> 'crit_rate') || stat_packed(payload -> 'crit_damage')
    || stat_packed(payload -> 'attack_speed') || stat_packed(payload -> 'defense')
    || stat_packed(payload -> 'damage_reduction') || stat_packed(payload -> 'hp')
END;

ALTER TABLE characters
    ADD COLUMN stats_packed bytea GENERATED ALWAYS AS (stats_packed(stats_payload)) STORED;
