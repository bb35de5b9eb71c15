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

/// Runs every hook on an image that means harm, traced: once in a clean environment, once with all that an image can put
/// there, and at last several as one process. The simulated machine has the driver's `params`, so that no hook is idle.
const HOOKS: &str = r#"
lab rootfs --kind debian --to image
runc spec
mkdir -p outside/etc outside/lib image/usr/local/cuda image/opt image/dev
echo host > outside/etc/ld.so.cache
cp /usr/lib/x86_64-linux-gnu/libcuda.so.*.* image/opt/
mkfifo image/usr/lib/x86_64-linux-gnu/libfifo.so.1
truncate -s 10G image/usr/lib/x86_64-linux-gnu/libgiant.so.1
ln -s $PWD/outside/lib image/opt/lib
ln -s ../../../../../../../../../../$PWD/outside/lib image/usr/local/cuda/compat
ln -s /dev/zero image/etc/ld.so.conf.d/zero.conf
mkfifo image/etc/ld.so.conf.d/fifo.conf
rm -f image/etc/ld.so.cache
ln -s $PWD/outside/etc/ld.so.cache image/etc/ld.so.cache
mknod image/dev/nvidia0 c 195 0
cp $(command -v ldconfig) image/sbin/ldconfig.real 2>/dev/null || true
mkdir image/evil
printf '#include <fcntl.h>\n__attribute__((constructor)) void ran(void) { open("%s/ran", O_CREAT, 0600); }\n' $PWD > evil.c
cc -shared -o image/evil/evil.so evil.c
LD_PRELOAD=$PWD/image/evil/evil.so cat /dev/null; mv ran preloading-works
echo '{"ociVersion": "1.0.2", "id": "x", "bundle": "'$PWD'"}' > state
evil=$PWD/rootfs/evil
hostile="-E LD_PRELOAD=$evil/evil.so -E LD_LIBRARY_PATH=$evil -E LD_AUDIT=$evil/evil.so -E GCONV_PATH=$evil -E LC_ALL=xx_XX.UTF-16 \
    -E RUST_BACKTRACE=full -E RUST_LIB_BACKTRACE=1 -E TMPDIR=$evil -E PATH=$evil -E HOME=$evil -E MALLOC_ARENA_MAX=1 \
    -E XDG_CONFIG_HOME=$evil -E NVIDIA_CTK_CONFIG_FILE_PATH=$evil/config.toml -E GLIBC_TUNABLES=glibc.malloc.check=3"
program=$(command -v nvidia-cdi-hook)
hook() {
    strace -f -s 4096 $environment -o $1.$pass.trace $program "$@" < state 2> $1.$pass.said || echo $1 $pass >> failed
}
both() {
    hook create-symlinks --link libcuda.so.1::/usr/lib/x86_64-linux-gnu/libcuda.so --link x::/opt/../../../y
    hook enable-cuda-compat --host-driver-version=550.54.14
    hook update-ldcache --ldconfig-path /sbin/ldconfig --folder /usr/lib/x86_64-linux-gnu --folder /opt --folder /opt/lib
    hook update-application-profile
    hook chmod --mode 755 --path /opt --path /opt/lib
    hook disable-device-node-modification
}
cp -a image rootfs; pass=clean environment=; both
rm -rf rootfs; cp -a image rootfs; pass=hostile environment=$hostile; both
rm -rf rootfs; cp -a image rootfs; environment=$hostile
hook jobs create-symlinks --link libcuda.so.1::/usr/lib/x86_64-linux-gnu/libcuda.so enable-cuda-compat \
    --host-driver-version=550.54.14 update-ldcache --folder /usr/lib/x86_64-linux-gnu --folder /opt --folder /opt/lib \
    disable-device-node-modification update-application-profile
find outside | sort > outside.list
cat outside/etc/ld.so.cache >> outside.list
"#;

const OPENS: [&str; 3] = ["open", "openat", "openat2"];

#[test]
fn hooks_start_nothing_and_open_nothing_outside_the_root() {
    let work = tempfile::tempdir().expect("a temporary folder");
    let said = outer::script("two-gpus", HOOKS, work.path());
    said.unwrap_or_else(|error| panic!("{error}"));
    let read = |name: &str| fs::read_to_string(work.path().join(name)).unwrap_or_default();
    assert_eq!(read("outside.list"), "outside\noutside/etc\noutside/etc/ld.so.cache\noutside/lib\nhost\n");
    assert_eq!(read("failed"), "");
    assert!(work.path().join("preloading-works").exists() && !work.path().join("ran").exists());
    // They did their work meanwhile.
    let cache = fs::read(work.path().join("rootfs/etc/ld.so.cache")).unwrap_or_default();
    assert!(cache.windows(8).any(|part| part == b"/libcuda"), "the cache lists what lies in /opt");
    assert!(work.path().join("rootfs/usr/lib/x86_64-linux-gnu/libcuda.so").is_symlink());
    assert!(read("rootfs/etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf").contains("0x1]"));
    for said in ["update-ldcache.clean.said", "jobs.hostile.said"] {
        assert!(read(said).contains("fifo.conf"), "{said}: {}", read(said));
    }
    let bundle = work.path().display().to_string();
    let trace = |hook: &str, pass: &str| -> Vec<String> {
        let text = read(&format!("{hook}.{pass}.trace"));
        text.lines().map(|line| line.replace(&bundle, "BUNDLE")).collect()
    };
    for hook in [
        "create-symlinks",
        "enable-cuda-compat",
        "update-ldcache",
        "update-application-profile",
        "chmod",
        "disable-device-node-modification",
    ] {
        let [clean, hostile] = ["clean", "hostile"].map(|pass| trace(hook, pass));
        assert_eq!(files(&clean), files(&hostile), "{hook}: its environment counts");
        assert_harmless(hook, &clean);
    }
    assert_harmless("jobs", &trace("jobs", "hostile"));
}

/// The calls about files and processes, sorted: sets have no order. The first, by which strace starts the program, tells
/// how many variables there are.
fn files(trace: &[String]) -> Vec<&str> {
    let calls =
        [&OPENS[..], &STARTS, &EXECUTES, &["mount", "move_mount", "symlinkat", "renameat2", "unlinkat", "mkdirat"]];
    let mut found: Vec<&str> = lines(trace, &calls.concat()).into_iter().skip(1).collect();
    found = found.into_iter().map(|line| line.split_once(' ').map_or(line, |(_, call)| call.trim_start())).collect();
    found.sort_unstable();
    found
}

fn assert_harmless(hook: &str, trace: &[String]) {
    assert_eq!(lines(trace, &STARTS), Vec::<&str>::new(), "{hook}");
    // The first execve is strace's own start of the hook.
    assert_eq!(lines(trace, &EXECUTES).len(), 1, "{hook}: {trace:#?}");
    let opens = lines(trace, &OPENS);
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
    // config.json says that the root is read-only, and it is not yet: nobody needs the table of all mounts, which takes the
    // kernel longer to write than a hook's own work takes.
    assert!(!opens.iter().any(|line| line.contains("mountinfo")), "{hook}: {opens:#?}");
    assert!(root.iter().all(|line| line.contains("O_PATH") && line.contains("O_DIRECTORY")), "{root:?}");
    // Paths of the image are resolved in the root, or are single names in a folder that was.
    let relative = lines(trace, &["openat", "openat2"]).into_iter();
    let relative = relative.filter(|line| !line.contains("AT_FDCWD") && !line.contains("RESOLVE_IN_ROOT"));
    let climbing: Vec<_> =
        relative.filter(|line| line.split('"').nth(1).is_some_and(|name| name.contains('/'))).collect();
    assert!(climbing.is_empty(), "{hook}: {climbing:#?}");
    assert_first_acts(hook, trace);
}

/// Before a hook reads its state it has given everything up.
fn assert_first_acts(hook: &str, trace: &[String]) {
    let at = |what: &str| trace.iter().position(|line| line.contains(what));
    // Those that find nothing to do read no state.
    let read = at(" read(0,").unwrap_or(trace.len());
    for act in [
        " close_range(3, 4294967295, 0)",
        "prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE)",
        "prctl(PR_SET_NO_NEW_PRIVS, 1",
        " chdir(\"/\")",
        " capset(",
    ] {
        assert!(at(act).is_some_and(|when| when < read), "{hook}: {act} does not come before reading: {trace:#?}");
    }
    // The standard library looks at its own stack before a program's first line.
    let opens = |line: &&String| OPENS.iter().any(|open| line.contains(&format!(" {open}(")));
    let opened = trace.iter().position(|line| opens(&line) && !line.contains("\"/proc/self/maps\""));
    assert!(
        at("PR_SET_NO_NEW_PRIVS") < opened,
        "{hook} opens something before it has forgotten its caller: {trace:#?}"
    );
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
