//! Thousands of interleavings of driver updates, MIG changes, module reloads, refreshed specs and container starts: whatever
//! state the machine is caught in, no container starts with something that is not there, and no file is ever torn.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

use cdi::Spec;
use freshness::{
    change::{self, Step},
    dice::Dice,
    running::{Running, folder},
    truth,
};
use machine::{Machine, STATE_FILE};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    env, fs,
    path::PathBuf,
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// How many things happen, steps of changes among them.
const EVENTS: usize = 4000;

const SPEC: &str = "/etc/cdi/nvidia.yaml";

/// What an engine would have written.
const BUNDLE: &str = r#"{"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"args":["true"],"env":["NVIDIA_VISIBLE_DEVICES=ASKED"],"cwd":"/"},"root":{"path":"rootfs"},"mounts":[],"linux":{}}"#;

struct World {
    running: Running,
    dice: Dice,
    folder: TempDir,
    /// Steps that are still to come, and what the machine is after them.
    pending: VecDeque<Step>,
    next: Option<Machine>,
    /// GPUs in MIG mode without a MIG device, by bus id, of which everybody has to know: a spec was made since they are so.
    told: BTreeSet<String>,
    /// What happened, for whoever has to find out why something went wrong.
    story: Vec<String>,
    counts: BTreeMap<&'static str, usize>,
}

#[test]
fn no_container_starts_with_what_is_not_there() {
    let seed = env::var("CORTEN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut world = World::new(seed);
    for _ in 0..EVENTS {
        world.event();
    }
    if env::var_os("CORTEN_STORY").is_some() {
        println!("{}", world.story.join("\n"));
    }
    println!("seed {seed}: {:?}", world.counts);
    for what in [
        "cdi started",
        "cdi refused",
        "jit started",
        "jit refused",
        "refreshed",
        "not refreshed",
        "killed",
        "stale",
        "told",
    ] {
        assert!(world.counts.get(what).is_some_and(|count| *count > 10), "{what} hardly happened: {:?}", world.counts);
    }
}

impl World {
    fn new(seed: u64) -> World {
        let running = Running::start("small.toml");
        let folder = tempfile::tempdir().unwrap();
        for mode in ["cdi", "auto"] {
            let text = format!("[nvidia-container-runtime]\nmode = {mode:?}\nruntimes = [\"/bin/true\"]\n");
            fs::write(folder.path().join(format!("{mode}.toml")), text).unwrap();
        }
        fs::create_dir_all(folder.path().join("bundle/rootfs/usr/lib")).unwrap();
        let mut world = World {
            running,
            dice: Dice::new(seed),
            folder,
            pending: VecDeque::new(),
            next: None,
            told: BTreeSet::new(),
            story: Vec::new(),
            counts: BTreeMap::new(),
        };
        let (bin, dir) = (self::folder("CORTEN_BIN"), world.folder.path().display().to_string());
        world.must(&format!("export PATH={}:$PATH D={dir}; mkdir -p /etc/cdi", bin.display()));
        world
    }

    fn event(&mut self) {
        if self.dice.once_in(500) {
            self.rest();
        }
        match self.dice.below(10) {
            0..=3 => self.step(),
            4 => self.refresh(),
            5 if self.dice.once_in(2) => self.refresh_killed(),
            6 => self.start("auto", "jit started", "jit refused"),
            _ => self.start("cdi", "cdi started", "cdi refused"),
        }
    }

    /// Long enough for what is found now to be kept for the next start: younger findings are not (`host::evidence`).
    fn rest(&mut self) {
        thread::sleep(Duration::from_millis(2100));
        self.start("auto", "jit started", "jit refused");
        self.start("cdi", "cdi started", "cdi refused");
    }

    /// The next step of the change that is under way, or the first of a new one.
    fn step(&mut self) {
        if self.pending.is_empty() {
            let (next, steps) = change::any(&self.running, &mut self.dice);
            self.pending = steps.into();
            self.next = Some(next);
        }
        // A few at a time, or a driver update would take most of the test.
        for _ in 0..=self.dice.below(6) {
            let Some(step) = self.pending.pop_front() else { break };
            self.tell(format!("{step:?}"));
            step.take(&mut self.running);
            self.forget();
        }
        if self.pending.is_empty()
            && let Some(next) = self.next.take()
        {
            self.running.machine = next;
        }
        self.count("step");
    }

    /// What has changed since nobody was told.
    fn forget(&mut self) {
        let machine: Machine = serde_json::from_str(&self.running.read(STATE_FILE)).unwrap();
        let is_idle = |bus_id: &String| {
            machine.gpus.iter().any(|gpu| gpu.bus_id == *bus_id && gpu.mig_enabled && gpu.mig.is_empty())
        };
        self.told.retain(is_idle);
    }

    fn refresh(&mut self) {
        let done = self.running.run(&format!("nvidia-ctk --quiet cdi generate --output={SPEC} 2>$D/err"));
        self.tell(format!("refresh: {done} {}", self.error()));
        self.count(if done == 0 { "refreshed" } else { "not refreshed" });
        assert!(done == 0 || self.error().contains("[CORTEN-E"), "{}", self.error());
        if done == 0 {
            self.told.extend(truth::idle(&self.running));
        }
        self.check_files(&["nvidia.yaml"]);
    }

    fn refresh_killed(&mut self) {
        let after = self.dice.below(12_000);
        let script = format!(
            "timeout -s KILL {:.6} nvidia-ctk --quiet cdi generate --output={SPEC} 2>/dev/null",
            after as f64 / 1e6
        );
        let done = self.running.run(&script);
        self.tell(format!("refresh, killed after {after} µs: {done}"));
        self.count(if done == 137 { "killed" } else { "not killed" });
        self.check_files(&["nvidia.yaml", ".corten-"]);
        // What a killed one left is the next one's to ignore, and nobody's to read.
        self.running.run("rm -f /etc/cdi/.corten-*");
    }

    /// Every file in the spec folder has a name that begins with one of these; a spec is whole.
    fn check_files(&self, allowed: &[&str]) {
        for name in self.running.names("/etc/cdi") {
            assert!(allowed.iter().any(|start| name.starts_with(start)), "{name} was left\n{}", self.tale());
        }
        let file = self.running.at(SPEC);
        if file.exists() {
            let read = Spec::read_file_with_origin(&file);
            let (spec, origin) = read.unwrap_or_else(|error| panic!("torn: {error}\n{}", self.tale()));
            assert!(origin.is_some_and(|origin| origin.is_of(&spec)), "torn\n{}", self.tale());
        }
    }

    fn start(&mut self, mode: &str, started: &'static str, refused: &'static str) {
        let asked = self.device();
        let bundle = BUNDLE.replace("ASKED", &asked);
        fs::write(self.config(), &bundle).unwrap();
        let done = self.running.run(&format!(
            "NVIDIA_CTK_CONFIG_FILE_PATH=$D/{mode}.toml nvidia-container-runtime --log $D/log create --bundle $D/bundle x 2>$D/err"
        ));
        let text = fs::read_to_string(self.config()).unwrap();
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let _ = fs::remove_file(self.folder.path().join("log"));
        self.tell(format!("start {asked} ({mode}): {done} {}", self.error()));
        if log.contains("is older than this machine") {
            self.count("stale");
        }
        if done != 0 {
            self.count(refused);
            assert_eq!(text, bundle, "half done\n{}", self.tale());
            assert!(self.error().contains("[CORTEN-E"), "{}", self.error());
            return;
        }
        self.count(started);
        let document = serde_json::from_str(&text).unwrap_or_else(|error| panic!("torn: {error}\n{}", self.tale()));
        let idle = truth::idle(&self.running);
        if !idle.is_empty() {
            self.count(if idle.is_subset(&self.told) { "told" } else { "untold" });
        }
        let wrong = truth::wrong(&self.running, &document, &asked, &self.told);
        assert!(wrong.is_empty(), "{}\nlog: {log}\n{}", wrong.join("\n"), self.tale());
    }

    /// A name that means something now, or did a while ago, or will in a moment.
    fn device(&mut self) -> String {
        let seen: Machine = serde_json::from_str(&self.running.read(STATE_FILE)).unwrap();
        let machine = [Some(&self.running.machine), self.next.as_ref(), Some(&seen)];
        let machine = machine[self.dice.below(3)].unwrap_or(&seen).clone();
        let gpu = self.dice.below(machine.gpus.len());
        let parts = &machine.gpus[gpu].mig;
        // Only `all` depends on it.
        if !self.told.is_empty() && self.dice.once_in(3) {
            return "all".to_owned();
        }
        match self.dice.below(6) {
            0 => "all".to_owned(),
            1 => gpu.to_string(),
            2 => machine.gpus[gpu].uuid.clone(),
            _ if parts.is_empty() => machine.gpus[0].uuid.clone(),
            3 => format!("{gpu}:{}", self.dice.pick(parts).index),
            _ => self.dice.pick(parts).uuid.clone(),
        }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("bundle/config.json")
    }

    fn error(&self) -> String {
        fs::read_to_string(self.folder.path().join("err")).unwrap_or_default()
    }

    fn must(&mut self, script: &str) {
        assert_eq!(self.running.run(script), 0, "{script}");
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn tell(&mut self, what: String) {
        self.story.push(what);
    }

    /// The last things that happened.
    fn tale(&self) -> String {
        let start = self.story.len().saturating_sub(40);
        format!("event {}, the last of them:\n{}", self.story.len(), self.story[start..].join("\n"))
    }
}
