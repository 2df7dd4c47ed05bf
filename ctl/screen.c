#include "ctl/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "common/buf.h"
#include "ctl/term.h"

#define FRAME_MAX (4 * MIB)

/* The other buffer, no cursor, long lines are not continued on the next; and all of it back. */
static const char ENTER[] = "\033[?1049h\033[?25l\033[?7l\033[2J";
static const char LEAVE[] = "\033[0m\033[?7h\033[?25h\033[?1049l";

static struct termios before;
static volatile sig_atomic_t is_open, stop, resized, suspend;

/* Only what a signal handler may do. */
static void put(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, text, len);

        if (n < 0 && errno != EINTR) {
            return;
        }
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

static void leave(void)
{
    put(LEAVE, sizeof LEAVE - 1);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

static void enter(void)
{
    struct termios raw = before;

    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
    put(ENTER, sizeof ENTER - 1);
}

/* ---- signals: blocked but for when screen_wait waits ---- */

static const int ENDING[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int CRASHING[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};

static void on_signal(int sig)
{
    switch (sig) {
    case SIGWINCH:
        resized = 1;
        break;
    case SIGTSTP:
        suspend = 1;
        break;
    default:
        stop = 1;
    }
}

/* The terminal first, then it dies of the signal as it would have. */
static void on_crash(int sig)
{
    if (is_open) {
        is_open = 0;
        leave();
    }
    raise(sig);
}

static void handle_signals(void)
{
    struct sigaction act = {.sa_handler = on_signal};
    sigset_t blocked;

    sigemptyset(&blocked);
    for (size_t i = 0; i < ARRAY_LEN(ENDING); i++) {
        sigaction(ENDING[i], &act, NULL);
        sigaddset(&blocked, ENDING[i]);
    }
    sigaction(SIGWINCH, &act, NULL);
    sigaction(SIGTSTP, &act, NULL);
    sigaddset(&blocked, SIGWINCH);
    sigaddset(&blocked, SIGTSTP);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    act = (struct sigaction){.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < ARRAY_LEN(CRASHING); i++) {
        sigaction(CRASHING[i], &act, NULL);
    }
}

/* Ctrl-Z: the shell has the terminal as it was, until it continues us. */
static void be_suspended(void)
{
    suspend = 0;
    leave();
    raise(SIGSTOP);
    enter();
}

/* ---- the screen ---- */

bool screen_open(void)
{
    const char *kind = getenv("TERM");

    if (!isatty(STDOUT_FILENO) || !kind || !*kind || strcmp(kind, "dumb") == 0 ||
        tcgetattr(STDIN_FILENO, &before) != 0) {
        return false;
    }
    handle_signals();
    is_open = 1;
    enter();
    return true;
}

void screen_close(void)
{
    if (is_open) {
        is_open = 0;
        leave();
    }
}

void screen_size(int *rows, int *cols)
{
    struct winsize size;

    *rows = SCREEN_ROWS;
    *cols = TERM_COLUMNS;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
        *rows = size.ws_row;
        *cols = size.ws_col;
    }
}

bool screen_show(const char *text, size_t len)
{
    int rows, cols;
    struct buf b;

    screen_size(&rows, &cols);
    buf_init(&b, FRAME_MAX);
    buf_addstr(&b, "\033[H");
    for (int row = 0; row < rows && len > 0; row++) {
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) : len;

        buf_addstr(&b, row > 0 ? "\r\n" : "");
        term_clip(&b, text, n, cols);
        buf_addstr(&b, "\033[0m\033[K");
        n += end != NULL;
        text += n;
        len -= n;
    }
    buf_addstr(&b, "\033[J");
    if (b.data) {
        put(b.data, b.len);
    }
    buf_fini(&b);
    return !stop;
}

/* Whether more bytes are there already. */
static bool has_more(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&in, 1, 0) == 1 && (in.revents & POLLIN);
}

/* The rest of what an arrow or the like sends: ESC [ ... letter, ESC O letter. */
static int skip_sequence(void)
{
    unsigned char c;

    for (int i = 0; i < 16 && has_more(); i++) {
        if (read(STDIN_FILENO, &c, 1) != 1) {
            return SCREEN_STOP;
        }
        if (i > 0 && c >= '@' && c <= '~') {
            break;
        }
    }
    return SCREEN_TIMEOUT;
}

static int read_key(void)
{
    unsigned char key;
    ssize_t n = read(STDIN_FILENO, &key, 1);

    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
        return SCREEN_STOP;
    }
    if (n == 1 && key == SCREEN_ESCAPE && has_more()) {
        return skip_sequence();
    }
    return n == 1 ? key : SCREEN_TIMEOUT;
}

int screen_wait(int64_t ms)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    sigset_t none;
    int n;

    sigemptyset(&none);
    n = ppoll(&in, 1, &left, &none);
    if (suspend) {
        be_suspended();
        return SCREEN_RESIZED;
    }
    if (stop || (n > 0 && !(in.revents & POLLIN))) {
        return SCREEN_STOP;
    }
    if (resized) {
        resized = 0;
        return SCREEN_RESIZED;
    }
    return n > 0 ? read_key() : SCREEN_TIMEOUT;
}
