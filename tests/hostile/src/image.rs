//! An image as a folder that code makes: an ordinary one first, and then what an attack puts into it.

use crate::outside;
use host::elf::Machine;
use rustix::{
    fs::{CWD, Dev, FileType, makedev, mknodat},
    net::{AddressFamily, SocketAddrUnix, SocketType, bind, socket},
};
use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The folder of libraries in a Debian-like image.
pub const LIBRARIES: &str = match Machine::HOST {
    Machine::Aarch64 => "usr/lib/aarch64-linux-gnu",
    _ => "usr/lib/x86_64-linux-gnu",
};

/// How links lead out of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outward {
    /// By the absolute path on the host.
    Absolute,
    /// By more `..` than there are folders.
    Climbing,
}

/// A bundle with its image, and the tree that stands for the host.
#[derive(Debug)]
pub struct Image {
    /// Holds all of it.
    pub folder: PathBuf,
    /// Since when all that its attack put there has been there.
    pub made: SystemTime,
    outward: Outward,
}

impl Image {
    /// An ordinary image in `folder`, which must not exist. `library` is a driver's library of this machine, which stands
    /// for the image's own ones.
    ///
    /// # Panics
    /// If it cannot be made: then there is nothing to attack with.
    pub fn make(folder: &Path, outward: Outward, library: &[u8]) -> Image {
        let image = Image { folder: folder.to_owned(), made: SystemTime::now(), outward };
        must(fs::create_dir_all(image.path("")));
        must(fs::set_permissions(folder, fs::Permissions::from_mode(0o755)));
        must(outside::make(&image.outside(""), library));
        for name in ["dev/dri", "proc", "sys", "tmp", "run", "etc/ld.so.conf.d", "usr/bin", "usr/sbin", "usr/lib64"] {
            must(fs::create_dir_all(image.path(name)));
        }
        image
            .file("etc/debian_version", "12.0\n")
            .file("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")
            .file("etc/ld.so.conf.d/libc.conf", "/usr/local/lib\n")
            .file(&format!("{LIBRARIES}/libc.so.6"), library)
            .file(&format!("{LIBRARIES}/libimage.so.1.2"), library)
            .file("usr/local/lib/libown.so.3", library)
            .file("usr/local/cuda-12.8/compat/libcuda.so.570.86.10", library)
            .link("usr/local/cuda", "cuda-12.8")
            .link("lib", "usr/lib")
            .link("lib64", "usr/lib64")
            .link("bin", "usr/bin")
            .link("sbin", "usr/sbin")
            .node("dev/nvidia0", FileType::CharacterDevice, makedev(195, 0));
        image
    }

    /// A path in the image.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.join("bundle/rootfs").join(inside)
    }

    /// A path in the tree that stands for the host.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.folder.join("outside").join(name)
    }

    /// A regular file.
    pub fn file(&self, at: &str, content: impl AsRef<[u8]>) -> &Image {
        self.clear(at);
        must(fs::write(self.path(at), content));
        must(fs::set_permissions(self.path(at), fs::Permissions::from_mode(0o644)));
        self
    }

    /// A program.
    pub fn program(&self, at: &str, content: impl AsRef<[u8]>) -> &Image {
        self.file(at, content);
        must(fs::set_permissions(self.path(at), fs::Permissions::from_mode(0o755)));
        self
    }

    /// A folder in the place of what was there.
    pub fn folder(&self, at: &str) -> &Image {
        self.clear(at);
        must(fs::create_dir(self.path(at)));
        self
    }

    /// A link.
    pub fn link(&self, at: &str, target: &str) -> &Image {
        self.clear(at);
        must(symlink(target, self.path(at)));
        self
    }

    /// A link to what a long way leads to, absolute in the image: each look there takes the kernel milliseconds, as it may follow
    /// forty links of four thousand bytes.
    pub fn long_way(&self, at: &str, to: &str) -> &Image {
        const LINKS: usize = 35;
        let there_and_back = "d/../".repeat(815);
        self.folder(&format!("{at}-way")).folder(&format!("{at}-way/d"));
        for number in 1..LINKS {
            self.link(&format!("{at}-way/{number}"), &format!("{there_and_back}{}", number + 1));
        }
        self.link(&format!("{at}-way/{LINKS}"), to).link(at, &format!("/{at}-way/1"))
    }

    /// A link that would lead to the host if the kernel followed it from here.
    pub fn link_out(&self, at: &str, outside: &str) -> &Image {
        let target = self.outside(outside).display().to_string();
        match self.outward {
            Outward::Absolute => self.link(at, &target),
            Outward::Climbing => self.link(at, &format!("{}{target}", "../".repeat(40).trim_end_matches('/'))),
        }
    }

    /// A hard link to a file of the host, as a shared file system may have one.
    pub fn hard_link_out(&self, at: &str, outside: &str) -> &Image {
        self.clear(at);
        must(fs::hard_link(self.outside(outside), self.path(at)));
        self
    }

    /// A FIFO, device or socket.
    pub fn node(&self, at: &str, kind: FileType, device: Dev) -> &Image {
        self.clear(at);
        must(mknodat(CWD, self.path(at), kind, 0o666.into(), device).map_err(io::Error::from));
        self
    }

    /// A FIFO, whose opening would wait for ever.
    pub fn fifo(&self, at: &str) -> &Image {
        self.node(at, FileType::Fifo, 0)
    }

    /// A socket that somebody has listened on.
    pub fn socket(&self, at: &str) -> &Image {
        self.clear(at);
        // Its whole path may be longer than an address can be.
        let short = self.folder.join("s");
        let made = socket(AddressFamily::UNIX, SocketType::STREAM, None).and_then(|socket| {
            let address = SocketAddrUnix::new(&short)?;
            bind(&socket, &address)
        });
        must(made.map_err(io::Error::from));
        must(fs::rename(short, self.path(at)));
        self
    }

    /// A file of so many bytes that takes no room.
    pub fn sparse(&self, at: &str, beginning: &[u8], size: u64) -> &Image {
        self.file(at, beginning);
        must(fs::OpenOptions::new().write(true).open(self.path(at)).and_then(|file| file.set_len(size)));
        self
    }

    /// Nothing there any more, but the folder that it is to be in.
    pub fn clear(&self, at: &str) -> &Image {
        let path = self.path(at);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => must(fs::remove_dir_all(&path)),
            Ok(_) => must(fs::remove_file(&path)),
            Err(_) => must(path.parent().map_or(Ok(()), fs::create_dir_all)),
        }
        self
    }
}

fn must<T>(made: io::Result<T>) -> T {
    made.unwrap_or_else(|why| panic!("the image cannot be made: {why}"))
}
