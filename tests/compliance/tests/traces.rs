//! What the shim does on its way to the low-level runtime, by its system calls: it starts nothing (so nothing of an
//! image, no ldconfig, no NVML), and reaches into the container's root through one descriptor only.

use compliance::outer;
use std::fs;

/// Starts a container that asks for `GPUS`, twice, and traces the second start. The low-level runtime is `true`.
const TRACED: &str = r#"
lab rootfs --kind debian --to image
cat > config.toml <<'END'
[nvidia-container-runtime]
runtimes = ["/bin/true"]
END
export NVIDIA_CTK_CONFIG_FILE_PATH=$PWD/config.toml
runc spec
sed -i 's;\("TERM=xterm"\);\1, "NVIDIA_VISIBLE_DEVICES=GPUS";' config.json
cp config.json as-the-engine-wrote-it
# What a start learns of the driver's files is kept once they are older than the coarsest clock of a file system.
sleep 3
for start in first second; do
    rm -rf rootfs; cp -a image rootfs; cp as-the-engine-wrote-it config.json
    strace -f -s 4096 -e trace=execve,execveat,clone,clone3,fork,vfork,open,openat,openat2 -o $start.trace \
        nvidia-container-runtime create --bundle $PWD traced
done
"#;

/// The lines of both traces up to the moment when the shim becomes the runtime.
fn traces(machine: &str, gpus: &str) -> [Vec<String>; 2] {
    let work = tempfile::tempdir().expect("a temporary folder");
    let said = outer::script(machine, &TRACED.replace("GPUS", gpus), work.path());
    said.unwrap_or_else(|error| panic!("{error}"));
    ["first", "second"].map(|start| {
        let text = fs::read_to_string(work.path().join(format!("{start}.trace"))).expect("strace writes its file");
        let becomes = |line: &&str| line.contains("execve(\"/bin/true\"") && line.ends_with("= 0");
        assert_eq!(text.lines().filter(becomes).count(), 1, "the runtime was not reached: {text}");
        let before = text.lines().take_while(|line| !becomes(line));
        before.map(|line| line.replace(&work.path().display().to_string(), "BUNDLE")).collect()
    })
}

fn lines<'a>(trace: &'a [String], calls: &[&str]) -> Vec<&'a str> {
    let is = |line: &&String| calls.iter().any(|call| line.contains(&format!(" {call}(")));
    trace.iter().filter(is).map(String::as_str).collect()
}

const STARTS: [&str; 4] = ["clone", "clone3", "fork", "vfork"];
const EXECUTES: [&str; 2] = ["execve", "execveat"];

#[test]
fn no_process_is_started_for_whole_gpus() {
    let [first, second] = traces("small", "1");
    for trace in [&first, &second] {
        assert_eq!(lines(trace, &STARTS), Vec::<&str>::new());
        // The first execve is strace's own start of the shim.
        assert_eq!(lines(trace, &EXECUTES).len(), 1, "{trace:#?}");
    }
}

#[test]
fn nvml_is_asked_once_and_not_again_on_an_unchanged_machine() {
    let [first, second] = traces("mig", "0:1");
    assert!(lines(&first, &EXECUTES).iter().any(|line| line.contains("/corten-nvml\"")), "{first:#?}");
    assert_eq!(lines(&second, &STARTS), Vec::<&str>::new());
    assert_eq!(lines(&second, &EXECUTES).len(), 1, "{second:#?}");
    let library = |line: &&&str| line.contains("/libnvidia-ml.so");
    let opens = ["open", "openat", "openat2"];
    assert_ne!(lines(&first, &opens).iter().filter(library).count(), 0, "the first start reads its ELF header");
    assert_eq!(lines(&second, &opens).iter().filter(library).count(), 0, "{second:#?}");
}

#[test]
fn the_root_is_reached_through_its_descriptor_only() {
    let [_, trace] = traces("two-gpus", "all");
    let opens = lines(&trace, &["open", "openat", "openat2"]);
    let root = opens.iter().filter(|line| line.contains("\"BUNDLE/rootfs\"")).collect::<Vec<_>>();
    assert_eq!(root.len(), 1, "{root:#?}");
    assert!(root[0].contains("O_PATH") && root[0].contains("O_DIRECTORY"), "{root:?}");
    let joined = opens.iter().filter(|line| line.contains("BUNDLE/rootfs/")).collect::<Vec<_>>();
    assert!(joined.is_empty(), "opened by a joined path: {joined:#?}");
    let inside = opens.iter().filter(|line| line.contains("RESOLVE_IN_ROOT")).collect::<Vec<_>>();
    assert!(inside.iter().any(|line| line.contains("etc/ld.so.cache")), "{opens:#?}");
}

/// Runs every hook on an image that means harm, traced. The simulated machine has the driver's `params`, so that no hook
/// is idle.
const HOOKS: &str = r#"
lab rootfs --kind debian --to rootfs
runc spec
mkdir -p outside/etc outside/lib rootfs/usr/local/cuda rootfs/opt rootfs/dev
echo host > outside/etc/ld.so.cache
cp /usr/lib/x86_64-linux-gnu/libcuda.so.*.* rootfs/opt/
mkfifo rootfs/usr/lib/x86_64-linux-gnu/libfifo.so.1
truncate -s 10G rootfs/usr/lib/x86_64-linux-gnu/libgiant.so.1
ln -s $PWD/outside/lib rootfs/opt/lib
ln -s ../../../../../../../../../../$PWD/outside/lib rootfs/usr/local/cuda/compat
ln -s /dev/zero rootfs/etc/ld.so.conf.d/zero.conf
mkfifo rootfs/etc/ld.so.conf.d/fifo.conf
rm -f rootfs/etc/ld.so.cache
ln -s $PWD/outside/etc/ld.so.cache rootfs/etc/ld.so.cache
mknod rootfs/dev/nvidia0 c 195 0
cp $(command -v ldconfig) rootfs/sbin/ldconfig.real 2>/dev/null || true
echo '{"ociVersion": "1.0.2", "id": "x", "bundle": "'$PWD'"}' > state
hook() {
    strace -f -s 4096 -e trace=%process,open,openat,openat2,mount,move_mount,symlinkat,renameat2,renameat,unlinkat,mkdirat \
        -o $1.trace nvidia-cdi-hook "$@" < state 2> $1.said || echo $1 >> failed
}
hook create-symlinks --link libcuda.so.1::/usr/lib/x86_64-linux-gnu/libcuda.so --link x::/opt/../../../y
hook enable-cuda-compat --host-driver-version=550.54.14
hook update-ldcache --ldconfig-path /sbin/ldconfig --folder /usr/lib/x86_64-linux-gnu --folder /opt --folder /opt/lib
hook update-application-profile
hook chmod --mode 755 --path /opt --path /opt/lib
hook disable-device-node-modification
find outside | sort > outside.list
cat outside/etc/ld.so.cache >> outside.list
"#;

#[test]
fn hooks_start_nothing_and_open_nothing_outside_the_root() {
    let work = tempfile::tempdir().expect("a temporary folder");
    let said = outer::script("two-gpus", HOOKS, work.path());
    said.unwrap_or_else(|error| panic!("{error}"));
    let read = |name: &str| fs::read_to_string(work.path().join(name)).unwrap_or_default();
    assert_eq!(read("outside.list"), "outside\noutside/etc\noutside/etc/ld.so.cache\noutside/lib\nhost\n");
    assert_eq!(read("failed"), "");
    // They did their work meanwhile.
    let cache = fs::read(work.path().join("rootfs/etc/ld.so.cache")).unwrap_or_default();
    assert!(cache.windows(8).any(|part| part == b"/libcuda"), "the cache lists what lies in /opt");
    assert!(work.path().join("rootfs/usr/lib/x86_64-linux-gnu/libcuda.so").is_symlink());
    assert!(read("rootfs/etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf").contains("0x1]"));
    assert!(read("update-ldcache.said").contains("fifo.conf"), "{}", read("update-ldcache.said"));
    let bundle = work.path().display().to_string();
    for hook in [
        "create-symlinks",
        "enable-cuda-compat",
        "update-ldcache",
        "update-application-profile",
        "chmod",
        "disable-device-node-modification",
    ] {
        let trace: Vec<String> =
            read(&format!("{hook}.trace")).lines().map(|line| line.replace(&bundle, "BUNDLE")).collect();
        assert_eq!(lines(&trace, &STARTS), Vec::<&str>::new(), "{hook}");
        // The first execve is strace's own start of the hook.
        assert_eq!(lines(&trace, &EXECUTES).len(), 1, "{hook}: {trace:#?}");
        let opens = lines(&trace, &["open", "openat", "openat2"]);
        let by_name = opens.iter().filter(|line| line.contains("(AT_FDCWD, \"") || line.contains(" open(\""));
        let foreign: Vec<_> = by_name
            .filter(|line| {
                let name = line.split('"').nth(1).unwrap_or_default();
                !name.starts_with("/proc/") && !["BUNDLE/rootfs", "BUNDLE/config.json"].contains(&name)
            })
            .collect();
        assert!(foreign.is_empty(), "{hook}: {foreign:#?}");
        let root = opens.iter().filter(|line| line.contains("\"BUNDLE/rootfs\"")).collect::<Vec<_>>();
        assert_eq!(root.len(), 1, "{hook}: {root:#?}");
        assert!(root[0].contains("O_PATH") && root[0].contains("O_DIRECTORY"), "{root:?}");
        // Paths of the image are resolved in the root, or are single names in a folder that was.
        let relative = lines(&trace, &["openat", "openat2"]).into_iter();
        let relative = relative.filter(|line| !line.contains("AT_FDCWD") && !line.contains("RESOLVE_IN_ROOT"));
        let climbing: Vec<_> =
            relative.filter(|line| line.split('"').nth(1).is_some_and(|name| name.contains('/'))).collect();
        assert!(climbing.is_empty(), "{hook}: {climbing:#?}");
    }
}

/// The prestart hook becomes `nvidia-container-cli`; it starts nothing else, and of the container it reads config.json.
#[test]
fn the_prestart_hook_starts_one_program_and_opens_nothing_of_the_root() {
    let script = r#"
mkdir -p rootfs/usr/bin
cat > config.toml <<'END'
[nvidia-container-cli]
path = "/bin/true"
END
export NVIDIA_CTK_CONFIG_FILE_PATH=$PWD/config.toml LD_PRELOAD=$PWD/rootfs/evil.so
runc spec
sed -i 's;\("TERM=xterm"\);\1, "NVIDIA_VISIBLE_DEVICES=all", "LD_PRELOAD=/evil.so";' config.json
echo "{\"pid\": $$, \"bundle\": \"$PWD\"}" > state
env -u LD_PRELOAD strace -f -s 4096 -v -e trace=execve,execveat,clone,clone3,fork,vfork,open,openat,openat2 -o trace \
    -E LD_PRELOAD=$LD_PRELOAD nvidia-container-runtime-hook prestart < state
"#;
    let work = tempfile::tempdir().expect("a temporary folder");
    outer::script("two-gpus", script, work.path()).unwrap_or_else(|error| panic!("{error}"));
    let text = fs::read_to_string(work.path().join("trace")).expect("strace writes its file");
    let trace: Vec<String> = text.lines().map(str::to_owned).collect();
    let executed = lines(&trace, &EXECUTES);
    assert_eq!(executed.len(), 2, "strace's start of the hook, and the program: {executed:#?}");
    assert!(
        executed[1].contains("execve(\"/bin/true\", [\"/bin/true\", \"--load-kmods\", \"configure\","),
        "{executed:#?}"
    );
    assert!(!executed[1].contains("LD_PRELOAD") && !executed[1].contains("evil"), "{executed:#?}");
    assert_eq!(lines(&trace, &STARTS), Vec::<&str>::new());
    let root = format!("{}/rootfs", work.path().display());
    let opened = lines(&trace, &["open", "openat", "openat2"]);
    assert!(!opened.iter().any(|line| line.contains(&root)), "{opened:#?}");
}
