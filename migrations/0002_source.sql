-- What the source of characters tells beside the stats, how its last attempt ended, and who is told
-- of changes; and a point a day of everybody's place.

ALTER TABLE characters
    -- Legion (guild); '': none, or not known.
    ADD COLUMN legion          varchar(64) NOT NULL DEFAULT '',
    ADD COLUMN item_level      integer CHECK (item_level >= 0),
    -- The source's own name of the character, where it has one.
    ADD COLUMN source_id       text CHECK (length(source_id) <= 128),
    -- The last attempt that failed, and why; older than last_fetched_at: of no interest any more.
    ADD COLUMN fetch_failed_at timestamptz,
    ADD COLUMN fetch_error     text CHECK (length(fetch_error) <= 1000);
CREATE INDEX characters_legion_idx ON characters (server, legion) WHERE legion <> '';

-- Whoever changes data by hand need not think of updated_at. A writer that sets it decides.
CREATE FUNCTION characters_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;
CREATE TRIGGER characters_touch BEFORE UPDATE ON characters FOR EACH ROW
    WHEN (NEW.updated_at = OLD.updated_at
          AND (NEW.server, NEW.name, NEW.class, NEW.level, NEW.power, NEW.stats_payload, NEW.legion,
               NEW.item_level)
              IS DISTINCT FROM
              (OLD.server, OLD.name, OLD.class, OLD.level, OLD.power, OLD.stats_payload, OLD.legion,
               OLD.item_level))
    EXECUTE FUNCTION characters_touch();

-- Tells the api which characters changed: their ids with commas between them, or 'many'.
CREATE FUNCTION characters_notify() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ids text;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        ids := 'many';
    ELSE
        SELECT CASE WHEN count(*) > 400 THEN 'many' ELSE string_agg(id::text, ',') END
        INTO ids FROM (SELECT id FROM changed LIMIT 401) AS first;
    END IF;
    IF ids IS NOT NULL THEN
        PERFORM pg_notify('aion2_characters', ids);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER characters_inserted AFTER INSERT ON characters
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION characters_notify();
CREATE TRIGGER characters_updated AFTER UPDATE ON characters
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION characters_notify();
CREATE TRIGGER characters_deleted AFTER DELETE ON characters
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION characters_notify();
CREATE TRIGGER characters_truncated AFTER TRUNCATE ON characters
    FOR EACH STATEMENT EXECUTE FUNCTION characters_notify();

-- A point a day of everybody on the board, a partition character_history_YYYYMMDD per day, written once
-- from the generation that is live then and dropped when it is too old.
CREATE TABLE character_history (
    day          date    NOT NULL,
    character_id bigint  NOT NULL,
    power        bigint,
    power_score  bigint  NOT NULL,
    rank         integer NOT NULL,
    server_rank  integer NOT NULL,
    class_rank   integer NOT NULL
) PARTITION BY LIST (day);

-- c.* is what the table had when the view was made.
DROP VIEW characters_scored;
CREATE VIEW characters_scored AS
    SELECT c.*, r.power_score, r.power_rank, r.percentile, r.last_scored_at, r.stale
    FROM characters AS c LEFT JOIN ranking_current AS r ON r.character_id = c.id;
COMMENT ON VIEW characters_scored IS 'characters with their scores of the live ranking';
