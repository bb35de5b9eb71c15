//! Words, flags and help of the whole table.

use super::*;

/// What a line comes to, in short.
fn line(line: &str) -> String {
    match run(line.split_whitespace().map(str::to_owned).collect()) {
        Ok(Outcome::Done(_)) => "done".to_owned(),
        Ok(Outcome::Show(text)) => text.lines().next().unwrap_or_default().to_owned(),
        Ok(Outcome::NoTopic(fault) | Outcome::Usage(_, fault)) | Err(fault) => fault.to_string(),
    }
}

#[test]
fn words_lead_down_the_table() {
    for (words, want) in [
        ("", "Usage: nvidia-ctk [FLAG…] COMMAND"),
        ("--debug", "Usage: nvidia-ctk [FLAG…] COMMAND"),
        ("info", "Usage: nvidia-ctk info [FLAG…] COMMAND"),
        ("cdi", "Usage: nvidia-ctk cdi [FLAG…] COMMAND"),
        ("help cdi", "Usage: nvidia-ctk cdi [FLAG…] COMMAND"),
        ("cdi -h", "Usage: nvidia-ctk cdi [FLAG…] COMMAND"),
        ("cdi transform root --help", "Usage: nvidia-ctk cdi transform root [FLAG…]"),
        ("help cdi list", "Usage: nvidia-ctk cdi list [FLAG…]"),
        ("cdi validate --help", "Usage: nvidia-ctk cdi validate [FLAG…] [FILE|FOLDER…]"),
        ("help cdi validate", "Usage: nvidia-ctk cdi validate [FLAG…] [FILE|FOLDER…]"),
        ("bogus", "No help topic for 'bogus'. `nvidia-ctk --help` lists the commands [CORTEN-E080]"),
        ("help bogus", "No help topic for 'bogus'. `nvidia-ctk --help` lists the commands [CORTEN-E080]"),
        ("--quiet cdi bogus", "No help topic for 'bogus'. `nvidia-ctk cdi --help` lists the commands [CORTEN-E080]"),
    ] {
        assert_eq!(line(words), want, "{words}");
    }
    assert!(line("-v").starts_with("NVIDIA Container Toolkit CLI version "));
}

#[test]
fn wrong_lines_are_one_line_with_a_code() {
    for (words, want) in [
        ("--bogus", "flag provided but not defined: -bogus. `nvidia-ctk --help` lists the flags [CORTEN-E080]"),
        (
            "cdi list --spec-dir",
            "flag needs an argument: --spec-dir. `nvidia-ctk cdi list --help` lists the flags [CORTEN-E080]",
        ),
        (
            "cdi generate -version",
            "flag provided but not defined: -version. `nvidia-ctk cdi generate --help` lists the flags [CORTEN-E080]",
        ),
        (
            "runtime configure --runtime=containerd",
            "nvidia-ctk runtime configure --runtime=containerd is not in this version yet. See docs/engines.md for what to write into its configuration [CORTEN-E021]",
        ),
        ("runtime configure --runtime=x", "unrecognized runtime 'x'. Give docker, containerd or crio [CORTEN-E080]"),
        (
            "config",
            "nvidia-ctk config is not in this version yet. `nvidia-ctk --help` lists what there is [CORTEN-E021]",
        ),
        (
            "cdi generate --mode=wsl",
            "failed to generate CDI spec: mode wsl is not in this version yet. Write the spec by hand, or describe another machine with --machine FILE [CORTEN-E021]",
        ),
        ("cdi generate --format=xml --mode=x", "invalid output format: xml. Give yaml or json [CORTEN-E080]"),
        ("cdi generate --enable-hook=all", "enabling all hooks is not supported. Name the hooks [CORTEN-E080]"),
        (
            "cdi list --spec-dir=",
            "at least one CDI specification directory must be specified. Give --spec-dir, or leave it out for /etc/cdi and /var/run/cdi [CORTEN-E080]",
        ),
        (
            "cdi transform root --relative-to=x",
            "invalid value for --relative-to: \"x\". Give host or container [CORTEN-E080]",
        ),
    ] {
        assert_eq!(line(words), want, "{words}");
    }
}

#[test]
fn help_names_every_flag() {
    let Ok(Outcome::Show(text)) = run(["cdi", "generate", "--help"].map(str::to_owned).to_vec()) else { panic!() };
    for flag in generate::FLAGS.iter().chain(GLOBAL) {
        assert!(flag.all_names().all(|name| text.contains(&format!("-{name}"))), "{}", flag.name());
        assert!(text.contains(flag.variable), "{}", flag.variable);
    }
}

/// What help prints for these words.
fn shown(words: &str) -> String {
    match run(words.split_whitespace().map(str::to_owned).collect()) {
        Ok(Outcome::Show(text)) => text,
        _ => panic!("{words}: no help"),
    }
}

#[test]
fn help_says_what_is_to_come() {
    let text = shown("");
    let marked: Vec<_> = text.lines().filter(|line| line.ends_with(" (not yet)")).collect();
    assert_eq!(marked.len(), 2, "system and config: {text}");
    assert_eq!(shown("system").matches(" (not yet)\n").count(), 2);
    assert!(shown("help config").contains("\nThis will show or change config.toml, in a later version.\n"));
    assert!(shown("help hook").contains("\nThis will do what specifications name, as nvidia-cdi-hook does.\n"));
    assert!(shown("runtime configure --help").contains(" docker (containerd and crio: not yet); by default docker\n"));
}

#[test]
fn help_has_one_row_for_each_flag() {
    let text = shown("runtime configure --help");
    assert_eq!(text.matches("--config TEXT").count(), 1, "the global flag is hidden: {text}");
    assert!(text.contains("--quiet"), "{text}");
    assert_eq!(shown("cdi list --help").matches("--config TEXT").count(), 1);
}

#[test]
fn behind_two_dashes_no_word_is_a_flag() {
    for (words, want) in [
        ("-- --nope.yaml --nope2.yaml", "2 errors, 0 warnings in 2 CDI spec files. "),
        ("/nope.yaml -- --help --nope3.yaml", "3 errors, 1 warning in 3 CDI spec files. "),
    ] {
        let said = line(&format!("--quiet cdi validate {words}"));
        assert!(said.starts_with(want), "{words}: {said}");
    }
}

#[test]
fn names_of_flags_are_unique() {
    let plain = [generate::FLAGS, refresh::FLAGS, watch::FLAGS, list::FLAGS, transform::FLAGS, validate::FLAGS];
    // The original's `runtime configure` has a `--config` of its own.
    let hiding = [(configure::FLAGS, "config")];
    for (flags, hidden) in plain.map(|flags| (flags, "")).into_iter().chain(hiding) {
        let global = GLOBAL.iter().filter(|flag| flag.name() != hidden);
        let names: Vec<_> = flags.iter().chain(global).flat_map(Flag::all_names).collect();
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), different.len(), "{names:?}");
    }
}
