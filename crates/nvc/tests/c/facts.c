/* Prints all that is known of a machine. Arguments: option strings for nvc_driver_info_new, each tried. */
#include <nvc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

static void list(const char *what, char *const *items, size_t count)
{
    printf("%s: %zu\n", what, count);
    for (size_t i = 0; i < count; ++i)
        printf("  %s\n", items[i]);
}

static void node(const struct nvc_device_node *node)
{
    printf("  %s %u:%u\n", node->path, major(node->id), minor(node->id));
}

static void driver(struct nvc_context *ctx, const char *opts)
{
    struct nvc_driver_info *info = nvc_driver_info_new(ctx, opts);

    printf("# driver, %s\n", opts ? opts : "no options");
    if (info == NULL) {
        printf("error: %s\n", nvc_error(ctx));
        return;
    }
    printf("version: %s\nCUDA: %s\n", info->nvrm_version, info->cuda_version);
    list("programs", info->bins, info->nbins);
    list("libraries", info->libs, info->nlibs);
    list("32-bit libraries", info->libs32, info->nlibs32);
    list("sockets", info->ipcs, info->nipcs);
    list("firmware", info->firmwares, info->nfirmwares);
    printf("nodes: %zu\n", info->ndevs);
    for (size_t i = 0; i < info->ndevs; ++i)
        node(&info->devs[i]);
    nvc_driver_info_free(info);
}

static void capability(struct nvc_context *ctx, const char *path)
{
    struct nvc_device_node found;

    memset(&found, 0, sizeof(found));
    if (nvc_nvcaps_device_from_proc_path(ctx, path, &found) < 0) {
        printf("  %s: %s\n", path, nvc_error(ctx));
        return;
    }
    node(&found);
    free(found.path);
}

static void access_of(struct nvc_context *ctx, const char *folder)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/access", folder);
    capability(ctx, path);
}

static void devices(struct nvc_context *ctx)
{
    struct nvc_device_info *info = nvc_device_info_new(ctx, "");

    puts("# devices");
    if (info == NULL) {
        printf("error: %s\n", nvc_error(ctx));
        return;
    }
    printf("GPUs: %zu\n", info->ngpus);
    for (size_t i = 0; i < info->ngpus; ++i) {
        const struct nvc_device *gpu = &info->gpus[i];

        printf("%s, %s, %s, %s, %s, %d, %s\n", gpu->model, gpu->uuid, gpu->busid, gpu->arch, gpu->brand,
               gpu->mig_capable, gpu->mig_caps_path);
        node(&gpu->node);
        for (size_t j = 0; j < gpu->mig_devices.ndevices; ++j) {
            const struct nvc_mig_device *mig = &gpu->mig_devices.devices[j];

            printf("  part %zu: %s, %u, %u, %d\n", j, mig->uuid, mig->gi, mig->ci, mig->parent == gpu);
            access_of(ctx, mig->gi_caps_path);
            access_of(ctx, mig->ci_caps_path);
        }
    }
    nvc_device_info_free(info);
}

int main(int argc, char **argv)
{
    struct nvc_context *ctx = nvc_context_new();

    if (nvc_init(ctx, NULL, NULL) < 0) {
        printf("init: %s\n", nvc_error(ctx));
        nvc_context_free(ctx);
        return 0;
    }
    driver(ctx, NULL);
    for (int i = 1; i < argc; ++i)
        driver(ctx, argv[i]);
    devices(ctx);
    puts("# capabilities");
    printf("style: %d\n", nvc_nvcaps_style());
    capability(ctx, "/proc/driver/nvidia/capabilities/mig/config");
    capability(ctx, "/proc/driver/nvidia/capabilities/mig/monitor");
    nvc_shutdown(ctx);
    nvc_context_free(ctx);
    return 0;
}
