/* What one spawn costs when nothing but the work is done: the measure for `bench spawn`.
 *
 * Runs COUNT no-op programs, WIDTH at a time. For each: two directories (task, task/wd), its stdout
 * and stderr files, vfork, new session, chdir, execve, reap. No queue, no socket, no records.
 *
 *     spawn_baseline ROOT COUNT WIDTH PROGRAM        prints the seconds it took
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "spawn_baseline: %s %s: %s\n", what, name, strerror(errno));
    exit(1);
}

static void start(const char *root, long number, char *program, int null_fd)
{
    char task[4096], wd[4200], out[4200], err[4200];
    snprintf(task, sizeof task, "%s/task-%ld", root, number);
    snprintf(wd, sizeof wd, "%s/wd", task);
    snprintf(out, sizeof out, "%s/stdout.txt", task);
    snprintf(err, sizeof err, "%s/stderr.txt", task);
    if (mkdir(task, 0755) != 0)
        fail("mkdir", task);
    if (mkdir(wd, 0755) != 0)
        fail("mkdir", wd);
    int out_fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int err_fd = open(err, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (out_fd < 0 || err_fd < 0)
        fail("open", task);
    char *const argv[] = {program, NULL};
    pid_t pid = vfork();
    if (pid < 0)
        fail("vfork", program);
    if (pid == 0) {
        dup2(null_fd, 0);
        dup2(out_fd, 1);
        dup2(err_fd, 2);
        if (setsid() < 0 || chdir(wd) != 0)
            _exit(126);
        execve(program, argv, environ);
        _exit(127);
    }
    close(out_fd);
    close(err_fd);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: spawn_baseline ROOT COUNT WIDTH PROGRAM\n");
        return 2;
    }
    long count = atol(argv[2]), width = atol(argv[3]), started = 0, ended = 0;
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    while (ended < count) {
        while (started < count && started - ended < width)
            start(argv[1], started++, argv[4], null_fd);
        int status;
        struct rusage usage;
        if (wait4(-1, &status, 0, &usage) < 0)
            fail("wait4", "any child");
        if (status != 0) {
            fprintf(stderr, "spawn_baseline: a task ended with status %d\n", status);
            return 1;
        }
        ended++;
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%.6f\n", (to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) / 1e9);
    return 0;
}
