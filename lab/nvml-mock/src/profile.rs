//! The numbers behind the names of MIG profiles.
//!
//! NVML numbers profiles twice: by an index that callers count through (`NVML_GPU_INSTANCE_PROFILE_…`), and by an id
//! that instances carry and that differs from driver to driver. A tool that wants an instance's profile name searches
//! the index whose id is the instance's; so both numbers exist here.

use crate::{
    abi::Code,
    layout::{ComputeInstanceProfileInfo, GpuInstanceProfileInfo},
};
use machine::{Gpu, Mig};

/// Number of indices of GPU instance profiles.
pub const GPU_INSTANCE_PROFILES: u32 = 0x12;
/// Number of indices of compute instance profiles.
pub const COMPUTE_INSTANCE_PROFILES: u32 = 9;

const SMS_A_SLICE: u32 = 14;

/// A name such as `1c.3g.20gb+me`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    compute_slices: u32,
    slices: u32,
    gigabytes: u64,
    media: bool,
    graphics: bool,
}

impl Profile {
    /// The profile of a MIG device; an impossible name is an unknown error.
    pub fn of(mig: &Mig) -> Result<Profile, Code> {
        Profile::parse(&mig.profile, mig.graphics).ok_or(Code::UNKNOWN)
    }

    fn parse(name: &str, graphics: bool) -> Option<Profile> {
        let (sizes, extras) = name.split_once('+').unwrap_or((name, ""));
        let mut parts = sizes.rsplit('.');
        let gigabytes = parts.next()?.strip_suffix("gb")?.parse().ok()?;
        let slices = parts.next()?.strip_suffix('g')?.parse().ok()?;
        let compute_slices = match parts.next() {
            Some(part) => part.strip_suffix('c')?.parse().ok()?,
            None => slices,
        };
        let graphics = graphics || extras.split('+').any(|extra| extra == "gfx");
        Some(Profile { compute_slices, slices, gigabytes, media: extras.contains("me"), graphics })
    }

    /// `NVML_GPU_INSTANCE_PROFILE_…`.
    pub fn gpu_instance_index(self) -> Result<u32, Code> {
        Ok(match (self.slices, self.graphics, self.media) {
            (1, true, _) => 0x0a,
            (2, true, _) => 0x0b,
            (3, true, _) => 0x11,
            (4, true, _) => 0x0c,
            (1, _, true) => 7,
            (2, _, true) => 8,
            (1, ..) => 0,
            (2, ..) => 1,
            (3, ..) => 2,
            (4, ..) => 3,
            (7, ..) => 4,
            (8, ..) => 5,
            (6, ..) => 6,
            _ => return Err(Code::UNKNOWN),
        })
    }

    /// The id that GPU instances carry.
    pub fn gpu_instance_id(self) -> Result<u32, Code> {
        self.gpu_instance_index().map(id_of_gpu_instance_profile)
    }

    /// `NVML_COMPUTE_INSTANCE_PROFILE_…`, which is also the id that compute instances carry.
    pub fn compute_instance_index(self) -> Result<u32, Code> {
        match self.compute_slices {
            slices @ 1..=4 => Ok(slices - 1),
            7 => Ok(4),
            8 => Ok(5),
            6 => Ok(6),
            _ => Err(Code::UNKNOWN),
        }
    }

    /// A little below the name's figure, as on real GPUs, whose firmware keeps some.
    pub fn memory_mib(self) -> u64 {
        (self.gigabytes * 1024).saturating_sub(256)
    }

    /// Slices of GPU and compute instance.
    pub fn slices(self) -> (u32, u32) {
        (self.slices, self.compute_slices)
    }

    /// Multiprocessors of the compute instance.
    pub fn multiprocessors(self) -> u32 {
        self.compute_slices * SMS_A_SLICE
    }
}

/// The ids that an A100's driver uses, where it has the profile.
fn id_of_gpu_instance_profile(index: u32) -> u32 {
    match index {
        0 => 19,
        1 => 14,
        2 => 9,
        3 => 5,
        4 => 0,
        7 => 20,
        other => 100 + other,
    }
}

/// What this GPU says about a GPU instance profile. Only those that an instance on it has are offered.
pub fn gpu_instance_profile(gpu: &Gpu, index: u32) -> Result<GpuInstanceProfileInfo, Code> {
    if index >= GPU_INSTANCE_PROFILES {
        return Err(Code::INVALID_ARGUMENT);
    }
    let profiles = gpu.mig.iter().filter_map(|mig| Profile::of(mig).ok());
    let mut offered = profiles.filter(|profile| profile.gpu_instance_index() == Ok(index));
    let profile = offered.next().ok_or(Code::NOT_SUPPORTED)?;
    Ok(GpuInstanceProfileInfo {
        id: id_of_gpu_instance_profile(index),
        p2p: 0,
        slices: profile.slices,
        instances: 7 / profile.slices.max(1),
        multiprocessors: profile.slices * SMS_A_SLICE,
        copy_engines: profile.slices,
        decoders: profile.slices / 2,
        encoders: 0,
        jpegs: u32::from(profile.media),
        ofas: u32::from(profile.media),
        memory_mib: profile.memory_mib(),
    })
}

/// What a GPU instance says about a compute instance profile.
pub fn compute_instance_profile(within: Profile, index: u32) -> Result<ComputeInstanceProfileInfo, Code> {
    let slices = match index {
        0..=3 => index + 1,
        4 => 7,
        5 => 8,
        6 => 6,
        7..COMPUTE_INSTANCE_PROFILES => return Err(Code::NOT_SUPPORTED),
        _ => return Err(Code::INVALID_ARGUMENT),
    };
    if slices > within.slices {
        return Err(Code::NOT_SUPPORTED);
    }
    Ok(ComputeInstanceProfileInfo {
        id: index,
        slices,
        instances: within.slices / slices,
        multiprocessors: slices * SMS_A_SLICE,
        copy_engines: within.slices,
        decoders: within.slices / 2,
        encoders: 0,
        jpegs: 0,
        ofas: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_their_numbers() {
        for (name, graphics, want) in [
            ("1g.5gb", false, (0, 0, 4864)),
            ("1g.5gb+me", false, (7, 0, 4864)),
            ("1c.3g.20gb", false, (2, 0, 20224)),
            ("2c.3g.20gb", false, (2, 1, 20224)),
            ("7g.80gb", false, (4, 4, 81664)),
            ("4g.96gb+gfx", false, (0x0c, 3, 98048)),
            ("3g.60gb", true, (0x11, 2, 61184)),
        ] {
            let profile = Profile::parse(name, graphics).unwrap();
            let numbers = (
                profile.gpu_instance_index().unwrap(),
                profile.compute_instance_index().unwrap(),
                profile.memory_mib(),
            );
            assert_eq!(numbers, want, "{name}");
        }
        for bad in ["", "1g", "5gb", "xg.5gb", "c.1g.5gb"] {
            assert_eq!(Profile::parse(bad, false), None, "{bad}");
        }
    }
}
