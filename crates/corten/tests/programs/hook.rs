//! The command line of `nvidia-cdi-hook`, and the names whose programs are to come.

use crate::stage::{Stage, stderr, stdout};

#[test]
fn unknown_hooks_never_stop_a_container() {
    for (args, want) in [
        (&[][..], "No CDI hook specified"),
        (&["foo", "--bar", "baz"], "Unsupported CDI hook: foo"),
        (&["--new-option", "noop"], "No CDI hook specified"),
    ] {
        let output = Stage::new().run("nvidia-cdi-hook", args);
        assert!(output.status.success(), "{args:?}");
        assert!(stderr(&output).contains(&format!("level=warning msg=\"{want}\"")), "{}", stderr(&output));
    }
    let output = Stage::new().run("nvidia-cdi-hook", &["--quiet", "foo"]);
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn nvidia_ctk_hook_is_the_same_program() {
    for program in [("nvidia-cdi-hook", &["noop"][..]), ("nvidia-ctk", &["hook", "noop"])] {
        let output = Stage::new().run(program.0, program.1);
        assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
    }
    let output = Stage::new().run("nvidia-ctk", &["hook", "noop", "--bogus"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("flag provided but not defined: -bogus"));
}

#[test]
fn programs_to_come_say_so() {
    let names = "nvidia-ctk-installer";
    for name in names.split_whitespace() {
        let output = Stage::new().run(name, &["whatever"]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let text = stderr(&output);
        assert!(
            text.contains(&format!("{name} is not in this version yet. ")) && text.contains("[CORTEN-E021]"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
    }
    let output = Stage::new().run("nvidia-ctk-installer", &["--version"]);
    assert!(stdout(&output).starts_with("NVIDIA Container Toolkit Installer version "));
}
