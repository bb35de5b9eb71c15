//! Command lines of `nvidia-ctk cdi generate`.

use super::{places::roots, *};
use cdi::Format;
use oci::{ContainerPath, HostPath};
use plan::{
    Config,
    spec::{HookName, HookSwitches, NameStrategy},
};

fn values(line: &str) -> Values {
    Values::of_line(line, FLAGS)
}

#[test]
fn orders_are_read_with_their_defaults() {
    let order = Order::read(&values("--nvidia-cdi-hook-path=/x/nvidia-ctk")).unwrap();
    assert_eq!((order.format, order.mode, order.output), (Format::Yaml, None, None));
    assert_eq!(order.strategies, [NameStrategy::Index, NameStrategy::Uuid]);
    assert_eq!(order.hook_program.as_str(), "/x/nvidia-ctk");
    let line = "--mode=GDS --format=Json --output=/o --disable-hooks=all,chmod --enable-hook=create-symlinks,x \
                --nvidia-ctk-path=no-such-hook";
    let order = Order::read(&values(line)).unwrap();
    assert_eq!((order.format, order.mode), (Format::Json, Some(SpecMode::Gds)));
    assert_eq!(order.output, Some("/o.json".into()));
    assert_eq!(order.hook_program.as_str(), "/usr/bin/nvidia-cdi-hook");
    let (enabled, disabled) = (vec![HookName::CreateSymlinks], vec![HookName::Chmod]);
    assert_eq!(order.hooks, HookSwitches { enabled, disabled, all_disabled: true });
}

#[test]
fn the_first_mistake_is_told() {
    for (line, want) in [
        ("--format=x --mode=x", "invalid output format: x"),
        ("--mode=x --device-name-strategy=x", "invalid discovery mode: x"),
        ("--device-name-strategy=index,x --vendor=1", "invalid device name strategy: x"),
        ("--vendor=1 --class=2", "invalid CDI vendor name: vendor \"1\" does not begin with a letter"),
        ("--class= --enable-hook=all", "invalid CDI class name: the class is missing"),
        ("--enable-hook=all", "enabling all hooks is not supported"),
    ] {
        let fault = Order::read(&values(&format!("--nvidia-cdi-hook-path=/h {line}"))).err().unwrap();
        assert!(fault.to_string().starts_with(want), "{line}: {fault}");
    }
}

#[test]
fn roots_are_absolute_whatever_was_given() {
    let config = Config::default();
    let driver = |line: &str| roots(&values(line), &config).unwrap().driver.to_string();
    let here = std::env::current_dir().unwrap();
    for (line, want) in [
        ("", "/".to_owned()),
        ("--driver-root=", "/".to_owned()),
        ("--driver-root=/run//driver/", "/run/driver".to_owned()),
        ("--driver-root=sub", format!("{}/sub", here.display())),
    ] {
        assert_eq!(driver(line), want, "{line}");
    }
    let found = roots(&values("--driver-root=/d --dev-root=/ --library-search-path=/a:/b,/c"), &config).unwrap();
    let searched: Vec<_> = found.library_search.iter().map(HostPath::as_str).collect();
    assert_eq!((found.dev.as_str(), searched), ("/", vec!["/a", "/b", "/c"]));
}

#[test]
fn unknown_features_have_no_effect() {
    let read = |line: &str| Order::read(&values(&format!("--nvidia-cdi-hook-path=/h {line}")));
    let order = read("--feature-flags=x,disable-ipc-discoverer").unwrap();
    assert!(order.has_feature("disable-ipc-discoverer") && !order.has_feature("disable-nvsandboxutils"));
}

#[test]
fn hooks_are_all_or_none() {
    let folders = |line: &str| {
        let order = Order::read(&values(&format!("--nvidia-cdi-hook-path=/h {line}")));
        order.map(|order| order.hookless).map_err(|fault| fault.to_string())
    };
    let container =
        |paths: &[&str]| Some(paths.iter().map(|path| ContainerPath::new(path).unwrap()).collect::<Vec<_>>());
    for (line, want) in [
        ("", None),
        ("--hooks=all --enable-hook=chmod", None),
        ("--hooks=one --disable-hook=chmod", None),
        ("--hooks=none", container(&["/usr/lib64", "/usr/lib"])),
        ("--hooks=none --container-library-folder=", container(&[])),
        ("--hooks=none --container-library-folders=/opt//lib", container(&["/opt/lib"])),
    ] {
        assert_eq!(folders(line), Ok(want), "{line}");
    }
    for (line, want) in [
        ("--hooks=some", "invalid value for --hooks: \"some\". Give all, one or none"),
        ("--hooks=none --enable-hook=chmod", "--hooks=none and --enable-hook contradict each other."),
        ("--hooks=none --container-library-folder=lib", "--container-library-folder: \"lib\" is not an absolute path."),
    ] {
        let error = folders(line).unwrap_err();
        assert!(error.starts_with(want), "{line}: {error}");
    }
}
