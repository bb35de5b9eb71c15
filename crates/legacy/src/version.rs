//! The version that the legacy programs and the library give as theirs: that of the original whose behaviour they have,
//! with this project's own as build metadata. Callers take a major of 0 for the old library of Tegra (section 20).

/// Major, minor, patch.
pub const NUMBERS: (u32, u32, u32) = (1, 20, 0);

/// As text.
pub const TEXT: &str = concat!("1.20.0+corten.", env!("CARGO_PKG_VERSION"));
