//! Things of the machine's administrator that lie in a folder where somebody else may rename (a shared root, a volume), while an
//! operation makes links and folders there and gives them to the container's root user: he exchanges what was just made with what
//! he would like to have.

use crate::{
    image::{Image, LIBRARIES, Outward},
    operation::Operation,
    programs::Build,
    race::Raced,
    stage,
    trial::{Ended, configuration, fill_in, library, specification, state, variables, wait},
};
use rustix::{
    fd::OwnedFd,
    fs::{CWD, Mode, OFlags, RenameFlags, fstat, openat, renameat_with},
};
use serde_json::json;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

/// Times that an operation is run.
const RUNS: u64 = 20;
/// An operation that does not end meanwhile waits for something.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long each thing that was made lies there before the next call (microseconds): whoever loses a race by nature would prove
/// nothing.
const DELAY: &str = "inject=symlinkat,mkdirat:delay_exit=2000";
/// The first of the container's users on this machine.
const USER: u32 = 100_000;

/// Names under which operations make links and folders, and whether a folder is the rival.
const NAMES: [(&str, bool); 4] =
    [("libcuda.so", false), ("usr/lib64/libcuda.so", false), ("etc/nvidia", true), ("dev/dri/by-path", true)];

/// Runs the operation again and again on an image whose container has users of its own. The escape is what was given away.
///
/// # Errors
/// What kept it from being run.
pub fn race(folder: &Path, operation: &Operation, build: Build) -> Result<Raced, String> {
    let image = Image::make(folder, Outward::Absolute, &library()?);
    fs::write(folder.join("config.toml"), configuration("", build)?).map_err(|why| why.to_string())?;
    let rivals = NAMES.iter().enumerate().map(|(number, (at, is_folder))| Rival::make(&image, number, at, *is_folder));
    let rivals = rivals.collect::<io::Result<Vec<_>>>().map_err(|why| format!("a rival: {why}"))?;
    let exchanges = AtomicU64::new(0);
    let mut raced = Raced { exchanges: 0, runs: 0, escape: None };
    while raced.runs < RUNS && raced.escape.is_none() {
        rivals.iter().try_for_each(Rival::take_back).map_err(|why| format!("a rival: {why}"))?;
        let over = AtomicBool::new(false);
        let ended = thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    exchanges
                        .fetch_add(rivals.iter().filter(|rival| rival.exchange()).count() as u64, Ordering::Relaxed);
                    thread::sleep(Duration::from_micros(50));
                }
            });
            let ended = run(&image, operation, build);
            over.store(true, Ordering::Relaxed);
            ended
        })?;
        raced.runs += 1;
        let said = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
        let well = match ended {
            Some(Ended::Status(0)) => true,
            Some(Ended::Status(1)) => operation.failed_in_one_line(&said),
            _ => false,
        };
        raced.escape = match well {
            false => Some(format!("it ended with {ended:?}: {said}")),
            true => rivals.iter().find_map(Rival::given_away),
        };
    }
    raced.exchanges = exchanges.into_inner();
    Ok(raced)
}

fn run(image: &Image, operation: &Operation, build: Build) -> Result<Option<Ended>, String> {
    let mut document = specification();
    let map = json!([{"containerID": 0, "hostID": USER, "size": 65_536}]);
    document["linux"]["uidMappings"] = map.clone();
    document["linux"]["gidMappings"] = map;
    document["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "pid"}, {"type": "user"}]);
    let file = |name: &str| image.folder.join(name);
    fs::write(file("bundle/config.json"), document.to_string()).map_err(|why| why.to_string())?;
    fs::write(file("state"), state(&file("bundle"))).map_err(|why| why.to_string())?;
    let mut command = Command::new("strace");
    command.args(["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=symlinkat,mkdirat", "-e", DELAY]);
    command.arg(build.folder()?.join(operation.program));
    command.args(operation.args.iter().map(|word| fill_in(word, &image.folder)));
    command.envs(variables(&image.folder)).envs(stage::variables(operation, false));
    command.env("CORTEN_UNDEFENDED", build.switched_off());
    let input = File::open(file("state")).map_err(|why| why.to_string())?;
    let errors = File::create(file("stderr")).map_err(|why| why.to_string())?;
    command.stdin(input).stdout(Stdio::null()).stderr(errors);
    wait(&mut command.spawn().map_err(|why| format!("cannot start strace: {why}"))?, PATIENCE)
}

/// Something of the administrator's, and the name that it is exchanged with.
struct Rival {
    folder: PathBuf,
    name: String,
    beside: String,
    /// It, wherever it lies.
    itself: OwnedFd,
    mode: u32,
}

impl Rival {
    fn make(image: &Image, number: usize, at: &str, is_folder: bool) -> io::Result<Rival> {
        let at = if at.contains('/') { at.to_owned() } else { format!("{LIBRARIES}/{at}") };
        let (folder, name) = at.rsplit_once('/').unwrap_or(("", &at));
        let (folder, beside) = (image.path(folder), format!("rival{number}"));
        fs::create_dir_all(&folder)?;
        let path = folder.join(&beside);
        match is_folder {
            true => fs::DirBuilder::new().mode(0o700).create(&path)?,
            false => drop(fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?),
        }
        let itself = openat(CWD, &path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let mode = fstat(&itself)?.st_mode;
        Ok(Rival { folder, name: name.to_owned(), beside, itself, mode })
    }

    fn exchange(&self) -> bool {
        let [a, b] = [&self.name, &self.beside].map(|name| self.folder.join(name));
        renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).is_ok()
    }

    /// Puts it back beside the name, and removes what an operation made.
    fn take_back(&self) -> io::Result<()> {
        let [at, beside] = [&self.name, &self.beside].map(|name| self.folder.join(name));
        let itself = fstat(&self.itself)?.st_ino;
        if fs::symlink_metadata(&at).is_ok_and(|status| status.ino() == itself) {
            self.exchange();
        }
        for path in [at, beside] {
            match fs::symlink_metadata(&path) {
                Ok(status) if status.ino() == itself => {}
                Ok(status) if status.is_dir() => fs::remove_dir_all(path)?,
                Ok(_) => fs::remove_file(path)?,
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn given_away(&self) -> Option<String> {
        match fstat(&self.itself) {
            Ok(status) if (status.st_uid, status.st_gid, status.st_mode) == (0, 0, self.mode) => None,
            Ok(status) => {
                let (uid, mode) = (status.st_uid, status.st_mode & 0o7777);
                Some(format!("given away: {} is {uid}'s, mode {mode:o}", self.beside))
            }
            Err(why) => Some(format!("{} is gone: {why}", self.beside)),
        }
    }
}
