//! The reference's tables (runtime-and-hook.md 4.3, 4.4, 4.5, 4.8, 5.1), and rule 5: granted ⊆ requested ⊆ allowed.

use super::*;
use proptest::prelude::*;

fn entries(env: &[&str]) -> Vec<String> {
    env.iter().map(|entry| (*entry).to_owned()).collect()
}

/// Reads a request from an unprivileged container's variables.
fn read(env: &[&str], config: &Config) -> Reading {
    let env = entries(env);
    Request::read(&ContainerView { env: &env, ..ContainerView::default() }, config)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn request(env: &[&str]) -> Option<Request> {
    read(env, &Config::default()).request
}

/// The devices as short text: `-` for no request.
fn devices(reading: &Reading) -> String {
    match reading.request.as_ref().map(|request| &request.devices) {
        None => "-".into(),
        Some(DeviceRequest::All) => "all".into(),
        Some(DeviceRequest::None) => "none".into(),
        Some(DeviceRequest::Ids(names)) => names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join("|"),
    }
}

fn config(text: &str) -> Config {
    Config::parse(text).expect(text).0
}

#[test]
fn visible_devices() {
    for (env, want) in [
        (&[][..], "-"),
        (&["NVIDIA_REQUIRE_CUDA=cuda>=9", "CUDA_VERSION=9"], "-"),
        (&["CUDA_VERSION=9.0"], "all"),
        (&["CUDA_VERSION="], "-"),
        (&["CUDA_VERSION=9.0", "NVIDIA_REQUIRE_CUDA="], "all"),
        (&["CUDA_VERSION=9.0", "NVIDIA_VISIBLE_DEVICES="], "-"),
        (&["NVIDIA_VISIBLE_DEVICES="], "-"),
        (&["NVIDIA_VISIBLE_DEVICES"], "-"),
        (&["NVIDIA_VISIBLE_DEVICES=,"], "-"),
        (&["NVIDIA_VISIBLE_DEVICES=void"], "-"),
        (&["NVIDIA_VISIBLE_DEVICES=0,void"], "-"),
        (&["NVIDIA_VISIBLE_DEVICES=all, void "], "-"),
        (&["NVIDIA_VISIBLE_DEVICES=none,void"], "-"),
        (&["NVIDIA_VISIBLE_DEVICES=none"], "none"),
        (&["NVIDIA_VISIBLE_DEVICES=0,none,1"], "none"),
        (&["NVIDIA_VISIBLE_DEVICES=none,all"], "none"),
        (&["NVIDIA_VISIBLE_DEVICES=all"], "all"),
        (&["NVIDIA_VISIBLE_DEVICES=0,all"], "all"),
        (&["NVIDIA_VISIBLE_DEVICES=all,none"], "all"),
        (&["NVIDIA_VISIBLE_DEVICES= 0 , 1 ,,"], "0|1"),
        (&["NVIDIA_VISIBLE_DEVICES=0,0,1"], "0|1"),
        (&["NVIDIA_VISIBLE_DEVICES=1,0,1"], "1|0"),
        (&["NVIDIA_VISIBLE_DEVICES=ALL"], "ALL"),
        (&["NVIDIA_VISIBLE_DEVICES=0", "FOO", "NVIDIA_VISIBLE_DEVICES=1"], "1"),
        (&["NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_VISIBLE_DEVICES"], "0"),
        (&["NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0,1"], "nvidia.com/gpu=0|1"),
        (&["NVIDIA_VISIBLE_DEVICES=a/gpu=0"], "a/gpu=0"),
        (&["NVIDIA_VISIBLE_DEVICES=runtime.nvidia.com/gpu=all"], "all"),
    ] {
        assert_eq!(devices(&read(env, &Config::default())), want, "{env:?}");
    }
}

#[test]
fn swarm_variables_replace_the_usual_one() {
    let config = config("swarm-resource = ' RES_A ,, RES_B'");
    for (env, want) in [
        (&["NVIDIA_VISIBLE_DEVICES=0"][..], "0"),
        (&["NVIDIA_VISIBLE_DEVICES=0", "RES_B=2", "RES_A=1"], "1|2"),
        (&["NVIDIA_VISIBLE_DEVICES=0", "RES_B="], "-"),
        (&["RES_A=1", "RES_B=void"], "-"),
        (&["CUDA_VERSION=9.0", "RES_A="], "-"),
    ] {
        assert_eq!(devices(&read(env, &config)), want, "{env:?}");
    }
}

#[test]
fn unprivileged_requests_can_be_forbidden() {
    let config = config("accept-nvidia-visible-devices-envvar-when-unprivileged = false");
    let reading = read(&["NVIDIA_VISIBLE_DEVICES=all"], &config);
    assert_eq!(reading.request, None);
    assert_eq!(
        reading.warnings,
        ["Ignoring devices requested by environment variable(s) in unprivileged container: [NVIDIA_VISIBLE_DEVICES]"]
    );
    assert_eq!(read(&["NVIDIA_VISIBLE_DEVICES=void"], &config), Reading::default());
    let env = entries(&["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_GDS=enabled"]);
    let view = ContainerView { env: &env, privileged: true, ..ContainerView::default() };
    let request = Request::read(&view, &config).expect("privileged").request.expect("all");
    assert_eq!((request.devices, request.gated), (DeviceRequest::All, vec![Gated::Gds]));
}

/// Devices by mount, with the policy against variables, so that everything else must be ignored.
fn by_mounts(mounts: &[(&str, &str)], env: &[&str]) -> Reading {
    let text = "accept-nvidia-visible-devices-as-volume-mounts = true\n\
                accept-nvidia-visible-devices-envvar-when-unprivileged = false";
    let mounts: Vec<_> = mounts.iter().map(|&(destination, source)| MountView { destination, source }).collect();
    let env = entries(env);
    let view = ContainerView { env: &env, mounts: &mounts, ..ContainerView::default() };
    Request::read(&view, &config(text)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn mounts() {
    const FOLDER: &str = "/var/run/nvidia-container-devices";
    for (below, want) in [
        ("/0", "0"),
        ("//1/", "1"),
        ("/../nvidia-container-devices/2", "2"),
        ("", "-"),
        ("-evil/1", "-"),
        ("/0/1", "0/1"),
        ("/0,1", "0,1"),
        ("/all", "all"),
        ("/none", "none"),
        ("/void", "void"),
        ("/cdi/nvidia.com/gpu/0", "nvidia.com/gpu=0"),
        ("/cdi/nvidia.com/gpu=0", "nvidia.com/gpu=0"),
        ("/imex/0", "-"),
    ] {
        let reading = by_mounts(&[(&format!("{FOLDER}{below}"), "/dev/null")], &[]);
        assert_eq!(devices(&reading), want, "{below}");
        assert!(reading.warnings.is_empty());
    }
    for (destination, source) in [
        ("/run/nvidia-container-devices/0", "/dev/null"),
        ("/var/run/nvidia-container-devices/0", "/dev/zero"),
        ("/var/run/nvidia-container-devices/0", "dev/null"),
        ("var/run/nvidia-container-devices/0", "/dev/null"),
    ] {
        assert_eq!(devices(&by_mounts(&[(destination, source)], &[])), "-", "{destination} {source}");
    }
    let twice =
        [("/var/run/nvidia-container-devices/0", "/dev/null"), ("/var/run/nvidia-container-devices/0/", "//dev/null")];
    assert_eq!(devices(&by_mounts(&twice, &["NVIDIA_VISIBLE_DEVICES=1"])), "0");
    let reading = by_mounts(&[("/var/run/nvidia-container-devices/cdi/foo", "/dev/null")], &[]);
    assert_eq!(
        reading.warnings,
        ["Ignoring invalid mount request for CDI device cdi/foo: invalid mount CDI device request: cdi/foo"]
    );
}

fn annotated(mode: &str, value: &str, env: &[&str]) -> Reading {
    let annotations =
        [("cdi.k8s.io/x".to_owned(), value.to_owned()), ("other".to_owned(), "nvidia.com/gpu=9".to_owned())];
    let env = entries(env);
    let view = ContainerView { env: &env, annotations: &annotations, ..ContainerView::default() };
    let config = config(&format!("nvidia-container-runtime.mode = {mode:?}"));
    Request::read(&view, &config).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn annotations() {
    const ENV: &[&str] = &["NVIDIA_VISIBLE_DEVICES=1"];
    for (mode, value, env, want) in [
        ("auto", "nvidia.com/gpu=0", ENV, "nvidia.com/gpu=0"),
        (
            "auto",
            "k8s.device-plugin.nvidia.com/gpu=0, nvidia.com/gpu=1,",
            ENV,
            "k8s.device-plugin.nvidia.com/gpu=0|nvidia.com/gpu=1",
        ),
        ("auto", "nvidia.com/gpu=0,1", ENV, "1"),
        ("auto", "vendor.com/net=eth0", ENV, "1"),
        ("auto", "vendor.com/net=eth0", &[], "vendor.com/net=eth0"),
        (
            "auto",
            "vendor.com/net=eth0",
            &["NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=1"],
            "vendor.com/net=eth0|nvidia.com/gpu=1",
        ),
        ("cdi", "vendor.com/net=eth0", ENV, "vendor.com/net=eth0|1"),
        ("cdi", "vendor.com/net=eth0", &["NVIDIA_VISIBLE_DEVICES=all"], "vendor.com/net=eth0|nvidia.com/gpu=all"),
        ("cdi", "0", ENV, "0"),
        ("cdi", "all, vendor.com/net=eth0", ENV, "all|vendor.com/net=eth0"),
        ("cdi", "runtime.nvidia.com/gpu=all", ENV, "all"),
        ("cdi", "vendor.com/net=eth0", &["NVIDIA_VISIBLE_DEVICES=runtime.nvidia.com/gpu=all"], "all"),
        ("legacy", "nvidia.com/gpu=0", ENV, "1"),
        ("jit-cdi", "nvidia.com/gpu=0", &[], "-"),
    ] {
        assert_eq!(devices(&annotated(mode, value, env)), want, "{mode} {value} {env:?}");
    }
}

#[test]
fn cdi_names() {
    for (value, want) in [
        ("0,vendor.com/x=y", "nvidia.com/gpu=0 vendor.com/x=y"),
        ("all", "nvidia.com/gpu=all"),
        ("none", "nvidia.com/gpu=none"),
        ("nvidia.com/gpu=0,0", "nvidia.com/gpu=0"),
        ("foo/bar", "nvidia.com/gpu=foo/bar"),
    ] {
        let request = request(&[&format!("NVIDIA_VISIBLE_DEVICES={value}")]).expect(value);
        assert_eq!(request.cdi_names("nvidia.com/gpu").join(" "), want);
    }
}

#[test]
fn what_a_spec_says_is_not_judged() {
    let odd = [
        &["NVIDIA_DRIVER_CAPABILITIES=fabric", "CUDA_VERSION=x", "NVIDIA_REQUIRE_ODD=?"][..],
        &["NVIDIA_MIG_CONFIG_DEVICES=all"],
        &["NVIDIA_MIG_MONITOR_DEVICES=all"],
    ];
    for (mode, devices, judged) in [
        ("cdi", "0", false),
        ("auto", "vendor.com/net=eth0", false),
        ("jit-cdi", "nvidia.com/gpu=0", false),
        ("cdi", "runtime.nvidia.com/gpu=0", true),
        ("auto", "0", true),
        ("legacy", "nvidia.com/gpu=0", true),
    ] {
        for odd in odd {
            let mut env = entries(odd);
            env.push(format!("NVIDIA_VISIBLE_DEVICES={devices}"));
            let config = config(&format!("nvidia-container-runtime.mode = {mode:?}"));
            let reading = Request::read(&ContainerView { env: &env, ..ContainerView::default() }, &config);
            assert_eq!(reading.is_err(), judged, "{mode} {devices} {odd:?}");
            let asked = reading.ok().and_then(|reading| reading.request);
            assert!(asked.is_none_or(|request| request.requirements.is_empty()
                && request.capabilities.is_empty()
                && !request.partitions()));
        }
    }
}

fn imex(request: &Request) -> String {
    match &request.imex {
        ImexRequest::All { .. } => "all".into(),
        ImexRequest::Channels(names) => names
            .iter()
            .map(|name| name.number.map_or("?".into(), |number| number.to_string()))
            .collect::<Vec<_>>()
            .join(","),
    }
}

#[test]
fn imex_channels() {
    for (value, want) in [
        ("0,1", "0,1"),
        ("all", ""),
        ("all,1", ""),
        ("void", ""),
        ("none", ""),
        ("", ""),
        (" , ", ""),
        ("0,1,1", "0,1"),
        ("channel1,1,01", "1"),
        ("1048575", "1048575"),
        ("1048576", "?"),
        ("abc", "?"),
        ("+1", "?"),
    ] {
        let request = request(&["NVIDIA_VISIBLE_DEVICES=0", &format!("NVIDIA_IMEX_CHANNELS={value}")]).expect(value);
        assert_eq!(imex(&request), want, "{value}");
    }
    assert_eq!(request(&["NVIDIA_IMEX_CHANNELS=0"]), None);
    let mounts = |below: &str| {
        let imex = format!("/var/run/nvidia-container-devices/imex/{below}");
        let gpu = "/var/run/nvidia-container-devices/0";
        by_mounts(&[(gpu, "/dev/null"), (&imex, "/dev/null")], &["NVIDIA_IMEX_CHANNELS=7"]).request.expect("gpu")
    };
    assert_eq!(imex(&mounts("all")), "all");
    assert_eq!(imex(&mounts("3")), "3");
    let forbidden = by_mounts(&[("/var/run/nvidia-container-devices/0", "/dev/null")], &["NVIDIA_IMEX_CHANNELS=7"]);
    assert_eq!(
        forbidden.warnings,
        ["Ignoring request by environment variable(s) in unprivileged container: [NVIDIA_IMEX_CHANNELS]"]
    );
    let ignoring = config("features.ignore-imex-channel-requests = true");
    let reading = read(&["NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_IMEX_CHANNELS=1"], &ignoring);
    assert_eq!(reading.request.as_ref().map(imex), Some(String::new()));
}

#[test]
fn gated_groups_say_enabled_and_obey_the_policy() {
    let env = ["NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_NVSWITCH=enabled", "NVIDIA_GDS=enabled", "NVIDIA_MOFED=true"];
    assert_eq!(request(&env).map(|request| request.gated), Some(vec![Gated::Gds, Gated::NvSwitch]));
    let reading = by_mounts(&[("/var/run/nvidia-container-devices/0", "/dev/null")], &env[1..]);
    assert_eq!(reading.request.map(|request| request.gated), Some(vec![]));
    assert_eq!(
        reading.warnings,
        ["Ignoring request by environment variable(s) in unprivileged container: [NVIDIA_GDS NVIDIA_NVSWITCH]"]
    );
}

#[test]
fn partitioning_is_for_the_privileged() {
    for (variable, short) in
        [("NVIDIA_MIG_CONFIG_DEVICES", "MIG_CONFIG_DEVICES"), ("NVIDIA_MIG_MONITOR_DEVICES", "MIG_MONITOR_DEVICES")]
    {
        let env = entries(&["NVIDIA_VISIBLE_DEVICES=all", &format!("{variable}=all")]);
        let view = ContainerView { env: &env, ..ContainerView::default() };
        let error = Request::read(&view, &Config::default()).expect_err(short).to_string();
        assert!(error.starts_with(&format!("cannot set {short} in non privileged container")), "{error}");
        let view = ContainerView { privileged: true, ..view };
        assert!(Request::read(&view, &Config::default()).is_ok());
    }
    assert!(request(&["NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_MIG_CONFIG_DEVICES="]).is_some());
}

#[test]
fn requirements() {
    let list = |env: &[&str], config: &Config| {
        let request = read(env, config).request.expect("a request");
        request.requirements.iter().map(|one| format!("{}:{}", one.variable, one.text)).collect::<Vec<_>>().join(" ")
    };
    let env = [
        "NVIDIA_VISIBLE_DEVICES=0",
        "NVIDIA_REQUIRE_Z=1",
        "NVIDIA_REQUIRE_CUDA=cuda>=9",
        "NVIDIA_REQUIRE_JETPACK_X=y",
        "NVIDIA_REQUIRE_Z=2",
        "NVIDIA_REQUIRE_=",
        "CUDA_VERSION=9.2.1",
    ];
    let want = "NVIDIA_REQUIRE_: NVIDIA_REQUIRE_CUDA:cuda>=9 NVIDIA_REQUIRE_Z:2";
    assert_eq!(list(&env, &Config::default()), want);
    assert_eq!(list(&env, &config("disable-require = true")), "");
    assert_eq!(list(&["CUDA_VERSION=v9.1-foo"], &Config::default()), "CUDA_VERSION:cuda>=9.1");
    for (value, disables) in
        [("1", true), ("True", true), ("t", true), ("yes", false), ("on", false), ("", false), ("0", false)]
    {
        let disable = format!("NVIDIA_DISABLE_REQUIRE={value}");
        assert_eq!(list(&[&env[..], &[&disable]].concat(), &Config::default()).is_empty(), disables, "{value}");
    }
    let env = entries(&["CUDA_VERSION=abc"]);
    let error = Request::read(&ContainerView { env: &env, ..ContainerView::default() }, &Config::default());
    assert!(error.expect_err("abc").to_string().starts_with("failed to get version: invalid CUDA version abc: "));
}

#[test]
fn capabilities_are_judged_where_they_decide() {
    let env = entries(&["NVIDIA_VISIBLE_DEVICES=0", "NVIDIA_DRIVER_CAPABILITIES=compute, fabric"]);
    let view = ContainerView { env: &env, ..ContainerView::default() };
    for mode in ["auto", "jit-cdi", "legacy"] {
        let config = config(&format!("nvidia-container-runtime.mode = {mode:?}"));
        assert!(matches!(Request::read(&view, &config), Err(RequestError::Capabilities(_))));
    }
    let config = config("nvidia-container-runtime.modes.jit-cdi.ignore-driver-capabilities = true");
    let reading = Request::read(&view, &config).expect("only a warning");
    assert_eq!(reading.warnings.len(), 1);
    let supported = Config::parse("supported-driver-capabilities = 'x'").expect("read").0;
    assert!(matches!(Request::read(&view, &supported), Err(RequestError::Supported(_))));
    assert_eq!(Request::read(&ContainerView::default(), &supported), Ok(Reading::default()));
}

/// Texts made of the words that mean something, and some that do not.
fn odd_list() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "0",
        "1",
        "all",
        "none",
        "void",
        "ALL",
        "",
        " ",
        " 0 ",
        "GPU-4cf8db2d",
        "0:1",
        "nvidia.com/gpu=0",
        "runtime.nvidia.com/gpu=all",
        "runtime.nvidia.com/gpu=1",
        "channel1",
        "compute",
        "video",
        "é",
        "=",
    ]);
    prop::collection::vec(word, 0..6).prop_map(|words| words.join(","))
}

proptest! {
    /// Requested: every name granted stands in the list, once; `all` only where the list says so.
    #[test]
    fn nothing_is_asked_for_that_the_list_does_not_say(list in odd_list(), imex_list in odd_list(), swarm in odd_list()) {
        let env = entries(&[
            &format!("NVIDIA_VISIBLE_DEVICES={list}"), "x", &format!("NVIDIA_IMEX_CHANNELS={imex_list}"), &format!("RES={swarm}"),
        ]);
        let view = ContainerView { env: &env, ..ContainerView::default() };
        for (config, list) in [(Config::default(), &list), (config("swarm-resource = 'RES'"), &swarm)] {
            let Ok(Reading { request: Some(request), .. }) = Request::read(&view, &config) else { continue };
            let items: Vec<&str> = list.split(',').map(str::trim).collect();
            prop_assert!(!items.contains(&"void"));
            match &request.devices {
                DeviceRequest::All => prop_assert!(items.contains(&"all") || items.contains(&"runtime.nvidia.com/gpu=all")),
                DeviceRequest::None => prop_assert!(items.contains(&"none")),
                DeviceRequest::Ids(names) => for (at, name) in names.iter().enumerate() {
                    prop_assert!(items.contains(&name.text.as_str()) && !name.text.is_empty());
                    prop_assert!(!names[..at].iter().any(|other| other.text == name.text));
                },
            }
            let ImexRequest::Channels(channels) = &request.imex else { panic!("a variable got all channels") };
            for channel in channels {
                prop_assert!(imex_list.split(',').any(|item| item.trim() == channel.text));
            }
        }
    }

    /// Allowed: never more capabilities than the administrator supports, nor than the list says.
    #[test]
    fn capabilities_stay_within_bounds(list in "[a-z, ]{0,12}", words in prop::collection::vec(0..9usize, 0..5), supported in 0..7usize) {
        let names = ["compute", "video", "utility", "ngx", "graphics", "display", "compat32", "all", "none"];
        let list = words.iter().map(|word| names[*word]).chain([list.as_str()]).collect::<Vec<_>>().join(",");
        let allowed = host::Capabilities::of(&[host::Capability::ALL[supported]]);
        if let Ok(got) = capabilities::parse(Some(&list), false, allowed) {
            prop_assert_eq!(got.intersection(allowed), got);
            let said = |name: &str| list.split(',').any(|word| [name, "all"].contains(&word.trim()));
            prop_assert!(list.is_empty() || got.iter().all(|capability| said(capability.name())));
        }
    }

    #[test]
    fn any_environment_is_answered(env in prop::collection::vec("(NVIDIA_(VISIBLE_DEVICES|IMEX_CHANNELS|DRIVER_CAPABILITIES|REQUIRE_CUDA)=)?.{0,30}", 0..6)) {
        let _ = Request::read(&ContainerView { env: &env, ..ContainerView::default() }, &Config::default());
    }
}
