/* Prints the size of each structure and the offset of each member, as the compiler sees them in nvc.h. */
#ifdef STDBOOL_FIRST
#include <stdbool.h>
#endif
#include <nvc.h>
#include <stddef.h>
#include <stdio.h>

#define STRUCT(name) printf("%s %zu\n", #name, sizeof(struct name))
#define MEMBER(name, member) printf("  %s %zu\n", #member, offsetof(struct name, member))

int main(void)
{
    STRUCT(nvc_version);
    MEMBER(nvc_version, major);
    MEMBER(nvc_version, minor);
    MEMBER(nvc_version, patch);
    MEMBER(nvc_version, string);
    STRUCT(nvc_imex_channel);
    MEMBER(nvc_imex_channel, id);
    STRUCT(nvc_imex_info);
    MEMBER(nvc_imex_info, chans);
    MEMBER(nvc_imex_info, nchans);
    STRUCT(nvc_config);
    MEMBER(nvc_config, root);
    MEMBER(nvc_config, ldcache);
    MEMBER(nvc_config, uid);
    MEMBER(nvc_config, gid);
    MEMBER(nvc_config, imex);
    STRUCT(nvc_device_node);
    MEMBER(nvc_device_node, path);
    MEMBER(nvc_device_node, id);
    STRUCT(nvc_driver_info);
    MEMBER(nvc_driver_info, nvrm_version);
    MEMBER(nvc_driver_info, cuda_version);
    MEMBER(nvc_driver_info, bins);
    MEMBER(nvc_driver_info, nbins);
    MEMBER(nvc_driver_info, libs);
    MEMBER(nvc_driver_info, nlibs);
    MEMBER(nvc_driver_info, libs32);
    MEMBER(nvc_driver_info, nlibs32);
    MEMBER(nvc_driver_info, ipcs);
    MEMBER(nvc_driver_info, nipcs);
    MEMBER(nvc_driver_info, devs);
    MEMBER(nvc_driver_info, ndevs);
    MEMBER(nvc_driver_info, firmwares);
    MEMBER(nvc_driver_info, nfirmwares);
    STRUCT(nvc_mig_device);
    MEMBER(nvc_mig_device, parent);
    MEMBER(nvc_mig_device, uuid);
    MEMBER(nvc_mig_device, gi);
    MEMBER(nvc_mig_device, ci);
    MEMBER(nvc_mig_device, gi_caps_path);
    MEMBER(nvc_mig_device, ci_caps_path);
    STRUCT(nvc_mig_device_info);
    MEMBER(nvc_mig_device_info, devices);
    MEMBER(nvc_mig_device_info, ndevices);
    STRUCT(nvc_device);
    MEMBER(nvc_device, model);
    MEMBER(nvc_device, uuid);
    MEMBER(nvc_device, busid);
    MEMBER(nvc_device, arch);
    MEMBER(nvc_device, brand);
    MEMBER(nvc_device, node);
    MEMBER(nvc_device, mig_capable);
    MEMBER(nvc_device, mig_caps_path);
    MEMBER(nvc_device, mig_devices);
    STRUCT(nvc_device_info);
    MEMBER(nvc_device_info, gpus);
    MEMBER(nvc_device_info, ngpus);
    STRUCT(nvc_container_config);
    MEMBER(nvc_container_config, pid);
    MEMBER(nvc_container_config, rootfs);
    MEMBER(nvc_container_config, bins_dir);
    MEMBER(nvc_container_config, libs_dir);
    MEMBER(nvc_container_config, libs32_dir);
    MEMBER(nvc_container_config, cudart_dir);
    MEMBER(nvc_container_config, ldconfig);
    printf("%d %d %d %d\n", NVC_ARG_MAX, NVC_NVCAPS_STYLE_NONE, NVC_NVCAPS_STYLE_PROC, NVC_NVCAPS_STYLE_DEV);
    return 0;
}
