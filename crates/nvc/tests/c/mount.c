/*
 * Makes a container of a folder, puts all into it that there is, and says what came of it and what it has then. Arguments:
 * the folder, options of the container, and words of what to try beside driver and GPUs: parts, config, monitor, caps, imex,
 * twice, profile, group=FOLDER (a device cgroup of version 1 that the container's process is in), elsewhere=FOLDER (where nothing must be
 * mounted, nor anything come from).
 */
#define _GNU_SOURCE
#include <nvc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct nvc_context *ctx;
static struct nvc_container *cnt;
static int argument_count;
static char **arguments;

static void said(const char *call, int result)
{
    printf("%s: %d", call, result);
    if (result < 0)
        printf(", %s", nvc_error(ctx));
    putchar('\n');
}

#define NUMBER(call) said(#call, call)

static int wanted(const char *word)
{
    for (int i = 3; i < argument_count; ++i)
        if (strcmp(arguments[i], word) == 0)
            return 1;
    return 0;
}

/* What follows `word` in an argument. */
static const char *value(const char *word)
{
    for (int i = 3; i < argument_count; ++i)
        if (strncmp(arguments[i], word, strlen(word)) == 0)
            return arguments[i] + strlen(word);
    return NULL;
}

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(2);
    }
}

static void enter_group(void)
{
    char path[4096];
    FILE *members;

    if (value("group=") == NULL)
        return;
    snprintf(path, sizeof(path), "%s/cgroup.procs", value("group="));
    members = fopen(path, "w");
    need(members != NULL && fprintf(members, "%d", getpid()) > 0 && fclose(members) == 0, path);
}

static void rules(void)
{
    char path[4096], line[256];
    FILE *list;

    if (value("group=") == NULL)
        return;
    snprintf(path, sizeof(path), "%s/devices.list", value("group="));
    list = fopen(path, "r");
    need(list != NULL, path);
    puts("# rules");
    while (fgets(line, sizeof(line), list) != NULL)
        fputs(line, stdout);
    fclose(list);
}

/* A mount namespace like that of a container whose hooks run: its root is there and not entered yet. */
static void prepare(const char *root)
{
    char path[4096];

    need(unshare(CLONE_NEWNS) == 0, "unshare");
    need(mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0, "private");
    need(mount(root, root, NULL, MS_BIND, NULL) == 0, "root");
    snprintf(path, sizeof(path), "%s/proc", root);
    need(mount("/proc", path, NULL, MS_BIND | MS_REC, NULL) == 0, path);
    snprintf(path, sizeof(path), "%s/dev", root);
    need(mount("tmpfs", path, "tmpfs", MS_NOSUID, NULL) == 0, path);
}

/* A process that stands for the container. Unsupervised it is we. */
static pid_t container(const char *root, const char *options)
{
    int ready[2];
    char byte;
    pid_t pid;

    if (strstr(options, "standalone") != NULL) {
        prepare(root);
        return getpid();
    }
    need(pipe(ready) == 0, "pipe");
    pid = fork();
    need(pid >= 0, "fork");
    if (pid == 0) {
        enter_group();
        prepare(root);
        need(write(ready[1], "x", 1) == 1, "write");
        pause();
        _exit(0);
    }
    close(ready[1]);
    need(read(ready[0], &byte, 1) == 1, "container");
    close(ready[0]);
    return pid;
}

static int has(const char *options, const char *option)
{
    size_t length = strlen(option);

    for (const char *at = options; (at = strstr(at, option)) != NULL; at += length)
        if ((at == options || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
            return 1;
    return 0;
}

/* Mounts below the root: place, what a mount may not be used for, and whether it lies in memory. */
static void mounts(pid_t pid, const char *root)
{
    static const char *const kept[] = {"ro", "nosuid", "nodev", "noexec"};
    char path[64], line[8192];
    FILE *table;

    snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
    table = fopen(path, "r");
    need(table != NULL, path);
    puts("# mounts");
    while (fgets(line, sizeof(line), table) != NULL) {
        char place[4096], options[1024];

        if (value("elsewhere=") != NULL && strstr(line, value("elsewhere=")) != NULL)
            printf("elsewhere: %s", line);
        if (sscanf(line, "%*s %*s %*s %*s %4095s %1023s", place, options) != 2 ||
            strncmp(place, root, strlen(root)) != 0)
            continue;
        printf("%s", place + strlen(root));
        for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); ++i)
            if (has(options, kept[i]))
                printf(" %s", kept[i]);
        puts(strstr(line, " - tmpfs ") != NULL ? " memory" : "");
    }
    fclose(table);
}

/* The file that names the container's GPUs to EGL. */
static void profile(pid_t pid, const char *root)
{
    char path[8192], text[4096];
    struct stat status;
    FILE *file;

    if (!wanted("profile"))
        return;
    snprintf(path, sizeof(path), "/proc/%d/root%s/etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf", pid, root);
    if ((file = fopen(path, "r")) == NULL)
        return;
    need(fstat(fileno(file), &status) == 0, path);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    printf("# profile\n%o %s\n", status.st_mode & 07777, text);
    fclose(file);
}

static void devices(void)
{
    struct nvc_device_info *info = nvc_device_info_new(ctx, NULL);

    need(info != NULL, "nvc_device_info_new");
    for (size_t i = 0; i < info->ngpus; ++i) {
        const struct nvc_device *gpu = &info->gpus[i];

        NUMBER(nvc_device_mount(ctx, cnt, gpu));
        for (size_t j = 0; wanted("parts") && j < gpu->mig_devices.ndevices; ++j)
            NUMBER(nvc_mig_device_access_caps_mount(ctx, cnt, &gpu->mig_devices.devices[j]));
        if (wanted("caps"))
            NUMBER(nvc_device_mig_caps_mount(ctx, cnt, gpu));
    }
    nvc_device_info_free(info);
}

static void configure(void)
{
    struct nvc_driver_info *info = nvc_driver_info_new(ctx, NULL);

    need(info != NULL, "nvc_driver_info_new");
    NUMBER(nvc_driver_mount(ctx, cnt, info));
    devices();
    if (wanted("config"))
        NUMBER(nvc_mig_config_global_caps_mount(ctx, cnt));
    if (wanted("monitor"))
        NUMBER(nvc_mig_monitor_global_caps_mount(ctx, cnt));
    if (wanted("imex")) {
        const struct nvc_imex_channel there = {0}, absent = {77};

        NUMBER(nvc_imex_channel_mount(ctx, cnt, &there));
        NUMBER(nvc_imex_channel_mount(ctx, cnt, &absent));
    }
    NUMBER(nvc_ldcache_update(ctx, cnt));
    nvc_driver_info_free(info);
}

int main(int argc, char **argv)
{
    struct nvc_container_config *cfg;
    pid_t pid;

    if (argc < 3)
        return 2;
    argument_count = argc;
    arguments = argv;
    setvbuf(stdout, NULL, _IOLBF, 0);
    pid = container(argv[1], argv[2]);
    ctx = nvc_context_new();
    NUMBER(nvc_init(ctx, NULL, NULL));
    cfg = nvc_container_config_new(pid, argv[1]);
    cnt = nvc_container_new(ctx, cfg, argv[2]);
    if (cnt == NULL)
        printf("nvc_container_new: %s\n", nvc_error(ctx));
    else {
        configure();
        if (wanted("twice"))
            configure();
        profile(pid, argv[1]);
        mounts(pid, argv[1]);
        rules();
    }
    nvc_container_free(cnt);
    nvc_container_config_free(cfg);
    NUMBER(nvc_shutdown(ctx));
    nvc_context_free(ctx);
    if (pid != getpid()) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return 0;
}
