//! What the runtime adds in legacy mode beside the prestart hook.

use super::*;

/// What legacy mode adds for these variables, on this machine.
fn added_on(inventory: &Inventory, env: &str, toml: &str) -> Result<Edits, String> {
    let (config, _) = Config::parse(&format!("nvidia-container-runtime.mode = 'legacy'\n{toml}")).expect(toml);
    let request = asked(env, &config);
    super::legacy(&request, inventory, &config, &layout(), &host_path("/usr/bin/nvidia-cdi-hook"))
        .map_err(|error| error.to_string())
}

fn added(env: &str, toml: &str) -> Edits {
    added_on(&machine(), env, toml).expect(env)
}

/// `195:1` for each rule, all of which allow to use the node and nothing more.
fn rules(edits: &Edits) -> String {
    let number = |rule: &Because<oci::DeviceRule>| {
        let rule = &rule.what;
        assert_eq!((rule.allow, rule.kind.as_deref(), rule.access.as_deref()), (true, Some("c"), Some("rw")));
        format!("{}:{}", rule.major.expect("major"), rule.minor.expect("minor"))
    };
    edits.spec.rules.iter().map(number).collect::<Vec<_>>().join(" ")
}

/// Every rule is for a node that jit-cdi mode would give, so the property that nobody gets more than he asks for holds here
/// as it does there.
#[test]
fn rules_are_for_what_the_hook_grants() {
    for (env, want) in [
        ("0", "195:1 195:255 511:0 511:1"),
        ("0 NVIDIA_DRIVER_CAPABILITIES=utility", "195:1 195:255"),
        ("0 NVIDIA_DRIVER_CAPABILITIES=graphics", "195:1 195:255"),
        ("0 NVIDIA_DRIVER_CAPABILITIES=display", "195:1 195:255 195:254"),
        ("0,1,0", "195:1 195:0 195:255 511:0 511:1"),
        ("none", "195:255 511:0 511:1"),
        ("2:0", "195:2 236:273 236:274 195:255 511:0 511:1"),
        ("0 NVIDIA_IMEX_CHANNELS=0", "195:1 195:255 511:0 511:1 237:0"),
        ("0 NVIDIA_REQUIRE_CUDA=cuda>=99", "195:1 195:255 511:0 511:1"),
        (
            "2 NVIDIA_MIG_MONITOR_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=utility",
            "195:2 195:255 236:2 236:273 236:274 236:282 236:283 236:291",
        ),
    ] {
        let edits = added(&format!("NVIDIA_VISIBLE_DEVICES={env}"), "");
        assert_eq!(rules(&edits), want, "{env}");
        if env.contains("graphics") || env.contains("display") {
            continue;
        }
        let rest = (edits.spec.devices, edits.spec.mounts, edits.spec.env, edits.spec.hooks);
        assert_eq!(rest, Default::default(), "{env}: the hook brings everything else");
        assert!(edits.root.is_empty() && edits.spec.gids.is_empty(), "{env}");
    }
    assert_eq!(rules(&added("NVIDIA_VISIBLE_DEVICES=0", "nvidia-container-cli.no-cgroups = true")), "");
}

/// The hook has its own words for what cannot be granted.
#[test]
fn what_cannot_be_granted_is_left_to_the_hook() {
    for env in ["9", "GPU-nope", "0 NVIDIA_IMEX_CHANNELS=x", "2:0 NVIDIA_MIG_CONFIG_DEVICES=all"] {
        let edits = added(&format!("NVIDIA_VISIBLE_DEVICES={env}"), "");
        assert!(!rules(&edits).contains("237:"), "{env}");
    }
    let edits = added("NVIDIA_VISIBLE_DEVICES=9", "");
    assert_eq!(rules(&edits), "");
    assert!(edits.remarks[0].starts_with("no device rules in config.json: "), "{:?}", edits.remarks);
    let bare = Inventory { driver: None, gpus: Vec::new(), ..machine() };
    assert_eq!(rules(&added_on(&bare, "NVIDIA_VISIBLE_DEVICES=all", "").expect("no driver")), "");
    let graphics = "NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=graphics";
    assert!(added_on(&bare, graphics, "").unwrap_err().starts_with("no NVIDIA driver was found under /"));
}

/// None of them says that the request is fulfilled, since the hook must still see it (Q1).
#[test]
fn gated_groups_bring_their_nodes_and_keep_the_request() {
    let edits = added("NVIDIA_VISIBLE_DEVICES=0 NVIDIA_GDS=enabled", "");
    assert_eq!(devices(&edits), ["/dev/nvidia-fs0"]);
    assert_eq!(mounts(&edits), ["/run/udev", "/etc/cufile.json"]);
    assert_eq!(edits.spec.env, []);
    assert!(rules(&edits).starts_with("195:1 "));
}

#[test]
fn graphics_brings_what_the_hook_does_not_know() {
    let mut machine = machine();
    let files = &mut machine.driver.as_mut().expect("driver").files;
    use Capability::{Display, Graphics};
    files.push(library("libnvidia-egl-gbm", "", LibraryClass::Native, &[Graphics, Display]));
    files.push(library("libnvidia-egl-gbm", "", LibraryClass::Compat32, &[Graphics, Display]));
    files.push(library("libnvidia-vulkan-producer", "", LibraryClass::Native, &[Graphics, Display]));
    files.push(library("libnvidia-eglcore", "", LibraryClass::Native, &[Graphics, Display]));
    files.push(file("/etc/vulkan/icd.d/nvidia_icd.json", FileKind::Config, Capabilities::of(&[Graphics])));
    let mut allocator = library("libnvidia-allocator", "", LibraryClass::Native, &[Graphics, Display]);
    if let FileKind::Library(library) = &mut allocator.kind {
        let (name, target) = ("gbm/nvidia-drm_gbm.so".to_owned(), "../libnvidia-allocator.so.1".to_owned());
        library.links.push(LibraryLink { name, target });
    }
    files.push(allocator);
    for capabilities in ["graphics", "compute,display", "all"] {
        let env = format!("NVIDIA_VISIBLE_DEVICES=0 NVIDIA_DRIVER_CAPABILITIES={capabilities}");
        let edits = added_on(&machine, &env, "").expect(capabilities);
        let mounts = mounts(&edits);
        assert!(mounts.contains(&"/etc/vulkan/icd.d/nvidia_icd.json"), "{mounts:?}");
        for name in ["libnvidia-egl-gbm", "libnvidia-vulkan-producer"] {
            assert_eq!(mounts.iter().filter(|path| path.contains(name)).count(), 1, "{name}: {mounts:?}");
        }
        for name in ["libnvidia-eglcore", "libnvidia-allocator", "libcuda", "nvidia-smi", "firmware"] {
            assert!(!mounts.iter().any(|path| path.contains(name)), "{name} is the hook's: {mounts:?}");
        }
        let links: Vec<_> = edits.root.links.iter().map(|link| link.what.at.as_str()).collect();
        assert!(links.iter().any(|link| link.ends_with("/gbm/nvidia-drm_gbm.so")), "{links:?}");
        assert!(!links.iter().any(|link| link.contains("libnvidia-allocator")), "{links:?}");
        assert_eq!(devices(&edits), ["/dev/dri/card0", "/dev/dri/by-path/pci-0000:07:00.0-card"]);
        assert_eq!(edits.spec.gids.iter().map(|gid| gid.what).collect::<Vec<_>>(), [44]);
        assert_eq!(edits.root.application_profile, None, "the hook writes it");
        assert!(!rules(&edits).contains("226:"), "DRM nodes are in config.json with their rules");
    }
    let edits = added_on(&machine, "NVIDIA_VISIBLE_DEVICES=0 NVIDIA_DRIVER_CAPABILITIES=video", "").expect("video");
    assert_eq!((devices(&edits).len(), edits.spec.mounts.len()), (0, 0));
}

/// The second hook puts what the first decides into the loader's cache, which the original forgets (Q4).
#[test]
fn forward_compatibility_by_hooks() {
    let hooks = |toml: &str| {
        let edits = added("NVIDIA_VISIBLE_DEVICES=0", toml);
        edits.spec.hooks.iter().map(|hook| hook.what.args[1..].join(" ")).collect::<Vec<_>>().join("; ")
    };
    let by_hook = "nvidia-container-runtime.modes.legacy.cuda-compat-mode = 'hook'\n";
    let want = "enable-cuda-compat --host-driver-version=550.54.14; update-ldcache --folder /usr/lib/x86_64-linux-gnu";
    assert_eq!(hooks(by_hook), want);
    assert_eq!(hooks(&format!("{by_hook}features.disable-cuda-compat-lib-hook = true")), "");
    for mode in ["ldconfig", "mount", "disabled", ""] {
        assert_eq!(hooks(&format!("nvidia-container-runtime.modes.legacy.cuda-compat-mode = '{mode}'")), "", "{mode}");
    }
}
