//! A pod, made as Kubernetes makes it: its containers get CDI devices through the CRI (cri-api, runtime/v1/api.proto),
//! which is the only way to them in containerd 1.7; `ctr run --device` knows CDI names since 2.0.

use crate::{
    grpc,
    protobuf::{self, Message},
};
use engines::{
    Answer, Programs, answer,
    cdi::{self, Consumer, Hooks},
    containerd::{Daemon, SOCKET, ctr},
    make_root,
};
use std::{
    fs,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

const IMAGE: &str = "localhost/corten-test:latest";

/// CDI is off by default before containerd 2.0. The machine may forbid what a pod's first process is given otherwise.
const SETTINGS: &str = r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
  enable_cdi = true
  restrict_oom_score_adj = true
  sandbox_image = "localhost/corten-test:latest"
"#;

/// `CONTAINER_EXITED`.
const EXITED: u64 = 2;
/// `NODE`: the host's network, for which no plugin is needed.
const HOSTS: u64 = 2;

/// A containerd with one pod.
pub struct Pods {
    daemon: Daemon,
    pod: String,
    started: u32,
}

impl Pods {
    /// Starts it on a machine that our spec describes.
    pub fn start(programs: &Programs, hooks: Hooks) -> Result<Pods, String> {
        cdi::describe_machine(programs, hooks, &[])?;
        let daemon = Daemon::start(SETTINGS)?;
        import_image(&daemon, &programs.lab)?;
        let mut pods = Pods { daemon, pod: String::new(), started: 0 };
        let request = Message::default().part(1, &pods.pod_settings());
        let made = pods.call("RunPodSandbox", &request).map_err(|why| format!("{why}:\n{}", pods.errors()))?;
        pods.pod = protobuf::text(&made, 1).ok_or("a pod without a name was made")?;
        Ok(pods)
    }

    fn call(&self, method: &str, request: &Message) -> Result<Vec<u8>, String> {
        grpc::call(Path::new(SOCKET), &format!("/runtime.v1.RuntimeService/{method}"), request.bytes())
    }

    /// `PodSandboxConfig`.
    fn pod_settings(&self) -> Message {
        let name = Message::default().text(1, "corten").text(2, "corten-uid").text(3, "default");
        let namespaces = Message::default().number(1, HOSTS);
        let linux = Message::default().part(2, &Message::default().part(1, &namespaces));
        let logs = self.daemon.path("logs");
        Message::default().part(1, &name).text(3, &logs.to_string_lossy()).part(8, &linux)
    }

    /// `ContainerConfig`.
    fn container_settings(&self, name: &str, devices: &[&str], command: &[&str]) -> Message {
        let mut settings = Message::default().part(1, &Message::default().text(1, name));
        settings = settings.part(2, &Message::default().text(1, IMAGE));
        settings = command.iter().fold(settings, |settings, word| settings.text(3, word)).text(11, name);
        devices.iter().fold(settings, |settings, device| settings.part(17, &Message::default().text(1, device)))
    }

    /// Creates and starts a container and waits for its end: its exit status.
    fn run_to_its_end(&self, name: &str, devices: &[&str], command: &[&str]) -> Result<i32, String> {
        let settings = self.container_settings(name, devices, command);
        let request = Message::default().text(1, &self.pod).part(2, &settings).part(3, &self.pod_settings());
        let id = protobuf::text(&self.call("CreateContainer", &request)?, 1).ok_or("a container without a name")?;
        let request = Message::default().text(1, &id);
        self.call("StartContainer", &request)?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            let answered = self.call("ContainerStatus", &request)?;
            let status = protobuf::part(&answered, 1).ok_or("a container without a status")?;
            if protobuf::number(status, 3) == EXITED {
                return Ok(i32::try_from(protobuf::number(status, 7)).unwrap_or(-1));
            }
            sleep(Duration::from_millis(20));
        }
        Err(format!("{name} does not end"))
    }

    /// What containerd has logged as errors.
    fn errors(&self) -> String {
        self.daemon.log().lines().filter(|line| line.contains("level=error")).map(|line| format!("{line}\n")).collect()
    }
}

impl Consumer for Pods {
    fn run(&mut self, devices: &[&str], command: &[&str]) -> Result<Answer, String> {
        self.started += 1;
        let name = format!("test-{}", self.started);
        let before = self.errors().len();
        match self.run_to_its_end(&name, devices, command) {
            Ok(status) => {
                let path = self.daemon.path("logs").join(&name);
                let log = fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
                Ok(Answer { status, out: stream(&log, "stdout"), err: stream(&log, "stderr") })
            }
            Err(why) => {
                let errors = self.errors().split_off(before);
                Ok(Answer { status: -1, out: String::new(), err: format!("{why}: {errors}") })
            }
        }
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        let request = Message::default().text(1, &self.pod);
        let _ = self.call("StopPodSandbox", &request);
        let _ = self.call("RemovePodSandbox", &request);
    }
}

/// The lines of one stream of a container's log: time, stream, `F` for a whole line and `P` for a part, text.
fn stream(log: &str, name: &str) -> String {
    let mut text = String::new();
    for fields in log.lines().map(|line| line.splitn(4, ' ').collect::<Vec<_>>()) {
        if let [_, stream, kind, line] = fields[..]
            && stream == name
        {
            text += line;
            text += if kind.starts_with('F') { "\n" } else { "" };
        }
    }
    text
}

/// Imports the container root as an image in the form that `docker save` writes.
fn import_image(daemon: &Daemon, lab: &Path) -> Result<(), String> {
    let [root, image, archive] = ["root", "image", "image.tar"].map(|name| daemon.path(name));
    make_root(lab, &root)?;
    fs::create_dir_all(&image).map_err(|why| format!("{}: {why}", image.display()))?;
    let layer = image.join("layer.tar");
    must(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&layer).arg("."))?;
    let sum = must(Command::new("sha256sum").arg(&layer))?;
    let sum = sum.split_whitespace().next().unwrap_or_default();
    // Its command keeps a pod alive.
    let config = format!(
        r#"{{"architecture":"{}","os":"linux","config":{{"Cmd":["/bin/sleep","3600"],"Env":["PATH=/usr/sbin:/usr/bin"]}},
            "rootfs":{{"type":"layers","diff_ids":["sha256:{sum}"]}}}}"#,
        if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
    );
    let manifest = format!(r#"[{{"Config":"config.json","RepoTags":["{IMAGE}"],"Layers":["layer.tar"]}}]"#);
    for (name, text) in [("config.json", config), ("manifest.json", manifest)] {
        fs::write(image.join(name), text).map_err(|why| format!("{name}: {why}"))?;
    }
    must(Command::new("tar").arg("-C").arg(&image).arg("-cf").arg(&archive).args([
        "manifest.json",
        "config.json",
        "layer.tar",
    ]))?;
    must(ctr().args(["--namespace", "k8s.io", "images", "import"]).arg(&archive)).map(drop)
}

fn must(command: &mut Command) -> Result<String, String> {
    let done = answer(command)?;
    match done.status {
        0 => Ok(done.out),
        status => Err(format!("{command:?} ended with {status}: {}", done.err)),
    }
}
