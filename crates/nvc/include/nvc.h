/*
 * libnvidia-container: what a container needs of an NVIDIA driver, looked up and put into it.
 *
 * This header declares the public interface of libnvidia-container.so.1 as Corten provides it. Names, layout and values are
 * those that programs have been compiled against since 1.15 (symbol version NVC_1.0); the words are ours.
 *
 * A program makes a context, gives it a configuration, and then asks or acts:
 *
 *     ctx = nvc_context_new();
 *     nvc_init(ctx, NULL, NULL);
 *     drv = nvc_driver_info_new(ctx, NULL);
 *     dev = nvc_device_info_new(ctx, NULL);
 *     cnt = nvc_container_new(ctx, cfg, "supervised compute utility");
 *     nvc_driver_mount(ctx, cnt, drv);
 *     nvc_device_mount(ctx, cnt, &dev->gpus[0]);
 *     nvc_ldcache_update(ctx, cnt);
 *     nvc_shutdown(ctx);
 *
 * Functions that return an int give 0 on success and -1 on failure; those that return a pointer give NULL on failure.
 * nvc_error() has the reason. Options are words with blanks between them, NVC_ARG_MAX bytes at most with the end; NULL
 * stands for the default. Paths in what is returned are below the driver's root. A context may be used by several threads,
 * one after the other; contexts of their own by several at once.
 */
#ifndef HEADER_NVC_H
#define HEADER_NVC_H

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define NVC_BOOL bool
#else
/* What stdbool.h calls bool, so that including that one is left to the program. */
#define NVC_BOOL _Bool
#endif

/* Version of the interface that this header describes. */
#define NVC_MAJOR   1
#define NVC_MINOR   20
#define NVC_PATCH   0
/* A release candidate has its name here. */
#define NVC_TAG
#define NVC_VERSION "1.20.0"

/* Bytes of an option string, the end included. */
#define NVC_ARG_MAX 256

/* How a process shows that it holds one of MIG's capabilities: not at all, by a file below /proc, or by a device node. */
#define NVC_NVCAPS_STYLE_NONE 0
#define NVC_NVCAPS_STYLE_PROC 1
#define NVC_NVCAPS_STYLE_DEV  2

struct nvc_context;
struct nvc_container;

/* A channel for memory that is shared between machines. */
struct nvc_imex_channel {
    int id;
};

struct nvc_imex_info {
    struct nvc_imex_channel *chans;
    size_t nchans;
};

struct nvc_version {
    unsigned int major;
    unsigned int minor;
    unsigned int patch;
    const char *string;
};

/* How the machine is looked at. Members stay the caller's. */
struct nvc_config {
    char *root;                /* Root of the driver; NULL for "/". */
    char *ldcache;             /* Loader cache below it; NULL for "/etc/ld.so.cache". */
    uid_t uid;                 /* Who asks NVML; (uid_t)-1 for nobody. */
    gid_t gid;
    struct nvc_imex_info imex; /* Channels whose nodes are made with the kernel modules. */
};

struct nvc_device_node {
    char *path;
    dev_t id;
};

/* The driver and its files. */
struct nvc_driver_info {
    char *nvrm_version; /* "550.54.14" */
    char *cuda_version; /* "12.4" */
    char **bins;
    size_t nbins;
    char **libs;
    size_t nlibs;
    char **libs32;
    size_t nlibs32;
    char **ipcs;
    size_t nipcs;
    struct nvc_device_node *devs;
    size_t ndevs;
    char **firmwares;
    size_t nfirmwares;
};

/* A part of a GPU. */
struct nvc_mig_device {
    struct nvc_device *parent;
    char *uuid;
    unsigned int gi;    /* GPU instance */
    unsigned int ci;    /* compute instance */
    char *gi_caps_path; /* folders below /proc */
    char *ci_caps_path;
};

struct nvc_mig_device_info {
    struct nvc_mig_device *devices;
    size_t ndevices;
};

/* A GPU. */
struct nvc_device {
    char *model;
    char *uuid;
    char *busid; /* "00000000:01:00.0" */
    char *arch;  /* compute capability, "9.0" */
    char *brand;
    struct nvc_device_node node;
    NVC_BOOL mig_capable;
    char *mig_caps_path;
    struct nvc_mig_device_info mig_devices;
};

struct nvc_device_info {
    struct nvc_device *gpus;
    size_t ngpus;
};

/* A container that is being made. Members stay the caller's; NULL stands for what suits the container. */
struct nvc_container_config {
    pid_t pid;        /* a process in the container's namespaces; with "standalone", our parent */
    char *rootfs;     /* absolute */
    char *bins_dir;   /* where programs go */
    char *libs_dir;   /* where libraries go */
    char *libs32_dir; /* where 32-bit libraries go */
    char *cudart_dir; /* where the container's own CUDA is */
    char *ldconfig;   /* accepted and not run */
};

/* In static memory. */
const struct nvc_version *nvc_version(void);

struct nvc_context *nvc_context_new(void);
/* Does not shut it down. NULL is fine. */
void nvc_context_free(struct nvc_context *ctx);

/* Everything unset. */
struct nvc_config *nvc_config_new(void);
/* Not what its members point to. */
void nvc_config_free(struct nvc_config *cfg);

/* Options: load-kmods, no-create-imex-channels. A context that is initialised already stays as it is. */
int nvc_init(struct nvc_context *ctx, const struct nvc_config *cfg, const char *opts);
int nvc_shutdown(struct nvc_context *ctx);

/* Keeps the pointer to the path. */
struct nvc_container_config *nvc_container_config_new(pid_t pid, const char *rootfs);
void nvc_container_config_free(struct nvc_container_config *cfg);

/*
 * Options: one of supervised and standalone; utility, compute, video, graphics, display, ngx, compat32; no-cgroups,
 * no-devbind; cuda-compat-mode=mount, =ldconfig or =disabled. Without any: "standalone no-cgroups no-devbind utility".
 */
struct nvc_container *nvc_container_new(struct nvc_context *ctx, const struct nvc_container_config *cfg, const char *opts);
void nvc_container_free(struct nvc_container *cnt);

/* Options: no-glvnd, no-uvm, no-modeset, no-mps, no-persistenced, no-fabricmanager, no-gsp-firmware. */
struct nvc_driver_info *nvc_driver_info_new(struct nvc_context *ctx, const char *opts);
void nvc_driver_info_free(struct nvc_driver_info *info);

/* No options yet. */
struct nvc_device_info *nvc_device_info_new(struct nvc_context *ctx, const char *opts);
void nvc_device_info_free(struct nvc_device_info *info);

/* One of NVC_NVCAPS_STYLE_*. */
int nvc_nvcaps_style(void);

/* The node for a capability file below /proc. The path in it is for the caller to free(). */
int nvc_nvcaps_device_from_proc_path(struct nvc_context *ctx, const char *path, struct nvc_device_node *node);

/* The driver's libraries, programs, sockets, firmware and control nodes. */
int nvc_driver_mount(struct nvc_context *ctx, const struct nvc_container *cnt, const struct nvc_driver_info *info);

/* A GPU. */
int nvc_device_mount(struct nvc_context *ctx, const struct nvc_container *cnt, const struct nvc_device *dev);

/* The use of a part of a GPU. */
int nvc_mig_device_access_caps_mount(struct nvc_context *ctx, const struct nvc_container *cnt,
                                     const struct nvc_mig_device *dev);

/* The right to partition GPUs, and to watch all parts. */
int nvc_mig_config_global_caps_mount(struct nvc_context *ctx, const struct nvc_container *cnt);
int nvc_mig_monitor_global_caps_mount(struct nvc_context *ctx, const struct nvc_container *cnt);

/* All parts that a GPU has or could have. */
int nvc_device_mig_caps_mount(struct nvc_context *ctx, const struct nvc_container *cnt, const struct nvc_device *dev);

int nvc_imex_channel_mount(struct nvc_context *ctx, const struct nvc_container *cnt, const struct nvc_imex_channel *chan);

/* Links and loader cache in the container. */
int nvc_ldcache_update(struct nvc_context *ctx, const struct nvc_container *cnt);

/* Why the last call that failed did; NULL before the first. Valid until the next failure. */
const char *nvc_error(struct nvc_context *ctx);

#undef NVC_BOOL

#ifdef __cplusplus
}
#endif

#endif /* HEADER_NVC_H */
