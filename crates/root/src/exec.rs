//! Becoming another program. It is here because it needs `unsafe`, and only this crate and `nvml` may have any.

use std::{
    ffi::{CString, NulError, OsStr, OsString},
    io,
    os::unix::ffi::OsStrExt,
    path::Path,
    ptr,
};

/// Becomes the program at `path`: `argv[0]` is the path, the rest `args`; the environment is `environment`, whole.
/// Descriptors, working directory and signal mask stay. Returns only to say why not.
///
/// The standard library's `exec` is no substitute: it ends in `execvp`, which hands a file that the kernel refuses (one
/// for another machine, say) to `/bin/sh` as a script.
pub fn become_program(
    path: &Path,
    args: &[OsString],
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> io::Error {
    let words = std::iter::once(path.as_os_str()).chain(args.iter().map(OsString::as_os_str));
    let entries = environment.map(|(mut entry, value)| {
        entry.push("=");
        entry.push(value);
        entry
    });
    match (
        words.map(text).collect::<Result<Vec<_>, _>>(),
        entries.map(|entry| text(&entry)).collect::<Result<Vec<_>, _>>(),
    ) {
        (Ok(words), Ok(entries)) => execve(&words, &entries),
        (Err(error), _) | (_, Err(error)) => error.into(),
    }
}

fn text(text: &OsStr) -> Result<CString, NulError> {
    CString::new(text.as_bytes())
}

/// `argv` holds at least the path.
fn execve(argv: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    let (arguments, variables) = (pointers(argv), pointers(environment));
    // SAFETY: no pointers. Rust's start-up ignores SIGPIPE, which exec would hand on; programs expect the default.
    let former = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    // SAFETY: both lists end with a null pointer, and `argv` and `environment` keep alive what they point to.
    unsafe { libc::execve(arguments[0], arguments.as_ptr(), variables.as_ptr()) };
    let error = io::Error::last_os_error();
    // SAFETY: restores what `signal` returned.
    unsafe { libc::signal(libc::SIGPIPE, former) };
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_no_program_is_refused_and_not_run_by_a_shell() {
        let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&file, "exit 0\n").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        let error = become_program(&file, &[], std::env::vars_os());
        assert_eq!(error.raw_os_error(), Some(libc::ENOEXEC));
        assert_eq!(become_program(Path::new("/nope"), &[], std::env::vars_os()).raw_os_error(), Some(libc::ENOENT));
        let nul = become_program(Path::new("/nope"), &["a\0b".into()], std::env::vars_os());
        assert_eq!(nul.kind(), io::ErrorKind::InvalidInput);
    }
}
