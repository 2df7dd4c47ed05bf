/*
 * For LD_PRELOAD: a disk that takes its time. Every fsync and fdatasync takes 0.9 s longer, so
 * that a Redis with appendfsync everysec is mostly within one and puts its writes off.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

#define SLOWER_US 900000

int fsync(int fd)
{
    usleep(SLOWER_US);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    usleep(SLOWER_US);
    return (int)syscall(SYS_fdatasync, fd);
}
