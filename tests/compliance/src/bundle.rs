//! The config.json of a case, as an engine would have written it before the shim sees it.

use crate::case::Case;
use serde_json::{Value, json};

/// Where the probe is inside the container.
pub const PROBE: &str = "/corten-probe";

/// Paths that config.json names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The bundle's root file system.
    pub root: String,
    /// The probe on the host.
    pub probe: String,
    /// The prestart hook that Docker's `--gpus` would name.
    pub hook: String,
}

/// What Docker gives every container.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// The document; `probe_args` are handed to the probe.
pub fn config_json(case: &Case, places: &Places, probe_args: &[String]) -> Value {
    let mut document = json!({
        "ociVersion": "1.0.2",
        "process": process(case, probe_args),
        "root": {"path": if case.absolute_root { places.root.as_str() } else { "rootfs" }, "readonly": case.read_only},
        "hostname": "case",
        "mounts": mounts(case, places),
        "linux": linux(case),
    });
    if !case.annotations.is_empty() {
        document["annotations"] = json!(case.annotations);
    }
    if case.docker_gpus {
        let args = ["nvidia-container-runtime-hook", "prestart"];
        document["hooks"] = json!({"prestart": [{"path": places.hook, "args": args}]});
    }
    patch(&mut document, &Value::Object(case.patch.clone()));
    document
}

fn process(case: &Case, probe_args: &[String]) -> Value {
    let mut capabilities = CAPABILITIES.to_vec();
    if case.privileged {
        capabilities.push("CAP_SYS_ADMIN");
    }
    let mut env = vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
    env.extend(case.env.iter().cloned());
    let args: Vec<&str> = [PROBE].into_iter().chain(probe_args.iter().map(String::as_str)).collect();
    json!({
        "terminal": false,
        "user": {"uid": case.user.0, "gid": case.user.1},
        "args": args,
        "env": env,
        "cwd": "/",
        "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
    })
}

fn mounts(case: &Case, places: &Places) -> Value {
    let mut mounts = vec![
        proc(case),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}),
        json!({"destination": PROBE, "type": "bind", "source": places.probe, "options": ["bind", "ro"]}),
    ];
    let null = |at: &String| json!({"destination": at, "type": "bind", "source": "/dev/null", "options": ["bind"]});
    mounts.extend(case.null_mounts.iter().map(null));
    Value::Array(mounts)
}

/// A new procfs; but for a user namespace the host's own, since the kernel gives it no new one while the lab has parts
/// of /proc covered.
fn proc(case: &Case) -> Value {
    match case.mapped_root {
        None => json!({"destination": "/proc", "type": "proc", "source": "proc"}),
        Some(_) => json!({"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]}),
    }
}

fn linux(case: &Case) -> Value {
    let mut namespaces = vec![json!({"type": "mount"}), json!({"type": "uts"})];
    let mut linux = json!({"resources": {"devices": [{"allow": false, "access": "rwm"}]}});
    if case.mapped_root.is_none() {
        namespaces.push(json!({"type": "pid"}));
    }
    if let Some(host) = case.mapped_root {
        namespaces.push(json!({"type": "user"}));
        let mapping = json!([{"containerID": 0, "hostID": host, "size": 65536}]);
        linux["uidMappings"] = mapping.clone();
        linux["gidMappings"] = mapping;
    }
    linux["namespaces"] = Value::Array(namespaces);
    linux
}

/// RFC 7386, without the removal of members: TOML has no null.
fn patch(document: &mut Value, change: &Value) {
    match (document, change) {
        (Value::Object(members), Value::Object(changes)) => {
            for (name, change) in changes {
                patch(members.entry(name.clone()).or_insert(Value::Null), change);
            }
        }
        (document, change) => *document = change.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(case: Value) -> Value {
        let places = Places { root: "/b/rootfs".into(), probe: "/p".into(), hook: "/h".into() };
        config_json(&serde_json::from_value(case).unwrap(), &places, &["a".into()])
    }

    #[test]
    fn a_bundle_says_what_its_case_says() {
        let document = built(json!({"name": "x", "env": ["A=1"], "privileged": true, "mapped-root": 100_000}));
        assert_eq!(document["process"]["env"][1], "A=1");
        assert_eq!(document["process"]["args"], json!([PROBE, "a"]));
        assert_eq!(document["process"]["capabilities"]["bounding"][14], "CAP_SYS_ADMIN");
        assert_eq!(document["linux"]["uidMappings"][0]["hostID"], 100_000);
        assert_eq!(document.get("hooks"), None);
    }

    #[test]
    fn patches_merge_into_what_is_there() {
        let document = built(json!({"name": "x", "docker-gpus": true, "patch": {"root": {"new": 1}, "extra": [2]}}));
        assert_eq!(document["root"], json!({"path": "rootfs", "readonly": false, "new": 1}));
        assert_eq!(document["extra"], json!([2]));
        assert_eq!(document["hooks"]["prestart"][0]["path"], "/h");
    }
}
