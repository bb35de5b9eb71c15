//! What protects the host from an image, each part by a name that `docs/security.md`, the code and the suite
//! `tests/hostile` share.
//!
//! In every build that people get a defence stands, and saying so costs nothing: [`Defence::stands`] is a constant. The
//! suite must know that its attacks can succeed, or they would prove nothing. So there is a second build, with the feature
//! `undefended`, in which a variable switches off the defences that it names. Nothing enables that feature but
//! `cargo xtask test`, and a test looks for the variable's name in what is installed.

/// The variable that names what is off, separated by commas.
#[cfg(feature = "undefended")]
const VARIABLE: &str = "CORTEN_UNDEFENDED";

macro_rules! defences {
    ($($(#[doc = $about:literal])+ $variant:ident $name:literal,)+) => {
        /// One thing that protects the host from an image.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Defence {
            $($(#[doc = $about])+ $variant,)+
        }

        impl Defence {
            /// All of them.
            pub const ALL: &[Defence] = &[$(Defence::$variant,)+];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Defence::$variant => $name,)+
                }
            }
        }
    };
}

defences! {
    /// A path is resolved inside the root: absolute links start there, and `..` stops there.
    InRoot "in-root",
    /// The links of procfs, which lead to whatever is open, are not followed.
    NoMagicLinks "no-magic-links",
    /// What was found is used through its descriptor and never looked up again by its path.
    ByDescriptor "by-descriptor",
    /// A mount below the root is entered by its name and not by a link, and there only what everybody may read is read.
    ByName "by-name",
    /// Nothing is mounted where others would see it too.
    Unshared "unshared",
    /// Only regular files are opened for reading: no FIFO, device, socket or folder.
    RegularOnly "regular-only",
    /// No file is read beyond a size that belongs there.
    BoundedReads "bounded-reads",
    /// Of a library only headers and names are read, and only so many of them.
    BoundedElf "bounded-elf",
    /// Includes end: at a depth, at a number of files, and at a number of names looked at.
    BoundedIncludes "bounded-includes",
    /// Looking through what an image holds ends after a time.
    BoundedTime "bounded-time",
    /// A new file is made under a name that was free, and not through a link that waits there.
    NoFollow "no-follow",
    /// A file is replaced by a new one, and not written in place.
    NewFile "new-file",
    /// What was done is undone when a later step fails.
    Undo "undo",
    /// Nothing is mounted over what a link at a mount's place leads to.
    NoLinkAtEnd "no-link-at-end",
    /// Sources of mounts come from this machine's inventory, never from the root.
    HostSources "host-sources",
    /// No ldconfig is run, neither the image's nor the host's.
    NoLdconfig "no-ldconfig",
    /// A hook whose spec gives it no environment gets one.
    HookEnvironment "hook-environment",
    /// A hook closes what it inherited.
    ClosedFiles "closed-files",
    /// A hook leaves the folder that it was started in.
    LeftFolder "left-folder",
    /// A hook cannot be traced, nor its executable be reached through procfs.
    NotDumpable "not-dumpable",
    /// A hook can never gain privileges.
    NoNewPrivileges "no-new-privileges",
    /// A hook gives up every capability that its work does not need.
    FewCapabilities "few-capabilities",
    /// The low-level runtime gets none of our descriptors.
    CloseOnExec "close-on-exec",
    /// The driver's parameters are told by the identity of their file, not by its name.
    DriversParams "drivers-params",
    /// A GPU's node is a character device, whatever its name says.
    RealNodes "real-nodes",
}

impl Defence {
    /// Whether it is in force.
    #[cfg(not(feature = "undefended"))]
    pub const fn stands(self) -> bool {
        true
    }

    /// Whether it is in force.
    #[cfg(feature = "undefended")]
    pub fn stands(self) -> bool {
        // Read once: a hook forgets its environment, and must not get its defences back by that.
        static OFF: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        let off = OFF.get_or_init(|| std::env::var(VARIABLE).unwrap_or_default());
        !off.split(',').any(|name| name == self.name())
    }
}
