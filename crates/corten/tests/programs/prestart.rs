//! `nvidia-container-runtime-hook`, with an `nvidia-container-cli` that only writes down how it was started.

use crate::stage::{Stage, asking, stderr, stdout};
use std::{
    fs,
    io::Write as _,
    os::fd::AsRawFd as _,
    process::{Command, Output, Stdio},
};

const HOOK: &str = "nvidia-container-runtime-hook";

/// The text that tools know, and what our code adds to it.
const REFUSAL: &str = "invoking the NVIDIA Container Runtime Hook directly (e.g. specifying the docker --gpus flag) is not \
                       supported. Please use the NVIDIA Container Runtime (e.g. specify the --runtime=nvidia flag) instead \
                       [CORTEN-E022]";

/// A stage with the recording program, which also says which descriptors it was handed.
fn stage(variables: &[&str]) -> Stage {
    let stage = Stage::new();
    let folder = stage.text("");
    stage.program(
        "cli",
        &format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" >{folder}/called\nenv >{folder}/environment\nls -l /proc/$$/fd >{folder}/fds\n"
        ),
    );
    stage.write("bundle/config.json", &asking(variables));
    configure(&stage, "");
    stage
}

/// Another config.toml, which names the recording program.
fn configure(stage: &Stage, lines: &str) {
    stage.write("config.toml", &format!("nvidia-container-cli.path = {:?}\n{lines}", stage.text("cli")));
}

/// Gives a command the state of the stage's container.
fn feed(stage: &Stage, command: &mut Command) -> Output {
    feed_text(command, &format!(r#"{{"ociVersion":"1.0.2","id":"x","pid":4242,"bundle":{:?}}}"#, stage.text("bundle")))
}

fn feed_text(command: &mut Command, state: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A hook that has its answer without the state closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(state.as_bytes());
    child.wait_with_output().unwrap()
}

/// The hook, started where its working directory is not the bundle.
fn prestart(stage: &Stage) -> Output {
    feed(stage, stage.command(HOOK).arg("prestart").current_dir("/"))
}

fn called(stage: &Stage) -> String {
    stage.read("called").lines().collect::<Vec<_>>().join(" ")
}

#[test]
fn becomes_the_program_with_the_originals_words() {
    let stage = stage(&["NVIDIA_VISIBLE_DEVICES=1,0", "NVIDIA_REQUIRE_CUDA=cuda>=11 brand=tesla"]);
    configure(&stage, "nvidia-container-cli.ldconfig = '@/nowhere/ldconfig.real'");
    let output = prestart(&stage);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "Auto-detected mode as 'legacy'\n");
    let want = "--load-kmods configure --cuda-compat-mode=ldconfig --ldconfig=@/nowhere/ldconfig --device=1,0 --compute \
                --utility --require=cuda>=11 brand=tesla --pid=4242";
    // The container's root is relative to its bundle, wherever the hook stands (Q25).
    assert_eq!(called(&stage), format!("{want} {}", stage.text("bundle/rootfs")));
}

#[test]
fn both_names_and_all_flags_work() {
    let stage = stage(&["NVIDIA_VISIBLE_DEVICES=all"]);
    fs::rename(stage.path("config.toml"), stage.path("other.toml")).unwrap();
    let mut command = stage.command("nvidia-container-toolkit");
    command.args(["--debug", "-config", &stage.text("other.toml"), "prestart", "ignored"]);
    assert!(feed(&stage, &mut command).status.success());
    assert!(called(&stage).starts_with("--load-kmods --debug=/dev/stderr configure "), "{}", called(&stage));
}

#[test]
fn nothing_is_done_after_the_start_and_the_end() {
    for word in ["poststart", "poststop"] {
        let stage = stage(&["NVIDIA_VISIBLE_DEVICES=all"]);
        let output = feed_text(stage.command(HOOK).arg(word), "no state at all");
        assert!(output.status.success() && output.stderr.is_empty(), "{word}");
        assert_eq!(called(&stage), "");
    }
}

#[test]
fn a_container_that_asks_for_nothing_is_left_alone_in_every_mode() {
    for mode in ["auto", "legacy", "cdi", "jit-cdi", "csv", "nonsense"] {
        let stage = stage(&["NVIDIA_VISIBLE_DEVICES=void"]);
        configure(&stage, &format!("nvidia-container-runtime.mode = '{mode}'"));
        let output = prestart(&stage);
        assert!(output.status.success() && output.stderr.is_empty(), "{mode}: {}", stderr(&output));
        assert_eq!(called(&stage), "", "{mode}");
    }
}

#[test]
fn other_modes_are_refused_in_the_known_words() {
    for (mode, devices, line) in [
        ("cdi", "0", "Using requested mode 'cdi'"),
        ("jit-cdi", "0", "Using requested mode 'jit-cdi'"),
        ("csv", "0", "Using requested mode 'csv'"),
        ("", "0", "Using requested mode ''"),
        ("nonsense", "0", "Using requested mode 'nonsense'"),
        ("auto", "nvidia.com/gpu=0", "Auto-detected mode as 'cdi'"),
    ] {
        let stage = stage(&[&format!("NVIDIA_VISIBLE_DEVICES={devices}")]);
        configure(&stage, &format!("nvidia-container-runtime.mode = '{mode}'"));
        let output = prestart(&stage);
        assert_eq!((output.status.code(), stderr(&output)), (Some(1), format!("{line}\n{REFUSAL}\n")), "{mode}");
        assert_eq!(called(&stage), "", "{mode}");
        configure(
            &stage,
            &format!(
                "nvidia-container-runtime.mode = '{mode}'\nnvidia-container-runtime-hook.skip-mode-detection = true"
            ),
        );
        let output = prestart(&stage);
        assert!(output.status.success() && output.stderr.is_empty(), "{mode}: {}", stderr(&output));
        assert!(
            called(&stage).contains(&format!("--device={devices} --compute --utility")),
            "{mode}: {}",
            called(&stage)
        );
    }
    let stage = stage(&["NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0,1"]);
    configure(&stage, "nvidia-container-runtime.mode = 'legacy'");
    assert_eq!(stderr(&prestart(&stage)), "Using requested mode 'legacy'\n");
    assert!(called(&stage).contains("--device=nvidia.com/gpu=0,1"));
}

/// Docker and containerd keep variables for the daemon; none of them may steer what runs as root beside a container.
#[test]
fn the_environment_and_the_descriptors_are_its_own() {
    let stage = stage(&["NVIDIA_VISIBLE_DEVICES=0", "LD_PRELOAD=/evil.so"]);
    configure(
        &stage,
        "nvidia-container-cli.environment = ['A=1', 'NVC_DEBUG_FILE=/x', 'odd']\nnvidia-container-cli.root = '/drv'",
    );
    let extra = fs::File::open("/").unwrap();
    // The standard library opens everything so that it is closed by exec.
    rustix::io::fcntl_setfd(&extra, rustix::io::FdFlags::empty()).unwrap();
    let mut command = stage.command(HOOK);
    command
        .arg("prestart")
        .env("PATH", "/usr/bin:relative:/bin")
        .env("LD_LIBRARY_PATH", "/x")
        .env("NVC_INSECURE_MODE", "1");
    command.env("XDG_RUNTIME_DIR", "/run/user/0").env("CUDA_MPS_PIPE_DIRECTORY", "/mps");
    assert!(feed(&stage, &mut command).status.success());
    let environment = stage.read("environment");
    // The shell of the recording program adds three.
    let own = |line: &&str| !["PWD=", "SHLVL=", "_="].iter().any(|name| line.starts_with(name));
    let mut lines: Vec<_> = environment.lines().filter(own).collect();
    lines.sort_unstable();
    let path = "/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin";
    let below: Vec<_> = path.split(':').map(|folder| format!("/drv{folder}")).collect();
    let path = format!("PATH={}:{path}", below.join(":"));
    let want = ["A=1", "CUDA_MPS_PIPE_DIRECTORY=/mps", "NVC_DEBUG_FILE=/x", &path, "XDG_RUNTIME_DIR=/run/user/0"];
    assert_eq!(lines, want);
    let handed = format!(" {} -> /\n", extra.as_raw_fd());
    assert!(!stage.read("fds").contains(&handed), "{}", stage.read("fds"));
}

#[test]
fn requests_that_the_policy_ignores_are_said() {
    let stage = stage(&["NVIDIA_VISIBLE_DEVICES=0"]);
    configure(&stage, "accept-nvidia-visible-devices-envvar-when-unprivileged = false");
    let output = prestart(&stage);
    let said =
        "Ignoring devices requested by environment variable(s) in unprivileged container: [NVIDIA_VISIBLE_DEVICES]";
    assert!(output.status.success() && stderr(&output).contains(said), "{}", stderr(&output));
    assert_eq!(called(&stage), "");
}

/// Without our runtime nobody else would say that an unsafe switch is not obeyed.
#[test]
fn unsafe_switches_are_said_and_not_obeyed() {
    let stage = stage(&["NVIDIA_VISIBLE_DEVICES=0"]);
    configure(
        &stage,
        "nvidia-container-cli.ldconfig = '/sbin/ldconfig'\nfeatures.allow-ldconfig-from-container = true\n\
         features.allow-cuda-compat-libs-from-container = true\n\
         nvidia-container-runtime.modes.legacy.cuda-compat-mode = ''",
    );
    let text = stderr(&prestart(&stage));
    for switch in
        ["allow-ldconfig-from-container", "allow-cuda-compat-libs-from-container", "does not start with a '@'"]
    {
        assert!(text.contains(switch), "{switch}: {text}");
    }
    assert!(called(&stage).contains("--cuda-compat-mode=disabled --ldconfig=@/sbin/ldconfig"), "{}", called(&stage));
}

/// A gated group does not take the GPU away (Q1), whatever the runtime did before.
#[test]
fn gated_groups_keep_the_gpu() {
    for group in ["NVIDIA_GDS", "NVIDIA_MOFED", "NVIDIA_GDRCOPY", "NVIDIA_NVSWITCH"] {
        let stage = stage(&["NVIDIA_VISIBLE_DEVICES=0", &format!("{group}=enabled")]);
        stage.configure("");
        assert!(stage.run("nvidia-container-runtime.legacy", &["create", "id"]).status.success());
        configure(&stage, "");
        assert!(prestart(&stage).status.success());
        assert!(called(&stage).contains(" --device=0 "), "{group}: {}", called(&stage));
    }
}

#[test]
fn failures_are_one_bare_line() {
    let stage = stage(&["NVIDIA_VISIBLE_DEVICES=0"]);
    let bundle = stage.text("bundle");
    let state = format!(r#"{{"pid":1,"bundle":{bundle:?}}}"#);
    let good = stage.read("bundle/config.json");
    for (state, config, want) in [
        ("", &good[..], "could not decode container state: "),
        ("{", &good, "could not decode container state: "),
        (r#"{"pid":1}"#, &good, "could not open OCI spec: "),
        (r#"{"pid":1,"bundle":"/nope"}"#, &good, "could not open OCI spec: cannot read /nope/config.json: "),
        (&state, "x", "could not decode OCI spec: "),
        (&state, "{}", "Version is empty in OCI spec"),
        (&state, r#"{"ociVersion":"1.0.2"}"#, "Process is empty in OCI spec"),
        (&state, r#"{"ociVersion":"1.0.2","process":{},"root":null}"#, "Root is empty in OCI spec"),
        (
            &state,
            &good.replace("=0\"", "=0\",\"NVIDIA_DRIVER_CAPABILITIES=compute,fabric\""),
            "unsupported capabilities found in 'compute,fabric' (allowed '",
        ),
        (
            &state,
            &good.replace("=0\"", "=0\",\"NVIDIA_MIG_CONFIG_DEVICES=all\""),
            "cannot set MIG_CONFIG_DEVICES in non privileged container",
        ),
        (r#"{"pid":-1,"bundle":"BUNDLE"}"#, &good, "could not decode container state: -1 is no process"),
    ] {
        stage.write("bundle/config.json", config);
        let output = feed_text(stage.command(HOOK).arg("prestart"), &state.replace("BUNDLE", &bundle));
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{want}: {text}");
        let line = text.lines().last().unwrap();
        assert!(line.starts_with(want) && line.contains("[CORTEN-E"), "{want}: {text}");
        assert_eq!(called(&stage), "", "{want}");
    }
}

#[test]
fn a_configuration_that_was_named_must_be_there() {
    let stage = stage(&["NVIDIA_VISIBLE_DEVICES=0"]);
    stage.write("broken.toml", "disable-require = 'yes'");
    let required = "error getting hook config: failed to load config: couldn't open required configuration file: ";
    for (flag, want) in [
        (stage.text("nope.toml"), "file does not exist"),
        (stage.text(""), "failed to load specified config file: read "),
        (stage.text("broken.toml"), "failed to load specified config file: "),
    ] {
        let output = feed(&stage, stage.command(HOOK).args(["-config", &flag, "prestart"]));
        assert_eq!(output.status.code(), Some(1), "{flag}");
        assert!(stderr(&output).starts_with(&format!("{required}{want}")), "{}", stderr(&output));
    }
    let mut command = stage.command(HOOK);
    command.arg("prestart").env_remove("NVIDIA_CTK_CONFIG_FILE_PATH").env("XDG_CONFIG_HOME", stage.text("none"));
    command.env("PATH", stage.text("empty"));
    // Without a file the defaults count; then the program is looked for, and the one of our own installation is no script.
    let output = feed(&stage, &mut command);
    assert!(!stderr(&output).contains("failed to load config"), "{}", stderr(&output));
}

#[test]
fn a_program_that_cannot_be_started_is_named() {
    let stage = stage(&["NVIDIA_VISIBLE_DEVICES=0"]);
    for (path, want) in [
        ("/nope/cli", "exec failed: /nope/cli: "),
        (
            "no-such-cli",
            "couldn't find binary no-such-cli in PATH: exec: \"no-such-cli\": executable file not found in $PATH",
        ),
    ] {
        stage.write("config.toml", &format!("nvidia-container-cli.path = {path:?}"));
        let output = prestart(&stage);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1));
        assert!(text.lines().last().unwrap().starts_with(want) && text.contains("[CORTEN-E065]"), "{text}");
    }
}

#[test]
fn wrong_command_lines_show_the_usage() {
    for (args, status, want) in [
        (&[][..], 2, "Usage of nvidia-container-runtime-hook:"),
        (&["bogus"], 2, "Usage of nvidia-container-runtime-hook:"),
        (&["-x", "prestart"], 2, "flag provided but not defined: -x\n"),
        (&["--help"], 0, "Usage of nvidia-container-runtime-hook:"),
    ] {
        let output = Stage::new().run(HOOK, args);
        assert_eq!(output.status.code(), Some(status), "{args:?}");
        assert!(stderr(&output).starts_with(want), "{args:?}: {}", stderr(&output));
    }
    let output = Stage::new().run(HOOK, &["--version"]);
    assert!(stdout(&output).starts_with("NVIDIA Container Runtime Hook version "));
}

/// An image's config.json cannot hold the hook up or fill its memory.
#[test]
fn a_hostile_bundle_is_refused() {
    let stage = stage(&["NVIDIA_VISIBLE_DEVICES=0"]);
    let path = stage.path("bundle/config.json");
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o600), 0).unwrap();
    assert!(stderr(&prestart(&stage)).contains("is not a regular file"));
    fs::remove_file(&path).unwrap();
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(stderr(&prestart(&stage)).contains("is larger than"));
}
