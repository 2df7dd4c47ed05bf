"""Averages, scores and tiers in plain Python; no database."""
import bisect
import math

STATS = ("attack", "damage_amp", "crit_rate", "crit_damage", "attack_speed", "defense",
         "damage_reduction", "hp")

TIER_ENDS = [0.06, 0.12, 0.18, 0.24, 0.3, 1.24, 2.18, 3.12, 4.06, 5, 9, 13, 17, 21, 25,
             30, 35, 40, 45, 50, 60, 70, 80, 90]
TIERS = [letter + digit for letter in "SABCD" for digit in "54321"]


def server_averages(payloads):
    return {stat: math.floor(sum(p.get(stat, 0) for p in payloads) / len(payloads))
            for stat in STATS}


def power_score(stats, averages):
    def ratio(stat):
        return stats.get(stat, 0) / averages[stat] if averages[stat] else 1.0

    crit = (ratio("crit_rate") + ratio("crit_damage")) / 2
    survive = (ratio("defense") + ratio("damage_reduction") + ratio("hp")) / 3
    value = (0.30 * ratio("attack") + 0.20 * ratio("damage_amp") + 0.30 * crit
             + 0.10 * ratio("attack_speed") + 0.10 * survive)
    return round(1000 * value)


def tier(percentile):
    return TIERS[bisect.bisect_right(TIER_ENDS, percentile)]
