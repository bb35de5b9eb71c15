//! Mode cdi: what a container gets from the CDI specs in two folders, of which the second counts more.

use crate::stage::{PLAIN, Stage, stderr};
use serde_json::{Value, json};
use std::fs;

const SHIM: &str = "nvidia-container-runtime";

const GPUS: (&str, &str) = (
    "low/nvidia.yaml",
    "cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- {name: '0', containerEdits: {env: [GPU=0]}}
- {name: '1', containerEdits: {env: [GPU=1]}}
- {name: all, containerEdits: {env: [GPU=all]}}
containerEdits: {env: [NVIDIA=low]}
",
);
const NET: (&str, &str) = (
    "high/vendor.json",
    r#"{"cdiVersion": "0.5.0", "kind": "vendor.com/net",
        "devices": [{"name": "eth0", "containerEdits": {"env": ["NET=eth0"]}}]}"#,
);

/// A container and what is around it. `env` and `annotations` are the container's.
#[derive(Clone, Copy)]
struct Case<'a> {
    mode: &'a str,
    config: &'a str,
    files: &'a [(&'a str, &'a str)],
    env: &'a [&'a str],
    annotations: &'a [(&'a str, &'a str)],
    mounts: &'a [&'a str],
}

const USUAL: Case = Case { mode: "cdi", config: "", files: &[GPUS, NET], env: &[], annotations: &[], mounts: &[] };

impl Case<'_> {
    fn stage(&self) -> Stage {
        let stage = Stage::new();
        for folder in ["low", "high"] {
            fs::create_dir(stage.path(folder)).unwrap();
        }
        for (name, text) in self.files {
            stage.write(name, text);
        }
        let dirs = [stage.text("low"), stage.text("high")];
        let Case { mode, config, .. } = self;
        stage.configure(&format!(
            "mode = {mode:?}\n[nvidia-container-runtime.modes.cdi]\nspec-dirs = {dirs:?}\n{config}"
        ));
        let mut document: Value = serde_json::from_str(PLAIN).unwrap();
        let env = document["process"]["env"].as_array_mut().unwrap();
        env.extend(self.env.iter().map(|entry| json!(entry)));
        document["annotations"] =
            self.annotations.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        document["mounts"] = self.mounts.iter().map(|at| json!({"destination": at, "source": "/dev/null"})).collect();
        stage.write("bundle/config.json", &document.to_string());
        stage
    }
}

/// Starts the case's container and gives config.json as it is then.
fn create(stage: &Stage, program: &str) -> Value {
    let output = stage.run(program, &["create", "x"]);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stage.read("bundle/config.json")).unwrap()
}

/// What the container's environment has from the specs, sorted.
fn granted(document: &Value) -> String {
    let entries = document["process"]["env"].as_array().unwrap().iter().map(|entry| entry.as_str().unwrap());
    let mut granted: Vec<_> = entries
        .filter(|entry| ["GPU=", "NET=", "NVIDIA=", "FROM="].iter().any(|name| entry.starts_with(name)))
        .collect();
    granted.sort_unstable();
    granted.join(" ")
}

/// Starts the case's container, which must fail, and gives the message.
fn refused(case: Case) -> String {
    let stage = case.stage();
    let before = stage.read("bundle/config.json");
    let output = stage.run(SHIM, &["create", "x"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stage.read("bundle/config.json"), before, "nothing is half-done");
    assert!(stage.started().is_empty());
    // The line on stderr has the form of a log entry, with its quotes escaped.
    stderr(&output).replace("\\\"", "\"")
}

#[test]
fn names_of_every_form() {
    for (devices, want) in [
        ("0", "GPU=0 NVIDIA=low"),
        ("all", "GPU=all NVIDIA=low"),
        ("0,1", "GPU=1 NVIDIA=low"),
        ("0,0", "GPU=0 NVIDIA=low"),
        ("1,nvidia.com/gpu=1", "GPU=1 NVIDIA=low"),
        ("nvidia.com/gpu=1", "GPU=1 NVIDIA=low"),
        ("1,vendor.com/net=eth0", "GPU=1 NET=eth0 NVIDIA=low"),
        ("void", ""),
        ("", ""),
    ] {
        let env = [format!("NVIDIA_VISIBLE_DEVICES={devices}")];
        let stage = Case { env: &[&env[0]], ..USUAL }.stage();
        assert_eq!(granted(&create(&stage, SHIM)), want, "{devices}");
    }
    let stage =
        Case { config: "default-kind = 'vendor.com/net'\n", env: &["NVIDIA_VISIBLE_DEVICES=eth0"], ..USUAL }.stage();
    assert_eq!(granted(&create(&stage, SHIM)), "NET=eth0");
    let stage = Case { mode: "auto", env: &["NVIDIA_VISIBLE_DEVICES=0"], ..USUAL }.stage();
    assert_eq!(granted(&create(&stage, "nvidia-container-runtime.cdi")), "GPU=0 NVIDIA=low");
}

/// Annotation, mount, swarm variable, variable, old image (reference: runtime-and-hook.md 4.9).
#[test]
fn the_highest_source_counts_alone() {
    const ALL: Case = Case {
        env: &["NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0", "SWARM=nvidia.com/gpu=1", "CUDA_VERSION=9.0"],
        annotations: &[("cdi.k8s.io/x", "vendor.com/net=eth0,nvidia.com/gpu=all")],
        mounts: &["/var/run/nvidia-container-devices/cdi/vendor.com/net/eth0"],
        ..USUAL
    };
    // Keys of the top level come before the first table, where `configure` has no place.
    let run = |case: Case, top: &str| {
        let stage = case.stage();
        let config = stage.read("config.toml");
        stage.write("config.toml", &format!("{top}\n{config}"));
        granted(&create(&stage, SHIM))
    };
    let mounts = "accept-nvidia-visible-devices-as-volume-mounts = true\nswarm-resource = 'SWARM'";
    let swarm = "swarm-resource = 'SWARM'";
    for mode in ["cdi", "auto"] {
        let all = Case { mode, ..ALL };
        let unannotated = Case { annotations: &[], ..all };
        assert_eq!(run(all, mounts), "GPU=all NET=eth0 NVIDIA=low");
        assert_eq!(run(unannotated, mounts), "NET=eth0");
        assert_eq!(run(unannotated, swarm), "GPU=1 NVIDIA=low");
        assert_eq!(run(unannotated, ""), "GPU=0 NVIDIA=low");
    }
    assert_eq!(run(Case { env: &["CUDA_VERSION=9.0"], annotations: &[], ..ALL }, ""), "GPU=all NVIDIA=low");
}

#[test]
fn annotations_count_by_prefix_and_in_cdi_mode() {
    const ANNOTATED: Case =
        Case { annotations: &[("example.com/a", "nvidia.com/gpu=1"), ("cdi.k8s.io/x", "nvidia.com/gpu=0")], ..USUAL };
    for (mode, config, want) in [
        ("cdi", "", "GPU=0 NVIDIA=low"),
        ("auto", "", "GPU=0 NVIDIA=low"),
        ("cdi", "annotation-prefixes = ['example.com/']\n", "GPU=1 NVIDIA=low"),
        ("cdi", "annotation-prefixes = ['example.com/', 'cdi.k8s.io/']\n", "GPU=1 NVIDIA=low"),
        ("cdi", "annotation-prefixes = []\n", ""),
        ("jit-cdi", "", ""),
    ] {
        let stage = Case { mode, config, ..ANNOTATED }.stage();
        assert_eq!(granted(&create(&stage, SHIM)), want, "{mode} {config}");
    }
}

#[test]
fn another_vendors_annotation_hides_no_request() {
    const FOREIGN: Case =
        Case { annotations: &[("cdi.k8s.io/x", "vendor.com/net=eth0")], env: &["NVIDIA_VISIBLE_DEVICES=1"], ..USUAL };
    assert_eq!(granted(&create(&FOREIGN.stage(), SHIM)), "GPU=1 NET=eth0 NVIDIA=low");
    let alone = Case { mode: "auto", env: &[], ..FOREIGN };
    assert_eq!(granted(&create(&alone.stage(), SHIM)), "NET=eth0");
    // In auto mode GPU 1 is this machine's, which has no driver here; the request is not forgotten.
    let message = refused(Case { mode: "auto", ..FOREIGN });
    assert!(message.contains("[CORTEN-E040]"), "{message}");
}

#[test]
fn this_machine_is_meant_also_in_cdi_mode() {
    let message = refused(Case { env: &["NVIDIA_VISIBLE_DEVICES=runtime.nvidia.com/gpu=0"], ..USUAL });
    assert!(message.contains("[CORTEN-E040]"), "the machine is looked at, not the specs: {message}");
}

#[test]
fn the_later_folder_counts_more() {
    let high = (
        "high/nvidia.yaml",
        "{cdiVersion: 0.5.0, kind: nvidia.com/gpu, devices: [{name: '0', containerEdits: {env: [FROM=high]}}]}",
    );
    let files = [GPUS, NET, high];
    let case = Case { files: &files, env: &["NVIDIA_VISIBLE_DEVICES=0"], ..USUAL };
    assert_eq!(granted(&create(&case.stage(), SHIM)), "FROM=high");
    let case = Case { env: &["NVIDIA_VISIBLE_DEVICES=1"], ..case };
    assert_eq!(granted(&create(&case.stage(), SHIM)), "GPU=1 NVIDIA=low");
}

#[test]
fn an_unknown_name_says_where_and_what_else() {
    let broken = ("high/broken.json", "{\"kind\": ");
    let files = [GPUS, NET, broken, ("high/notes.txt", "no spec")];
    let case = Case { files: &files, ..USUAL };
    let message = refused(Case { env: &["NVIDIA_VISIBLE_DEVICES=1,7,x/y/z"], ..case });
    let begins = "could not apply required modification to OCI specification: error modifying OCI spec: failed to inject \
                  CDI devices: unresolvable CDI devices nvidia.com/gpu=7, nvidia.com/gpu=x/y/z: searched ";
    assert!(message.contains(begins), "{message}");
    for part in [
        "/low, ",
        "/high; ",
        "/high/broken.json is neither JSON nor YAML: ",
        "nearest: nvidia.com/gpu=0, ",
        "[CORTEN-E037]",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains("notes.txt"));
    assert_eq!(message.trim_end().lines().count(), 1);
    // A broken file spoils nothing but itself.
    let case = Case { env: &["NVIDIA_VISIBLE_DEVICES=1"], ..case };
    assert_eq!(granted(&create(&case.stage(), SHIM)), "GPU=1 NVIDIA=low");
}

#[test]
fn a_conflict_names_both_files() {
    let twice = (
        "low/again.yaml",
        "{cdiVersion: 0.5.0, kind: nvidia.com/gpu, devices: [{name: '0', containerEdits: {env: [A=b]}}]}",
    );
    let files = [GPUS, twice];
    let case = Case { files: &files, env: &["NVIDIA_VISIBLE_DEVICES=0"], ..USUAL };
    let message = refused(case);
    for part in ["in conflict: nvidia.com/gpu=0", "/low/again.yaml", "/low/nvidia.yaml", "[CORTEN-E037]"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let case = Case { env: &["NVIDIA_VISIBLE_DEVICES=1"], ..case };
    assert_eq!(granted(&create(&case.stage(), SHIM)), "GPU=1 NVIDIA=low");
}

fn device(edits: &str) -> String {
    format!("{{cdiVersion: 0.7.0, kind: nvidia.com/gpu, devices: [{{name: '0', containerEdits: {edits}}}]}}")
}

#[test]
fn nodes_without_numbers_are_those_of_the_host() {
    let spec = device("{deviceNodes: [{path: /dev/x, hostPath: /dev/zero, permissions: r}]}");
    let files = [("low/a.yaml", spec.as_str())];
    let case = Case { files: &files, env: &["NVIDIA_VISIBLE_DEVICES=0"], ..USUAL };
    let document = create(&case.stage(), SHIM);
    let node = &document["linux"]["devices"][0];
    assert_eq!(
        (&node["path"], &node["type"], &node["major"], &node["minor"]),
        (&json!("/dev/x"), &json!("c"), &json!(1), &json!(5))
    );
    let rule = &document["linux"]["resources"]["devices"][0];
    assert_eq!(rule, &json!({"allow": true, "type": "c", "major": 1, "minor": 5, "access": "r"}));

    for (path, why) in [("/dev/nope", "no such file or directory"), ("/etc/passwd", "it is no device node")] {
        let spec = device(&format!("{{deviceNodes: [{{path: {path}}}]}}"));
        let message = refused(Case { files: &[("low/a.yaml", &spec)], ..case });
        let text = format!(
            "failed to inject CDI devices: failed to inject devices: failed to stat CDI host device {path:?}: {why}. "
        );
        assert!(message.contains(&text), "{message}");
        assert!(message.contains("[CORTEN-E048]"), "{message}");
    }
}

#[test]
fn hooks_get_an_environment_and_dockers_goes() {
    let spec = device(
        "{hooks: [{hookName: createContainer, path: /bin/a}, {hookName: createContainer, path: /bin/b, env: [X=y]}]}",
    );
    let files = [("low/a.yaml", spec.as_str())];
    let stage = Case { files: &files, env: &["NVIDIA_VISIBLE_DEVICES=0"], ..USUAL }.stage();
    let mut document: Value = serde_json::from_str(&stage.read("bundle/config.json")).unwrap();
    document["hooks"] = json!({"prestart": [{"path": "/usr/bin/nvidia-container-runtime-hook"}]});
    stage.write("bundle/config.json", &document.to_string());
    let hooks = create(&stage, SHIM)["hooks"].clone();
    assert!(hooks.get("prestart").is_none_or(|list| list == &json!([])), "{hooks}");
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(
        hooks["createContainer"],
        json!([{"path": "/bin/a", "env": [path]}, {"path": "/bin/b", "env": ["X=y"]}])
    );
    let log = stage.read("debug.log");
    assert_eq!(log.matches("no environment").count(), 1, "{log}");
}

#[test]
fn nothing_is_prepared_in_the_root() {
    let stage = Case { env: &["NVIDIA_VISIBLE_DEVICES=0"], ..USUAL }.stage();
    fs::remove_dir_all(stage.path("bundle/rootfs")).unwrap();
    assert_eq!(granted(&create(&stage, SHIM)), "GPU=0 NVIDIA=low", "the root is not even opened");
}

#[test]
fn what_a_spec_cannot_give_is_said_and_stops_nobody() {
    let asked = [
        "NVIDIA_GDS=enabled",
        "NVIDIA_IMEX_CHANNELS=0",
        "NVIDIA_MIG_CONFIG_DEVICES=all",
        "NVIDIA_MIG_MONITOR_DEVICES=all",
        "NVIDIA_DRIVER_CAPABILITIES=x",
    ];
    for (mode, devices) in [("cdi", "0"), ("cdi", "nvidia.com/gpu=0"), ("auto", "nvidia.com/gpu=0")] {
        let devices = format!("NVIDIA_VISIBLE_DEVICES={devices}");
        let env: Vec<_> = asked.into_iter().chain([devices.as_str()]).collect();
        let stage = Case { mode, env: &env, ..USUAL }.stage();
        assert_eq!(granted(&create(&stage, SHIM)), "GPU=0 NVIDIA=low");
        let log = stage.read("debug.log");
        let remark = "Without effect in mode cdi: NVIDIA_GDS, NVIDIA_IMEX_CHANNELS, NVIDIA_MIG_CONFIG_DEVICES, \
                      NVIDIA_MIG_MONITOR_DEVICES; ";
        assert!(log.contains(remark), "{log}");
    }
}

#[test]
fn spec_folders_must_be_absolute() {
    let stage = Case { env: &["NVIDIA_VISIBLE_DEVICES=0"], ..USUAL }.stage();
    stage.configure("mode = 'cdi'\n[nvidia-container-runtime.modes.cdi]\nspec-dirs = ['cdi']\n");
    let output = stage.run(SHIM, &["create", "x"]);
    assert!(stderr(&output).contains("[CORTEN-E002]"), "{}", stderr(&output));
    assert!(stage.started().is_empty());
}

#[test]
fn many_unknown_names_are_refused_at_once() {
    // As many as a variable holds; looking each up among all others would take minutes.
    let names: Vec<String> = (0..20_000).map(|i| format!("x{i}")).collect();
    let message = refused(Case { env: &[&format!("NVIDIA_VISIBLE_DEVICES={}", names.join(","))], ..USUAL });
    assert!(message.contains("and 19994 more: searched"), "{message}");
}
