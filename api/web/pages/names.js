// Servers and classes as readers know them. The api has one form of each; data may have the other.

const SERVERS = {
    Siel: "시엘", Israphel: "이스라펠", Nezakan: "네자칸", Nezekan: "네자칸", Zikel: "지켈", Chantra: "찬트라",
    Vaizel: "바이젤", Kaisinel: "카이시넬", Yustiel: "유스티엘", Ariel: "아리엘", Fregion: "프레기온",
    Meslamtaeda: "메스람타에다", Hithanya: "히타니에", Nania: "나니아", Tahavatha: "타하바타",
    Luteros: "루터스", Phernos: "페르노스", Daminu: "다미누", Kasaka: "카사카", Bakarma: "바카르마",
    Tsenka: "챈가룽", Kochi: "코치룽", Ishtar: "이슈타르", Tiamat: "티아마트", Poeta: "포에타",
    Triniel: "트리니엘", Lumiel: "루미엘", Marchutan: "마르쿠탄", Azphel: "아스펠", Ereshkigal: "에레슈키갈",
    Beritra: "브리트라", Nemon: "네몬", Hadala: "하달", Ludra: "루드라", Ulgorn: "울고른", Munin: "무닌",
    Odar: "오다르", Zemurru: "젠카카", Kromede: "크로메데", Quai: "콰이링", Baba: "바바룽",
    Fafnir: "파프니르", Indnath: "인드나흐", Ishalgen: "이스할겐",
};

const CLASSES = {
    Gladiator: "검성", Templar: "수호성", Assassin: "살성", Ranger: "궁성", Sorcerer: "마도성",
    Spiritmaster: "정령성", Cleric: "치유성", Chanter: "호법성", Brawler: "권성",
};

function turned(table) {
    return Object.fromEntries(Object.entries(table).map(([english, korean]) => [korean, english]));
}

const SERVERS_EN = turned(SERVERS);
const CLASSES_EN = turned(CLASSES);

function inTable(table, name) {
    return Object.hasOwn(table, name) ? table[name] : null;
}

/** The same text for every name of a server. */
export function serverKey(name) {
    return inTable(SERVERS, name) ?? name;
}

/** known: names of servers there are; where both forms are servers, each is shown as it is. */
export function serverIn(lang, name, known) {
    const other = inTable(lang === "ko" ? SERVERS : SERVERS_EN, name);
    return other && !known.has(other) ? other : name;
}

export function classIn(lang, name) {
    return inTable(lang === "ko" ? CLASSES : CLASSES_EN, name) ?? name;
}

const CLASS_ORDER = Object.entries(CLASSES).flat();

/** Compares classes in the order in which the game lists them; unknown ones come last. */
export function byClass(a, b) {
    const place = (name) => (CLASS_ORDER.includes(name) ? CLASS_ORDER.indexOf(name) : CLASS_ORDER.length);
    return place(a) - place(b) || a.localeCompare(b);
}
