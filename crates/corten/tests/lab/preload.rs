//! CVE-2025-23266: a low-level runtime hands a hook that has no environment of its own the image's, and runs it as root on
//! the host. What the image names there is loaded into any dynamic program; into ours nothing is.

use crate::stage::{RUNTIMES, Stage, stderr};
use serde_json::json;
use std::{fs, process::Command};

/// A library of the image's that leaves a file on the host, wherever it is loaded.
fn plant(stage: &Stage) {
    let source = format!(
        "#include <fcntl.h>\n__attribute__((constructor)) void ran(void) {{ open(\"{}\", O_CREAT | O_WRONLY, 0600); }}\n",
        stage.path("ran").display()
    );
    stage.write("evil.c", &source);
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-o"]).arg(stage.path("bundle/rootfs/evil.so")).arg(stage.path("evil.c"));
    assert!(cc.status().unwrap().success(), "cc");
}

/// The bundle with this program as a hook without an environment, and whether the image's library was loaded.
fn runs_the_images(stage: &Stage, runtime: &str, program: &str, words: &[&str]) -> bool {
    let _ = fs::remove_file(stage.path("ran"));
    let library = stage.path("bundle/rootfs/evil.so").display().to_string();
    stage.edit(|document| {
        document["hooks"] = json!({"createContainer": [{"path": program, "args": words}]});
        // The container itself has no such path; its own loader complains and goes on.
        document["process"]["env"] = json!(["PATH=/usr/bin:/bin", format!("LD_PRELOAD={library}")]);
        document["process"]["args"] = json!(["/bin/true"]);
    });
    let done = stage.on(&[], &format!("{runtime} --root \"$D/state\" run --bundle \"$B\" \"$ID\""));
    assert!(done.status.success(), "{runtime} {program}: {}", stderr(&done));
    stage.path("ran").exists()
}

#[test]
fn nothing_of_the_image_runs_in_a_hook_without_an_environment() {
    let mut reached = Vec::new();
    for runtime in RUNTIMES {
        let stage = Stage::new(&["debian"]);
        plant(&stage);
        if runs_the_images(&stage, runtime, "/bin/cat", &["cat"]) {
            reached.push(runtime);
        }
        let bin = std::env::var("CORTEN_BIN").unwrap();
        for (program, words) in [
            ("nvidia-cdi-hook", &["nvidia-cdi-hook", "create-symlinks", "--link", "t::/made"][..]),
            ("nvidia-ctk", &["nvidia-ctk", "hook", "jobs", "noop", "create-symlinks", "--link", "t::/made"]),
        ] {
            let _ = fs::remove_file(stage.path("bundle/rootfs/made"));
            assert!(!runs_the_images(&stage, runtime, &format!("{bin}/{program}"), words), "{runtime} {program}");
            assert!(stage.path("bundle/rootfs/made").is_symlink(), "{runtime} {program}: it did its work");
        }
    }
    println!("a dynamic program is reached with {reached:?}");
}
