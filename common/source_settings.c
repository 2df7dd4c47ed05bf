#include <string.h>

#include "common/source.h"
#include "common/text.h"

#define CONTACT_MAX 200
#define LANG_MAX    16
#define URL_MAX     512 /* what a query adds fits in a request then */

static bool check_url(const char *name, const char *url, struct err *e)
{
    if (strlen(url) > URL_MAX) {
        return err_set(e, ERR_PERMANENT, "ValueError", "%s has more than %d bytes", name, URL_MAX);
    }
    if (url[0] == '\0' || strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0) {
        return true;
    }
    return err_set(e, ERR_PERMANENT, "ValueError", "%s must begin with https:// or http://", name);
}

/* It becomes part of a header. */
static bool check_contact(const char *contact, struct err *e)
{
    size_t len = strlen(contact);

    if (len > CONTACT_MAX || !text_is_utf8(contact, len) || text_has_control(contact, len) ||
        strpbrk(contact, "()\\")) {
        return err_set(e, ERR_PERMANENT, "ValueError",
                       "SOURCE_CONTACT must have at most %d bytes, no parentheses, no backslash",
                       CONTACT_MAX);
    }
    return true;
}

static bool check_lang(const char *lang, struct err *e)
{
    return strlen(lang) <= LANG_MAX ||
           err_set(e, ERR_PERMANENT, "ValueError", "SOURCE_LANG has more than %d bytes", LANG_MAX);
}

bool source_settings_check(const struct source_settings *s, struct err *e)
{
    if (strcmp(s->adapter, "plaync") == 0 && s->contact[0] == '\0') {
        return err_set(e, ERR_PERMANENT, "ValueError",
                       "SOURCE_ADAPTER=plaync needs SOURCE_CONTACT: an address at which the site's "
                       "people can reach you");
    }
    return check_url("SOURCE_SEARCH_URL", s->search_url, e) &&
           check_url("SOURCE_BASE_URL", s->base_url, e) && check_lang(s->lang, e) &&
           check_contact(s->contact, e);
}
