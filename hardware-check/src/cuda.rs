//! Makes sense of what `cuda-probe` prints.

use crate::{
    child::Done,
    discovery,
    report::{Verdict, fail, skip},
};
use host::NvmlFacts;
use std::time::Duration;

/// The probe did all it could, and what it saw is what NVML knows.
pub fn judge(done: &Done, limit: Duration, facts: Option<&NvmlFacts>) -> Verdict {
    let found = Found::read(&done.stdout);
    if let Some(words) = found.missing {
        return match facts {
            Some(_) => fail(format!("libcuda does not load: {words}")),
            None => skip(format!("libcuda does not load: {words}")),
        };
    }
    if let Some(call) = &found.failed {
        return fail(format!("{call}, after {}", found.summary()));
    }
    if !done.success {
        return fail(format!("{}, after {}", done.ending(limit, &done.stderr), found.summary()));
    }
    if found.devices.is_empty() || found.devices.len() != found.copied {
        return fail(format!("not every device was used: {}", found.summary()));
    }
    let Some(facts) = facts else { return Ok(found.summary()) };
    compare(&found, facts)
}

fn compare(found: &Found, facts: &NvmlFacts) -> Verdict {
    if facts.cuda_version.is_some_and(|known| found.version != Some(known)) {
        return fail(format!("{}, but NVML says CUDA {}", found.summary(), discovery::cuda(facts)));
    }
    let known: Vec<String> = facts
        .gpus
        .iter()
        .flat_map(|gpu| std::iter::once(&gpu.uuid).chain(gpu.mig.iter().map(|mig| &mig.uuid)))
        .map(|uuid| digits(uuid))
        .collect();
    if let Some(stranger) = found.devices.iter().find(|uuid| !known.contains(uuid)) {
        return fail(format!("CUDA has a device {} that NVML does not know", stranger.get(..8).unwrap_or(stranger)));
    }
    // Of MIG devices CUDA enumerates one; how many of the whole GPUs beside them is for the driver to say.
    let whole = facts.gpus.iter().filter(|gpu| !gpu.mig_enabled).count();
    if whole == facts.gpus.len() && found.devices.len() != whole {
        return fail(format!("{}, but NVML lists {whole} GPUs", found.summary()));
    }
    Ok(found.summary())
}

/// The digits of `GPU-…` or `MIG-…`.
fn digits(uuid: &str) -> String {
    uuid.get(4..).unwrap_or_default().replace('-', "").to_ascii_lowercase()
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    version: Option<(u32, u32)>,
    /// The digits of the UUIDs.
    devices: Vec<String>,
    /// Devices whose memory was used.
    copied: usize,
    failed: Option<String>,
    missing: Option<String>,
}

impl Found {
    fn read(text: &str) -> Found {
        let mut found = Found::default();
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "version" => found.version = rest.parse().ok().map(|number: u32| (number / 1000, number % 1000 / 10)),
                "device" => found.devices.extend(rest.split(' ').nth(1).map(str::to_owned)),
                "memory" => found.copied += 1,
                "failed" => found.failed = Some(format!("{rest} from CUDA").replacen(' ', ": ", 1)),
                "missing" => found.missing = Some(rest.to_owned()),
                _ => {}
            }
        }
        found
    }

    fn summary(&self) -> String {
        let version = self.version.map_or("no version".to_owned(), |(major, minor)| format!("CUDA {major}.{minor}"));
        format!("{version}, {} devices, 1 MiB to {} of them and back", self.devices.len(), self.copied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Bad;
    use host::GpuFacts;

    const ONE: &str = "version 12040\ndevice 0 4cf8db2d06c07d701a51e59b25b2c16c NVIDIA A100\nmemory 0 1048576\n";

    fn verdict(stdout: &str, success: bool) -> Verdict {
        let done = Done { success, late: false, stdout: stdout.to_owned(), stderr: String::new() };
        let gpu = GpuFacts { uuid: "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c".into(), ..GpuFacts::default() };
        let facts = NvmlFacts { cuda_version: Some((12, 4)), gpus: vec![gpu], ..NvmlFacts::default() };
        judge(&done, Duration::from_secs(1), Some(&facts))
    }

    #[test]
    fn what_nvml_confirms_passes() {
        assert_eq!(verdict(ONE, true).unwrap(), "CUDA 12.4, 1 devices, 1 MiB to 1 of them and back");
    }

    #[test]
    fn everything_else_says_why() {
        for (stdout, success, want) in [
            ("failed cuInit 999 CUDA_ERROR_UNKNOWN\n".to_owned(), false, "cuInit: 999 CUDA_ERROR_UNKNOWN from CUDA"),
            ("missing libcuda.so.1: no such file\n".into(), false, "libcuda does not load: libcuda.so.1: no such file"),
            (String::new(), false, "it failed and said nothing"),
            ("version 12040\n".into(), true, "not every device was used"),
            (ONE.replace("12040", "12020"), true, "CUDA 12.2, 1 devices, 1 MiB to 1 of them and back, but NVML says"),
            (ONE.replace("4cf8", "ffff"), true, "CUDA has a device ffffdb2d that NVML does not know"),
            (ONE.repeat(2), true, "CUDA 12.4, 2 devices, 1 MiB to 2 of them and back, but NVML lists 1 GPUs"),
            (ONE.replace("memory 0 1048576\n", ""), false, "it failed and said nothing, after CUDA 12.4, 1 devices"),
        ] {
            let Err(Bad::Fail(why)) = verdict(&stdout, success) else { panic!("{stdout}") };
            assert!(why.starts_with(want), "{why}");
        }
    }
}
