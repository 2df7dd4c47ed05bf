#include <errno.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/admin/parts.h"
#include "common/log.h"
#include "common/text.h"

#define BACKLOG    32
#define SOCKET_OFF "off"

/* ---- settings ---- */

static bool read_listen(const struct api_settings *s, struct sockaddr_storage *addr, struct err *e)
{
    int len = sizeof *addr;
    in_port_t port = 0;

    memset(addr, 0, sizeof *addr);
    if (evutil_parse_sockaddr_port(s->admin_listen, (struct sockaddr *)addr, &len) == 0) {
        port = addr->ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)addr)->sin6_port
                                           : ((struct sockaddr_in *)(void *)addr)->sin_port;
    }
    return port != 0 || err_set(e, ERR_PERMANENT, "ConfigError",
                                "ADMIN_LISTEN=%s: must be an IP address and a port, like "
                                "127.0.0.1:8001 or [::1]:8001",
                                s->admin_listen);
}

static bool read_socket(const struct api_settings *s, char path[108], struct err *e)
{
    int len = 0;

    path[0] = '\0';
    if (*s->admin_socket && strcmp(s->admin_socket, SOCKET_OFF) != 0) {
        len = snprintf(path, 108, "%s", s->admin_socket);
        return (len < 108 && path[0] == '/') ||
               err_set(e, ERR_PERMANENT, "ConfigError",
                       "ADMIN_SOCKET: must be an absolute path of at most 107 bytes, or off");
    }
    if (!*s->admin_socket && *s->state_dir) {
        len = snprintf(path, 108, "%s/admin.sock", s->state_dir);
    }
    if (len >= 108) {
        path[0] = '\0';
        log_warn("admin.no_socket", "reason=\"STATE_DIR is too long for one; set ADMIN_SOCKET\"");
    }
    return true;
}

bool doors_read_settings(const struct api_settings *s, struct sockaddr_storage *addr,
                         char socket_path[108], struct err *e)
{
    return read_listen(s, addr, e) && read_socket(s, socket_path, e);
}

/* ---- opening ---- */

/* Takes the descriptor over. */
static bool serve_on(struct admin *a, struct door *d, int fd)
{
    struct evconnlistener *listener = evconnlistener_new(
        a->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd);

    if (!listener) {
        close(fd);
        return false;
    }
    d->bound = evhttp_bind_listener(d->http, listener);
    MUST(d->bound);
    return true;
}

static bool open_tcp(struct admin *a)
{
    socklen_t len =
        a->addr.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;

    if (fd < 0) {
        return false;
    }
    /* As for players: a second service on this machine, or its successor, may share the port. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        bind(fd, (const void *)&a->addr, len) < 0) {
        close(fd);
        return false;
    }
    return serve_on(a, &a->tcp, fd);
}

/* One process has the socket: whoever holds the lock beside it, which goes with the process. */
static bool lock_socket(struct admin *a)
{
    char path[sizeof a->socket_path + 8];

    if (a->socket_lock >= 0) {
        return true;
    }
    snprintf(path, sizeof path, "%s.lock", a->socket_path);
    a->socket_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (a->socket_lock >= 0 && flock(a->socket_lock, LOCK_EX | LOCK_NB) != 0) {
        close(a->socket_lock);
        a->socket_lock = -1;
        errno = EADDRINUSE;
    }
    return a->socket_lock >= 0;
}

/* Of a process that has died: we have the lock. Anything else there is a mistake, not ours to
 * remove. */
static void remove_old_socket(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        unlink(path);
    }
}

static bool open_local(struct admin *a)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd;

    text_copy(addr.sun_path, sizeof addr.sun_path, a->socket_path);
    if (!lock_socket(a)) {
        return false;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    remove_old_socket(a->socket_path);
    /* The mode of the descriptor is that of the file from its first moment on. */
    if (fchmod(fd, 0600) < 0 || bind(fd, (const void *)&addr, sizeof addr) < 0 ||
        chmod(a->socket_path, 0600) < 0) {
        close(fd);
        return false;
    }
    return serve_on(a, &a->local, fd);
}

static void close_door(struct door *d)
{
    if (d->bound) {
        evhttp_del_accept_socket(d->http, d->bound);
        d->bound = NULL;
        log_info("admin.closed", "door=%s", d->name);
    }
}

static void update_door(struct admin *a, struct door *d, bool wanted, bool (*open)(struct admin *a))
{
    const char *where = d == &a->tcp ? a->settings->admin_listen : a->socket_path;

    if (!wanted) {
        close_door(d);
        return;
    }
    if (d->bound) {
        return;
    }
    if (open(a)) {
        d->said = false;
        log_info("admin.ready", "door=%s at=%s", d->name, LOGQ(where));
    } else if (!d->said) {
        d->said = true;
        log_warn("admin.not_open", "door=%s at=%s error=%s", d->name, LOGQ(where),
                 LOGQ(strerror(errno)));
    }
}

void doors_update(struct admin *a)
{
    update_door(a, &a->tcp, keeper_has_tokens(a->keeper), open_tcp);
    update_door(a, &a->local, a->socket_path[0] != '\0', open_local);
}

void doors_close(struct admin *a)
{
    close_door(&a->tcp);
    close_door(&a->local);
    if (a->socket_lock >= 0) {
        unlink(a->socket_path);
        close(a->socket_lock);
        a->socket_lock = -1;
    }
}
