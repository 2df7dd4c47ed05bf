#include "api/page_text.h"

#include <string.h>

const char *const PAGE_LANG_NAMES[PAGE_LANGS] = {"ko", "en"};

/* {{names}} in titles and descriptions are filled in by page_preview.c. */
static const struct {
    const char *key;
    const char *text[PAGE_LANGS];
} TEXTS[] = {
    /* the frame */
    {"locale", {"ko_KR", "en_US"}},
    {"brand_sub", {"아이온2 전투력 랭킹", "AION2 power ranking"}},
    {"skip", {"본문으로 바로가기", "Skip to content"}},
    {"nav", {"주 메뉴", "Main menu"}},
    {"nav_ranking", {"랭킹", "Ranking"}},
    {"nav_compare", {"비교", "Compare"}},
    {"nav_servers", {"서버", "Servers"}},
    {"nav_score", {"점수 안내", "Score"}},
    {"search_label", {"캐릭터 검색", "Search characters"}},
    {"search_hint", {"캐릭터 이름 또는 초성", "Character name"}},
    {"theme", {"밝은 화면 / 어두운 화면", "Light or dark"}},
    {"other_lang", {"English", "한국어"}},
    {"other_lang_code", {"en", "ko"}},
    {"noscript",
     {"이 페이지를 보려면 자바스크립트를 켜 주세요. 데이터는 /api/ranking 에서 JSON으로도 볼 수 있습니다.",
      "Please enable JavaScript to see this page. The data are also at /api/ranking as JSON."}},
    {"foot_about",
     {"등록된 캐릭터만 순위에 오릅니다. NCSOFT와 관련이 없는 비공식 서비스입니다.",
      "Only characters registered here are ranked. Unofficial, not affiliated with NCSOFT."}},
    {"foot_api", {"공개 API", "Public API"}},
    {"preview_alt", {"aion2rank: 아이온2 전투력 랭킹", "aion2rank: AION2 power ranking"}},
    /* titles, headings and descriptions by page */
    {"ranking_title", {"아이온2 전투력 랭킹", "AION2 power ranking"}},
    {"ranking_heading", {"전투력 랭킹", "Power ranking"}},
    {"ranking_description",
     {"서버 평균을 1000점으로 본 전투력 점수와 티어. 10분마다 갱신됩니다.",
      "Power scores and tiers measured against each server's average of 1000, renewed every ten "
      "minutes."}},
    {"server_title", {"{{server}} 서버 전투력 랭킹", "{{server}} power ranking"}},
    {"server_description",
     {"{{server}} 서버 캐릭터 {{count}}명의 전투력 점수와 티어. 최고 점수 {{top_score}}점.",
      "Power scores and tiers of {{count}} characters on {{server}}. Top score {{top_score}}."}},
    {"character_title", {"캐릭터", "Character"}},
    {"character_heading", {"캐릭터", "Character"}},
    {"character_description",
     {"전투력 점수, 티어, 순위와 능력치를 확인하세요.",
      "Power score, tier, ranks and stats of a character."}},
    {"person_title",
     {"{{name}} · {{tier}} {{score}}점 ({{server}})",
      "{{name}} · {{tier}} {{score}} ({{server}})"}},
    {"person_unknown_title", {"{{name}} ({{server}})", "{{name}} ({{server}})"}},
    {"person_description",
     {"{{server}} 서버 {{server_rank}}위 / {{server_of}}명 (상위 {{top}}%), 전체 {{rank}}위. {{class}} "
      "Lv.{{level}}",
      "#{{server_rank}} of {{server_of}} on {{server}} (top {{top}}%), #{{rank}} over all servers. "
      "{{class}} Lv.{{level}}"}},
    {"compare_title", {"캐릭터 비교", "Compare characters"}},
    {"compare_heading", {"캐릭터 비교", "Compare characters"}},
    {"compare_description",
     {"캐릭터 2~4명의 점수와 능력치를 나란히 비교합니다.",
      "Two to four characters side by side: scores, ranks and stats."}},
    {"versus_title", {"{{a}} vs {{b}}", "{{a}} vs {{b}}"}},
    {"servers_title", {"서버 현황", "Servers"}},
    {"servers_heading", {"서버 현황", "Servers"}},
    {"servers_description",
     {"서버별 인원, 평균 능력치, 점수 분포와 티어 컷.",
      "Population, average stats, score distribution and tier cut-offs of each server."}},
    {"score_title", {"점수는 어떻게 계산되나요", "How the score works"}},
    {"score_heading", {"점수는 어떻게 계산되나요", "How the score works"}},
    {"score_description",
     {"전투력 점수의 공식과 티어 기준을 예시와 함께 설명합니다.",
      "The formula of the power score and the tiers, with a worked example."}},
    {"missing_title", {"페이지를 찾을 수 없습니다", "Page not found"}},
    {"missing_heading", {"페이지를 찾을 수 없습니다", "Page not found"}},
    {"missing_description",
     {"주소가 바뀌었거나 잘못 입력되었습니다. 위의 메뉴나 검색을 이용해 주세요.",
      "There is nothing at this address. The menu and the search above lead on."}},
};

const char *page_text(enum page_lang lang, const char *key, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        if (strlen(TEXTS[i].key) == len && memcmp(TEXTS[i].key, key, len) == 0) {
            return TEXTS[i].text[lang];
        }
    }
    return NULL;
}
