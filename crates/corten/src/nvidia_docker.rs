//! `nvidia-docker`: `docker` with the nvidia runtime, as nvidia-docker2 had it. `run` and `create` get `--runtime=nvidia`, and
//! `NV_GPU` says which GPUs; everything else is Docker's own, to which this program becomes.
//!
//! `NV_DOCKER` is the client to use, with its words, instead of `docker`. `NV_DEBUG`, if it is not empty, shows the command.

use crate::{
    codes::Code,
    fault::Fault,
    programs::Call,
    runtime::{logger::print_error, lowlevel},
    version::VERSION,
};
use std::{env, ffi::OsString, io::Write as _, process::ExitCode};

/// Docker's global options that take a value, by their long names and their letters.
const LONG_WITH_VALUE: [&str; 7] = ["config", "context", "host", "log-level", "tlscacert", "tlscert", "tlskey"];
const LETTERS_WITH_VALUE: &str = "cHl";

/// Becomes Docker. Returns only where there is none, with the status that a shell gives then.
pub fn main(call: Call) -> ExitCode {
    let gpus = env::var("NV_GPU").unwrap_or_default();
    let Rewritten { words, version } = rewrite(&call.args, &gpus);
    let client = env::var("NV_DOCKER").unwrap_or_default();
    let mut client = client.split_whitespace();
    let name = client.next().unwrap_or("docker").to_owned();
    let words: Vec<OsString> = client.map(Into::into).chain(words).collect();
    if env::var_os("NV_DEBUG").is_some_and(|value| !value.is_empty()) {
        eprintln!("+ {name} {}", words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "));
    }
    if version {
        println!("NVIDIA Docker: {VERSION}");
        // This process will not be there to flush it; a closed output is the caller's choice.
        let _ = std::io::stdout().flush();
    }
    let found = lowlevel::find(std::slice::from_ref(&name), &env::var_os("PATH").unwrap_or_default());
    let (fault, status) = match found {
        Ok(program) => {
            let error = root::exec::become_program(&program, &words, env::vars_os());
            (Fault::from_error(Code::DockerMissing, &error).within(&program.display().to_string()), 126)
        }
        Err(error) => (Fault::from_error(Code::DockerMissing, &error), 127),
    };
    print_error(&fault.to_string());
    ExitCode::from(status)
}

/// Docker's words.
#[derive(Debug, PartialEq, Eq)]
struct Rewritten {
    words: Vec<OsString>,
    /// Our version comes before Docker's.
    version: bool,
}

/// Puts our words behind `run` or `create`, where that is Docker's command: neither the value of a global option, nor
/// another command's word (`docker volume create`), nor a name.
fn rewrite(args: &[OsString], gpus: &str) -> Rewritten {
    let at = command(args, 0);
    let word = |at: usize| args.get(at).and_then(|word| word.to_str());
    let starts = |at: usize| matches!(word(at), Some("run" | "create"));
    let version = word(at) == Some("version");
    let behind = match word(at) {
        Some("container") => Some(at + 1).filter(|at| starts(*at)),
        _ => Some(at).filter(|at| starts(*at)),
    };
    let mut words = args.to_vec();
    if let Some(at) = behind {
        let mut ours = vec!["--runtime=nvidia".to_owned()];
        if !gpus.is_empty() {
            ours.extend(["-e".to_owned(), format!("NVIDIA_VISIBLE_DEVICES={}", gpus.replace(' ', ","))]);
        }
        words.splice(at + 1..at + 1, ours.into_iter().map(Into::into));
    }
    Rewritten { words, version }
}

/// Where the command stands: behind the global options and their values.
fn command(args: &[OsString], mut at: usize) -> usize {
    while let Some(word) = args.get(at).and_then(|word| word.to_str()) {
        at += match word.strip_prefix('-') {
            None | Some("") => break,
            Some("-") => return at + 1,
            Some(option) => 1 + usize::from(wants_next(option)),
        };
    }
    at
}

/// Whether an option, without its first dash, takes the next word for its value.
fn wants_next(option: &str) -> bool {
    match option.strip_prefix('-') {
        Some(long) => LONG_WITH_VALUE.contains(&long),
        // `-DH` is `-D -H`; what follows a letter with a value in the same word is the value.
        None => option.find(|letter| LETTERS_WITH_VALUE.contains(letter)).is_some_and(|at| at + 1 == option.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str, gpus: &str) -> String {
        let args: Vec<OsString> = line.split(' ').filter(|word| !word.is_empty()).map(Into::into).collect();
        let words = rewrite(&args, gpus).words;
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn run_and_create_get_the_runtime() {
        for (line, want) in [
            ("run --rm image run", "run R --rm image run"),
            ("create image", "create R image"),
            ("container run image", "container run R image"),
            ("container create image", "container create R image"),
            ("-D -H tcp://h:1 --config /c run image", "-D -H tcp://h:1 --config /c run R image"),
            ("--host=run -ltrace --context run create image", "--host=run -ltrace --context run create R image"),
            ("-DH run run image", "-DH run run R image"),
            ("-- run image", "-- run R image"),
            ("--tls=false run image", "--tls=false run R image"),
        ] {
            assert_eq!(rewritten(line, ""), want.replace('R', "--runtime=nvidia"), "{line}");
        }
    }

    #[test]
    fn everything_else_is_dockers() {
        for line in [
            "",
            "ps",
            "version",
            "-H tcp://run ps run",
            "--context run ps",
            "exec c create",
            "volume create v",
            "network create n",
            "compose run service",
            "container rm run",
            "container --help run",
            "start create",
            "--config",
            "-",
        ] {
            assert_eq!(rewritten(line, "0"), line);
        }
    }

    #[test]
    fn gpus_are_a_list() {
        let want = "run --runtime=nvidia -e NVIDIA_VISIBLE_DEVICES=0,1,GPU-x image";
        assert_eq!(rewritten("run image", "0 1,GPU-x"), want);
        assert!(rewrite(&["--debug".into(), "version".into()], "").version);
        assert!(!rewrite(&["run".into(), "version".into()], "").version);
    }
}
