//! What tells the distributions apart: where libraries are, how that is linked, and what the release files say.

use std::str::FromStr;

use crate::{Error, driver::MULTIARCH};

/// A kind of container root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Multiarch library folders.
    Debian,
    /// `/usr/lib64`.
    Rhel,
    /// `/usr/lib`, and `lib64` is a link to it.
    Arch,
    /// musl instead of glibc; no loader cache.
    Alpine,
    /// One static program; no loader, no cache.
    Bare,
}

/// Every kind with its name.
pub const ALL: [(&str, Kind); 5] = [
    ("debian", Kind::Debian),
    ("rhel", Kind::Rhel),
    ("arch", Kind::Arch),
    ("alpine", Kind::Alpine),
    ("bare", Kind::Bare),
];

impl FromStr for Kind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Kind, Error> {
        let found = ALL.iter().find(|(known, _)| *known == name || (name == "musl" && *known == "alpine"));
        let names = ALL.map(|(known, _)| known).join(", ");
        found
            .map(|(_, kind)| *kind)
            .ok_or_else(|| Error::Unsupported { what: format!("a root of kind {name:?} (there are {names})") })
    }
}

impl Kind {
    /// Where its libraries are.
    pub(super) fn library_folder(self) -> &'static str {
        match self {
            Kind::Debian if MULTIARCH.starts_with('a') => "usr/lib/aarch64-linux-gnu",
            Kind::Debian => "usr/lib/x86_64-linux-gnu",
            Kind::Rhel => "usr/lib64",
            Kind::Arch | Kind::Alpine | Kind::Bare => "usr/lib",
        }
    }

    /// Links at the top, and what they point at.
    pub(super) fn links(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Kind::Arch => &[("lib", "usr/lib"), ("lib64", "usr/lib"), ("bin", "usr/bin"), ("sbin", "usr/bin")],
            Kind::Debian | Kind::Rhel => {
                &[("lib", "usr/lib"), ("lib64", "usr/lib64"), ("bin", "usr/bin"), ("sbin", "usr/sbin")]
            }
            Kind::Alpine | Kind::Bare => &[("bin", "usr/bin"), ("sbin", "usr/sbin")],
        }
    }

    /// The root has glibc, and so a loader cache.
    pub(super) fn has_cache(self) -> bool {
        !matches!(self, Kind::Alpine | Kind::Bare)
    }

    /// Configuration and release files.
    pub(super) fn texts(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Kind::Debian => &[
                ("etc/debian_version", "12.5\n"),
                ("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
                ("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n"),
                ("etc/ld.so.conf.d/libc.conf", "/usr/local/lib\n"),
                ("etc/passwd", PASSWD),
                ("etc/group", GROUP),
            ],
            Kind::Rhel => &[
                ("etc/redhat-release", "Fedora release 40 (Forty)\n"),
                ("etc/os-release", "ID=fedora\nVERSION_ID=40\nPRETTY_NAME=\"Fedora Linux 40\"\n"),
                ("etc/ld.so.conf", "include ld.so.conf.d/*.conf\n"),
                // The loader is this machine's, which may look elsewhere unless told.
                ("etc/ld.so.conf.d/lib64.conf", "/usr/lib64\n"),
                ("etc/passwd", PASSWD),
                ("etc/group", GROUP),
            ],
            Kind::Arch => &[
                ("etc/arch-release", ""),
                ("etc/os-release", "ID=arch\nPRETTY_NAME=\"Arch Linux\"\n"),
                ("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n"),
                ("etc/passwd", PASSWD),
                ("etc/group", GROUP),
            ],
            Kind::Alpine => &[
                ("etc/alpine-release", "3.20.0\n"),
                ("etc/os-release", "ID=alpine\nVERSION_ID=3.20.0\nPRETTY_NAME=\"Alpine Linux v3.20\"\n"),
                ("etc/passwd", PASSWD),
                ("etc/group", GROUP),
            ],
            Kind::Bare => &[],
        }
    }
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nvideo:x:44:\nnogroup:x:65534:\n";
