/*
 * Uses the library from many threads: some with a context of their own, some all with one; and configures a container from a
 * thread while the others go on. Says what was not as it should be. Argument: the container's root.
 */
#define _GNU_SOURCE
#include <nvc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS 5

static struct nvc_context *shared;
static char namespace_before[64];

static void check(int ok, const char *what)
{
    if (!ok)
        printf("wrong: %s\n", what);
}

static void same_namespace(void)
{
    char now[64] = "";

    check(readlink("/proc/thread-self/ns/mnt", now, sizeof(now) - 1) > 0, "readlink");
    check(strcmp(now, namespace_before) == 0, "this thread's mount namespace");
}

static void look(struct nvc_context *ctx)
{
    struct nvc_driver_info *drv = nvc_driver_info_new(ctx, NULL);
    struct nvc_device_info *dev = nvc_device_info_new(ctx, NULL);

    check(drv != NULL && drv->nlibs > 10, "driver");
    check(dev != NULL && dev->ngpus == 2, "devices");
    nvc_driver_info_free(drv);
    nvc_device_info_free(dev);
    same_namespace();
}

static void *own(void *unused)
{
    for (int i = 0; i < ROUNDS; ++i) {
        struct nvc_context *ctx = nvc_context_new();

        check(nvc_init(ctx, NULL, NULL) == 0, "init");
        look(ctx);
        check(nvc_shutdown(ctx) == 0, "shutdown");
        nvc_context_free(ctx);
    }
    return unused;
}

static void *common(void *unused)
{
    for (int i = 0; i < ROUNDS; ++i) {
        look(shared);
        check(nvc_driver_info_new(shared, "no-such") == NULL, "refusal");
        check(nvc_error(shared) != NULL, "error");
    }
    return unused;
}

static pid_t container(const char *root)
{
    int ready[2];
    char path[4096], byte;
    pid_t pid;

    if (pipe(ready) != 0 || (pid = fork()) < 0)
        exit(2);
    if (pid == 0) {
        snprintf(path, sizeof(path), "%s/proc", root);
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0 ||
            mount(root, root, NULL, MS_BIND, NULL) != 0 || mount("/proc", path, NULL, MS_BIND | MS_REC, NULL) != 0 ||
            write(ready[1], "x", 1) != 1)
            _exit(2);
        pause();
        _exit(0);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        exit(2);
    close(ready[0]);
    return pid;
}

static void *configure(void *root)
{
    pid_t pid = container(root);
    struct nvc_container_config *cfg = nvc_container_config_new(pid, root);
    struct nvc_context *ctx = nvc_context_new();
    struct nvc_driver_info *drv;
    struct nvc_container *cnt;

    check(nvc_init(ctx, NULL, NULL) == 0, "init");
    drv = nvc_driver_info_new(ctx, NULL);
    cnt = nvc_container_new(ctx, cfg, "supervised no-cgroups no-devbind utility compute");
    check(cnt != NULL, "container");
    if (nvc_driver_mount(ctx, cnt, drv) != 0 || nvc_ldcache_update(ctx, cnt) != 0)
        printf("wrong: mount: %s\n", nvc_error(ctx));
    same_namespace();
    nvc_driver_info_free(drv);
    nvc_container_free(cnt);
    nvc_container_config_free(cfg);
    nvc_shutdown(ctx);
    nvc_context_free(ctx);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return root;
}

int main(int argc, char **argv)
{
    pthread_t threads[2 * THREADS + 1];

    if (argc != 2 || readlink("/proc/thread-self/ns/mnt", namespace_before, sizeof(namespace_before) - 1) < 0)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    shared = nvc_context_new();
    check(nvc_init(shared, NULL, NULL) == 0, "init");
    for (int i = 0; i < THREADS; ++i) {
        pthread_create(&threads[i], NULL, own, NULL);
        pthread_create(&threads[THREADS + i], NULL, common, NULL);
    }
    pthread_create(&threads[2 * THREADS], NULL, configure, argv[1]);
    for (int i = 0; i < 2 * THREADS + 1; ++i)
        pthread_join(threads[i], NULL);
    nvc_shutdown(shared);
    nvc_context_free(shared);
    puts("done");
    return 0;
}
