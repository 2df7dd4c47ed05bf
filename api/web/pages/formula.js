// The score's rules (docs/scoring.md), for trying them out. rules_version 1.

export const RULES_VERSION = 1;

/** The parts in the order of the formula: their weight and the stats whose ratios are averaged. */
export const PARTS = [
    { key: "attack", weight: 0.3, stats: ["attack"] },
    { key: "damage_amp", weight: 0.2, stats: ["damage_amp"] },
    { key: "crit", weight: 0.3, stats: ["crit_rate", "crit_damage"] },
    { key: "attack_speed", weight: 0.1, stats: ["attack_speed"] },
    { key: "survive", weight: 0.1, stats: ["defense", "damage_reduction", "hp"] },
];

function ratio(stat, values, averages) {
    return averages[stat] === 0 ? 1 : values[stat] / averages[stat];
}

/** Each part's points; their sum is the score before rounding. */
export function partPoints(values, averages) {
    return PARTS.map(({ key, weight, stats }) => {
        const sum = stats.reduce((all, stat) => all + ratio(stat, values, averages), 0);
        return { key, points: 1000 * weight * (sum / stats.length) };
    });
}

/** To the nearest whole number, halves to the even one. */
export function rounded(value) {
    const floor = Math.floor(value);
    const rest = value - floor;
    return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** From which to which percent of a server's board a tier goes (of boards with ten and more). */
export const TIER_FROM = {
    S5: 0, S4: 0.06, S3: 0.12, S2: 0.18, S1: 0.24, A5: 0.3, A4: 1.24, A3: 2.18, A2: 3.12, A1: 4.06,
    B5: 5, B4: 9, B3: 13, B2: 17, B1: 21, C5: 25, C4: 30, C3: 35, C2: 40, C1: 45, D5: 50, D4: 60, D3: 70, D2: 80, D1: 90,
};
