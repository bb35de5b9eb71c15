/*
 * Uses every function as one should not, and says what came of it. Arguments: what to try (the original keeps state for the
 * whole process, and does not survive all of it in one), and a folder that may serve as a container's root.
 */
#include <stdbool.h>

#include <nvc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct nvc_context *ctx;

/* What a call returned, and what nvc_error says afterwards. */
static void said(const char *call, int result)
{
    const char *error = nvc_error(ctx);
    printf("%s: %d, %s\n", call, result, error ? error : "no error");
}

#define NUMBER(call) said(#call, call)
/* Only whether there is something. */
#define POINTER(call) said(#call, (call) != NULL)

/* A context whose last failure is forgotten. */
static void anew(void)
{
    if (ctx != NULL) {
        nvc_shutdown(ctx);
        nvc_context_free(ctx);
    }
    ctx = nvc_context_new();
}

static void without_context(void)
{
    struct nvc_container *cnt = NULL;

    puts("# no context");
    ctx = NULL;
    NUMBER(nvc_init(NULL, NULL, NULL));
    NUMBER(nvc_shutdown(NULL));
    POINTER(nvc_driver_info_new(NULL, NULL));
    POINTER(nvc_device_info_new(NULL, NULL));
    POINTER(nvc_container_new(NULL, NULL, NULL));
    NUMBER(nvc_driver_mount(NULL, cnt, NULL));
    NUMBER(nvc_device_mount(NULL, cnt, NULL));
    NUMBER(nvc_ldcache_update(NULL, cnt));
    nvc_context_free(NULL);
    nvc_config_free(NULL);
    nvc_container_config_free(NULL);
    nvc_container_free(NULL);
    nvc_driver_info_free(NULL);
    nvc_device_info_free(NULL);
}

static void before_init(void)
{
    struct nvc_container_config *cfg = nvc_container_config_new(1, "/root");

    puts("# before init");
    anew();
    NUMBER(nvc_shutdown(ctx));
    NUMBER(nvc_shutdown(ctx));
    POINTER(nvc_driver_info_new(ctx, NULL));
    POINTER(nvc_device_info_new(ctx, NULL));
    POINTER(nvc_container_new(ctx, cfg, NULL));
    NUMBER(nvc_driver_mount(ctx, NULL, NULL));
    NUMBER(nvc_device_mount(ctx, NULL, NULL));
    NUMBER(nvc_mig_device_access_caps_mount(ctx, NULL, NULL));
    NUMBER(nvc_mig_config_global_caps_mount(ctx, NULL));
    NUMBER(nvc_mig_monitor_global_caps_mount(ctx, NULL));
    NUMBER(nvc_device_mig_caps_mount(ctx, NULL, NULL));
    NUMBER(nvc_imex_channel_mount(ctx, NULL, NULL));
    NUMBER(nvc_ldcache_update(ctx, NULL));
    nvc_container_config_free(cfg);
}

static void defaults(void)
{
    const struct nvc_version *version = nvc_version();
    struct nvc_config *cfg = nvc_config_new();
    struct nvc_container_config *cnt = nvc_container_config_new(7, "/some/root");

    puts("# defaults");
    printf("version: %d %d\n", version->major == 1, version->string[0] == '1');
    printf("same each time: %d\n", version == nvc_version());
    printf("config: %d %d %d %d %d %zu\n", cfg->root == NULL, cfg->ldcache == NULL, cfg->uid == (uid_t)-1,
           cfg->gid == (gid_t)-1, cfg->imex.chans == NULL, cfg->imex.nchans);
    printf("container: %d %s %d %d %d %d %d\n", cnt->pid, cnt->rootfs, cnt->bins_dir == NULL, cnt->libs_dir == NULL,
           cnt->libs32_dir == NULL, cnt->cudart_dir == NULL, cnt->ldconfig == NULL);
    nvc_config_free(cfg);
    nvc_container_config_free(cnt);
}

static void init_with(char *root, char *ldcache, const char *opts)
{
    struct nvc_config *cfg = nvc_config_new();

    anew();
    cfg->root = root;
    cfg->ldcache = ldcache;
    NUMBER(nvc_init(ctx, cfg, opts));
    nvc_config_free(cfg);
}

static void init(void)
{
    char longest[300];

    puts("# init");
    memset(longest, 'x', sizeof(longest));
    longest[255] = '\0';
    init_with("", NULL, NULL);
    init_with(NULL, "", NULL);
    init_with("/absent", NULL, NULL);
    init_with("relative", NULL, NULL);
    init_with("/etc/passwd", NULL, NULL);
    init_with(NULL, NULL, "such-is-none");
    init_with(NULL, NULL, "no-create-imex-channels such-is-none");
    init_with(NULL, NULL, longest);
    longest[255] = 'x';
    longest[256] = '\0';
    init_with(NULL, NULL, longest);
    init_with(NULL, NULL, "");
    init_with(NULL, NULL, "no-create-imex-channels");
    NUMBER(nvc_init(ctx, NULL, "such-is-none"));
    NUMBER(nvc_shutdown(ctx));
}

static void memory(void)
{
    puts("# failures stay known");
    anew();
    NUMBER(nvc_init(ctx, NULL, NULL));
    POINTER(nvc_driver_info_new(ctx, "such-is-none"));
    nvc_device_info_free(nvc_device_info_new(ctx, NULL));
    said("after success", 0);
}

static void detection(void)
{
    struct nvc_config *cfg = nvc_config_new();

    puts("# detection");
    anew();
    cfg->ldcache = "/etc/passwd";
    NUMBER(nvc_init(ctx, cfg, NULL));
    POINTER(nvc_driver_info_new(ctx, NULL));
    anew();
    cfg->ldcache = "/etc/absent";
    NUMBER(nvc_init(ctx, cfg, NULL));
    POINTER(nvc_driver_info_new(ctx, NULL));
    nvc_config_free(cfg);
}

static void container_with(pid_t pid, const char *rootfs, char *bins, const char *opts)
{
    struct nvc_container_config *cfg = nvc_container_config_new(pid, rootfs);
    struct nvc_container *cnt;

    anew();
    nvc_init(ctx, NULL, NULL);
    cfg->bins_dir = bins;
    cnt = nvc_container_new(ctx, cfg, opts);
    printf("%s, %s, %s: ", rootfs ? rootfs : "NULL", bins ? bins : "NULL", opts ? opts : "NULL");
    said("container", cnt != NULL);
    nvc_container_free(cnt);
    nvc_container_config_free(cfg);
}

static void container(const char *root)
{
    puts("# container");
    anew();
    NUMBER(nvc_init(ctx, NULL, NULL));
    POINTER(nvc_container_new(ctx, NULL, NULL));
    NUMBER(nvc_driver_mount(ctx, NULL, NULL));
    NUMBER(nvc_ldcache_update(ctx, NULL));
    container_with(0, root, NULL, "supervised");
    container_with(-1, root, NULL, "supervised");
    container_with(getpid(), NULL, NULL, "supervised");
    container_with(getpid(), "", NULL, "supervised");
    container_with(getpid(), "relative", NULL, "supervised");
    container_with(getpid(), root, "", "supervised");
    container_with(getpid(), root, NULL, "");
    container_with(getpid(), root, NULL, "utility");
    container_with(getpid(), root, NULL, "supervised standalone");
    container_with(getpid(), root, NULL, "supervised such-is-none");
    container_with(99999999, root, NULL, "supervised no-cgroups");
    container_with(getpid(), "/absent", NULL, "supervised no-cgroups");
    container_with(getpid(), root, NULL, "supervised no-cgroups utility");
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(argv[1], "surface") == 0) {
        without_context();
        before_init();
        defaults();
    } else if (strcmp(argv[1], "init") == 0) {
        init();
    } else if (strcmp(argv[1], "memory") == 0) {
        memory();
    } else if (strcmp(argv[1], "detection") == 0) {
        detection();
    } else if (strcmp(argv[1], "container") == 0) {
        container(argv[2]);
    } else {
        return 2;
    }
    anew();
    nvc_context_free(ctx);
    return 0;
}
