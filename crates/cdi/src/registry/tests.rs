//! Folders of specs, and what can be resolved from them.

use super::*;
use std::time::Instant;
use tempfile::TempDir;

/// A spec whose devices say their name and the spec's in a variable.
fn spec(kind: &str, mark: &str, devices: &[&str]) -> String {
    let device = |name: &&str| format!("- name: \"{name}\"\n  containerEdits:\n    env: [\"DEVICE={mark}-{name}\"]\n");
    let devices: String = devices.iter().map(device).collect();
    format!("cdiVersion: 0.5.0\nkind: {kind}\ncontainerEdits:\n  env: [\"SPEC={mark}\"]\ndevices:\n{devices}")
}

/// Two folders with these files: folder, name, content.
fn folders(files: &[(usize, &str, String)]) -> (TempDir, [PathBuf; 2]) {
    let top = tempfile::tempdir().unwrap();
    let folders = ["etc", "run"].map(|name| top.path().join(name));
    folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
    for (folder, name, content) in files {
        fs::write(folders[*folder].join(name), content).unwrap();
    }
    (top, folders)
}

fn names(texts: &[&str]) -> Vec<QualifiedName> {
    texts.iter().map(|text| QualifiedName::parse(text).unwrap()).collect()
}

fn env(registry: &Registry, texts: &[&str]) -> Vec<String> {
    registry.resolve(&names(texts)).unwrap().into_iter().flat_map(|found| found.edits.env.clone()).collect()
}

#[test]
fn edits_come_in_the_order_of_names_and_those_of_specs_once() {
    let (_top, folders) = folders(&[
        (0, "a.yaml", spec("v.com/gpu", "gpu", &["0", "1"])),
        (1, "b.json", spec("v.com/nic", "nic", &["x"])),
    ]);
    let registry = Registry::load(&folders);
    let found = env(&registry, &["v.com/gpu=1", "v.com/nic=x", "v.com/gpu=0"]);
    assert_eq!(found, ["SPEC=gpu", "DEVICE=gpu-1", "SPEC=nic", "DEVICE=nic-x", "DEVICE=gpu-0"]);
    let all: Vec<_> = registry.names().map(ToString::to_string).collect();
    assert_eq!(all, ["v.com/gpu=0", "v.com/gpu=1", "v.com/nic=x"]);
    assert!(env(&registry, &[]).is_empty());
}

#[test]
fn later_folders_win_name_by_name() {
    let (_top, folders) =
        folders(&[(0, "z.yaml", spec("v/gpu", "etc", &["0", "1"])), (1, "a.yaml", spec("v/gpu", "run", &["0"]))]);
    let registry = Registry::load(&folders);
    assert_eq!(env(&registry, &["v/gpu=0", "v/gpu=1"]), ["SPEC=run", "DEVICE=run-0", "SPEC=etc", "DEVICE=etc-1"]);
    let described: Vec<_> = registry.devices().map(|it| (it.name.device(), it.file, it.hides)).collect();
    let (etc, run) = (folders[0].join("z.yaml"), folders[1].join("a.yaml"));
    assert_eq!(described, [("0", run.as_path(), vec![etc.as_path()]), ("1", etc.as_path(), vec![])]);
    let [first, second] = folders;
    assert_eq!(env(&Registry::load(&[second, first]), &["v/gpu=0"]), ["SPEC=etc", "DEVICE=etc-0"]);
}

#[test]
fn a_name_twice_in_a_folder_is_nobodys() {
    let (_top, folders) = folders(&[
        (0, "a.yaml", spec("v/gpu", "a", &["0", "1"])),
        (0, "b.yaml", spec("v/gpu", "b", &["0"])),
        (1, "c.yaml", spec("v/gpu", "c", &["0"])),
    ]);
    let registry = Registry::load(&folders);
    assert_eq!(env(&registry, &["v/gpu=1"]), ["SPEC=a", "DEVICE=a-1"]);
    let conflicts: Vec<_> = registry.conflicts().map(|conflict| conflict.to_string()).collect();
    let etc = folders[0].display();
    assert_eq!(conflicts, [format!("v/gpu=0 is in {etc}/a.yaml and in {etc}/b.yaml")]);
    assert_eq!(registry.names().count(), 1);
    let error = registry.resolve(&names(&["v/gpu=0", "v/gpu=1"])).unwrap_err();
    assert_eq!(error.names, names(&["v/gpu=0"]));
    assert_eq!(error.conflicts, conflicts);
}

#[test]
fn a_bad_file_hurts_only_itself() {
    let (top, folders) = folders(&[
        (0, "bad.yaml", "kind: [".to_owned()),
        (0, "empty.json", String::new()),
        (0, "good.yaml", spec("v/gpu", "good", &["0"])),
        (0, "old.yaml", spec("v/gpu", "old", &["7"]).replace("0.5.0", "0.4.0")),
        (0, "ignored.yml", spec("v/gpu", "yml", &["8"])),
        (0, "ignored.yaml.tmp", spec("v/gpu", "tmp", &["9"])),
    ]);
    fs::create_dir(folders[0].join("folder.yaml")).unwrap();
    std::os::unix::fs::symlink("nowhere", folders[0].join("link.yaml")).unwrap();
    let registry = Registry::load(&[folders[0].clone(), top.path().join("missing"), folders[1].clone()]);
    assert_eq!(env(&registry, &["v/gpu=0"]), ["SPEC=good", "DEVICE=good-0"]);
    let error = registry.resolve(&names(&["v/gpu=7", "v/gpu=0", "w/x=y"])).unwrap_err();
    let text = error.to_string().replace(&top.path().display().to_string(), "");
    let failed = "; not used: /etc/bad.yaml is neither JSON nor YAML: ";
    assert!(
        text.starts_with("unresolvable CDI devices v/gpu=7, w/x=y; searched /etc, /missing, /run; not used: "),
        "{text}"
    );
    assert!(text.contains(failed), "{text}");
    assert!(text.contains(", /etc/empty.json is empty, "), "{text}");
    assert!(text.contains("/etc/link.yaml cannot be read: No such file"), "{text}");
    let old = "/etc/old.yaml is an invalid CDI Spec: the spec version must be at least v0.5.0, but it is 0.4.0";
    assert!(text.ends_with(old), "{text}");
    assert_eq!(registry.failures().len(), 4);
}

#[test]
fn many_files_are_as_good_as_few() {
    let files: Vec<_> = (1000..2000).map(|index| (format!("{index}.yaml"), format!("v/c{index}"))).collect();
    let text = |index: usize, kind: &str| if index % 10 == 7 { "{".to_owned() } else { spec(kind, kind, &["0"]) };
    let files: Vec<_> = files.iter().enumerate().map(|(at, (name, kind))| (0, name.as_str(), text(at, kind))).collect();
    let (_top, folders) = folders(&files);
    let registry = Registry::load(&folders);
    assert_eq!((registry.names().count(), registry.failures().len()), (900, 100));
    let order: Vec<_> = registry.specs().map(|(path, _)| path.to_owned()).collect();
    assert!(order.is_sorted() && registry.failures().is_sorted_by_key(|failure| &failure.path));
    assert_eq!(env(&registry, &["v/c1999=0"]), ["SPEC=v/c1999", "DEVICE=v/c1999-0"]);
}

#[test]
fn errors_stay_short() {
    let many: Vec<QualifiedName> = (0..1000).map(|index| names(&[&format!("a/b={index}")]).remove(0)).collect();
    let text = Registry::load::<&Path>(&[]).resolve(&many).unwrap_err().to_string();
    assert!(text.ends_with(", a/b=7 and 992 more; searched nothing"), "{text}");
}

#[test]
fn a_folder_that_is_none_is_a_failure() {
    let top = tempfile::tempdir().unwrap();
    let file = top.path().join("file");
    fs::write(&file, "").unwrap();
    let registry = Registry::load(&[&file]);
    assert_eq!(registry.failures()[0].path, file);
    assert_eq!(
        Registry::load::<&Path>(&[]).resolve(&names(&["a/b=c"])).unwrap_err().to_string(),
        "unresolvable CDI devices a/b=c; searched nothing"
    );
}

/// Not a test of facts but a measurement: `cargo test --release -p corten-cdi -- --ignored --nocapture ten_thousand`.
#[test]
#[ignore = "measures"]
fn ten_thousand_files() {
    let top = tempfile::tempdir().unwrap();
    for index in 0..10_000 {
        let text = spec(&format!("v.com/class{index}"), "m", &["0", "1", "2", "3"]);
        fs::write(top.path().join(format!("{index}.yaml")), text).unwrap();
    }
    let start = Instant::now();
    let registry = Registry::load(&[top.path()]);
    assert_eq!(registry.names().count(), 40_000);
    println!("ten thousand files in {:?}", start.elapsed());
}

/// Only specs that carry their origin, and that nobody has edited, are shown; what is said of them counts.
#[test]
fn a_review_keeps_replaces_and_rejects() {
    let made = |mark: &str| {
        let spec = Spec::parse(spec("v/gpu", mark, &[mark]).as_bytes()).unwrap();
        let how = serde_json::Value::Null;
        let origin = Origin { maker: String::new(), machine: mark.to_owned(), content: spec.digest(), how };
        spec.to_text_from(&origin, Format::Yaml)
    };
    let (_top, folders) = folders(&[
        (0, "a.yaml", made("stays")),
        (0, "b.yaml", made("changes")),
        (0, "c.yaml", made("fails")),
        (0, "d.yaml", made("edited").replace("DEVICE=edited", "DEVICE=by-hand")),
        (0, "e.yaml", spec("v/gpu", "bare", &["bare"])),
    ]);
    let mut registry = Registry::load(&folders);
    let mut shown = Vec::new();
    registry.review(&HashSet::from(["v/gpu"]), |path, _, origin| {
        shown.push(format!("{} {}", path.file_name().unwrap().display(), origin.machine));
        match origin.machine.as_str() {
            "changes" => Review::Replaced(Box::new(Spec::parse(spec("v/gpu", "new", &["new"]).as_bytes()).unwrap())),
            "fails" => Review::Unusable("no driver".to_owned()),
            _ => Review::Holds,
        }
    });
    assert_eq!(shown, ["a.yaml stays", "b.yaml changes", "c.yaml fails"]);
    let names: Vec<_> = registry.names().map(ToString::to_string).collect();
    assert_eq!(names, ["v/gpu=bare", "v/gpu=edited", "v/gpu=new", "v/gpu=stays"]);
    assert_eq!(env(&registry, &["v/gpu=new"]), ["SPEC=new", "DEVICE=new-new"]);
    let failures: Vec<_> = registry.failures().iter().map(ToString::to_string).collect();
    assert!(failures.len() == 1 && failures[0].ends_with("c.yaml is out of date, and cannot be made again: no driver"));
    let found = registry.resolve(&self::names(&["v/gpu=edited"])).unwrap();
    assert!(found.iter().all(|found| found.file.ends_with("d.yaml") && !found.reviewed));
    let found = registry.resolve(&self::names(&["v/gpu=new", "v/gpu=stays"])).unwrap();
    assert!(found.len() == 4 && found.iter().all(|found| found.reviewed));
}

#[test]
fn a_review_is_of_the_kinds_that_are_asked_for() {
    let spec = Spec::parse(spec("v/gpu", "a", &["0"]).as_bytes()).unwrap();
    let origin =
        Origin { maker: String::new(), machine: String::new(), content: spec.digest(), how: serde_json::Value::Null };
    let (_top, folders) = folders(&[(0, "a.yaml", spec.to_text_from(&origin, Format::Yaml))]);
    for (kind, want) in [("v/gpu", 1), ("v/nic", 0)] {
        let (mut registry, mut shown) = (Registry::load(&folders), 0);
        registry.review(&HashSet::from([kind]), |_, _, _| {
            shown += 1;
            Review::Holds
        });
        assert_eq!(shown, want, "{kind}");
        assert_eq!(registry.names().count(), 1);
    }
}
