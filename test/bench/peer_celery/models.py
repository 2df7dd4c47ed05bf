"""Tables of the peer, in a schema of their own."""
from sqlalchemy import BigInteger, Column, DateTime, Float, Integer, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import declarative_base

SCHEMA = "peer_orm"
Base = declarative_base()


class Character(Base):
    __tablename__ = "characters"
    __table_args__ = (UniqueConstraint("server", "name"), {"schema": SCHEMA})

    id = Column(BigInteger, primary_key=True)
    server = Column(String(64), nullable=False)
    name = Column(String(64), nullable=False)
    class_name = Column("class", String(64), nullable=False)
    level = Column(Integer, nullable=False)
    power = Column(BigInteger)
    raw_payload = Column(JSONB)
    stats_payload = Column(JSONB)
    last_fetched_at = Column(DateTime(timezone=True))
    updated_at = Column(DateTime(timezone=True), nullable=False)
    power_score = Column(BigInteger)
    power_rank = Column(String(2))
    percentile = Column(Float)
    last_scored_at = Column(DateTime(timezone=True))


class RankingSnapshot(Base):
    __tablename__ = "ranking_snapshots"
    __table_args__ = {"schema": SCHEMA}

    id = Column(BigInteger, primary_key=True)
    server = Column(String(64), nullable=False, index=True)
    generated_at = Column(DateTime(timezone=True), nullable=False)
    rank_list = Column(JSONB, nullable=False)
