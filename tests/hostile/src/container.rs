//! Attacks in real containers: our shim, or a spec with all of our hooks, under runc and crun.

use crate::{
    attack::{Attack, How},
    image::{Image, Outward},
    oracle::nothing_leaked,
    outside,
    programs::Build,
    sources::table,
    stage,
    trial::{PATIENCE, library, specification, variables, wait, with_programs},
};
use engines::place::folder as named_folder;
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::SystemTime,
};

/// The low-level runtimes.
pub const RUNTIMES: [&str; 2] = ["runc", "crun"];

/// Who gives the container its GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The shim alone.
    Shim,
    /// A CDI spec, with every hook that there is.
    Spec,
    /// The shim in mode legacy: the prestart hook, and what it becomes.
    Prestart,
}

/// Makes a spec with our hooks, takes their environment away where that is wanted, and runs the container.
const SCRIPT: &str = r#"
mkdir -p "$D/cdi" && "$HOOKS/nvidia-ctk" --quiet cdi generate --output="$D/cdi/gpu.json" --format=json \
    --nvidia-cdi-hook-path="$HOOKS/nvidia-cdi-hook" --enable-hook=chmod 2>"$D/generate.log" || exit 98
if [ -n "$BARE" ]; then
    sed -i 's/,"env":\["NVIDIA_CTK_DEBUG=false"\]//g' "$D/cdi/gpu.json"; ! grep -q CTK_DEBUG "$D/cdi/gpu.json" || exit 97
fi
eval "$SHARE"
cat /proc/self/mountinfo >"$D/mounts.before"
"$SHIM" --root "$D/state.d" --log "$D/log" run --bundle "$B" "$ID" >"$D/stdout" 2>"$D/stderr"
echo $? >"$D/status"
cat /proc/self/mountinfo >"$D/mounts.after"
"#;

/// What differs from an ordinary run.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The low-level runtime.
    pub runtime: &'static str,
    /// Who does the work.
    pub way: Way,
    /// Whose shim.
    pub shim: Build,
    /// Whose hooks.
    pub hooks: Build,
    /// The spec's hooks have no environment, as third parties' may have none.
    pub bare: bool,
}

/// Starts the container. What must always hold is looked at afterwards; whether it starts is the attack's affair, unless
/// it `must_start`.
///
/// # Errors
/// What does not hold.
pub fn run(folder: &Path, attack: &Attack, setting: &Setting, must_start: bool) -> Result<(), String> {
    let mut image = Image::make(folder, Outward::Absolute, &library()?);
    (attack.image)(&image);
    image.made = SystemTime::now();
    let probe = fs::read(named_folder("CORTEN_LAB")?.join("lab-probe-static")).map_err(|why| why.to_string())?;
    image.program("probe", probe);
    let write = |name: &str, text: String| fs::write(folder.join(name), text).map_err(|why| format!("{name}: {why}"));
    write("bundle/config.json", with_volumes(specification(), attack, folder).to_string())?;
    let before = match setting.way {
        Way::Prestart => with_programs(attack.configuration, setting.hooks)?,
        _ => attack.configuration.to_owned(),
    };
    let mode = match setting.way {
        Way::Shim => "mode = 'jit-cdi'".to_owned(),
        Way::Prestart => {
            let hook = setting.hooks.folder()?.join("nvidia-container-runtime-hook");
            format!("mode = 'legacy'\n[nvidia-container-runtime-hook]\npath = {hook:?}\nskip-mode-detection = true")
        }
        Way::Spec => {
            format!("mode = 'cdi'\n[nvidia-container-runtime.modes.cdi]\nspec-dirs = [{:?}]", folder.join("cdi"))
        }
    };
    let runtime = setting.runtime;
    write("config.toml", format!("{before}\n[nvidia-container-runtime]\nruntimes = [{runtime:?}]\n{mode}\n"))?;
    let before = outside::record(&image.outside("")).map_err(|why| why.to_string())?;

    let id = id("hostile", folder);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", SCRIPT]).envs(variables(folder));
    command.env("SHIM", setting.shim.folder()?.join("nvidia-container-runtime")).env("HOOKS", setting.hooks.folder()?);
    command.env("CORTEN_UNDEFENDED", setting.shim.switched_off()).env("ID", id);
    command.env("SHARE", stage::SHARE).env("VOLUMES", stage::volumes(attack));
    command.env("BARE", if setting.bare { "yes" } else { "" });
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    wait(&mut command.spawn().map_err(|why| why.to_string())?, PATIENCE)?.ok_or("the container's start did not end")?;

    let text = |name: &str| String::from_utf8_lossy(&fs::read(folder.join(name)).unwrap_or_default()).into_owned();
    let changed = changes(&image, &before)?;
    if !changed.is_empty() {
        let control = by_itself(folder, attack, runtime)?;
        if !changed.iter().all(|path| control.contains(path)) {
            return Err(format!("outside changed: {}", changed.join(", ")));
        }
        println!("    ({}: {runtime} changes {} outside by itself, without us)", attack.name, changed.join(", "));
    }
    let outside = image.outside("").display().to_string();
    let (before, after) = (text("mounts.before"), text("mounts.after"));
    let known: Vec<_> = table(&before).map(|line| line.number.to_owned()).collect();
    let mut new = table(&after).filter(|line| !known.iter().any(|number| number == line.number));
    if let Some(line) = new.find(|line| line.text.contains(outside.trim_end_matches('/'))) {
        return Err(format!("mounted: {}", line.text));
    }
    sources_are_the_hosts(&text("bundle/config.json"), attack, folder)?;
    nothing_leaked(&image)?;
    match text("status").trim() {
        "" => Err(format!("it was not run: {}", text("generate.log"))),
        "0" => match serde_json::from_str::<Value>(&text("stdout")) {
            Ok(seen) if seen.to_string().contains(outside::SECRET) => {
                Err("the container sees what is outside".to_owned())
            }
            Ok(_) => Ok(()),
            Err(why) => Err(format!("the container said nothing: {why}: {}", text("stderr"))),
        },
        _ if must_start => Err(format!("it did not start: {}{}", text("stderr"), text("log"))),
        _ => Ok(()),
    }
}

/// The same container with the attack's volumes.
fn with_volumes(mut document: Value, attack: &Attack, folder: &Path) -> Value {
    let mounts = attack.volumes.iter().map(|volume| {
        let how = match volume.how {
            How::Writable => "rprivate",
            How::ReadOnly => "ro",
            How::Shared => "rshared",
        };
        json!({
            "destination": Path::new("/").join(volume.at), "type": "bind", "source": folder.join(volume.from),
            "options": ["rbind", how],
        })
    });
    document["mounts"].as_array_mut().into_iter().for_each(|all| all.extend(mounts.clone()));
    if attack.volumes.iter().any(|volume| volume.how == How::Shared) {
        // As Docker and containerd do then.
        document["linux"]["rootfsPropagation"] = "rshared".into();
    }
    document
}

/// What changed outside, by names that do not depend on the trial's folder.
fn changes(image: &Image, before: &outside::Record) -> Result<Vec<String>, String> {
    let after = outside::record(&image.outside("")).map_err(|why| why.to_string())?;
    let folder = image.outside("").display().to_string();
    let named = |path: String| path.strip_prefix(&folder).map(str::to_owned).unwrap_or(path);
    Ok(outside::differences(before, &after).into_iter().map(named).collect())
}

/// What the low-level runtime does outside on the same image without us. (runc 1.1 makes the links of `/dev` by path, so
/// through an image's link for `/dev`.) Where a volume can be written, an image's links make it a place of the mounts that we ask
/// for, too; so then it gets those, and none of our hooks.
fn by_itself(trial: &Path, attack: &Attack, runtime: &str) -> Result<Vec<String>, String> {
    let folder = &trial.join("control");
    let image = Image::make(folder, Outward::Absolute, &library()?);
    (attack.image)(&image);
    let probe = fs::read(named_folder("CORTEN_LAB")?.join("lab-probe-static")).map_err(|why| why.to_string())?;
    image.program("probe", probe);
    let document = match attack.volumes {
        [] => specification(),
        _ => without_hooks(trial, folder)?,
    };
    fs::write(folder.join("bundle/config.json"), document.to_string()).map_err(|why| why.to_string())?;
    let before = outside::record(&image.outside("")).map_err(|why| why.to_string())?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", runtime, "--root"]).arg(folder.join("state.d"));
    command.args(["run", "--bundle"]).arg(folder.join("bundle")).arg(id("control", trial));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    wait(&mut command.spawn().map_err(|why| why.to_string())?, PATIENCE)?;
    changes(&image, &before)
}

/// Of its own: runc starts no container in a cgroup that has processes, and a container's is named as it is.
fn id(role: &str, trial: &Path) -> String {
    let names: Vec<_> = trial.components().rev().take(2).map(|name| name.as_os_str().to_string_lossy()).collect();
    format!("{role}-{}-{}", std::process::id(), names.join("-"))
}

/// The container as it was started, moved to another folder.
fn without_hooks(trial: &Path, folder: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(trial.join("bundle/config.json")).map_err(|why| why.to_string())?;
    let moved = text.replace(&trial.display().to_string(), &folder.display().to_string());
    let mut document: Value = serde_json::from_str(&moved).map_err(|why| why.to_string())?;
    document.as_object_mut().and_then(|document| document.remove("hooks"));
    Ok(document)
}

fn sources_are_the_hosts(document: &str, attack: &Attack, folder: &Path) -> Result<(), String> {
    let document: Value = serde_json::from_str(document).map_err(|why| format!("config.json: {why}"))?;
    let mounts = document["mounts"].as_array().into_iter().flatten().filter_map(|mount| mount["source"].as_str());
    let specs = folder.join("cdi");
    let is_allowed = |path: &Path| {
        let is_volume = attack.volumes.iter().any(|volume| folder.join(volume.from) == path);
        is_volume || !path.starts_with(folder) || path.starts_with(&specs)
    };
    match mounts.into_iter().find(|path| !is_allowed(Path::new(path))) {
        None => Ok(()),
        Some(path) => Err(format!("a source in the image: {path}")),
    }
}
