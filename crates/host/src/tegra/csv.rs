//! One of these files as text (reference: cdi-and-ctk.md 6.1, runtime-and-hook.md 3.10):
//!
//! ```text
//! # Anything but these four kinds is passed over.
//! dev, /dev/nvmap
//! dir, /usr/lib/aarch64-linux-gnu/tegra
//! lib, /usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1.1
//! sym, /usr/lib/aarch64-linux-gnu/libcuda.so.1
//! ```
//!
//! A line is a kind and a path, parted by the first comma, with blanks around either; there are no quotes, so a path may have
//! commas and quotes of its own. Whatever else a line is, it is passed over, and the others count. One thing differs: a line
//! of more than 64 KiB is passed over like any other, where the original reads nothing of the file that follows it.
//!
//! Total: whatever the bytes, time and memory are proportional to their number, of which there is a bound.

use std::fmt;

/// Largest file that is read, in bytes; NVIDIA's have some 20 KiB.
pub const LARGEST: usize = 1 << 20;
/// Longest path, the kernel's `PATH_MAX`.
const LONGEST: usize = 4096;

/// What an entry asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Character devices: a pattern of their nodes.
    Device,
    /// Folders to be mounted: a pattern.
    Folder,
    /// Files to be mounted, links resolved: a pattern.
    Library,
    /// Links: what they lead to is mounted, and each link on the way made anew. A pattern, too.
    Link,
}

impl Kind {
    /// All of them, in the order in which reports count them.
    pub const ALL: [Kind; 4] = [Kind::Device, Kind::Folder, Kind::Library, Kind::Link];

    /// The word in the files, where case counts.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Device => "dev",
            Kind::Folder => "dir",
            Kind::Library => "lib",
            Kind::Link => "sym",
        }
    }

    fn of_word(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// One thing that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Where it is, as written: on the host, below the driver's or the devices' root; it may be a pattern.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Entry {
    /// The line that says so.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.kind.word(), self.path)
    }
}

/// A line that was passed over, and is neither blank nor a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    /// In the file's order.
    pub entries: Vec<Entry>,
    /// Likewise.
    pub skipped: Vec<Skipped>,
}

impl Sheet {
    /// How many entries of a kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        self.entries.iter().filter(|entry| entry.kind == kind).count()
    }
}

/// It has more than [`LARGEST`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is larger than {} MiB, which no list of a driver's files is", LARGEST >> 20)]
pub struct TooLarge;

/// Reads a file.
///
/// # Errors
/// [`TooLarge`]; nothing else that a file can hold is an error.
pub fn parse(text: &[u8]) -> Result<Sheet, TooLarge> {
    if text.len() > LARGEST {
        return Err(TooLarge);
    }
    let mut sheet = Sheet::default();
    for (line, text) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        match read(text) {
            Ok(Some((kind, path))) => sheet.entries.push(Entry { kind, path: path.to_owned(), line }),
            Ok(None) => {}
            Err(why) => sheet.skipped.push(Skipped { line, why }),
        }
    }
    Ok(sheet)
}

/// Kind and path; `None` for a line that says nothing and means to.
fn read(line: &[u8]) -> Result<Option<(Kind, &str)>, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "it is not UTF-8")?.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (word, path) = line.split_once(',').ok_or("it has no comma")?;
    let kind = Kind::of_word(word.trim()).ok_or("its kind is none of dev, dir, lib and sym")?;
    match path.trim() {
        "" => Err("it has no path"),
        path if path.len() >= LONGEST => Err("its path is too long to be one"),
        path if path.contains('\0') => Err("its path has a zero byte"),
        path => Ok(Some((kind, path))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_say_what_the_original_reads() {
        let text = "dev, /dev/nvmap\r\n\
            \n\
            # dev, /dev/no\n\
            \t sym ,\t/usr/lib/lib, with \"comma\".so \n\
            lib,/a*\n\
            DEV, /dev/nvmap\n\
            blk, /dev/sda\n\
            dir\n\
            dir, \n\
            , /x\n\
            lib, relative\n\
            dir, /last";
        let sheet = parse(text.as_bytes()).unwrap();
        let entries: Vec<_> = sheet.entries.iter().map(|entry| format!("{} {entry}", entry.line)).collect();
        let want = [
            "1 dev, /dev/nvmap",
            "4 sym, /usr/lib/lib, with \"comma\".so",
            "5 lib, /a*",
            "11 lib, relative",
            "12 dir, /last",
        ];
        assert_eq!(entries, want);
        let kind = "its kind is none of dev, dir, lib and sym";
        let skipped: Vec<_> = sheet.skipped.iter().map(|skipped| (skipped.line, skipped.why)).collect();
        let want = [(6, kind), (7, kind), (8, "it has no comma"), (9, "it has no path"), (10, kind)];
        assert_eq!(skipped, want);
        assert_eq!(Kind::ALL.map(|kind| sheet.count(kind)), [1, 1, 2, 1]);
    }

    #[test]
    fn what_is_no_line_hides_no_other() {
        let long = format!("lib, /{}\ndev, /dev/nvmap\n", "x".repeat(1 << 17));
        for text in [long.as_bytes(), b"\xff\xfe\ndev, /dev/nvmap", b"lib, /a\0b\ndev,/dev/nvmap"] {
            let sheet = parse(text).unwrap();
            assert_eq!((sheet.entries.len(), sheet.entries[0].line, sheet.skipped.len()), (1, 2, 1));
        }
        assert_eq!(parse(&vec![b'\n'; LARGEST]).unwrap(), Sheet::default());
        assert_eq!(parse(&vec![b'\n'; LARGEST + 1]), Err(TooLarge));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_what_was_read(text in "((dev|lib|sym|dir|x)[ ,]{0,3}.{0,12}\n?){0,9}") {
            let sheet = parse(text.as_bytes()).unwrap();
            let written: String = sheet.entries.iter().map(|entry| format!("{entry}\n")).collect();
            let again = parse(written.as_bytes()).unwrap();
            let parts = |sheet: &Sheet| sheet.entries.iter().map(|entry| (entry.kind, entry.path.clone())).collect::<Vec<_>>();
            prop_assert_eq!(parts(&again), parts(&sheet));
            prop_assert!(again.skipped.is_empty());
        }
    }
}
