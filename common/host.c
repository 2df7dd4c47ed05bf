#include "common/host.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"

const char *host_name(char out[HOST_NAME_SIZE])
{
    memset(out, 0, HOST_NAME_SIZE);
    if (gethostname(out, HOST_NAME_SIZE - 1) != 0 || out[0] == '\0' ||
        !text_is_utf8(out, strlen(out))) {
        text_copy(out, HOST_NAME_SIZE, "localhost");
    }
    return out;
}

const char *host_origin(char out[HOST_ORIGIN_SIZE])
{
    char host[HOST_NAME_SIZE];

    snprintf(out, HOST_ORIGIN_SIZE, "gen%d@%s", (int)getpid(), host_name(host));
    return out;
}
