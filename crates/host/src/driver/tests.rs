//! Layouts of driver installations, each as a tree in a folder.

use crate::{
    Capabilities, Capability, Driver, DriverFile, FileKind, Inventory, Library, LibraryClass, Wanted, discover,
    ldcache,
    sample::{self, Tree},
};
use expect_test::{Expect, expect};
use oci::HostPath;

const MULTIARCH: &str = "usr/lib/x86_64-linux-gnu";
const VERSION: &str = "550.54.14";

fn look(tree: &Tree) -> Inventory {
    discover(&tree.roots(), Wanted::ALL).unwrap()
}

fn driver(tree: &Tree) -> Driver {
    look(tree).driver.expect("a driver is installed")
}

fn library(file: &DriverFile) -> Option<&Library> {
    match &file.kind {
        FileKind::Library(library) => Some(library),
        _ => None,
    }
}

/// One line a file: what it is, where the container has it, links, capabilities.
fn show(driver: &Driver) -> String {
    let mut text = format!("{}\n", driver.version);
    for file in &driver.files {
        let kind = match &file.kind {
            FileKind::Library(Library { class: LibraryClass::Native, .. }) => "library",
            FileKind::Library(Library { class: LibraryClass::Compat32, .. }) => "32-bit",
            FileKind::Binary => "binary",
            FileKind::Firmware => "firmware",
            FileKind::Config => "config",
            FileKind::Socket => "socket",
            FileKind::MeetingPlace => "meeting place",
        };
        text += &format!("{kind} {}", file.path);
        let place = file.host.strip_prefix(&driver.root).map(|below| format!("/{below}"));
        if place.as_deref() != Some(file.path.as_str()) {
            text += &format!(" (from {})", place.as_deref().unwrap_or(file.host.as_str()));
        }
        if file.capabilities == Capabilities::ALWAYS {
            text += " always";
        } else {
            text += &format!(" {}", file.capabilities);
        }
        text += "\n";
        for link in library(file).into_iter().flat_map(|library| &library.links) {
            text += &format!("    {} -> {}\n", link.name, link.target);
        }
    }
    text
}

fn check(tree: &Tree, want: Expect) {
    want.assert_eq(&show(&driver(tree)));
}

fn paths(driver: &Driver) -> Vec<&str> {
    driver.files.iter().map(|file| file.path.as_str()).collect()
}

fn cache_of(entries: &[(&str, &str)]) -> Vec<u8> {
    let entry = |(name, folder): &(&str, &str)| ldcache::Entry {
        flags: ldcache::ELF_LIBC6 | ldcache::X86_64,
        name: (*name).to_owned(),
        path: format!("{folder}/{name}"),
        osversion: 0,
        hwcap: 0,
    };
    ldcache::write(&ldcache::Cache { entries: entries.iter().map(entry).collect(), ..ldcache::Cache::default() })
}

#[test]
fn a_machine_without_anything_is_empty() {
    assert_eq!(look(&Tree::new()), Inventory::default());
}

#[test]
fn plain_multiarch() {
    let tree = Tree::new();
    tree.kernel(VERSION, &[]).folder("usr/lib64");
    for stem in ["libnvidia-ml", "libcuda", "libnvidia-allocator", "libGLX_nvidia", "libnvidia-brandnew"] {
        tree.library(MULTIARCH, stem, VERSION);
    }
    tree.link(&format!("{MULTIARCH}/libnvidia-ml.so"), "libnvidia-ml.so.1");
    tree.library(&format!("{MULTIARCH}/vdpau"), "libvdpau_nvidia", VERSION);
    tree.library(MULTIARCH, "libnvidia-egl-gbm", "1.1.0").library(MULTIARCH, "libpng16", "16.39.0");
    tree.file(&format!("{MULTIARCH}/nvidia/xorg/nvidia_drv.so"), sample::Library::nameless().bytes());
    let glx = sample::Library::named("libglxserver_nvidia.so").bytes();
    tree.file(&format!("{MULTIARCH}/nvidia/xorg/libglxserver_nvidia.so.{VERSION}"), glx);
    tree.program("usr/bin/nvidia-smi").file("usr/bin/nvidia-debugdump", "not executable");
    tree.file("usr/share/vulkan/icd.d/nvidia_icd.json", "{}").file("etc/OpenCL/vendors/nvidia.icd", "");
    tree.file("etc/glvnd/egl_vendor.d/10_nvidia.json", "{}");
    tree.file(&format!("lib/firmware/nvidia/{VERSION}/gsp_ga10x.bin"), "")
        .file("lib/firmware/nvidia/535.1/gsp.bin", "");
    tree.socket("run/nvidia-persistenced/socket").link("var/run", "/run").folder("tmp/nvidia-mps");
    check(
        &tree,
        expect![[r#"
        550.54.14
        library /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.54.14 utility
            libnvidia-ml.so.1 -> libnvidia-ml.so.550.54.14
            libnvidia-ml.so -> libnvidia-ml.so.1
        library /usr/lib/x86_64-linux-gnu/libcuda.so.550.54.14 compute,video
            libcuda.so -> libcuda.so.1
            libcuda.so.1 -> libcuda.so.550.54.14
        library /usr/lib/x86_64-linux-gnu/libnvidia-allocator.so.550.54.14 compute,display,graphics,video
            gbm/nvidia-drm_gbm.so -> ../libnvidia-allocator.so.1
            libnvidia-allocator.so.1 -> libnvidia-allocator.so.550.54.14
        library /usr/lib/x86_64-linux-gnu/vdpau/libvdpau_nvidia.so.550.54.14 video
            vdpau/libvdpau_nvidia.so.1 -> libvdpau_nvidia.so.550.54.14
        library /usr/lib/x86_64-linux-gnu/libGLX_nvidia.so.550.54.14 display,graphics
            libGLX_indirect.so.0 -> libGLX_nvidia.so.550.54.14
            libGLX_nvidia.so.1 -> libGLX_nvidia.so.550.54.14
        library /usr/lib/x86_64-linux-gnu/libnvidia-egl-gbm.so.1.1.0 display,graphics
            libnvidia-egl-gbm.so.1 -> libnvidia-egl-gbm.so.1.1.0
        library /usr/lib/x86_64-linux-gnu/nvidia/xorg/nvidia_drv.so display,graphics
        library /usr/lib/x86_64-linux-gnu/nvidia/xorg/libglxserver_nvidia.so.550.54.14 display,graphics
            nvidia/xorg/libglxserver_nvidia.so -> libglxserver_nvidia.so.550.54.14
        library /usr/lib/x86_64-linux-gnu/libnvidia-brandnew.so.550.54.14 compat32,compute,display,graphics,ngx,utility,video
            libnvidia-brandnew.so.1 -> libnvidia-brandnew.so.550.54.14
        binary /usr/bin/nvidia-smi utility
        config /usr/share/glvnd/egl_vendor.d/10_nvidia.json (from /etc/glvnd/egl_vendor.d/10_nvidia.json) display,graphics
        config /etc/OpenCL/vendors/nvidia.icd compute,display,graphics,video
        config /etc/vulkan/icd.d/nvidia_icd.json (from /usr/share/vulkan/icd.d/nvidia_icd.json) display,graphics
        firmware /lib/firmware/nvidia/550.54.14/gsp_ga10x.bin always
        socket /run/nvidia-persistenced/socket utility
        meeting place /tmp/nvidia-mps compute
    "#]],
    );
    assert!(look(&tree).remarks.is_empty());
}

#[test]
fn lib64_with_merged_usr_counts_every_file_once() {
    let tree = Tree::new();
    tree.link("lib64", "usr/lib64").link("lib", "usr/lib").kernel(VERSION, &[]);
    tree.library("usr/lib64", "libcuda", VERSION).library("usr/lib64", "libnvidia-ml", VERSION);
    tree.file("etc/ld.so.cache", cache_of(&[("libcuda.so.1", "/lib64"), ("libnvidia-ml.so.1", "/usr/lib64")]));
    check(
        &tree,
        expect![[r#"
        550.54.14
        library /usr/lib64/libnvidia-ml.so.550.54.14 utility
            libnvidia-ml.so.1 -> libnvidia-ml.so.550.54.14
        library /usr/lib64/libcuda.so.550.54.14 compute,video
            libcuda.so -> libcuda.so.1
            libcuda.so.1 -> libcuda.so.550.54.14
    "#]],
    );
    assert!(look(&tree).remarks.is_empty());
}

#[test]
fn another_root_behind_a_link() {
    let tree = Tree::new();
    tree.kernel(VERSION, &[]).library("real/driver/usr/lib64", "libcuda", VERSION).link("run/driver", "../real/driver");
    for root in ["real/driver", "run/driver", "run/driver/"] {
        let mut roots = tree.roots();
        roots.driver = HostPath::new(format!("{}/{root}", tree.root())).unwrap();
        let driver = discover(&roots, Wanted::ALL).unwrap().driver.unwrap();
        assert_eq!(driver.root, tree.root().join("real/driver"), "{root}");
        assert_eq!(paths(&driver), ["/usr/lib64/libcuda.so.550.54.14"], "{root}");
        assert_eq!(driver.files[0].host, tree.root().join("real/driver/usr/lib64/libcuda.so.550.54.14"));
    }
}

#[test]
fn a_root_that_does_not_exist_is_an_error() {
    let mut roots = Tree::new().roots();
    roots.driver = roots.driver.join("none");
    let error = discover(&roots, Wanted::ALL).unwrap_err().to_string();
    assert!(error.contains("/none as driver root: No such file"), "{error}");
}

#[test]
fn absolute_links_stay_in_the_root() {
    let tree = Tree::new();
    tree.kernel(VERSION, &[]);
    tree.link("usr/lib64", "/opt/driver/lib").library("opt/driver/lib", "libcuda", VERSION);
    tree.link("usr/bin/nvidia-smi", "/etc/alternatives/nvidia-smi");
    tree.link("etc/alternatives/nvidia-smi", "/opt/driver/bin/nvidia-smi").program("opt/driver/bin/nvidia-smi");
    check(
        &tree,
        expect![[r#"
        550.54.14
        library /opt/driver/lib/libcuda.so.550.54.14 compute,video
            libcuda.so -> libcuda.so.1
            libcuda.so.1 -> libcuda.so.550.54.14
        binary /usr/bin/nvidia-smi (from /opt/driver/bin/nvidia-smi) utility
    "#]],
    );
}

#[test]
fn debian_alternatives() {
    let tree = Tree::new();
    let current = format!("{MULTIARCH}/nvidia/current");
    tree.kernel(VERSION, &[]);
    for stem in ["libcuda", "libnvidia-ml"] {
        tree.library(&current, stem, VERSION);
        tree.link(&format!("{current}/{stem}.so"), &format!("{stem}.so.1"));
        tree.link(&format!("{MULTIARCH}/{stem}.so.1"), &format!("/etc/alternatives/glx--{stem}.so.1"));
        tree.link(&format!("etc/alternatives/glx--{stem}.so.1"), &format!("/{current}/{stem}.so.1"));
    }
    check(
        &tree,
        expect![[r#"
        550.54.14
        library /usr/lib/x86_64-linux-gnu/nvidia/current/libnvidia-ml.so.550.54.14 utility
            libnvidia-ml.so.1 -> libnvidia-ml.so.550.54.14
            libnvidia-ml.so -> libnvidia-ml.so.1
        library /usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.550.54.14 compute,video
            libcuda.so -> libcuda.so.1
            libcuda.so.1 -> libcuda.so.550.54.14
    "#]],
    );
}

#[test]
fn alternatives_lead_to_folders_that_nobody_names() {
    let tree = Tree::new();
    tree.kernel(VERSION, &[]).library("opt/tesla/lib", "libcuda", VERSION).library(
        "opt/tesla/lib",
        "libnvcuvid",
        VERSION,
    );
    tree.link(&format!("{MULTIARCH}/libcuda.so.1"), "/opt/tesla/lib/libcuda.so.1");
    assert_eq!(
        paths(&driver(&tree)),
        ["/opt/tesla/lib/libcuda.so.550.54.14", "/opt/tesla/lib/libnvcuvid.so.550.54.14"]
    );
}

#[test]
fn folders_of_the_loader_cache_add_to_the_standard_ones() {
    let tree = Tree::new();
    tree.kernel(VERSION, &[]).library(MULTIARCH, "libnvidia-ml", VERSION);
    tree.library("opt/nvidia/lib", "libcuda", VERSION).library("usr/local/cuda/compat", "libcuda", "570.1");
    tree.library("opt/other", "libnvcuvid", VERSION);
    tree.file(
        "etc/ld.so.cache",
        cache_of(&[
            ("libpng16.so.16", "/opt/other"),
            ("libcuda.so.1", "/usr/local/cuda/compat"),
            ("libcuda.so.1", "/opt/nvidia/lib"),
        ]),
    );
    assert_eq!(
        paths(&driver(&tree)),
        [format!("/{MULTIARCH}/libnvidia-ml.so.{VERSION}"), format!("/opt/nvidia/lib/libcuda.so.{VERSION}")]
    );
}

#[test]
fn a_damaged_loader_cache_is_named_and_left() {
    let tree = Tree::new();
    tree.kernel(VERSION, &[]).library(MULTIARCH, "libcuda", VERSION).file("etc/ld.so.cache", "junk");
    let found = look(&tree);
    assert_eq!(paths(&found.driver.unwrap()).len(), 1);
    assert!(found.remarks[0].contains("/etc/ld.so.cache is left out of account"), "{:?}", found.remarks);
}

#[test]
fn of_several_versions_the_loaded_one_counts() {
    let tree = Tree::new();
    for version in ["550.9", VERSION, "535.161.08"] {
        tree.file(&format!("{MULTIARCH}/libcuda.so.{version}"), sample::Library::named("libcuda.so.1").bytes());
    }
    assert_eq!(driver(&tree).version, VERSION);
    tree.kernel("535.161.08", &[]);
    assert_eq!(paths(&driver(&tree)), [format!("/{MULTIARCH}/libcuda.so.535.161.08")]);
    assert!(look(&tree).remarks.is_empty());
}

#[test]
fn a_mismatch_and_a_lack_are_remarked() {
    let tree = Tree::new();
    tree.kernel(VERSION, &[]);
    let remarks = look(&tree).remarks;
    assert!(
        remarks[0].starts_with("The kernel module 550.54.14 is loaded, but there is no libcuda.so.*"),
        "{remarks:?}"
    );
    tree.library(MULTIARCH, "libcuda", "550.90");
    let found = look(&tree);
    assert_eq!(found.driver.unwrap().version, "550.90");
    assert_eq!(
        found.remarks,
        ["The kernel module is 550.54.14, but the libraries are 550.90; reboot, or reload the module."]
    );
}

#[test]
fn thirty_two_bit_libraries_are_told_by_their_content() {
    let tree = Tree::new();
    tree.kernel(VERSION, &[]).library("usr/lib64", "libcuda", VERSION);
    let narrow = sample::Library::named("libcuda.so.1").narrow().bytes();
    for folder in ["usr/lib", "usr/lib/i386-linux-gnu"] {
        tree.file(&format!("{folder}/libcuda.so.{VERSION}"), &narrow);
    }
    let narrow = sample::Library::named("libnvidia-ml.so.1").narrow().bytes();
    tree.file(&format!("usr/lib/libnvidia-ml.so.{VERSION}"), narrow);
    let found = look(&tree);
    expect![[r#"
        550.54.14
        32-bit /usr/lib/libnvidia-ml.so.550.54.14 utility
            libnvidia-ml.so.1 -> libnvidia-ml.so.550.54.14
        32-bit /usr/lib/i386-linux-gnu/libcuda.so.550.54.14 compute,video
            libcuda.so -> libcuda.so.1
            libcuda.so.1 -> libcuda.so.550.54.14
        library /usr/lib64/libcuda.so.550.54.14 compute,video
            libcuda.so -> libcuda.so.1
            libcuda.so.1 -> libcuda.so.550.54.14
    "#]]
    .assert_eq(&show(found.driver.as_ref().unwrap()));
    assert_eq!(found.remarks.len(), 1);
    assert!(found.remarks[0].contains("usr/lib/libcuda.so.550.54.14 is left out"), "{:?}", found.remarks);
    let native = Wanted { capabilities: Capabilities::of(&[Capability::Compute]), ..Wanted::ALL };
    let driver = discover(&tree.roots(), native).unwrap().driver.unwrap();
    assert_eq!(paths(&driver), ["/usr/lib64/libcuda.so.550.54.14"]);
}

#[test]
fn only_what_is_wanted_is_there() {
    let tree = Tree::new();
    tree.kernel(VERSION, &[]).program("usr/bin/nvidia-smi").program("usr/bin/nvidia-xconfig");
    for stem in ["libnvidia-ml", "libcuda", "libnvidia-glcore", "libnvidia-brandnew"] {
        tree.library(MULTIARCH, stem, VERSION);
    }
    tree.file(&format!("lib/firmware/nvidia/{VERSION}/gsp_tu10x.bin"), "");
    let utility = Wanted { capabilities: Capabilities::of(&[Capability::Utility]), ..Wanted::ALL };
    let driver = discover(&tree.roots(), utility).unwrap().driver.unwrap();
    let names: Vec<_> = driver.files.iter().map(|file| file.path.file_name()).collect();
    let want = ["libnvidia-ml.so.550.54.14", "libnvidia-brandnew.so.550.54.14", "nvidia-smi", "gsp_tu10x.bin"];
    assert_eq!(names, want);
    let nothing = Wanted { driver: false, ..Wanted::ALL };
    assert_eq!(discover(&tree.roots(), nothing).unwrap().driver, None);
}

#[test]
fn vendor_neutral_libraries_come_on_demand() {
    let tree = Tree::new();
    tree.kernel(VERSION, &[]).library(MULTIARCH, "libcuda", VERSION);
    tree.library(MULTIARCH, "libGL", "1.7.0").library(MULTIARCH, "libOpenCL", "1.0.0");
    assert_eq!(paths(&driver(&tree)).len(), 1);
    let explicit = Wanted { explicit_libraries: true, ..Wanted::ALL };
    let driver = discover(&tree.roots(), explicit).unwrap().driver.unwrap();
    assert_eq!(driver.files[1].path.file_name(), "libGL.so.1.7.0");
    assert_eq!(driver.files[2].path.file_name(), "libOpenCL.so.1.0.0");
}

#[test]
fn of_own_versions_the_newest_is_taken() {
    let tree = Tree::new();
    tree.kernel(VERSION, &[]).library(MULTIARCH, "libcuda", VERSION);
    for version in ["1.1.9", "1.1.13"] {
        let bytes = sample::Library::named("libnvidia-egl-wayland.so.1").bytes();
        tree.file(&format!("{MULTIARCH}/libnvidia-egl-wayland.so.{version}"), bytes);
    }
    assert_eq!(driver(&tree).files[1].path.file_name(), "libnvidia-egl-wayland.so.1.1.13");
}

#[test]
fn given_search_paths_replace_the_standard_ones() {
    let tree = Tree::new();
    tree.kernel(VERSION, &[]).library(MULTIARCH, "libcuda", VERSION).library("elsewhere", "libcuda", "1111.1");
    tree.file("configs/vulkan/icd.d/nvidia_icd.json", "").file("etc/vulkan/icd.d/nvidia_icd.json", "");
    let mut roots = tree.roots();
    roots.driver = tree.root().join("usr");
    roots.library_search = vec![tree.root().join("elsewhere")];
    roots.config_search = vec![tree.root().join("configs")];
    let driver = discover(&roots, Wanted::ALL).unwrap().driver.unwrap();
    assert_eq!(driver.version, "1111.1");
    assert_eq!(driver.files[0].path.as_str(), tree.root().join("elsewhere/libcuda.so.1111.1").as_str());
    assert_eq!(driver.files[1].host, tree.root().join("configs/vulkan/icd.d/nvidia_icd.json"));
    assert_eq!(driver.files[1].path.as_str(), "/etc/vulkan/icd.d/nvidia_icd.json");
}

#[test]
fn what_is_no_library_is_named() {
    let tree = Tree::new();
    tree.kernel(VERSION, &[]).file(&format!("{MULTIARCH}/libcuda.so.{VERSION}"), "junk");
    let found = look(&tree);
    assert_eq!(found.driver.unwrap().files.len(), 1);
    assert!(found.remarks[0].ends_with("has the name of a driver library, but it is not an ELF file."));
}

#[test]
fn firmware_may_lie_where_the_kernel_was_told() {
    let tree = Tree::new();
    tree.kernel(VERSION, &[]).library(MULTIARCH, "libcuda", VERSION);
    tree.file("sys/module/firmware_class/parameters/path", "/opt/firmware\n");
    tree.file("proc/sys/kernel/osrelease", "6.1.0\n");
    for folder in ["opt/firmware", "lib/firmware/6.1.0", "lib/firmware"] {
        tree.file(&format!("{folder}/nvidia/{VERSION}/gsp_{}.bin", folder.len()), "");
        tree.file(&format!("{folder}/nvidia/{VERSION}/gsp.bin"), "");
    }
    let driver = driver(&tree);
    let files: Vec<_> = driver.files.iter().filter(|file| file.kind == FileKind::Firmware).collect();
    let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/opt/firmware/nvidia/550.54.14/gsp.bin",
            "/opt/firmware/nvidia/550.54.14/gsp_12.bin",
            "/lib/firmware/6.1.0/nvidia/550.54.14/gsp_18.bin",
        ]
    );
}
