//! The shim is killed at any moment: config.json is whole, old or new, each thing in the root is as before or as after,
//! and the next start finishes the work and clears up.

use crate::stage::{CREATE, Stage, Tree, assert_same};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

const TIMES: u32 = 200;

/// For each line, a time in seconds: starts the shim, kills it after that time, and says so. Without a time the shim is
/// left to end.
const LOOP: &str = r#"while read -r delay; do
    "$SHIM" --log "$D/log" create --bundle "$B" "$ID" & pid=$!
    if [ -n "$delay" ]; then sleep "$delay"; kill -9 $pid; fi
    wait $pid
    echo done
done 2>/dev/null"#;

#[test]
fn killed_at_any_moment() {
    let stage = Stage::without_runtime(&["debian"]);
    let old = stage.read("bundle/config.json");
    copy(&stage.path("bundle/rootfs"), &stage.path("pristine"));
    let before = stage.tree();
    let mut machine = Machine::start(&stage);
    machine.start_shim(None);
    let (new, after) = (stage.read("bundle/config.json"), stage.tree());
    assert_ne!(old, new);
    let usual = usual_time(&stage, &mut machine, &old);
    for attempt in 0..TIMES {
        reset(&stage, &old);
        machine.start_shim(Some(usual * attempt * 2 / TIMES));
        let spec = stage.read("bundle/config.json");
        assert!(spec == old || spec == new, "{attempt}: {spec}");
        let torn: Vec<_> = differing(&stage.tree(), &before, &after);
        assert!(torn.is_empty(), "{attempt}: neither as before nor as after: {torn:?}");
        if spec == new {
            let missing: Vec<_> = after.keys().filter(|path| !stage.tree().contains_key(*path)).cloned().collect();
            assert!(missing.is_empty(), "{attempt}: config.json is ready, the root is not: {missing:?}");
        }
        // What the next start of the container makes of it, as the engine writes config.json anew.
        if attempt % 4 == 0 {
            stage.write("bundle/config.json", &old);
            machine.start_shim(None);
            assert_same("the start after a killed one", &after, &stage.tree());
        }
    }
}

/// Paths that are in neither state, left-overs under a spare name aside.
fn differing(found: &Tree, before: &Tree, after: &Tree) -> Vec<String> {
    let spare = |path: &Path| path.to_string_lossy().ends_with(".corten");
    let torn = found
        .iter()
        .filter(|(path, seen)| !spare(path) && before.get(*path) != Some(seen) && after.get(*path) != Some(seen));
    let lost = before.keys().filter(|path| !found.contains_key(*path) && after.contains_key(*path));
    torn.map(|(path, _)| path).chain(lost).map(|path| path.display().to_string()).collect()
}

/// About how long a start takes here: so the moments of killing are spread over all of it.
fn usual_time(stage: &Stage, machine: &mut Machine, old: &str) -> Duration {
    let mut usual = Duration::from_millis(2);
    loop {
        reset(stage, old);
        machine.start_shim(Some(usual));
        if stage.read("bundle/config.json") != old || usual > Duration::from_secs(1) {
            return usual;
        }
        usual = usual * 3 / 2;
    }
}

fn reset(stage: &Stage, old: &str) {
    fs::remove_dir_all(stage.path("bundle/rootfs")).unwrap();
    copy(&stage.path("pristine"), &stage.path("bundle/rootfs"));
    stage.write("bundle/config.json", old);
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// A simulated machine on which the shim is started and killed again and again.
struct Machine {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Machine {
    fn start(stage: &Stage) -> Machine {
        assert!(LOOP.contains(CREATE), "the same call as everywhere");
        let mut command = stage.command(&[], LOOP);
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (shell.stdin.take().unwrap(), BufReader::new(shell.stdout.take().unwrap()));
        Machine { shell, input, output }
    }

    /// Starts the shim and kills it after that time, or waits for it.
    fn start_shim(&mut self, killed_after: Option<Duration>) {
        let delay = killed_after.map(|delay| format!("{:.6}", delay.as_secs_f64()));
        writeln!(self.input, "{}", delay.unwrap_or_default()).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
