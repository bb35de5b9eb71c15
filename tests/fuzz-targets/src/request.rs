//! What a container gets: granted ⊆ requested ⊆ allowed, whatever its config.json and the machine's config.toml say.
//!
//! Who asked for what is judged here once more, by other means than the planner's: a device that was granted must be named by
//! a word of the request, and a word of the request must stand in the container's own texts.

use crate::parts;
use host::{Described, Gpu, Inventory, Wanted};
use oci::{ContainerPath, Document, HostPath};
use plan::{
    Config, Edits, Layout, Loader, Request,
    request::{ContainerView, DeviceRequest, Gated, ImexRequest, MountView},
};
use std::sync::LazyLock;

/// Two ordinary GPUs, and one that is partitioned in two.
static MACHINE: LazyLock<Inventory> = LazyLock::new(|| {
    let described: Described = serde_json::from_str(include_str!("request/machine.json")).unwrap_or_default();
    described.complete(None, Wanted::ALL).unwrap_or_default()
});

/// What of a config.json can ask for something.
struct Asked {
    env: Vec<String>,
    annotations: Vec<(String, String)>,
    mounts: Vec<oci::Mount>,
    privileged: bool,
}

/// An input of two parts: a `config.json`, a `config.toml`.
pub fn request(input: &[u8]) {
    assert_eq!(MACHINE.gpus.len(), 3, "the machine of this target is not read");
    let (document, config) = parts(input);
    let Ok((config, _)) = Config::parse(&String::from_utf8_lossy(config)) else { return };
    let Some(asked) = read(document) else { return };
    let mounts: Vec<_> = asked
        .mounts
        .iter()
        .map(|mount| MountView { destination: &mount.destination, source: mount.source.as_deref().unwrap_or_default() })
        .collect();
    let view = ContainerView {
        env: &asked.env,
        annotations: &asked.annotations,
        mounts: &mounts,
        privileged: asked.privileged,
    };
    let Ok(reading) = Request::read(&view, &config) else { return };
    let Some(request) = reading.request else { return };
    is_said(&request, &asked);
    is_allowed(&request, &asked, &config);
    let Ok(hook) = HostPath::new("/usr/bin/nvidia-cdi-hook") else { return };
    if let Ok(edits) = plan::plan(&request, &MACHINE, &config, &layout(), &hook) {
        is_requested(&edits, &request);
    }
}

/// All readers of a document; one that complains makes it nothing.
fn read(document: &[u8]) -> Option<Asked> {
    let document = Document::parse(document).ok()?;
    let _ = (document.root(), document.process_user(), document.id_mappings(), document.namespaces());
    let _ = (document.devices(), document.device_rules(), document.oci_version());
    Some(Asked {
        env: document.env().ok()?,
        annotations: document.annotations().ok()?.into_iter().collect(),
        mounts: document.mounts().ok()?,
        privileged: document.bounding_capabilities().ok()?.iter().any(|name| name == "CAP_SYS_ADMIN"),
    })
}

fn layout() -> Layout {
    let folder = |path| ContainerPath::root().join(path);
    Layout {
        loader: Loader::Glibc,
        native: folder("usr/lib64"),
        compat32: folder("usr/lib"),
        read_only: false,
        covered: false,
    }
}

/// Every name of the request stands in a text of the container's; a name of a mount may be spelt otherwise there.
fn is_said(request: &Request, asked: &Asked) {
    let spelt = |text: &str| text.replace('=', "/");
    let said = |text: &str| {
        asked.env.iter().any(|entry| entry.contains(text))
            || asked.annotations.iter().any(|(_, value)| value.contains(text))
            || asked
                .mounts
                .iter()
                .any(|mount| plain(&mount.destination).is_some_and(|path| spelt(&path).contains(&spelt(text))))
    };
    match &request.devices {
        DeviceRequest::All => assert!(said("all") || said("CUDA_VERSION=")),
        DeviceRequest::None => assert!(said("none")),
        DeviceRequest::Ids(names) => names.iter().for_each(|name| {
            // A word becomes a qualified name where other vendors' devices are asked for beside it.
            let own = name.text.rsplit_once('=').map_or(name.text.as_str(), |(_, name)| name);
            assert!(said(&name.text) || said(own), "nobody said {:?}", name.text);
        }),
    }
    if let ImexRequest::Channels(channels) = &request.imex {
        channels.iter().for_each(|channel| assert!(said(&channel.text), "nobody said {:?}", channel.text));
    }
}

fn plain(path: &str) -> Option<String> {
    ContainerPath::new(path).ok().map(|path| path.to_string())
}

/// Nothing counts that the administrator has ruled out.
fn is_allowed(request: &Request, asked: &Asked, config: &Config) {
    if let Ok(supported) = config.supported_capabilities() {
        assert_eq!(request.capabilities.intersection(supported), request.capabilities);
    }
    let by_environment = asked.privileged || config.accept_envvar_when_unprivileged;
    assert!(by_environment || request.gated.is_empty());
    assert!(asked.privileged || !request.partitions());
    if config.features.ignore_imex_channel_requests {
        assert_eq!(request.imex, ImexRequest::Channels(Vec::new()));
    }
    let by_mount = config.accept_volume_mounts && !asked.mounts.is_empty();
    let by_annotation = !asked.annotations.is_empty();
    assert!(by_environment || by_mount || by_annotation, "an unprivileged container's environment counts");
}

/// Every node of a device was asked for by a name that names it.
fn is_requested(edits: &Edits, request: &Request) {
    let names: Vec<&str> = match &request.devices {
        DeviceRequest::All => vec!["all"],
        DeviceRequest::None => Vec::new(),
        DeviceRequest::Ids(names) => names.iter().map(|name| name.text.as_str()).collect(),
    };
    for device in &edits.spec.devices {
        let path = device.what.path.as_str();
        if let Some(minor) = path.strip_prefix("/dev/nvidia").and_then(|minor| minor.parse::<u32>().ok()) {
            let gpu = MACHINE.gpus.iter().find(|gpu| gpu.minor == minor);
            assert!(gpu.is_some_and(|gpu| names.iter().any(|name| names_gpu(name, gpu))), "{path} for {names:?}");
        }
        if path.starts_with("/dev/nvidia-caps/") {
            let parent = &MACHINE.gpus[2];
            assert!(request.partitions() || names.iter().any(|name| names_gpu(name, parent)), "{path} for {names:?}");
        }
        if let Some(number) = path.strip_prefix("/dev/nvidia-caps-imex-channels/channel") {
            let wanted = match &request.imex {
                ImexRequest::All { .. } => true,
                ImexRequest::Channels(names) => names.iter().any(|name| name.number == number.parse().ok()),
            };
            assert!(wanted, "{path} for {:?}", request.imex);
        }
        if path.starts_with("/dev/nvidia-fs") {
            assert!(request.gated.contains(&Gated::Gds), "{path}");
        }
    }
}

/// A name could mean this GPU, or a MIG device of it: by index, UUID or its beginning, bus id, `GPU:MIG`, MIG UUID.
fn names_gpu(name: &str, gpu: &Gpu) -> bool {
    let name = name.strip_prefix("runtime.nvidia.com/gpu=").unwrap_or(name).to_ascii_lowercase();
    let index = name.split(':').next().and_then(|index| index.parse::<u64>().ok());
    let hex = |part: &str| u32::from_str_radix(part, 16).ok();
    let numbers = |id: &str| id.strip_suffix(".0").map(|id| id.split(':').map(hex).collect::<Vec<_>>());
    let uuid = gpu.uuid.to_ascii_lowercase();
    let of_parent = name.strip_prefix("mig-").and_then(|rest| rest.split('/').next());
    let mig = MACHINE.nvml.iter().flat_map(|nvml| &nvml.gpus).filter(|facts| facts.uuid == gpu.uuid);
    let mut mig = mig.flat_map(|facts| &facts.mig).map(|mig| mig.uuid.to_ascii_lowercase());
    let long = |prefix: &str| name.len() >= prefix.len() + 8;
    name == "all"
        || (name.matches(':').count() < 2 && index == Some(gpu.index.into()))
        || (long("gpu-") && uuid.starts_with(&name))
        || numbers(&name).is_some_and(|numbers_of| Some(numbers_of) == numbers(&gpu.bus_id))
        || of_parent == Some(uuid.as_str())
        || (long("mig-") && mig.any(|uuid| uuid.starts_with(&name)))
}
