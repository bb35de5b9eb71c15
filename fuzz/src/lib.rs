//! What the programs in `fuzz_targets` have in common: one function each, and hash tables that are the same in each run.
//!
//! `HashMap` takes its keys from the kernel's random numbers, so that the way through it, which libFuzzer follows, is another
//! one each time. A run with a seed could then not be had again (`cargo xtask fuzz --seed`), nor a test rely on it.

/// Makes a program of a function of `fuzz_targets`.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        libfuzzer_sys::fuzz_target!(|input: &[u8]| {
            $crate::same_random_numbers();
            fuzz_targets::$name(input);
        });
    };
}

/// Does nothing but bring [`getrandom`] into the program: the linker takes from a library only what is called.
#[inline(never)]
pub fn same_random_numbers() {}

/// In place of the C library's function of that name, which the standard library asks for the keys of its tables.
///
/// # Safety
/// As that function's (getrandom(2)): `length` bytes at `buffer` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: by contract.
    unsafe { buffer.write_bytes(7, length) };
    isize::try_from(length).unwrap_or(isize::MAX)
}
