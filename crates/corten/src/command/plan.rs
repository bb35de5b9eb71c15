//! `corten plan`: what a container start would change, and why. Changes nothing.

use super::usage;
use crate::{
    container::Container,
    decision::{self, Decision, Machine},
    fault::Result,
    machine,
    runtime::settings::Location,
};
use plan::{Because, Edits};
use std::{fmt::Write as _, path::PathBuf};

#[derive(Default)]
struct Options {
    bundle: PathBuf,
    machine: Option<PathBuf>,
    json: bool,
}

pub fn run(parser: lexopt::Parser) -> Result<String> {
    let options = parse(parser).map_err(|error| usage("plan", error))?;
    let config = Location::find(|name| std::env::var(name).ok()).load()?;
    let container = Container::open(&options.bundle, "config.json".as_ref())?;
    let Some(request) = container.request(&config)? else {
        return Ok(if options.json { "null\n".to_owned() } else { "This container asks for no GPU.\n".to_owned() });
    };
    let machine = match options.machine.as_deref() {
        Some(file) => Machine::Other(Box::new(machine::load(file)?)),
        None => Machine::Look,
    };
    let decision = decision::decide(&container, &request, &config, machine)?;
    Ok(if options.json { machine::to_json(&decision.edits) } else { describe(&decision) })
}

fn parse(mut parser: lexopt::Parser) -> std::result::Result<Options, lexopt::Error> {
    let mut options = Options { bundle: ".".into(), ..Options::default() };
    while let Some(arg) = parser.next()? {
        match arg {
            lexopt::Arg::Long("bundle") | lexopt::Arg::Short('b') => options.bundle = parser.value()?.into(),
            lexopt::Arg::Long("machine") => options.machine = Some(parser.value()?.into()),
            lexopt::Arg::Long("json") => options.json = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

fn describe(decision: &Decision) -> String {
    format!("Mode {}: {}\n{}", decision.mode, decision.reason, list(&decision.edits))
}

/// Every edit with its reason, in sections; a section without edits is left out.
fn list(edits: &Edits) -> String {
    let mut text = String::new();
    let Edits { spec, root, remarks } = edits;
    section(&mut text, "Environment", &spec.env, Clone::clone);
    section(&mut text, "Devices", &spec.devices, |node| match (node.major, node.minor) {
        (Some(major), Some(minor)) => format!("{} ({major}:{minor})", node.path),
        _ => node.path.clone(),
    });
    section(&mut text, "Device rules", &spec.rules, |rule| match (rule.major, rule.minor) {
        (Some(major), Some(minor)) => format!("{major}:{minor} {}", rule.access.as_deref().unwrap_or_default()),
        _ => "everything".to_owned(),
    });
    section(&mut text, "Network interfaces", &spec.net_devices, |net| arrow(&net.name, &net.host_interface_name));
    section(&mut text, "Groups", &spec.gids, u32::to_string);
    section(&mut text, "Mounts", &spec.mounts, |mount| arrow(&mount.container_path, &mount.host_path));
    section(&mut text, "Links in the root", &root.links, |link| format!("{} -> {}", link.at, link.target));
    section(&mut text, "Libraries for the loader", &root.libraries, |entry| {
        format!("{} -> {}", entry.soname, entry.path)
    });
    section(&mut text, "Libraries of the image that come first", root.compat.as_slice(), ToString::to_string);
    let profile: Vec<_> = root.application_profile.iter().cloned().collect();
    section(&mut text, "Application profile", &profile, |gpus| format!("EGL sees the GPUs {gpus:#x}"));
    section(&mut text, "Hooks", &spec.hooks, |hook| {
        format!("{} {}", hook.path, hook.args.get(1..).unwrap_or_default().join(" "))
    });
    section(&mut text, "Cache and memory bandwidth", spec.intel_rdt.as_slice(), |rdt| rdt.clos_id.clone());
    for remark in remarks {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\nNote: {remark}");
    }
    text
}

/// `name <- source`, or only the name where both are the same.
fn arrow(name: &str, source: &str) -> String {
    if name == source { name.to_owned() } else { format!("{name} <- {source}") }
}

/// One section: what is done, and behind it, aligned, why.
fn section<T>(text: &mut String, title: &str, list: &[Because<T>], show: impl Fn(&T) -> String) {
    if list.is_empty() {
        return;
    }
    // The longest paths would push every reason off the screen.
    let rows: Vec<_> = list.iter().map(|entry| (show(&entry.what), &entry.reason)).collect();
    let width = rows.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0).min(72);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n{title}");
    for (what, reason) in rows {
        let _ = writeln!(text, "  {what:width$}  {reason}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cdi::{DeviceNode, Mount};
    use oci::ContainerPath;
    use plan::{Link, Reason};

    #[test]
    fn every_edit_is_listed_with_its_reason() {
        let because = |rule: &str| Reason { request: "NVIDIA_VISIBLE_DEVICES=0".into(), rule: rule.into() };
        let mut edits = Edits::default();
        let node =
            DeviceNode { path: "/dev/nvidia0".into(), major: Some(195), minor: Some(0), ..DeviceNode::default() };
        edits.spec.devices.push(Because::new(node, because("GPU 0")));
        let mount = |host: &str| Mount {
            host_path: host.into(),
            container_path: "/usr/bin/nvidia-smi".into(),
            ..Mount::default()
        };
        edits.spec.mounts.push(Because::new(mount("/usr/bin/nvidia-smi"), because("utility")));
        edits.spec.mounts.push(Because::new(mount("/run/nvidia/driver/usr/bin/nvidia-smi"), because("utility")));
        let link = Link { at: ContainerPath::new("/usr/lib64/libcuda.so").unwrap(), target: "libcuda.so.1".into() };
        edits.root.links.push(Because::new(link, because("compute")));
        expect_test::expect![[r#"

            Devices
              /dev/nvidia0 (195:0)  GPU 0 (NVIDIA_VISIBLE_DEVICES=0)

            Mounts
              /usr/bin/nvidia-smi                                           utility (NVIDIA_VISIBLE_DEVICES=0)
              /usr/bin/nvidia-smi <- /run/nvidia/driver/usr/bin/nvidia-smi  utility (NVIDIA_VISIBLE_DEVICES=0)

            Links in the root
              /usr/lib64/libcuda.so -> libcuda.so.1  compute (NVIDIA_VISIBLE_DEVICES=0)
        "#]]
        .assert_eq(&list(&edits));
    }
}
