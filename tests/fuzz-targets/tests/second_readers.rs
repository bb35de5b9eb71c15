//! Our readers beside those of others, on what is on this machine and on the inputs of the fuzz targets that they take.
#![allow(clippy::unwrap_used, reason = "a test without its inputs has failed")]

use host::{elf, ldcache};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Libraries of this machine that are looked at.
const LIBRARIES: usize = 60;

#[test]
fn libraries_say_what_readelf_says() {
    let folder = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let is_library = |path: &PathBuf| path.to_string_lossy().contains(".so.") && path.is_file() && !path.is_symlink();
    let here = files(Path::new(&folder)).into_iter().chain(files(Path::new("/usr/lib64"))).filter(is_library);
    let named = corpus("elf").into_iter().filter(|path| !path.ends_with("overlapping"));
    let (mut libraries, mut names) = (0, 0);
    for path in named.chain(here.take(LIBRARIES)) {
        let ours = elf::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let theirs = output("readelf", &["-dW", path.to_str().unwrap()]);
        let tagged = |tag: &str| -> Vec<String> {
            let lines = theirs.lines().filter(|line| line.contains(tag));
            lines.filter_map(|line| Some(line.rsplit_once('[')?.1.strip_suffix(']')?.to_owned())).collect()
        };
        assert_eq!(ours.needed, tagged("(NEEDED)"), "{}", path.display());
        assert_eq!(ours.soname.into_iter().collect::<Vec<_>>(), tagged("(SONAME)"), "{}", path.display());
        (libraries, names) = (libraries + 1, names + ours.needed.len());
    }
    assert!(libraries >= 20 && names >= 20, "only {libraries} libraries and {names} names");
}

#[test]
fn caches_say_what_ldconfig_says() {
    let ours = corpus("ldcache").into_iter().filter(|path| !path.ends_with("other"));
    let mut entries = 0;
    for path in ours.chain([ldcache::PATH.into()]) {
        let cache = ldcache::parse(&fs::read(&path).unwrap()).unwrap();
        let theirs = output("ldconfig", &["-p", "-C", path.to_str().unwrap()]);
        let line = |line: &str| {
            let (name, rest) = line.strip_prefix('\t')?.split_once(" (")?;
            Some((name.to_owned(), rest.split_once(" => ")?.1.to_owned()))
        };
        let theirs: Vec<_> = theirs.lines().filter_map(line).collect();
        let ours: Vec<_> = cache.entries.into_iter().map(|entry| (entry.name, entry.path)).collect();
        assert_eq!(ours, theirs, "{}", path.display());
        entries += ours.len();
    }
    assert!(entries >= 30, "only {entries} entries");
}

fn corpus(name: &str) -> Vec<PathBuf> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name))
}

/// In order; none where there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn output(program: &str, arguments: &[&str]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let done = Command::new(program).args(arguments).env("PATH", path).env("LC_ALL", "C").output();
    let done = done.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}
