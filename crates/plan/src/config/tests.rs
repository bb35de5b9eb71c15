//! Text in, settings and complaints out.

use super::*;

fn parse(text: &str) -> (Config, Vec<String>) {
    let (config, warnings) = Config::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    (config, warnings.iter().map(ToString::to_string).collect())
}

fn error(text: &str) -> String {
    Config::parse(text).map(|_| ()).expect_err(text).to_string()
}

#[test]
fn nothing_written_means_the_defaults() {
    for text in ["", "# only a comment\n", "[features]\n"] {
        assert_eq!(parse(text), (Config::default(), vec![]));
    }
    let config = Config::default();
    assert_eq!(config.runtime.mode, "auto");
    assert_eq!(config.runtime.runtimes, ["runc", "crun"]);
    assert!(config.accept_envvar_when_unprivileged && config.cli.load_kmods);
    assert_eq!(config.supported_capabilities(), Ok(Capabilities::ALL));
}

/// What the original's packages install must mean the same as no file.
#[test]
fn the_packaged_file_is_all_defaults() {
    let text = r#"
#accept-nvidia-visible-devices-as-volume-mounts = false
disable-require = false
supported-driver-capabilities = "compat32,compute,display,graphics,ngx,utility,video"
[nvidia-container-cli]
environment = []
ldconfig = "@/sbin/ldconfig"
load-kmods = true
[nvidia-container-runtime]
log-level = "info"
mode = "auto"
runtimes = ["runc", "crun"]
[nvidia-container-runtime.modes]
[nvidia-container-runtime.modes.cdi]
annotation-prefixes = ["cdi.k8s.io/"]
default-kind = "nvidia.com/gpu"
spec-dirs = ["/etc/cdi", "/var/run/cdi"]
[nvidia-container-runtime.modes.csv]
mount-spec-path = "/etc/nvidia-container-runtime/host-files-for-container.d"
[nvidia-container-runtime.modes.legacy]
cuda-compat-mode = "ldconfig"
[nvidia-container-runtime-hook]
path = "nvidia-container-runtime-hook"
skip-mode-detection = false
[nvidia-ctk]
path = "nvidia-ctk"
"#;
    assert_eq!(parse(text), (Config::default(), vec![]));
}

/// Each key of the table can be set, alone, to something else than its default, and only with its type.
#[test]
fn every_key_is_read() {
    for key in KEYS {
        let (good, bad) = match key.kind {
            Kind::Text(..) => ("\"@/else\"", "3"),
            Kind::Flag(default, _) => (if default { "false" } else { "true" }, "\"yes\""),
            Kind::List(..) => ("[\"@else\"]", "\"else\""),
        };
        let (config, _) = parse(&format!("{} = {good}", key.name));
        let old = ["experimental", "discover-mode"].iter().any(|last| key.name.ends_with(last));
        assert_eq!(config == Config::default(), old, "{}", key.name);
        let text = error(&format!("{} = {bad}", key.name));
        assert!(text.contains(key.name) && text.contains(key.kind.type_name()), "{text}");
    }
}

#[test]
fn keys_count_in_two_spellings() {
    assert!(parse("DISABLE-REQUIRE = true").0.disable_require);
    assert_eq!(parse("[NVIDIA-CONTAINER-CLI]\nroot = '/r'").0.cli.root, "/r");
    let (config, warnings) = parse("Disable-Require = true");
    assert!(!config.disable_require);
    assert_eq!(warnings, [r#"(1, 1): unknown key "Disable-Require" is ignored; did you mean "disable-require"?"#]);
    for text in ["DISABLE-REQUIRE = false\ndisable-require = true", "disable-require = true\nDISABLE-REQUIRE = false"] {
        let (config, warnings) = parse(text);
        assert!(config.disable_require && warnings.len() == 1, "{warnings:?}");
    }
}

#[test]
fn errors_say_where_what_and_what_next() {
    assert_eq!(
        error("\n  disable-require = 'yes'"),
        "failed to unmarshal config: (2, 3): Can't convert yes(string) to bool: \"disable-require\" must be true or \
         false, without quotes; correct it or remove the line"
    );
    assert!(error("[nvidia-container-runtime]\nruntimes = 'runc'").contains("Can't convert runc(string) to []string"));
    assert!(error("nvidia-ctk = 3").contains("Can't convert 3(int64) to table"));
    assert!(error("a = ").starts_with("(1, 5): "));
    assert!(error("a = 1\na = 2").contains("duplicate key"));
    assert!(error("swarm-resource = ['a']").contains("(array) to string"));
}

#[test]
fn unknown_keys_are_reported_and_harmless() {
    let (config, warnings) = parse("[features]\nfoo = 1\n[nvidia-container-cli]\ncuda-compat-mode = 'x'\n[x.y]\nz = 1");
    assert_eq!(config, Config::default());
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert_eq!(warnings[0], "(2, 1): unknown key \"features.foo\" is ignored");
    assert!(warnings[1].ends_with("did you mean \"nvidia-container-runtime.modes.legacy.cuda-compat-mode\"?"));
}

#[test]
fn files_of_old_releases_are_understood() {
    for (old, mode) in [
        ("experimental = true", "auto"),
        ("experimental = true\ndiscover-mode = 'legacy'", "legacy"),
        ("experimental = true\ndiscover-mode = 'csv'", "csv"),
        ("experimental = true\ndiscover-mode = 'nvml'", "jit-cdi"),
        ("experimental = false\ndiscover-mode = 'csv'", "auto"),
        ("experimental = true\ndiscover-mode = 'csv'\nmode = 'legacy'", "legacy"),
    ] {
        assert_eq!(parse(&format!("[nvidia-container-runtime]\n{old}")).0.runtime.mode, mode, "{old}");
    }
    let (config, warnings) = parse("[nvidia-container-runtime.experimental]\nruntime-path = '/opt/runc'");
    assert_eq!(config.runtime.experimental_runtime_path, "/opt/runc");
    assert_eq!(config.runtime.runtimes, ["runc", "crun"]);
    assert_eq!(warnings.len(), 1);
}

#[test]
fn unsafe_switches_are_reported() {
    for text in [
        "features.allow-ldconfig-from-container = true",
        "features.allow-cuda-compat-libs-from-container = true",
        "nvidia-container-cli.ldconfig = '/sbin/ldconfig'",
        "nvidia-container-cli.ldconfig = ''",
    ] {
        let (_, warnings) = parse(text);
        assert!(warnings.len() == 1 && warnings[0].contains("is not obeyed"), "{text}: {warnings:?}");
    }
}

#[test]
fn supported_capabilities() {
    let supported =
        |value: &str| parse(&format!("supported-driver-capabilities = {value:?}")).0.supported_capabilities();
    assert_eq!(supported("all,nonsense"), Ok(Capabilities::ALL));
    assert_eq!(supported(""), Ok(Capabilities::NONE));
    assert_eq!(supported(" compute , ,utility").map(|set| set.to_string()), Ok("compute,utility".into()));
    let text = supported("compute,fabric").expect_err("fabric").to_string();
    assert!(text.starts_with("Invalid value for config option 'supported-driver-capabilities'; "), "{text}");
}

proptest::proptest! {
    #[test]
    fn any_text_is_answered(text in "(?s).{0,200}") {
        let _ = Config::parse(&text);
    }

    #[test]
    fn any_value_is_answered(key in 0..KEYS.len(), value in "(?s).{0,40}") {
        let _ = Config::parse(&format!("{} = {value}\n", KEYS[key].name));
    }
}

/// docs/compatibility.md lists every key with its default and meaning, and none that does not exist.
#[test]
fn the_documentation_lists_every_key() {
    let page = include_str!("../../../../docs/compatibility.md");
    let table = page.split_once("| key | default | state | meaning |").unwrap().1;
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    for key in KEYS {
        let begin = format!("| `{}` | `{}` |", key.name, key.kind.default_text());
        let row = rows.iter().find(|row| row.starts_with(&begin));
        let row = row.unwrap_or_else(|| panic!("no row begins with {begin}"));
        assert!(row.ends_with(&format!("| {} |", key.meaning)), "{row}\nshould end with {}", key.meaning);
    }
    assert_eq!(rows.len(), KEYS.len());
}

#[test]
fn every_line_may_have_a_remark() {
    // Counting lines anew for each remark would take time with the square of their number.
    let text: String = (0..20_000).map(|number| format!("k{number} = 0 # é\n")).collect();
    let (_, warnings) = Config::parse(&text).expect("read");
    assert_eq!(warnings.len(), 20_000);
    assert!(matches!(warnings.last(), Some(Warning::Unknown { line: 20_000, column: 1, .. })));
}
