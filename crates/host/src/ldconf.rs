//! `/etc/ld.so.conf` as text: which folders it names, which files it includes (`ldconfig(8)`). Which of them exist is a
//! question to the root that it lies in, and none of this module's.

pub mod glob;

use oci::ContainerPath;

/// What a line says; one `include` may say several things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A folder to search.
    Folder(ContainerPath),
    /// A pattern of files to read; a relative one counts from the folder of the file that holds it.
    Include(String),
}

/// What a file says, in order. Relative folders and whatever else is no line say nothing.
pub fn lines(text: &str) -> impl Iterator<Item = Line> {
    text.lines().flat_map(line)
}

fn line(line: &str) -> Vec<Line> {
    let line = line.split('#').next().unwrap_or_default().trim();
    if let Some(patterns) = line.strip_prefix("include").filter(|rest| rest.starts_with(char::is_whitespace)) {
        return patterns.split_whitespace().map(|pattern| Line::Include(pattern.to_owned())).collect();
    }
    // `hwcap …` means nothing any more, and `folder=libc6` said once which C library a folder was for.
    let folder = line.split('=').next().unwrap_or_default().trim_end();
    ContainerPath::new(folder).map(Line::Folder).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_as_ldconfig_does() {
        let folder = |path| Line::Folder(ContainerPath::new(path).unwrap());
        let include = |pattern: &str| Line::Include(pattern.to_owned());
        for (text, want) in [
            ("include /etc/ld.so.conf.d/*.conf\n", vec![include("/etc/ld.so.conf.d/*.conf")]),
            ("include\ta  b", vec![include("a"), include("b")]),
            ("include", vec![]),
            ("includes/x", vec![]),
            ("  /usr/local/lib/  # ours\r\n#/x\n", vec![folder("/usr/local/lib")]),
            ("/usr/lib=libc6", vec![folder("/usr/lib")]),
            ("hwcap 0 nosegneg\nrelative/path\n", vec![]),
        ] {
            assert_eq!(lines(text).collect::<Vec<_>>(), want, "{text:?}");
        }
    }
}
