"""The Celery application: one task that scores everybody and stores the snapshots."""
import os
from collections import defaultdict
from datetime import datetime, timezone

from celery import Celery
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from peer_celery.models import Character, RankingSnapshot
from peer_celery.scoring import power_score, server_averages, tier

app = Celery("peer", broker=os.environ["PEER_REDIS_URL"], backend=os.environ["PEER_REDIS_URL"])
Session = sessionmaker(create_engine(os.environ["PEER_DATABASE_URL"]))


def ranking_key(character):
    power = -1 if character.power is None else character.power
    return (-character.power_score, -power, -character.level, character.id)


def score_server(characters, now):
    """Sets score, percentile and tier of a server's characters; returns them best first."""
    averages = server_averages([c.stats_payload for c in characters])
    for character in characters:
        character.power_score = power_score(character.stats_payload, averages)
        character.last_scored_at = now
    characters.sort(key=ranking_key)
    higher = 0
    for place, character in enumerate(characters):
        if character.power_score != characters[higher].power_score:
            higher = place
        character.percentile = round(higher / len(characters) * 100, 2)
        character.power_rank = tier(character.percentile)
    return characters


def snapshot(server, characters, now):
    rank_list = [{"rank": rank, "name": c.name, "server": c.server, "class": c.class_name,
                  "level": c.level, "power": c.power, "power_score": c.power_score,
                  "power_rank": c.power_rank}
                 for rank, c in enumerate(characters, start=1)]
    return RankingSnapshot(server=server, generated_at=now, rank_list=rank_list)


@app.task(name="app.worker.calculate_power_and_rank_batch", bind=True, max_retries=3)
def calculate_power_and_rank_batch(self):
    now = datetime.now(timezone.utc)
    with Session() as session:
        try:
            by_server = defaultdict(list)
            for character in session.query(Character).all():
                if character.stats_payload:
                    by_server[character.server].append(character)
            everybody = []
            for server, characters in by_server.items():
                ranked = score_server(characters, now)
                session.add(snapshot(server, ranked, now))
                everybody.extend(ranked)
            everybody.sort(key=ranking_key)
            session.add(snapshot("all", everybody, now))
            session.commit()
        except Exception as error:
            session.rollback()
            raise self.retry(exc=error, countdown=60 * 2 ** self.request.retries)
    return {"status": "success", "processed": len(everybody), "servers": len(by_server),
            "timestamp": now.isoformat()}
